// Which of the chunks that requests brought in goes next: S3-FIFO over the slots of one disk. Pure: no disk, no index, no clock.
//
// Yang et al., "FIFO queues are all you need for cache eviction" (SOSP '23), Algorithm 1: a small queue for newcomers, a main queue for those that were
// asked for again, and a ghost that remembers who left the small queue unasked. Nothing is moved at a hit; hits are looked at when a chunk's turn comes.
// Nine bytes a slot, and up to eight more for the ghost once something was evicted.

/** Share of the chunks that the small queue is held to; the paper's choice (section 4.1). */
const smallShare = 0.1;
/** Hits in the small queue from which a chunk moves to the main queue ("freq > 1" in the paper). */
const promoteAtHits = 2;
/** Each look at a chunk is a lookup in the index: when so many in a row are spared for their hits, the next goes unlooked at. */
const looksMax = 128;

const notHere = 0;
const inSmall = 1;
const inMain = 2;
const none = -1;

/** After a restart chunks are ordered by age in steps of 1/16 octave, which is 4 %. */
const agesPerOctave = 16;
const ageBuckets = 32 * agesPerOctave + 1;

export interface SlotEvictionOptions {
  slotCount: number;
  /** The hash of the chunk that a slot holds. Undefined when it is not known: such a chunk goes first. */
  hashOf: (slot: number) => number | undefined;
  /** Hits since a chunk came, or was spared last. */
  hits: { countOf(hash: number): number; setCount(hash: number, count: number): void };
}

export class SlotEviction {
  readonly #options: SlotEvictionOptions;
  readonly #queue: Uint8Array;
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  readonly #small = { head: none, tail: none, count: 0 };
  readonly #main = { head: none, tail: none, count: 0 };
  readonly #ghost = new Ghost();
  /** While the slots of a disk are read: the first and last slot of each age. */
  #ages: { head: Int32Array; tail: Int32Array } | undefined;

  constructor(options: SlotEvictionOptions) {
    this.#options = options;
    this.#queue = new Uint8Array(options.slotCount);
    this.#next = new Int32Array(options.slotCount);
    this.#previous = new Int32Array(options.slotCount);
  }

  /** Slots whose chunks may be evicted. */
  get count(): number {
    return this.#small.count + this.#main.count;
  }

