// How much each day of the week differs from the mean, learned from the days before.

/** Weeks that are looked at: enough to even out a holiday, few enough to follow a season. */
export const weekdayWeeksMax = 8;
/** Fewer whole weeks say nothing: a factor of 1 is then right more often. */
const weekdayWeeksMin = 2;
/** No day is taken for more, or less, than this: beyond it is an outage or a premiere, not a weekday. */
const factorMin = 0.5;
const factorMax = 2;

export interface DayBytes {
  /** Days since 1970-01-01, UTC. */
  unixDay: number;
  bytes: number;
}

/**
 * Seven factors, by (unixDay + 4) mod 7, so that 0 is Sunday; their mean is about 1. Each is the median over the last weeks of the
 * day's share of its week: one outage does not move it. Days from `todayUnixDay` on are left out, since they are not over.
 */
export function weekdayFactors(days: readonly DayBytes[], todayUnixDay: number): number[] {
  const bytesOf = new Map(days.map(({ unixDay, bytes }) => [unixDay, bytes]));
  const ratios: number[][] = Array.from({ length: 7 }, () => []);
  for (let week = 0; week < weekdayWeeksMax; week++) {
    const last = todayUnixDay - 1 - 7 * week;
    const ofWeek = Array.from({ length: 7 }, (_, at) => ({ unixDay: last - at, bytes: bytesOf.get(last - at) ?? 0 }));
    const mean = ofWeek.reduce((sum, { bytes }) => sum + bytes, 0) / 7;
    // A week with a day of silence is no week: the box or its link was down.
    if (mean === 0 || ofWeek.some(({ bytes }) => bytes === 0)) continue;
    for (const { unixDay, bytes } of ofWeek) ratios[weekdayOf(unixDay)]!.push(bytes / mean);
  }
  if (ratios[0]!.length < weekdayWeeksMin) return Array.from({ length: 7 }, () => 1);
  return ratios.map((values) => Math.min(factorMax, Math.max(factorMin, medianOf(values))));
}

/** 0 is Sunday: 1970-01-01 was a Thursday. */
export function weekdayOf(unixDay: number): number {
  return (((unixDay + 4) % 7) + 7) % 7;
}

function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
