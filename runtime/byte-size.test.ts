import assert from "node:assert/strict";
import { test } from "node:test";
import { formatByteSize, parseByteSize } from "./byte-size.js";

test("parseByteSize() reads binary and decimal units", () => {
  assert.equal(parseByteSize("1MiB"), 1048576);
  assert.equal(parseByteSize("1.5 GiB"), 1610612736);
  assert.equal(parseByteSize("20GB"), 20e9);
  assert.equal(parseByteSize("64k"), 65536);
  assert.equal(parseByteSize("7"), 7);
});

test("parseByteSize() refuses what is not an amount", () => {
  for (const text of ["", "MiB", "-1", "1e9", "1 parsec", "NaN", "1 2", "9999999999TiB"]) {
    assert.equal(parseByteSize(text), undefined, text);
  }
});

test("formatByteSize() chooses the unit", () => {
  assert.equal(formatByteSize(0), "0 B");
  assert.equal(formatByteSize(1536), "1.5 KiB");
  assert.equal(formatByteSize(250 * 2 ** 20), "250 MiB");
  assert.equal(formatByteSize(3 * 2 ** 40), "3.0 TiB");
});
