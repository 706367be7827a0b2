import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { scaleAmount, unusedPartOf } from "./exact-amounts.js";

test("scaleAmount() is the nearest whole amount, halves away from zero, for either sign", () => {
  const amount = fc.bigInt(-(10n ** 15n), 10n ** 15n);
  fc.assert(
    fc.property(amount, fc.bigInt(0n, 10n ** 12n), fc.bigInt(1n, 10n ** 12n), (minor, numerator, denominator) => {
      const scaled = scaleAmount(minor, numerator, denominator);
      const twiceError = 2n * (scaled * denominator - minor * numerator);
      const magnitude = twiceError < 0n ? -twiceError : twiceError;
      assert.ok(magnitude <= denominator, "within half a unit");
      if (magnitude === denominator) assert.equal(twiceError > 0n, minor > 0n, "a half goes away from zero");
      assert.equal(scaleAmount(-minor, numerator, denominator), -scaled);
    }),
  );
  assert.equal(scaleAmount(1n, 1n, 2n), 1n);
  assert.equal(scaleAmount(-1n, 1n, 2n), -1n);
  assert.equal(scaleAmount(1n, 1n, 3n), 0n);
});

test("unusedPartOf() is all of it before its time, nothing after it, whatever the clock says", () => {
  const span = { amountMinor: 1000n, fromUnixMs: 100, toUnixMs: 200 };
  assert.equal(unusedPartOf(span, 0), 1000n);
  assert.equal(unusedPartOf(span, 150), 500n);
  assert.equal(unusedPartOf(span, 500), 0n);
  assert.equal(unusedPartOf({ ...span, toUnixMs: 100 }, 0), 0n, "a span without length");
});
