// How much something is played: two decayed sums of full plays, one that follows the day and one that remembers weeks.

export const dayMs = 86_400_000;
/** Follows a release or a decline within a day or two. */
export const fastHalfLifeDays = 1;
/** Smooths the noise of titles that are played a few times a week. */
export const slowHalfLifeDays = 7;
/**
 * The most that heat's clock moves at once, in either direction. Appliances keep reports for 7 days, so no honest gap is longer; a
 * clock that jumps by a year then costs at most what a week's silence does, and decays everything alike.
 */
const stepMaxMs = 7 * dayMs;

/** `fast` and `slow` are sums of full plays (bytes served by size), halved every half-life, as of `atMs` of the heat clock. */
export interface HeatLevel {
  fast: number;
  slow: number;
  atMs: number;
  /** When the first play was counted: sums of young levels have not seen a whole half-life. */
  firstMs: number;
}

/** A clock for decay that follows the wall clock, but never goes back and never jumps. */
export interface HeatClock {
  /** Only ever grows. */
  heatMs: number;
  /** The wall clock when `heatMs` was set. */
  wallMs: number;
}

/** The heat clock at `wallMs`. A wall clock that was set back stands still for heat, one that leapt forward moves it by 7 days at most. */
export function advanceHeatClock(clock: HeatClock | undefined, wallMs: number): HeatClock {
  if (!clock) return { heatMs: wallMs, wallMs };
  return { heatMs: clock.heatMs + Math.min(stepMaxMs, Math.max(0, wallMs - clock.wallMs)), wallMs };
}

/** `level` with `plays` more, seen at `atMs` of the heat clock, which may lie before the level's last. */
export function addPlays(level: HeatLevel | undefined, plays: number, atMs: number): HeatLevel {
  if (!level) return { fast: plays, slow: plays, atMs, firstMs: atMs };
  const nowMs = Math.max(level.atMs, atMs);
  const old = decayedTo(level, nowMs);
  const ageDays = (nowMs - atMs) / dayMs;
  return {
    fast: old.fast + plays * halved(ageDays, fastHalfLifeDays),
    slow: old.slow + plays * halved(ageDays, slowHalfLifeDays),
    atMs: nowMs,
    firstMs: Math.min(level.firstMs, atMs),
  };
}

/** The sums at `nowMs`. */
export function decayedTo(level: HeatLevel, nowMs: number): { fast: number; slow: number } {
  const days = Math.max(0, nowMs - level.atMs) / dayMs;
  return { fast: level.fast * halved(days, fastHalfLifeDays), slow: level.slow * halved(days, slowHalfLifeDays) };
}

/**
 * Plays per day that the two sums stand for. A sum fed at a steady rate r settles at r × halfLife / ln 2; one that has been fed for `age`
 * only has come to the share 1 − 2^(−age / halfLife) of that.
 */
export function ratesPerDay(level: HeatLevel, nowMs: number): { fast: number; slow: number; ageDays: number } {
  const sums = decayedTo(level, nowMs);
  // Below a quarter of a day one play would look like many.
  const ageDays = Math.max(0.25, (nowMs - level.firstMs) / dayMs);
  const rate = (sum: number, halfLifeDays: number) => (sum * Math.LN2) / halfLifeDays / (1 - halved(ageDays, halfLifeDays));
  return { fast: rate(sums.fast, fastHalfLifeDays), slow: rate(sums.slow, slowHalfLifeDays), ageDays };
}

function halved(days: number, halfLifeDays: number): number {
  return 2 ** (-days / halfLifeDays);
}
