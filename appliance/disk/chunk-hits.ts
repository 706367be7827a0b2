// How often chunks were asked for lately, in memory that all threads share: workers count, the fill worker evicts by it.
//
// A byte for a chunk's hash: | tick, 6 bits | hits, 2 bits |. A hit counts only when the tick has changed since the last one, so all requests by which one
// player reads one chunk are one hit. In the common case a worker reads one byte and writes nothing.
//
// Nothing here is exact. Two chunks may share a byte (at twice as many bytes as slots, two cold chunks in five do, and that only keeps them longer), two
// workers may count one hit at once, and all of it is lost at a restart: a chunk that is evicted too early is fetched again.
import type { Clock } from "../../runtime/clock.js";
import { chunkHashOf } from "../chunk-hash.js";

/** S3-FIFO counts hits up to this. */
export const hitsMax = 3;
/** Requests closer together than this may be one player reading one chunk. */
export const tickMs = 30_000;
const ticks = 64;
const bytesMin = 2 ** 16;
const bytesMax = 2 ** 26;

/** Memory for the chunks of `slotCount` slots. */
export function allocateChunkHits(slotCount: number): SharedArrayBuffer {
  let bytes = bytesMin;
  while (bytes < slotCount * 2 && bytes < bytesMax) bytes *= 2;
  return new SharedArrayBuffer(bytes);
}

/** One thread's view of the shared counts. */
export class ChunkHits {
  readonly #bytes: Uint8Array;
  readonly #clock: Clock;

  constructor(memory: SharedArrayBuffer, clock: Clock) {
    this.#bytes = new Uint8Array(memory);
    this.#clock = clock;
  }

  /** A request used the chunk. `firstKeyWord` as in `chunkHashOf`. */
  note(firstKeyWord: number, chunk: number): void {
    const at = chunkHashOf(firstKeyWord, chunk) & (this.#bytes.length - 1);
    const byte = this.#bytes[at]!;
    const tick = this.#tick();
    if (byte >> 2 !== tick) this.#bytes[at] = (tick << 2) | Math.min(hitsMax, (byte & hitsMax) + 1);
  }

  /** A chunk has come: whoever asked for it first, and all who ask within this tick, are no hits. */
  begin(hash: number): void {
    this.#bytes[hash & (this.#bytes.length - 1)] = this.#tick() << 2;
  }

  countOf(hash: number): number {
    return this.#bytes[hash & (this.#bytes.length - 1)]! & hitsMax;
  }

  /** Takes hits away from a chunk that was spared for them. */
  setCount(hash: number, count: number): void {
    const at = hash & (this.#bytes.length - 1);
    this.#bytes[at] = (this.#bytes[at]! & ~hitsMax) | count;
  }

  #tick(): number {
    return Math.floor(this.#clock.unixMs() / tickMs) % ticks;
  }
}
