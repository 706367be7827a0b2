// What is known of every slot of a disk: three bits each, in words for extents of few slots, so that a disk of whole chunks costs little.
import { extentOf, slotsPerExtentOf, type SlabGeometry } from "./slab-geometry.js";

/** An extent of so few slots has its bits in one word of each kind; others have arrays of their own. */
const slotsPerWord = 32;

export interface SlotState {
  /** Holds a chunk, or is being written. */
  used: boolean;
  /** The manifest names its chunk. */
  kept: boolean;
  /** It has its place in the file system; unchanged by default. */
  written?: boolean;
}

interface Bits {
  used: Uint32Array;
  kept: Uint32Array;
  written: Uint32Array;
}

/** About 25 bytes for each extent, and three bits for each slot of extents with more than 32. */
export class SlotStates {
  readonly #geometry: SlabGeometry;
  /** Size of the slots of each extent; 0: it was never used. */
  readonly #slotPages: Uint16Array;
  readonly #usedIn: Uint32Array;
  readonly #keptIn: Uint32Array;
  readonly #bits: Bits;
  readonly #bitsOfMany = new Map<number, Bits>();
  readonly #busy = new Set<number>();
  readonly #busyIn = new Map<number, number>();
  usedCount = 0;
  usedPages = 0;
  keptPages = 0;
  /** Of slots that are free, and have their place in the file system. */
  writtenFreePages = 0;

  constructor(geometry: SlabGeometry, extentCount: number) {
    this.#geometry = geometry;
    this.#slotPages = new Uint16Array(extentCount);
    this.#usedIn = new Uint32Array(extentCount);
    this.#keptIn = new Uint32Array(extentCount);
    this.#bits = newBits(extentCount);
  }

  slotPagesOf(extent: number): number {
    return this.#slotPages[extent] ?? 0;
  }

  usedIn(extent: number): number {
    return this.#usedIn[extent]!;
  }

  keptIn(extent: number): number {
    return this.#keptIn[extent]!;
  }

  busyIn(extent: number): number {
    return this.#busyIn.get(extent) ?? 0;
  }

  /** Cuts an extent in which nothing is used. What was written all over before has its place in the file system. */
  cut(extent: number, slotPages: number): void {
    const written = this.isWrittenAllOver(extent);
    for (let place = 0; place < this.#slotsOf(extent); place++) this.set(extent, place, { used: false, kept: false, written: false });
    this.#bitsOfMany.delete(extent);
    this.#slotPages[extent] = slotPages;
    if (!written) return;
    for (let place = 0; place < this.#slotsOf(extent); place++) this.set(extent, place, { used: false, kept: false, written });
  }

  isWrittenAllOver(extent: number): boolean {
    const slots = this.#slotsOf(extent);
    for (let place = 0; place < slots; place++) if (!this.isWritten(extent, place)) return false;
    return slots > 0;
  }

  isUsed(extent: number, place: number): boolean {
    return this.#get("used", extent, place);
  }

  isKept(extent: number, place: number): boolean {
    return this.#get("kept", extent, place);
  }

  isWritten(extent: number, place: number): boolean {
    return this.#get("written", extent, place);
  }

  isBusy(slot: number): boolean {
    return this.#busy.has(slot);
  }

  /** It was given out, and is not settled yet; or it is settled. */
  setBusy(slot: number, busy: boolean): void {
    if (this.#busy.has(slot) === busy) return;
    const extent = extentOf(this.#geometry, slot);
    if (busy) this.#busy.add(slot);
    else this.#busy.delete(slot);
    const count = this.busyIn(extent) + (busy ? 1 : -1);
    if (count > 0) this.#busyIn.set(extent, count);
    else this.#busyIn.delete(extent);
  }

  set(extent: number, place: number, { used, kept, written = this.isWritten(extent, place) }: SlotState): void {
    const pages = this.#slotPages[extent]!;
    const wasUsed = this.isUsed(extent, place);
    const wasKept = this.isKept(extent, place);
    if (this.isWritten(extent, place) && !wasUsed) this.writtenFreePages -= pages;
    if (written && !used) this.writtenFreePages += pages;
    const usedMore = Number(used) - Number(wasUsed);
    const keptMore = Number(kept) - Number(wasKept);
    this.#usedIn[extent]! += usedMore;
    this.#keptIn[extent]! += keptMore;
    this.usedCount += usedMore;
    this.usedPages += usedMore * pages;
    this.keptPages += keptMore * pages;
    this.#put("used", extent, place, used);
    this.#put("kept", extent, place, kept);
    this.#put("written", extent, place, written);
  }

  /** A free place, best one that was written before; -1 when there is none, or none such and `orNew` is false. */
  findFree(extent: number, orNew: boolean): number {
    const slots = this.#slotsOf(extent);
    const { bits, at } = this.#bitsOf(extent);
    let fresh = -1;
    for (let word = 0; word * slotsPerWord < slots; word++) {
      const used = bits.used[at + word]!;
      const written = bits.written[at + word]! & ~used;
      if (written !== 0) return word * slotsPerWord + lowestOf(written);
      if (fresh < 0 && ~used !== 0 && word * slotsPerWord + lowestOf(~used) < slots) fresh = word * slotsPerWord + lowestOf(~used);
    }
    return orNew ? fresh : -1;
  }

  #slotsOf(extent: number): number {
    const slotPages = this.#slotPages[extent]!;
    return slotPages === 0 ? 0 : slotsPerExtentOf(this.#geometry, slotPages);
  }

  #bitsOf(extent: number): { bits: Bits; at: number } {
    const slots = this.#slotsOf(extent);
    if (slots <= slotsPerWord) return { bits: this.#bits, at: extent };
    let bits = this.#bitsOfMany.get(extent);
    if (!bits) this.#bitsOfMany.set(extent, (bits = newBits(Math.ceil(slots / slotsPerWord))));
    return { bits, at: 0 };
  }

  #get(kind: keyof Bits, extent: number, place: number): boolean {
    const { bits, at } = this.#bitsOf(extent);
    return ((bits[kind][at + Math.floor(place / slotsPerWord)]! >>> (place % slotsPerWord)) & 1) === 1;
  }

  #put(kind: keyof Bits, extent: number, place: number, value: boolean): void {
    const { bits, at } = this.#bitsOf(extent);
    const word = at + Math.floor(place / slotsPerWord);
    const bit = 1 << (place % slotsPerWord);
    bits[kind][word] = value ? bits[kind][word]! | bit : bits[kind][word]! & ~bit;
  }
}

function newBits(words: number): Bits {
  return { used: new Uint32Array(words), kept: new Uint32Array(words), written: new Uint32Array(words) };
}

function lowestOf(word: number): number {
  return 31 - Math.clz32(word & -word);
}
