// Tests of quantities in words.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { formatAge, formatBitRate, formatBytes, formatNumber, formatRunningTime, shortId } from "./format-quantity.js";

test("formatBytes() counts in 1024s and formatBitRate() in 1000s", () => {
  assert.equal(formatBytes(0), "0 B");
  assert.equal(formatBytes(999), "999 B");
  assert.equal(formatBytes(1000), "0.98 KiB");
  assert.equal(formatBytes(1024 * 1024), "1.0 MiB");
  assert.equal(formatBytes(20 * 1024 ** 3), "20 GiB");
  assert.equal(formatBitRate(0), "0 b/s");
  assert.equal(formatBitRate(12_400_000), "12.4 Mb/s");
  assert.equal(formatBitRate(999_600), "1.0 Mb/s");
});

test("formatBytes() and formatBitRate() never need more than four figures", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 49 }), (value) => {
      for (const text of [formatBytes(value), formatBitRate(value)]) assert.match(text, /^(\d{1,3}|\d\.\d{1,2}|\d\d\.\d) \S+$/);
    }),
  );
});

test("formatNumber() keeps one decimal of small rates", () => {
  assert.equal(formatNumber(0), "0");
  assert.equal(formatNumber(0.44), "0.4");
  assert.equal(formatNumber(7), "7");
  assert.equal(formatNumber(3400.4), "3,400");
});

test("formatRunningTime() and formatAge() read as clocks do", () => {
  assert.equal(formatRunningTime(62), "1:02");
  assert.equal(formatRunningTime(5025), "1:23:45");
  assert.equal(formatRunningTime(59.7), "1:00");
  assert.equal(formatAge(-5000), "now");
  assert.equal(formatAge(4_900), "4 s");
  assert.equal(formatAge(180_000), "3 min");
  assert.equal(formatAge(3 * 86_400_000), "3 d");
});

test("shortId() cuts a UUID and leaves a name whole", () => {
  assert.equal(shortId("3f2a91c0-1111-4222-8333-444455556666"), "3f2a91c0");
  assert.equal(shortId("edge-at-the-station"), "edge-at-the-station");
});
