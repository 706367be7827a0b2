// Crashes a thread in order before its heap is full: at a full heap Node ends the whole process, with every connection of every thread.
import { getHeapStatistics } from "node:v8";

const lookEveryMs = 250;
/** A heap that is this full at two looks in a row is not one that was about to be collected. */
const fullShare = 0.85;
const looksInARow = 2;
/** V8 counts room for the young generation into the limit; it is the old one that fills up (node/v8: three semi-spaces of 16 MiB). */
const youngBytes = 48 * 2 ** 20;

export interface HeapWatchOptions {
  /** Bytes in use and bytes that there may be. */
  read?: () => { used: number; limit: number };
  /** Called once. */
  onFull: (error: Error) => void;
}

/** Looks until `stop`. */
export class HeapWatch {
  readonly #read: () => { used: number; limit: number };
  readonly #onFull: (error: Error) => void;
  readonly #timer: NodeJS.Timeout;
  #fullLooks = 0;

  constructor({ read = readHeap, onFull }: HeapWatchOptions) {
    this.#read = read;
    this.#onFull = onFull;
    this.#timer = setInterval(() => this.look(), lookEveryMs).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  look(): void {
    const { used, limit } = this.#read();
    this.#fullLooks = used > limit * fullShare ? this.#fullLooks + 1 : 0;
    if (this.#fullLooks < looksInARow) return;
    this.stop();
    this.#onFull(new Error(`The heap of this thread is full: ${Math.round(used / 2 ** 20)} of ${Math.round(limit / 2 ** 20)} MiB`));
  }
}

function readHeap(): { used: number; limit: number } {
  const { used_heap_size: used, heap_size_limit: limit } = getHeapStatistics();
  return { used, limit: limit - youngBytes };
}
