// One worker's figures in shared memory: only the worker writes, the main thread reads whenever it likes (each second, at a phase's end, at Ctrl-C).
import { errorKinds, type ErrorCounts, type ErrorKind, type NamedErrorKind } from "../report/bench-result.js";
import { latencyCountsLength, type LatencyCounts } from "./latency-counts.js";

const namedKinds = Object.keys(errorKinds) as NamedErrorKind[];
const counterNames = ["requests", "bodyBytes", "verifiedBytes", "wrongBytes", "connected", "finished"] as const;
type CounterName = (typeof counterNames)[number];
const firstErrorSlot = counterNames.length;
const firstStatusSlot = firstErrorSlot + namedKinds.length;
const statuses = 600;
const counterSlots = firstStatusSlot + statuses;

export const counter = Object.fromEntries(counterNames.map((name, slot) => [name, slot])) as Record<CounterName, number>;

export function errorSlot(kind: NamedErrorKind): number {
  return firstErrorSlot + namedKinds.indexOf(kind);
}

export function statusSlot(status: number): number {
  return firstStatusSlot + status;
}

export interface LoadBoard {
  memory: SharedArrayBuffer;
  counters: Float64Array;
  ttfb: LatencyCounts;
  response: LatencyCounts;
  sendLag: LatencyCounts;
}

const countsBytes = latencyCountsLength * 4;

export function openLoadBoard(memory = new SharedArrayBuffer(counterSlots * 8 + 3 * countsBytes)): LoadBoard {
  const counts = (index: number) => new Uint32Array(memory, counterSlots * 8 + index * countsBytes, latencyCountsLength);
  return { memory, counters: new Float64Array(memory, 0, counterSlots), ttfb: counts(0), response: counts(1), sendLag: counts(2) };
}

/** The boards of all workers as they were at one moment. */
export interface BoardsReading {
  counters: Float64Array;
  ttfb: LatencyCounts[];
  response: LatencyCounts[];
  sendLag: LatencyCounts[];
}

export function readBoards(boards: readonly LoadBoard[]): BoardsReading {
  const counters = new Float64Array(counterSlots);
  for (const board of boards) for (let slot = 0; slot < counterSlots; slot++) counters[slot]! += board.counters[slot]!;
  return {
    counters,
    ttfb: boards.map((board) => board.ttfb.slice()),
    response: boards.map((board) => board.response.slice()),
    sendLag: boards.map((board) => board.sendLag.slice()),
  };
}

export function errorsBetween(now: BoardsReading, before: BoardsReading): ErrorCounts {
  const errors: ErrorCounts = {};
  for (let slot = firstErrorSlot; slot < counterSlots; slot++) {
    const count = now.counters[slot]! - before.counters[slot]!;
    const kind: ErrorKind = slot < firstStatusSlot ? namedKinds[slot - firstErrorSlot]! : `status-${slot - firstStatusSlot}`;
    if (count > 0) errors[kind] = count;
  }
  return errors;
}
