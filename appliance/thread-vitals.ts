// How serving threads are doing, in shared memory: how late each event loop is, and what its heap holds.
import { getHeapStatistics } from "node:v8";

/** Upper bounds in milliseconds; what is later than the last is counted after them. */
export const loopDelayBoundsMs = [0.5, 1, 1.5, 2, 3, 4, 5, 7.5, 10, 15, 20, 30, 50, 100, 250, 1000] as const;

/** A timer is due this often; how late it comes is how long an event would have waited then. */
const tickMs = 10;
/** Ticks that were missed in one go are counted up to this many: ten seconds. */
const missedTicksMax = 1000;
const heapEveryTicks = 100;

const words = { heapUsed: 0, heapTotal: 1, delaySumMs: 2 } as const;
const bucketsAt = 3;
const wordsPerThread = bucketsAt + loopDelayBoundsMs.length + 1;

export interface Vitals {
  heapUsedBytes: number;
  heapTotalBytes: number;
  delaySumMs: number;
  /** Ticks whose delay was within each bound and above the one before; the last count is beyond all bounds. */
  delayCounts: readonly number[];
}

export function allocateVitals(threads: number): SharedArrayBuffer {
  return new SharedArrayBuffer(threads * wordsPerThread * Float64Array.BYTES_PER_ELEMENT);
}

export function readVitals(memory: SharedArrayBuffer, thread: number): Vitals {
  const row = rowOf(memory, thread);
  return {
    heapUsedBytes: row[words.heapUsed]!,
    heapTotalBytes: row[words.heapTotal]!,
    delaySumMs: row[words.delaySumMs]!,
    delayCounts: [...row.subarray(bucketsAt)],
  };
}

/** Starts to watch the calling thread as `thread`. Its timer keeps no thread alive. */
export function watchVitals(memory: SharedArrayBuffer, thread: number): void {
  const row = rowOf(memory, thread);
  let dueMs = performance.now() + tickMs;
  let ticks = 0;
  setInterval(() => {
    const now = performance.now();
    countLateTicks(row, now - dueMs);
    dueMs = now + tickMs;
    if (ticks++ % heapEveryTicks !== 0) return;
    const heap = getHeapStatistics();
    row[words.heapUsed] = heap.used_heap_size;
    row[words.heapTotal] = heap.total_heap_size;
  }, tickMs).unref();
}

/**
 * Counts a tick that came `lateMs` after it was due, and those that were due meanwhile and could not come: each would have waited for what was
 * left. Without them a loop that stood still for a second would count as one late tick among a hundred good ones.
 */
export function countLateTicks(row: Float64Array, lateMs: number): void {
  let delayMs = Math.max(0, lateMs);
  for (let tick = 0; tick <= missedTicksMax; tick++, delayMs -= tickMs) {
    let bucket = 0;
    while (bucket < loopDelayBoundsMs.length && delayMs > loopDelayBoundsMs[bucket]!) bucket++;
    row[bucketsAt + bucket]! += 1;
    row[words.delaySumMs]! += delayMs;
    if (delayMs < tickMs) return;
  }
}

function rowOf(memory: SharedArrayBuffer, thread: number): Float64Array {
  return new Float64Array(memory, thread * wordsPerThread * Float64Array.BYTES_PER_ELEMENT, wordsPerThread);
}
