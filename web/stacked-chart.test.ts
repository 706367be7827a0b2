// Tests of the throughput chart's shapes.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { drawStackedChart, roundTop } from "./stacked-chart.js";

test("drawStackedChart() puts one series on top of the other, newest at the right edge", () => {
  const shapes = drawStackedChart(
    [0, 100],
    [
      { name: "a", values: [10, 20] },
      { name: "b", values: [30, 30] },
    ],
    { line: [0, 50], endMs: 100, spanMs: 200 },
  );
  assert.equal(shapes.top, 50);
  assert.deepEqual(shapes.areas, [
    "M500.0 80.00L1000.0 60.00L1000.0 100.00L500.0 100.00Z",
    "M500.0 20.00L1000.0 0.00L1000.0 60.00L500.0 80.00Z",
  ]);
  assert.equal(shapes.line, "M500.0 100.00L1000.0 0.00");
});

test("drawStackedChart() draws nothing from fewer than two samples", () => {
  assert.deepEqual(drawStackedChart([5], [{ name: "a", values: [1] }], { line: [1], endMs: 5, spanMs: 10 }), {
    areas: [""],
    line: "",
    top: 1,
  });
});

test("roundTop() is a round number that is not below its value and at most 2.5 times it", () => {
  assert.equal(roundTop(0), 1);
  assert.equal(roundTop(20), 20);
  assert.equal(roundTop(21), 50);
  fc.assert(
    fc.property(fc.double({ min: 1e-6, max: 1e15, noNaN: true }), (value) => {
      const top = roundTop(value);
      assert.ok(top >= value * (1 - 1e-12) && top <= value * 2.5 * (1 + 1e-12), `${value} → ${top}`);
    }),
  );
});
