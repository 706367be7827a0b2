// Tests of how long the player waits for an appliance.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { choosePatienceMs, longestPatienceMs } from "./request-patience.js";

test("choosePatienceMs() is half of the buffer, within bounds", () => {
  assert.equal(choosePatienceMs("nextBytes", 0, 0), 1_500);
  assert.equal(choosePatienceMs("nextBytes", 6, 0), 3_000);
  assert.equal(choosePatienceMs("nextBytes", 30, 0), 4_000);
  assert.equal(choosePatienceMs("firstByte", 0, 0), 2_500);
  assert.equal(choosePatienceMs("firstByte", 30, 0), 5_000);
});

test("choosePatienceMs() doubles with each round in which every appliance failed, up to eight times", () => {
  assert.equal(choosePatienceMs("nextBytes", 0, 1), 3_000);
  assert.equal(choosePatienceMs("nextBytes", 0, 3), 12_000);
  assert.equal(choosePatienceMs("nextBytes", 0, 40), 12_000);
});

test("choosePatienceMs() never falls when the buffer grows, and never passes its limit", () => {
  const seconds = fc.double({ min: 0, max: 1000, noNaN: true });
  fc.assert(
    fc.property(fc.constantFrom("firstByte" as const, "nextBytes" as const), seconds, seconds, fc.nat(10), (phase, one, other, rounds) => {
      const [less, more] = one < other ? [one, other] : [other, one];
      assert.ok(choosePatienceMs(phase, less, rounds) <= choosePatienceMs(phase, more, rounds));
      assert.ok(choosePatienceMs(phase, more, rounds) <= longestPatienceMs);
    }),
  );
});