  counts(): { small: number; main: number } {
    return { small: this.#small.count, main: this.#main.count };
  }

  /** A chunk of that hash lies in the slot now. */
  add(slot: number, hash: number): void {
    this.#append(this.#ghost.forget(hash, this.count) ? inMain : inSmall, slot);
  }

  /** The slot's chunk is gone, or may not be evicted any more. */
  remove(slot: number): void {
    if (this.#queue[slot] === notHere) return;
    if (this.#ages) this.#queue[slot] = notHere;
    else this.#unlink(slot);
  }

  /** The slot to write next; it is no longer among those that may be evicted. Undefined: there is none. */
  choose(): number | undefined {
    const { hashOf, hits } = this.#options;
    for (let looked = 0; looked < looksMax; looked++) {
      const fromSmall = this.#main.count === 0 || this.#small.count >= Math.max(1, Math.floor(this.count * smallShare));
      const slot = fromSmall ? this.#small.head : this.#main.head;
      if (slot === none) return undefined;
      this.#unlink(slot);
      const hash = hashOf(slot);
      if (hash === undefined) return slot;
      const count = hits.countOf(hash);
      if (fromSmall && count < promoteAtHits) {
        this.#ghost.remember(hash, this.count);
        return slot;
      }
      if (!fromSmall && count === 0) return slot;
      hits.setCount(hash, fromSmall ? 0 : count - 1);
      this.#append(inMain, slot);
    }
    const slot = this.#main.head;
    this.#unlink(slot);
    return slot;
  }

  /** For the start: a slot that holds a chunk of that age. Slots come once each, and `endRestore` comes after the last. */
  restore(slot: number, ageSeconds: number): void {
    this.#ages ??= { head: new Int32Array(ageBuckets).fill(none), tail: new Int32Array(ageBuckets).fill(none) };
    const age = Math.min(ageBuckets - 1, Math.floor(Math.log2(Math.max(1, ageSeconds)) * agesPerOctave));
    const tail = this.#ages.tail[age]!;
    if (tail === none) this.#ages.head[age] = slot;
    else this.#next[tail] = slot;
    this.#next[slot] = none;
    this.#ages.tail[age] = slot;
    this.#queue[slot] = inMain;
  }

  /** The small queue is a tenth of what came last, so the youngest tenth is it now; what is older has been spared by it before. */
  endRestore(): void {
    const ages = this.#ages;
    if (!ages) return;
    this.#ages = undefined;
    let left = 0;
    const walk = (visit: (slot: number) => void) => {
      for (let age = ageBuckets - 1; age >= 0; age--) {
        for (let slot = ages.head[age]!, after = none; slot !== none; slot = after) {
          after = this.#next[slot]!;
          if (this.#queue[slot] !== notHere) visit(slot);
        }
      }
    };
    walk(() => left++);
    const smallCount = Math.floor(left * smallShare);
    walk((slot) => this.#append(left-- > smallCount ? inMain : inSmall, slot));
  }

  #append(queue: typeof inSmall | typeof inMain, slot: number): void {
    const list = queue === inSmall ? this.#small : this.#main;
    this.#queue[slot] = queue;
    this.#next[slot] = none;
    this.#previous[slot] = list.tail;
    if (list.tail === none) list.head = slot;
    else this.#next[list.tail] = slot;
    list.tail = slot;
    list.count++;
  }

  #unlink(slot: number): void {
    const list = this.#queue[slot] === inSmall ? this.#small : this.#main;
    const [previous, next] = [this.#previous[slot]!, this.#next[slot]!];
    if (previous === none) list.head = next;
    else this.#next[previous] = next;
    if (next === none) list.tail = previous;
    else this.#previous[next] = previous;
    list.count--;
    this.#queue[slot] = notHere;
  }
}

const ghostWays = 4;
const ghostEntriesMin = 2 ** 10;

/**
 * Hashes that left the small queue, the last as many as there are chunks. An entry is 16 bits of the hash, and the number of the leaving in units that
 * let 16 bits last for four turns of the table. Zero is nothing.
 */
class Ghost {
  #entries = new Uint32Array(0);
  #unitShift = 0;
  #clock = 0;

  remember(hash: number, chunks: number): void {
    if (this.#entries.length < chunks || this.#entries.length === 0) this.#grow(chunks);
    this.#clock++;
    const first = this.#firstOf(hash);
    let oldest = first;
    for (let at = first; at < first + ghostWays; at++) {
      if (this.#entries[at] === 0) oldest = at;
      if (this.#entries[oldest] === 0) break;
      if (this.#ageOf(at) > this.#ageOf(oldest)) oldest = at;
    }
    this.#entries[oldest] = ((hash & 0xffff0000) | this.#time() | 1) >>> 0;
  }

  /** Whether the hash is among the last `count`; it is forgotten then. */
  forget(hash: number, count: number): boolean {
    if (this.#entries.length === 0) return false;
    const first = this.#firstOf(hash);
    for (let at = first; at < first + ghostWays; at++) {
      const entry = this.#entries[at]!;
      if (entry === 0 || (entry ^ hash) >>> 16 !== 0) continue;
      const isYoung = this.#ageOf(at) << this.#unitShift <= count;
      this.#entries[at] = 0;
      return isYoung;
    }
    return false;
  }

  #grow(chunks: number): void {
    let length = ghostEntriesMin;
    while (length < chunks) length *= 2;
    this.#entries = new Uint32Array(length);
    // The lowest bit of a time says that there is one.
    this.#unitShift = Math.max(0, Math.log2(length) - 13);
  }

  #firstOf(hash: number): number {
    return hash & (this.#entries.length - 1) & -ghostWays;
  }

  #time(): number {
    return ((this.#clock >>> this.#unitShift) << 1) & 0xffff;
  }

  #ageOf(at: number): number {
    return ((this.#time() - (this.#entries[at]! & 0xfffe)) & 0xffff) >>> 1;
  }
}
