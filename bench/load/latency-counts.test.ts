import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { build, decodeFromCompressedBase64 } from "hdr-histogram-js";
import { histogramOf, latencyCountsLength, latencyOf, recordLatency, type LatencyCounts } from "./latency-counts.js";

function countsOf(values: readonly number[]): LatencyCounts {
  const counts = new Uint32Array(latencyCountsLength);
  for (const value of values) recordLatency(counts, value);
  return counts;
}

const latencies = fc.array(fc.oneof(fc.integer({ min: 0, max: 5000 }), fc.integer({ min: 0, max: 2 ** 30 })), {
  minLength: 1,
  maxLength: 200,
  // Without it most arrays have some ten entries: too few for a p99 that is not the maximum.
  size: "max",
});

test("histogramOf() merges workers into what one HDR histogram of all values would be", () => {
  fc.assert(
    fc.property(fc.array(latencies, { minLength: 1, maxLength: 4 }), (workers) => {
      const merged = histogramOf(workers.map(countsOf))!;
      const direct = build({ lowestDiscernibleValue: 1, highestTrackableValue: 2 ** 31, numberOfSignificantValueDigits: 3 });
      for (const value of workers.flat()) direct.recordValue(value);
      assert.equal(merged.totalCount, direct.totalCount);
      for (const percent of [1, 25, 50, 75, 90, 99, 99.9, 100]) {
        assert.equal(merged.getValueAtPercentile(percent), direct.getValueAtPercentile(percent), `p${percent}`);
      }
    }),
  );
});

test("histogramOf() leaves out what was there before", () => {
  const before = countsOf([10, 20, 1_000_000]);
  const now = countsOf([10, 20, 1_000_000, 777, 778]);
  const between = histogramOf([now], [before])!;
  assert.equal(between.totalCount, 2);
  assert.equal(between.maxValue, 778);
  assert.equal(histogramOf([before], [before]), null);
});

test("latencyOf() gives the known percentiles of 1 to 1000 ms, within three digits", () => {
  const counts = countsOf(Array.from({ length: 1000 }, (_, index) => (index + 1) * 1000));
  const latency = latencyOf(histogramOf([counts]), { withHistogram: true })!;
  const near = (actual: number, expected: number) =>
    assert.ok(Math.abs(actual / expected - 1) < 0.001, `${actual} is not near ${expected}`);
  near(latency.p50, 500);
  near(latency.p90, 900);
  near(latency.p99, 990);
  near(latency.p999, 999);
  near(latency.max, 1000);
  near(latency.mean, 500.5);
  assert.equal(decodeFromCompressedBase64(latency.histogram!).totalCount, 1000);
});

test("recordLatency() keeps values beyond the largest, and below zero, countable", () => {
  const histogram = histogramOf([countsOf([-5, 1e15])])!;
  assert.equal(histogram.totalCount, 2);
  assert.ok(histogram.maxValue >= 2 ** 30);
});
