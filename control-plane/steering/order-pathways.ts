// In which order a playing session should use the boxes that steering ranks for it: as ranked, except that it stays where it is while that is as
// good, and leaves a box that has shown to be too slow for it.
import { LRUCache } from "lru-cache";
import type { Box } from "./steering-fleet.js";

/** A session that gets less than this times its nominal rate will stall. */
const slowBelow = 0.9;
/** Moving for speed needs a box that gave this much more, or one that was not tried: or a slow line would send the player round and round. */
const betterBy = 1.25;
/** Sessions whose measurements are remembered. */
const sessionsMax = 100_000;

/** What each session has measured at each box, in bits per second. */
export class ThroughputReports {
  readonly #sessions = new LRUCache<string, Map<string, number>>({ max: sessionsMax });
  /** Session and box of the report before: the first from a box is often what the player starts from, before it has measured anything. */
  readonly #firsts = new LRUCache<string, true>({ max: sessionsMax });

  note(sessionId: string, boxId: string, bitsPerSecond: number): void {
    const key = `${sessionId} ${boxId}`;
    if (!this.#firsts.has(key)) {
      this.#firsts.set(key, true);
      return;
    }
    const reports = this.#sessions.get(sessionId) ?? new Map<string, number>();
    reports.set(boxId, bitsPerSecond);
    this.#sessions.set(sessionId, reports);
  }

  /** By box, from the second report on. */
  of(sessionId: string): ReadonlyMap<string, number> {
    return this.#sessions.get(sessionId) ?? new Map<string, number>();
  }
}

export interface PlayingSession {
  /** The box it plays from; undefined before it plays. */
  boxId: string | undefined;
  bitsPerSecond: number;
  reports: ReadonlyMap<string, number>;
}

/** `ranked` in the order that suits the session. */
export function orderPathways(ranked: readonly Box[], { boxId, bitsPerSecond, reports }: PlayingSession): Box[] {
  const current = ranked.find(({ id }) => id === boxId);
  const isSlow = (box: Box) => (reports.get(box.id) ?? Infinity) < slowBelow * bitsPerSecond;
  // Hysteresis: another box of the same site is no reason to move, unless this one has more than its share.
  const staysGood = current && current.siteId === ranked[0]!.siteId && !current.isOverShare && current.strained === undefined;
  const order = staysGood ? [current, ...ranked.filter((box) => box !== current)] : [...ranked];
  const measured = (box: Box) => reports.get(box.id) ?? Infinity;
  if (!current || order[0] !== current || !isSlow(current)) return [...order.filter((box) => !isSlow(box)), ...order.filter(isSlow)];
  const better = order.filter((box) => measured(box) >= betterBy * measured(current));
  return [...better, ...order.filter((box) => !better.includes(box))];
}
