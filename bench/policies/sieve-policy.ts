// SIEVE: a FIFO queue whose hand walks from old to new, spares what was hit since it last passed, and evicts the first that was not.
import type { CachePolicy, CachePolicyOptions } from "./cache-policy.js";
import { nobody, ObjectLinks, ObjectQueue } from "./object-queue.js";

const absent = 0;
const unvisited = 1;
const visited = 2;

/** Zhang et al., "SIEVE is Simpler than LRU: an Efficient Turn-Key Eviction Algorithm for Web Caches", NSDI 2024, Algorithm 1. */
export class SievePolicy implements CachePolicy {
  readonly #capacityBytes: number;
  readonly #objectBytes: Float64Array;
  readonly #state: Uint8Array;
  readonly #queue: ObjectQueue;
  #hand = nobody;

  constructor({ capacityBytes, objectBytes }: CachePolicyOptions) {
    this.#capacityBytes = capacityBytes;
    this.#objectBytes = objectBytes;
    this.#state = new Uint8Array(objectBytes.length);
    this.#queue = new ObjectQueue(new ObjectLinks(objectBytes.length), objectBytes);
  }

  get usedBytes(): number {
    return this.#queue.bytes;
  }

  holds(object: number): boolean {
    return this.#state[object] !== absent;
  }

  request(object: number): boolean {
    if (this.#state[object] !== absent) {
      this.#state[object] = visited;
      return true;
    }
    const roomBytes = this.#capacityBytes - this.#objectBytes[object]!;
    if (roomBytes < 0) return false;
    while (this.#queue.bytes > roomBytes) this.#evict();
    this.#state[object] = unvisited;
    this.#queue.push(object);
    return false;
  }

  #evict(): void {
    let object = this.#hand === nobody ? this.#queue.oldest : this.#hand;
    while (this.#state[object] === visited) {
      this.#state[object] = unvisited;
      object = this.#queue.newerThan(object);
      if (object === nobody) object = this.#queue.oldest;
    }
    this.#hand = this.#queue.newerThan(object);
    this.#queue.remove(object);
    this.#state[object] = absent;
  }
}
