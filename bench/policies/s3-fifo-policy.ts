// S3-FIFO: a small queue that most objects leave again soon, a main queue for those asked for more than once, and a ghost of the former.
import type { CachePolicy, CachePolicyOptions } from "./cache-policy.js";
import { nobody, ObjectLinks, ObjectQueue } from "./object-queue.js";

const absent = 0;
const inSmall = 1;
const inMain = 2;
const inGhost = 3;

/** Share of the capacity that the small queue is held to; the paper's choice (section 4.1). */
const smallShare = 0.1;
/** Hits in the small queue from which an object moves to the main queue instead of out ("freq > 1" in Algorithm 1). */
const promoteAtHits = 2;
/** Hits are counted up to this (two bits). */
const mostHits = 3;

/**
 * Yang et al., "FIFO Queues are All You Need for Cache Eviction", SOSP 2023, Algorithm 1, with sizes in bytes as in the authors' simulator
 * (libCacheSim, S3FIFOv0): the small queue gives way while it is over 10 % of the capacity, the ghost remembers as many bytes of objects as
 * the main queue may hold, an object enters the main queue with its hits forgotten. Unlike that simulator, an object larger than the small
 * queue is admitted when the cache can hold it at all, so that all policies here admit the same objects.
 */
export class S3FifoPolicy implements CachePolicy {
  readonly #capacityBytes: number;
  readonly #smallBytes: number;
  readonly #ghostBytes: number;
  readonly #objectBytes: Float64Array;
  readonly #place: Uint8Array;
  readonly #hits: Uint8Array;
  readonly #small: ObjectQueue;
  readonly #main: ObjectQueue;
  readonly #ghost: ObjectQueue;

  constructor({ capacityBytes, objectBytes }: CachePolicyOptions) {
    this.#capacityBytes = capacityBytes;
    this.#smallBytes = capacityBytes * smallShare;
    this.#ghostBytes = capacityBytes - this.#smallBytes;
    this.#objectBytes = objectBytes;
    this.#place = new Uint8Array(objectBytes.length);
    this.#hits = new Uint8Array(objectBytes.length);
    const links = new ObjectLinks(objectBytes.length);
    this.#small = new ObjectQueue(links, objectBytes);
    this.#main = new ObjectQueue(links, objectBytes);
    this.#ghost = new ObjectQueue(links, objectBytes);
  }

  get usedBytes(): number {
    return this.#small.bytes + this.#main.bytes;
  }

  holds(object: number): boolean {
    const place = this.#place[object];
    return place === inSmall || place === inMain;
  }

  request(object: number): boolean {
    const place = this.#place[object]!;
    if (place === inSmall || place === inMain) {
      const hits = this.#hits[object]!;
      if (hits < mostHits) this.#hits[object] = hits + 1;
      return true;
    }
    // The ghost is asked before anything is evicted: the evictions below could push this very object out of it.
    if (place === inGhost) {
      this.#ghost.remove(object);
      this.#place[object] = absent;
    }
    const roomBytes = this.#capacityBytes - this.#objectBytes[object]!;
    if (roomBytes < 0) return false;
    while (this.#small.bytes + this.#main.bytes > roomBytes) {
      const smallFirst = this.#small.bytes >= this.#smallBytes || this.#main.oldest === nobody;
      if (smallFirst && this.#small.oldest !== nobody) this.#evictFromSmall();
      else this.#evictFromMain();
    }
    this.#hits[object] = 0;
    if (place === inGhost) this.#pushMain(object);
    else {
      this.#place[object] = inSmall;
      this.#small.push(object);
    }
    return false;
  }

  /** Moves objects with hits to the main queue until one without went to the ghost, or the small queue is empty. */
  #evictFromSmall(): void {
    while (this.#small.oldest !== nobody) {
      const object = this.#small.takeOldest();
      if (this.#hits[object]! >= promoteAtHits) {
        this.#hits[object] = 0;
        this.#pushMain(object);
        continue;
      }
      this.#pushGhost(object);
      return;
    }
  }

  #evictFromMain(): void {
    while (this.#main.oldest !== nobody) {
      const object = this.#main.takeOldest();
      const hits = this.#hits[object]!;
      if (hits === 0) {
        this.#place[object] = absent;
        return;
      }
      this.#hits[object] = hits - 1;
      this.#main.push(object);
    }
  }

  #pushMain(object: number): void {
    this.#place[object] = inMain;
    this.#main.push(object);
  }

  #pushGhost(object: number): void {
    const roomBytes = this.#ghostBytes - this.#objectBytes[object]!;
    if (roomBytes < 0) {
      this.#place[object] = absent;
      return;
    }
    while (this.#ghost.bytes > roomBytes) this.#place[this.#ghost.takeOldest()] = absent;
    this.#place[object] = inGhost;
    this.#ghost.push(object);
  }
}
