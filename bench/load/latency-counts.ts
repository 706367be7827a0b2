// An HDR histogram's counts in shared memory: a worker records without a lock or a message, the main thread reads at any moment.
import { build, encodeIntoCompressedBase64, type Histogram } from "hdr-histogram-js";
import type { Latency } from "../report/bench-result.js";

/**
 * The bucket layout of HdrHistogram with 3 significant digits, lowest value 1: 2048 linear buckets, then 1024 per doubling. Written out here
 * because the library's histograms can't live in shared memory; latency-counts.test.ts holds the two layouts together.
 */
const linearBuckets = 2048;
const bucketsPerDoubling = linearBuckets / 2;
/** 2^30 µs = 17.9 minutes: longer than any request timeout one would set. Larger values are counted as this one. */
const largestMicroseconds = 2 ** 30;
const doublings = 21;
export const latencyCountsLength = doublings * bucketsPerDoubling + linearBuckets;

export type LatencyCounts = Uint32Array;

function indexOf(microseconds: number): number {
  const bucket = 21 - Math.clz32(microseconds | (linearBuckets - 1));
  return bucket * bucketsPerDoubling + (microseconds >>> bucket);
}

function lowestOf(index: number): number {
  if (index < linearBuckets) return index;
  const bucket = Math.floor(index / bucketsPerDoubling) - 1;
  return (index - bucket * bucketsPerDoubling) * 2 ** bucket;
}

export function recordLatency(counts: LatencyCounts, microseconds: number): void {
  const value = microseconds < 0 ? 0 : microseconds > largestMicroseconds ? largestMicroseconds : Math.round(microseconds);
  counts[indexOf(value)]!++;
}

/** The counts of all workers since `before` as one library histogram; null when nothing was recorded. */
export function histogramOf(now: readonly LatencyCounts[], before?: readonly LatencyCounts[]): Histogram | null {
  const histogram = build({ lowestDiscernibleValue: 1, highestTrackableValue: largestMicroseconds * 2, numberOfSignificantValueDigits: 3 });
  for (const [worker, counts] of now.entries()) {
    const earlier = before?.[worker];
    for (let index = 0; index < latencyCountsLength; index++) {
      const count = (counts[index]! - (earlier?.[index] ?? 0)) >>> 0;
      if (count > 0) histogram.recordValueWithCount(lowestOf(index), count);
    }
  }
  return histogram.totalCount === 0 ? null : histogram;
}

/** Milliseconds from a histogram of microseconds. */
export function latencyOf(histogram: Histogram | null, options: { withHistogram: boolean }): Latency | null {
  if (histogram === null) return null;
  const percentile = (percent: number) => histogram.getValueAtPercentile(percent) / 1000;
  return {
    count: histogram.totalCount,
    mean: Math.round(histogram.mean) / 1000,
    p50: percentile(50),
    p90: percentile(90),
    p99: percentile(99),
    p999: percentile(99.9),
    max: histogram.maxValue / 1000,
    ...(options.withHistogram ? { histogram: encodeHistogram(histogram) } : {}),
  };
}

/** HdrHistogram's V2 compressed base64: other tools of that family read it. */
function encodeHistogram(histogram: Histogram): string {
  return encodeIntoCompressedBase64(histogram);
}
