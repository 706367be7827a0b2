// LRU: evicts what was asked for longest ago.
import type { CachePolicy, CachePolicyOptions } from "./cache-policy.js";
import { ObjectLinks, ObjectQueue } from "./object-queue.js";

export class LruPolicy implements CachePolicy {
  readonly #capacityBytes: number;
  readonly #objectBytes: Float64Array;
  readonly #held: Uint8Array;
  readonly #queue: ObjectQueue;

  constructor({ capacityBytes, objectBytes }: CachePolicyOptions) {
    this.#capacityBytes = capacityBytes;
    this.#objectBytes = objectBytes;
    this.#held = new Uint8Array(objectBytes.length);
    this.#queue = new ObjectQueue(new ObjectLinks(objectBytes.length), objectBytes);
  }

  get usedBytes(): number {
    return this.#queue.bytes;
  }

  holds(object: number): boolean {
    return this.#held[object] === 1;
  }

  request(object: number): boolean {
    if (this.#held[object] === 1) {
      if (this.#queue.newest !== object) {
        this.#queue.remove(object);
        this.#queue.push(object);
      }
      return true;
    }
    const roomBytes = this.#capacityBytes - this.#objectBytes[object]!;
    if (roomBytes < 0) return false;
    while (this.#queue.bytes > roomBytes) this.#held[this.#queue.takeOldest()] = 0;
    this.#held[object] = 1;
    this.#queue.push(object);
    return false;
  }
}
