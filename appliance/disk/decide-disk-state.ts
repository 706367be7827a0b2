// Decides which state a disk should be in, from what was seen of it lately. Pure: no clock, no disk.
//
//            late reads in a row, errors,              probes fail
//            or slower than it was and than others      in a row
//   online ────────────────────────────────▶ suspect ─────────────▶ offline
//     ▲                                         │                      │
//     └──────── probes good and fast ───────────┘                      │
//     └──────── probes good, more of them after every fall ────────────┘
//
// retired is reached by command only, and never left.
import type { DiskState } from "./disk-set.js";

/** What a look at a disk, past its queue, has shown. "full" is a disk that works and has no room. */
export type ProbeVerdict = "good" | "full" | "missing" | "other-disk" | "read-only" | "failing" | "late";

export const diskLimits = {
  /** How far back errors and read times are looked at. */
  windowSeconds: 10,
  /** Fewer reads than this in the window say nothing about a p99. */
  readsMin: 20,
  /** A p99 below this is never too slow: an idle spinning disk seeks for 20 ms, and a busy one queues a few of those. */
  slowMsMin: 100,
  /** Too slow is so many times the disk's own history, and so many times the median of the others. */
  slowerThanItself: 4,
  slowerThanOthers: 4,
  /** With nothing to compare with, too slow is this. */
  slowMsAlone: 1000,
  /** Errors in the window that make a disk suspect, though good reads lie between them. A slot that does not hold its chunk is an error. */
  errorsMax: 5,
  /** Slots within `fallsSeconds` that did not hold their chunks: a disk that alters so many is not used until they lie back so far. */
  badSlotsMax: 50,
  /** Good probes in a row that bring a disk back; doubled for every fall within `fallsSeconds`. */
  goodProbesMin: 5,
  goodProbesMax: 320,
  fallsSeconds: 3600,
  /** Failed probes in a row that take a suspect disk offline. */
  badProbesMax: 3,
} as const;

export interface DiskSignals {
  state: DiskState;
  /** In the window. */
  reads: number;
  errors: number;
  badSlots: number;
  /** Within `fallsSeconds`. */
  badSlotsLately: number;
  p99Ms: number | undefined;
  /** The p99 that the disk had while it was online and well; undefined when there is none yet. */
  usualP99Ms: number | undefined;
  /** The median of the other online disks' p99 in the window. */
  othersP99Ms: number | undefined;
  lastProbe: { verdict: ProbeVerdict; ms: number } | undefined;
  goodProbesInRow: number;
  badProbesInRow: number;
  /** How often it left "online" within `fallsSeconds`. */
  falls: number;
}

export interface DiskDecision {
  state: DiskState;
  /** For people: what was seen, with the figures. */
  reason: string;
}

const unusable: Partial<Record<ProbeVerdict, string>> = {
  missing: "it is not there any more",
  "other-disk": "another disk is mounted in its place",
  "read-only": "its file system is read-only",
};

/** The state to change to, and why; undefined when it should stay as it is. */
export function decideDiskState(signals: DiskSignals): DiskDecision | undefined {
  const { state, lastProbe, goodProbesInRow, badProbesInRow } = signals;
  if (state === "retired") return undefined;
  const why = lastProbe && unusable[lastProbe.verdict];
  if (why) return state === "offline" ? undefined : { state: "offline", reason: why };
  const { badSlotsLately } = signals;
  if (badSlotsLately >= diskLimits.badSlotsMax) {
    if (state === "offline") return undefined;
    return { state: "offline", reason: `${badSlotsLately} of its slots did not hold their chunks: it alters data, retire it` };
  }
  if (state === "online") {
    const reason = reasonForSuspicion(signals);
    return reason === undefined ? undefined : { state: "suspect", reason };
  }
  if (state === "suspect" && badProbesInRow >= diskLimits.badProbesMax && lastProbe?.verdict === "failing") {
    return { state: "offline", reason: `${badProbesInRow} probes in a row failed` };
  }
  const needed = goodProbesNeeded(signals.falls);
  if (goodProbesInRow < needed) return undefined;
  return { state: "online", reason: `${goodProbesInRow} probes in a row were good, the last in ${lastProbe?.ms.toFixed(1) ?? "?"} ms` };
}

/** How long a p99 of this disk may be. */
export function slowLimitMs({ usualP99Ms, othersP99Ms }: Pick<DiskSignals, "usualP99Ms" | "othersP99Ms">): number {
  if (usualP99Ms === undefined && othersP99Ms === undefined) return diskLimits.slowMsAlone;
  return Math.max(
    diskLimits.slowMsMin,
    (usualP99Ms ?? 0) * diskLimits.slowerThanItself,
    // All disks slow alike is a busy box, and no reason to drop any of them.
    (othersP99Ms ?? 0) * diskLimits.slowerThanOthers,
  );
}

export function goodProbesNeeded(falls: number): number {
  return Math.min(diskLimits.goodProbesMax, diskLimits.goodProbesMin * 2 ** Math.max(0, falls - 1));
}

function reasonForSuspicion(signals: DiskSignals): string | undefined {
  const { badProbesInRow, badSlots, errors, lastProbe, p99Ms, reads } = signals;
  if (badProbesInRow >= diskLimits.badProbesMax)
    return `${badProbesInRow} probes in a row failed or were late, the last: ${lastProbe?.verdict}`;
  if (errors + badSlots >= diskLimits.errorsMax) {
    const what = badSlots === 0 ? `${errors} errors` : `${errors} errors and ${badSlots} bad slots`;
    return `${what} in ${diskLimits.windowSeconds} s`;
  }
  if (p99Ms === undefined || reads < diskLimits.readsMin) return undefined;
  const limitMs = slowLimitMs(signals);
  if (p99Ms <= limitMs) return undefined;
  const figure = (ms: number | undefined) => (ms === undefined ? "unknown" : `${ms.toFixed(1)} ms`);
  return (
    `its read p99 is ${figure(p99Ms)} over ${reads} reads, and ${figure(limitMs)} is its limit ` +
    `(usually ${figure(signals.usualP99Ms)}, other disks ${figure(signals.othersP99Ms)})`
  );
}
