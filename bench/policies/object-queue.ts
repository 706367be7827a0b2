// A queue of objects as a doubly linked list in typed arrays: push at the newest end, take from anywhere, all in constant time.

/** No object. */
export const nobody = -1;

/** The links of all objects. Queues whose objects are disjoint at any time can share one. */
export class ObjectLinks {
  readonly newer: Int32Array;
  readonly older: Int32Array;

  constructor(objectCount: number) {
    this.newer = new Int32Array(objectCount);
    this.older = new Int32Array(objectCount);
  }
}

/** An object must be in at most one of the queues that share links; the queue does not check it. */
export class ObjectQueue {
  newest = nobody;
  oldest = nobody;
  bytes = 0;
  readonly #links: ObjectLinks;
  readonly #objectBytes: Float64Array;

  constructor(links: ObjectLinks, objectBytes: Float64Array) {
    this.#links = links;
    this.#objectBytes = objectBytes;
  }

  /** The neighbour of `object` towards the newest end, or `nobody`. */
  newerThan(object: number): number {
    return this.#links.newer[object]!;
  }

  push(object: number): void {
    const { newer, older } = this.#links;
    newer[object] = nobody;
    older[object] = this.newest;
    if (this.newest === nobody) this.oldest = object;
    else newer[this.newest] = object;
    this.newest = object;
    this.bytes += this.#objectBytes[object]!;
  }

  remove(object: number): void {
    const { newer, older } = this.#links;
    const before = older[object]!;
    const after = newer[object]!;
    if (before === nobody) this.oldest = after;
    else newer[before] = after;
    if (after === nobody) this.newest = before;
    else older[after] = before;
    this.bytes -= this.#objectBytes[object]!;
  }

  /** Takes the oldest object out. The queue must not be empty. */
  takeOldest(): number {
    const object = this.oldest;
    this.remove(object);
    return object;
  }
}
