import assert from "node:assert/strict";
import { test } from "node:test";
import { rateFactor } from "./rate-curve.js";

test("rateFactor() has the mean 1 over a day, its low in the night and its peak in the evening", () => {
  const steps = 2400;
  const factors = Array.from({ length: steps }, (_, step) => rateFactor("diurnal", step / steps));
  const mean = factors.reduce((sum, factor) => sum + factor, 0) / steps;
  assert.ok(Math.abs(mean - 1) < 1e-9, String(mean));
  const hourOf = (factor: number) => (factors.indexOf(factor) / steps) * 24;
  assert.equal(hourOf(Math.min(...factors)), 4);
  assert.equal(hourOf(Math.max(...factors)), 21);
  assert.equal(rateFactor("flat", 0.3), 1);
});

test("rateFactor() goes round at midnight without a step", () => {
  assert.ok(Math.abs(rateFactor("diurnal", 1 - 1e-9) - rateFactor("diurnal", 0)) < 1e-6);
  assert.equal(rateFactor("diurnal", 1.25), rateFactor("diurnal", 0.25));
});
