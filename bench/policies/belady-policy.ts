// Belady: knows the future and evicts what will be asked for last.
import { type CachePolicy, type CachePolicyOptions, neverAgain } from "./cache-policy.js";

const notInHeap = -1;

/**
 * Belady, "A study of replacement algorithms for a virtual-storage computer", IBM Systems Journal 1966, with bypass: where the requested
 * object is itself the one needed last, it is not kept. With objects of one size no policy, online or offline, has more hits. With sized
 * objects it is a policy that could be followed, so the best possible is at least this good; offlineBound() is the other side.
 */
export class BeladyPolicy implements CachePolicy {
  readonly #capacityBytes: number;
  readonly #objectBytes: Float64Array;
  readonly #nextRequests: Uint32Array;
  /** Max-heap of the objects held, by next request. */
  readonly #heap: Int32Array;
  readonly #heapPosition: Int32Array;
  readonly #nextOfObject: Uint32Array;
  #heapLength = 0;
  #usedBytes = 0;

  constructor({ capacityBytes, objectBytes, nextRequests }: CachePolicyOptions) {
    this.#capacityBytes = capacityBytes;
    this.#objectBytes = objectBytes;
    this.#nextRequests = nextRequests;
    this.#heap = new Int32Array(objectBytes.length);
    this.#heapPosition = new Int32Array(objectBytes.length).fill(notInHeap);
    this.#nextOfObject = new Uint32Array(objectBytes.length);
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  holds(object: number): boolean {
    return this.#heapPosition[object] !== notInHeap;
  }

  request(object: number, at: number): boolean {
    const next = this.#nextRequests[at]!;
    const position = this.#heapPosition[object]!;
    if (position !== notInHeap) {
      // What is never needed again would be the first to go: it goes at once and the heap stays small.
      if (next === neverAgain) this.#removeAt(position);
      else {
        this.#nextOfObject[object] = next;
        this.#siftUp(position, object);
      }
      return true;
    }
    const bytes = this.#objectBytes[object]!;
    if (next === neverAgain || bytes > this.#capacityBytes) return false;
    this.#nextOfObject[object] = next;
    this.#usedBytes += bytes;
    this.#siftUp(this.#heapLength++, object);
    while (this.#usedBytes > this.#capacityBytes) this.#removeAt(0);
    return false;
  }

  #removeAt(position: number): void {
    const object = this.#heap[position]!;
    this.#heapPosition[object] = notInHeap;
    this.#usedBytes -= this.#objectBytes[object]!;
    const last = this.#heap[--this.#heapLength]!;
    if (last === object) return;
    this.#siftUp(position, last);
    this.#siftDown(this.#heapPosition[last]!, last);
  }

  /** Puts `object` at `position` or, where its next request is later than its parents', above them. */
  #siftUp(position: number, object: number): void {
    const next = this.#nextOfObject[object]!;
    while (position > 0) {
      const parentPosition = (position - 1) >> 1;
      const parent = this.#heap[parentPosition]!;
      if (this.#nextOfObject[parent]! >= next) break;
      this.#heap[position] = parent;
      this.#heapPosition[parent] = position;
      position = parentPosition;
    }
    this.#heap[position] = object;
    this.#heapPosition[object] = position;
  }

  #siftDown(position: number, object: number): void {
    const next = this.#nextOfObject[object]!;
    for (;;) {
      let childPosition = 2 * position + 1;
      if (childPosition >= this.#heapLength) break;
      let child = this.#heap[childPosition]!;
      const other = this.#heap[childPosition + 1];
      if (childPosition + 1 < this.#heapLength && this.#nextOfObject[other!]! > this.#nextOfObject[child]!) {
        childPosition++;
        child = other!;
      }
      if (this.#nextOfObject[child]! <= next) break;
      this.#heap[position] = child;
      this.#heapPosition[child] = position;
      position = childPosition;
    }
    this.#heap[position] = object;
    this.#heapPosition[object] = position;
  }
}
