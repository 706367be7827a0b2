// Which slot of a disk is written next: a free one of the size that is needed, else one whose chunk gives way.
//
// Extents belong to one size of slots at a time. A size that has no free slot takes an empty extent; when there is none, the extents
// give way in turn, those that were taken longest ago first: one of the same size slot by slot, one of another size as a whole, to be cut
// anew. So every size has its share of the disk by the bytes that are written in it, and what lies empty is bounded: one extent that is
// being filled per size, and the holes that were freed, which are filled first.
import { randomInt } from "node:crypto";
import type { CutExtent } from "./extent-header.js";
import { extentOf, pageBytes, placeInExtentOf, slotAt, slotsPerExtentOf, type SlabGeometry } from "./slab-geometry.js";

const epochEnd = 2 ** 32;
/** Which slots of an extent are used: one word for extents of so few slots, an array for the others. */
const slotsPerWord = 32;

export interface SlotAllocatorOptions {
  geometry: SlabGeometry;
  extentCount: number;
  /** How extents are cut, as far as any was ever used. */
  cut: Iterable<CutExtent>;
  /** The slots that hold a chunk now. */
  used: Iterable<number>;
  /** A number from 1 to 2^32 - 1 that was not used before. */
  newEpoch?: () => number;
}

/** A slot that was given out. */
export interface GivenSlot {
  slot: number;
  /** Of the extent, for the slot's header. */
  epoch: number;
  /** Slots whose chunks must be forgotten before anything is written. */
  evicts: readonly number[];
  /** The extent's header is to be written too: it is cut anew. */
  cut?: CutExtent;
}

/** The slots of one disk, as the fill worker sees them. About 15 bytes for each extent, and a bit for each slot of extents with more than 32. */
export class SlotAllocator {
  readonly #geometry: SlabGeometry;
  readonly #extentCount: number;
  readonly #newEpoch: () => number;
  /** Size of the slots of each extent; 0: it was never used. */
  readonly #slotPages: Uint16Array;
  readonly #epoch: Uint32Array;
  readonly #usedIn: Uint32Array;
  readonly #usedBits: Uint32Array;
  readonly #usedBitsOfMany = new Map<number, Uint32Array>();
  /** Given out, and not settled yet; and how many of them each extent has. */
  readonly #busy = new Set<number>();
  readonly #busyIn = new Map<number, number>();
  /** By size of slot: extents that have a free one. */
  readonly #withFree = new Map<number, Set<number>>();
  /** Extents without a used slot, below the first that was never used. */
  readonly #empty: number[] = [];
  #neverUsedFrom = 0;
  /** By size of slot: the extent whose slots give way now, and the place of the next. */
  readonly #recycled = new Map<number, { extent: number; place: number }>();
  /** The extent that gives way next. */
  #hand = 0;
  #usedCount = 0;
  #usedPages = 0;

