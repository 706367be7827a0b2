// ARC: two LRU lists, of objects seen once and of objects seen again, whose shares follow the hits in the ghosts of both.
import type { CachePolicy, CachePolicyOptions } from "./cache-policy.js";
import { nobody, ObjectLinks, ObjectQueue } from "./object-queue.js";

const absent = 0;
const inOnce = 1; // T1 of the paper
const inAgain = 2; // T2
const inOnceGhost = 3; // B1
const inAgainGhost = 4; // B2

/**
 * Megiddo and Modha, "ARC: A Self-Tuning, Low Overhead Replacement Cache", FAST 2003, Figure 4. The paper counts pages; here every count is
 * of bytes and each "delete one, replace one" repeats until the object fits. With objects of one size it is the paper's algorithm.
 */
export class ArcPolicy implements CachePolicy {
  readonly #capacityBytes: number;
  readonly #objectBytes: Float64Array;
  readonly #place: Uint8Array;
  readonly #once: ObjectQueue;
  readonly #again: ObjectQueue;
  readonly #onceGhost: ObjectQueue;
  readonly #againGhost: ObjectQueue;
  /** Bytes that the objects seen once should have ("p"). */
  #onceTargetBytes = 0;

  constructor({ capacityBytes, objectBytes }: CachePolicyOptions) {
    this.#capacityBytes = capacityBytes;
    this.#objectBytes = objectBytes;
    this.#place = new Uint8Array(objectBytes.length);
    const links = new ObjectLinks(objectBytes.length);
    this.#once = new ObjectQueue(links, objectBytes);
    this.#again = new ObjectQueue(links, objectBytes);
    this.#onceGhost = new ObjectQueue(links, objectBytes);
    this.#againGhost = new ObjectQueue(links, objectBytes);
  }

  get usedBytes(): number {
    return this.#once.bytes + this.#again.bytes;
  }

  holds(object: number): boolean {
    const place = this.#place[object];
    return place === inOnce || place === inAgain;
  }

  request(object: number): boolean {
    const bytes = this.#objectBytes[object]!;
    switch (this.#place[object]) {
      case inOnce:
        this.#once.remove(object);
        this.#pushAgain(object);
        return true;
      case inAgain:
        this.#again.remove(object);
        this.#pushAgain(object);
        return true;
      case inOnceGhost: {
        const step = Math.max(1, this.#againGhost.bytes / this.#onceGhost.bytes) * bytes;
        this.#onceTargetBytes = Math.min(this.#capacityBytes, this.#onceTargetBytes + step);
        this.#onceGhost.remove(object);
        this.#makeRoom(bytes, false);
        this.#pushAgain(object);
        return false;
      }
      case inAgainGhost: {
        const step = Math.max(1, this.#onceGhost.bytes / this.#againGhost.bytes) * bytes;
        this.#onceTargetBytes = Math.max(0, this.#onceTargetBytes - step);
        this.#againGhost.remove(object);
        this.#makeRoom(bytes, true);
        this.#pushAgain(object);
        return false;
      }
      default:
        this.#admit(object, bytes);
        return false;
    }
  }

  /** Case IV of the paper: an object that neither list nor ghost knows. */
  #admit(object: number, bytes: number): void {
    const capacity = this.#capacityBytes;
    if (bytes > capacity) return;
    while (this.#once.bytes + this.#onceGhost.bytes + bytes > capacity && this.#onceGhost.oldest !== nobody) {
      this.#place[this.#onceGhost.takeOldest()] = absent;
    }
    while (this.#once.bytes + bytes > capacity) this.#place[this.#once.takeOldest()] = absent;
    while (this.usedBytes + this.#onceGhost.bytes + this.#againGhost.bytes + bytes > 2 * capacity) {
      this.#place[this.#againGhost.takeOldest()] = absent;
    }
    this.#makeRoom(bytes, false);
    this.#place[object] = inOnce;
    this.#once.push(object);
  }

  /** "REPLACE" until `bytes` fit. */
  #makeRoom(bytes: number, forAgainGhost: boolean): void {
    while (this.usedBytes + bytes > this.#capacityBytes) {
      const onceBytes = this.#once.bytes;
      const onceGives = onceBytes > this.#onceTargetBytes || (forAgainGhost && onceBytes === this.#onceTargetBytes);
      if ((onceGives && onceBytes > 0) || this.#again.oldest === nobody) {
        const object = this.#once.takeOldest();
        this.#place[object] = inOnceGhost;
        this.#onceGhost.push(object);
      } else {
        const object = this.#again.takeOldest();
        this.#place[object] = inAgainGhost;
        this.#againGhost.push(object);
      }
    }
  }

  #pushAgain(object: number): void {
    this.#place[object] = inAgain;
    this.#again.push(object);
  }
}