  constructor({ geometry, extentCount, cut, used, newEpoch = () => randomInt(1, epochEnd) }: SlotAllocatorOptions) {
    this.#geometry = geometry;
    this.#extentCount = extentCount;
    this.#newEpoch = newEpoch;
    this.#slotPages = new Uint16Array(extentCount);
    this.#epoch = new Uint32Array(extentCount);
    this.#usedIn = new Uint32Array(extentCount);
    this.#usedBits = new Uint32Array(extentCount);
    for (const { extent, slotPages, epoch } of cut) {
      // A disk that was made smaller in the settings keeps what lies beyond its end until it is forgotten.
      if (extent >= extentCount || !geometry.slotClasses.includes(slotPages)) continue;
      this.#slotPages[extent] = slotPages;
      this.#epoch[extent] = epoch;
    }
    for (const slot of used) {
      const place = this.#placeOf(slot);
      if (place < 0) continue;
      const extent = extentOf(geometry, slot);
      this.#setUsed(extent, place, true);
      this.#neverUsedFrom = Math.max(this.#neverUsedFrom, extent + 1);
    }
    for (let extent = this.#neverUsedFrom - 1; extent >= 0; extent--) {
      if (this.#usedIn[extent] === 0) this.#empty.push(extent);
      else if (this.#usedIn[extent]! < this.#slotsOf(extent)) this.#noteFree(extent);
    }
  }

  get usedCount(): number {
    return this.#usedCount;
  }

  /** What the used slots take on the disk. */
  get usedBytes(): number {
    return this.#usedPages * pageBytes;
  }

  /**
   * The next slot of `slotPages` to write. Undefined when every one that could give way is being written. The caller settles the slot when
   * it knows how the write ended.
   */
  allocate(slotPages: number): GivenSlot | undefined {
    const [withFree] = this.#withFree.get(slotPages) ?? [];
    if (withFree !== undefined) return this.#give(withFree, this.#firstFree(withFree));
    const empty = this.#empty.pop() ?? (this.#neverUsedFrom < this.#extentCount ? this.#neverUsedFrom++ : undefined);
    if (empty !== undefined) return this.#giveOfCut(empty, slotPages, []);
    return this.#recycle(slotPages);
  }

  /** Ends what `allocate` began: the slot holds a chunk that the index knows, or nothing. */
  settle(slot: number, holdsChunk: boolean): void {
    const extent = extentOf(this.#geometry, slot);
    if (this.#busy.delete(slot)) {
      const busy = this.#busyIn.get(extent)! - 1;
      if (busy > 0) this.#busyIn.set(extent, busy);
      else this.#busyIn.delete(extent);
    }
    if (!holdsChunk) this.free(slot);
  }

  /**
   * The index has forgotten what the slot held. One that is being written again stays with its writer, and one whose extent was cut
   * anew meanwhile is none any more.
   */
  free(slot: number): void {
    const place = this.#placeOf(slot);
    const extent = extentOf(this.#geometry, slot);
    if (place < 0 || !this.#isUsed(extent, place) || this.#busy.has(slot)) return;
    this.#setUsed(extent, place, false);
    if (this.#usedIn[extent]! > 0) return this.#noteFree(extent);
    this.#forgetFree(extent);
    this.#empty.push(extent);
  }

  #recycle(slotPages: number): GivenSlot | undefined {
    // One turn is enough to meet every extent; the extent that was begun may be met again at its end.
    for (let tries = 0; tries <= this.#extentCount; tries++) {
      const begun = this.#recycled.get(slotPages);
      if (begun && this.#slotPages[begun.extent] === slotPages) {
        while (begun.place < this.#slotsOf(begun.extent)) {
          const place = begun.place++;
          const slot = slotAt(this.#geometry, begun.extent, slotPages, place);
          if (!this.#busy.has(slot)) return { ...this.#give(begun.extent, place), evicts: [slot] };
        }
      }
      if (this.#extentCount === 0) return undefined;
      const extent = this.#hand;
      this.#hand = extent + 1 === this.#extentCount ? 0 : extent + 1;
      if (this.#slotPages[extent] === slotPages) this.#recycled.set(slotPages, { extent, place: 0 });
      else if (!this.#busyIn.has(extent)) return this.#giveOfCut(extent, slotPages, this.#takeAll(extent));
    }
    this.#recycled.delete(slotPages);
    return undefined;
  }

  /** Ends the use of every slot of an extent; the answer is which held a chunk. */
  #takeAll(extent: number): number[] {
    const slots: number[] = [];
    for (let place = 0; place < this.#slotsOf(extent); place++) {
      if (!this.#isUsed(extent, place)) continue;
      slots.push(slotAt(this.#geometry, extent, this.#slotPages[extent]!, place));
      this.#setUsed(extent, place, false);
    }
    this.#forgetFree(extent);
    return slots;
  }

  #giveOfCut(extent: number, slotPages: number, evicts: readonly number[]): GivenSlot {
    const epoch = this.#newEpoch();
    this.#slotPages[extent] = slotPages;
    this.#epoch[extent] = epoch;
    this.#usedBitsOfMany.delete(extent);
    this.#noteFree(extent);
    return { ...this.#give(extent, 0), evicts, cut: { extent, slotPages, epoch } };
  }

  #give(extent: number, place: number): GivenSlot {
    const slot = slotAt(this.#geometry, extent, this.#slotPages[extent]!, place);
    this.#setUsed(extent, place, true);
    if (this.#usedIn[extent] === this.#slotsOf(extent)) this.#forgetFree(extent);
    this.#busy.add(slot);
    this.#busyIn.set(extent, (this.#busyIn.get(extent) ?? 0) + 1);
    return { slot, epoch: this.#epoch[extent]!, evicts: [] };
  }

  #placeOf(slot: number): number {
    const extent = extentOf(this.#geometry, slot);
    const slotPages = this.#slotPages[extent] ?? 0;
    return slotPages === 0 ? -1 : placeInExtentOf(this.#geometry, slot, slotPages);
  }

  #slotsOf(extent: number): number {
    return slotsPerExtentOf(this.#geometry, this.#slotPages[extent]!);
  }

  #noteFree(extent: number): void {
    const slotPages = this.#slotPages[extent]!;
    const extents = this.#withFree.get(slotPages);
    if (extents) extents.add(extent);
    else this.#withFree.set(slotPages, new Set([extent]));
  }

  #forgetFree(extent: number): void {
    this.#withFree.get(this.#slotPages[extent]!)?.delete(extent);
  }

  #bitsOf(extent: number): { words: Uint32Array; at: number } {
    const slots = this.#slotsOf(extent);
    if (slots <= slotsPerWord) return { words: this.#usedBits, at: extent };
    let words = this.#usedBitsOfMany.get(extent);
    if (!words) this.#usedBitsOfMany.set(extent, (words = new Uint32Array(Math.ceil(slots / slotsPerWord))));
    return { words, at: 0 };
  }

  #isUsed(extent: number, place: number): boolean {
    const { words, at } = this.#bitsOf(extent);
    return ((words[at + Math.floor(place / slotsPerWord)]! >>> (place % slotsPerWord)) & 1) === 1;
  }

  #setUsed(extent: number, place: number, used: boolean): void {
    if (this.#isUsed(extent, place) === used) return;
    const { words, at } = this.#bitsOf(extent);
    const one = used ? 1 : -1;
    words[at + Math.floor(place / slotsPerWord)]! ^= 1 << (place % slotsPerWord);
    this.#usedIn[extent]! += one;
    this.#usedCount += one;
    this.#usedPages += one * this.#slotPages[extent]!;
  }

  /** Of an extent that has one. */
  #firstFree(extent: number): number {
    const { words, at } = this.#bitsOf(extent);
    for (let word = 0; ; word++) {
      const free = ~words[at + word]!;
      if (free !== 0) return word * slotsPerWord + (31 - Math.clz32(free & -free));
    }
  }
}
