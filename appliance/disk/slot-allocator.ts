// Which slot of a disk is written next: a free one of the size that is needed, else one whose chunk may be evicted. Chunks of the manifest are kept;
// the others give way.
//
// Extents belong to one size of slots at a time. A size that has no free slot takes an empty extent. When there is none, a quarter of an extent
// gives way, which is the room of one full chunk: the quarter that S3-FIFO over all sizes chooses. When it has the size that is needed, its slots are
// free now; when it has another, its whole extent gives way, and is cut anew. So sizes share the disk by what is asked for, and what lies empty is
// bounded: one extent that is being filled per size, and the holes that were freed, which are filled first.
import { randomInt } from "node:crypto";
import type { CutExtent } from "./extent-header.js";
import { extentOf, fullSlotsPerExtent, pageBytes, placeInExtentOf, slotAt, slotsPerExtentOf, type SlabGeometry } from "./slab-geometry.js";
import { SlotEviction, type SlotEvictionOptions } from "./slot-eviction.js";
import { SlotStates } from "./slot-states.js";

const epochEnd = 2 ** 32;
/** Quarters that are passed over because their extents cannot be cut anew, for one slot. */
const triesMax = 32;
/** Extents that are looked into for a slot that was written before, while the file system has no room for others. */
const looksMax = 64;
/** Of the chunks in a quarter, so many are asked how hot they are. */
const sampleMax = 8;

export interface SlotAllocatorOptions {
  geometry: SlabGeometry;
  extentCount: number;
  /** How extents are cut, as far as the index knows any. */
  cut: Iterable<CutExtent>;
  /** Part of the disk, 0 to 1, that chunks of the manifest leave to the others. */
  demandShare: number;
  hashOf: SlotEvictionOptions["hashOf"];
  hits: SlotEvictionOptions["hits"];
  /** A number from 1 to 2^32 - 1 that was not used before. */
  newEpoch?: () => number;
}

/** How many of `slotCount` full slots chunks of the manifest may have: at least one is left to the others, unless they are to have none. */
export function keptSlotsMax(slotCount: number, demandShare: number): number {
  const left = demandShare > 0 ? Math.max(1, Math.ceil(slotCount * demandShare)) : 0;
  return Math.max(0, slotCount - left);
}

export interface AllocatedSlot {
  slot: number;
  /** Of the extent, for the slot's header. */
  epoch: number;
  /** Slots whose chunks must be forgotten before anything is written. */
  evicts: readonly number[];
  /** The extent was cut anew, and that is not in the index yet: its header must be written before the slot, and committed with it. */
  cut: CutExtent | undefined;
  /** It has its place in the file system already. */
  reused: boolean;
}

/** The slots of one disk, as the fill worker sees them. */
export class SlotAllocator {
  readonly #options: SlotAllocatorOptions;
  readonly #states: SlotStates;
  readonly #eviction: SlotEviction;
  /** By extent: a bit for each quarter that the eviction has. */
  readonly #queued: Uint8Array;
  readonly #epoch: Uint32Array;
  /** Extents that are cut as the index does not know yet. */
  readonly #cutUnknown = new Set<number>();
  /** By size of slot: extents that have a free one. */
  readonly #withFree = new Map<number, Set<number>>();
  /** Extents without a used slot, below the first that was never used. */
  #empty: number[] = [];
  #neverUsedFrom = 0;
  /** False while the file system has no room: only slots that were written before are written again. */
  grows = true;

  /** All slots count as free; see `load`. */
  constructor(options: SlotAllocatorOptions) {
    const { geometry, extentCount, cut, hits } = options;
    this.#options = options;
    this.#states = new SlotStates(geometry, extentCount);
    this.#queued = new Uint8Array(extentCount);
    this.#epoch = new Uint32Array(extentCount);
    this.#eviction = new SlotEviction({
      slotCount: extentCount * fullSlotsPerExtent,
      hashOf: (quarter) => this.#hashOfQuarter(quarter),
      hits,
    });
    for (const { extent, slotPages, epoch } of cut) {
      // A disk that was made smaller in the settings keeps what lies beyond its end until it is forgotten.
      if (extent >= extentCount || !geometry.slotClasses.includes(slotPages)) continue;
      this.#states.cut(extent, slotPages);
      this.#epoch[extent] = epoch;
      this.#neverUsedFrom = Math.max(this.#neverUsedFrom, extent + 1);
    }
  }

  /** For the start: a slot that holds a chunk. `endLoad` comes after the last, and nothing is allocated before. */
  load(slot: number, isKept: boolean, ageSeconds: number): void {
    const place = this.#placeOf(slot);
    const extent = extentOf(this.#options.geometry, slot);
    if (place < 0 || this.#states.isUsed(extent, place)) return;
    this.#states.set(extent, place, { used: true, kept: isKept, written: true });
    const quarter = this.#quarterOf(extent, place);
    if (isKept || this.#isQueued(quarter)) return;
    this.#setQueued(quarter, true);
    this.#eviction.restore(quarter, ageSeconds);
  }

  endLoad(): void {
    this.#eviction.endRestore();
    this.#empty = [];
    for (let extent = this.#neverUsedFrom - 1; extent >= 0; extent--) {
      if (this.#states.usedIn(extent) === 0) this.#empty.push(extent);
      else if (this.#states.usedIn(extent) < this.#slotsOf(extent)) this.#noteFree(extent);
    }
  }

  /** Slots that hold a chunk, or are being written. */
  get usedCount(): number {
    return this.#states.usedCount;
  }

  get usedBytes(): number {
    return this.#states.usedPages * pageBytes;
  }

  /** What slots with chunks of the manifest take, or being written with them. */
  get keptBytes(): number {
    return this.#states.keptPages * pageBytes;
  }

  /** So many whole chunks of the manifest find room: of a disk whose file system is full, only what it holds already counts as room. */
  get keptMax(): number {
    const { demandShare, extentCount, geometry } = this.#options;
    const pages = this.#states.usedPages + this.#states.writtenFreePages;
    const slots = this.grows ? extentCount * fullSlotsPerExtent : Math.floor(pages / geometry.fullSlotPages);
    return keptSlotsMax(slots, demandShare);
  }

  /** Extents of which no slot is used, as far as the file system has room: they can be cut for any size, and nothing is evicted. */
  get emptyExtents(): number {
    return this.grows ? this.#options.extentCount - this.#neverUsedFrom + this.#empty.length : 0;
  }

  /** Whether there is a slot that may be written: free, or with a chunk that may be evicted. */
  get hasSlot(): boolean {
    if (this.#eviction.count > 0 || this.#states.writtenFreePages > 0) return true;
    return (
      this.grows &&
      (this.#neverUsedFrom < this.#options.extentCount ||
        this.#empty.length > 0 ||
        [...this.#withFree.values()].some(({ size }) => size > 0))
    );
  }

  /**
   * The next slot of `slotPages` to write, for a chunk of the manifest or for one that a request brought in. Undefined when every slot that could serve
   * is being written, or is kept. The caller settles the slot when it knows how the write ended.
   */
  allocate(slotPages: number, isKept: boolean): AllocatedSlot | undefined {
    if (isKept && this.#states.keptPages + slotPages > this.keptMax * this.#options.geometry.fullSlotPages) return undefined;
    const free = this.#findFree(slotPages);
    if (free) return this.#give(free.extent, free.place, isKept, []);
    const empty = this.#findEmpty();
    if (empty === undefined) return this.#evict(slotPages, isKept);
    this.#cutAnew(empty, slotPages);
    return this.#give(empty, 0, isKept, []);
  }

  /** The index knows how the extent of these slots is cut. */
  noteCut({ extent, epoch }: CutExtent): void {
    if (this.#epoch[extent] === epoch) this.#cutUnknown.delete(extent);
  }

  /**
   * Ends what `allocate` began: the slot holds a chunk of that hash that the index knows, or nothing. `written` false: the file system gave it no room.
   */
  settle(slot: number, holds: { isKept: boolean; hash: number } | undefined, written = true): void {
    const extent = extentOf(this.#options.geometry, slot);
    const place = this.#placeOf(slot);
    this.#states.setBusy(slot, false);
    this.#states.set(extent, place, { used: true, kept: holds?.isKept ?? false, written });
    if (!holds) this.free(slot);
    else if (!holds.isKept) this.#queue(this.#quarterOf(extent, place), holds.hash);
  }

  /**
   * The index has forgotten what the slot held. One that is being written again stays with its writer, and one whose extent was cut
   * anew meanwhile is none any more.
   */
  free(slot: number): void {
    const place = this.#placeOf(slot);
    const extent = extentOf(this.#options.geometry, slot);
    if (place < 0 || !this.#states.isUsed(extent, place) || this.#states.isBusy(slot)) return;
    this.#end(extent, place);
    if (this.#states.usedIn(extent) > 0) return this.#noteFree(extent);
    this.#forgetFree(extent);
    this.#empty.push(extent);
  }

  /** The manifest has changed: the slot's chunk, of that hash, is its, or not any more. */
  setKept(slot: number, isKept: boolean, hash: number): void {
    const place = this.#placeOf(slot);
    const extent = extentOf(this.#options.geometry, slot);
    if (place < 0 || !this.#states.isUsed(extent, place) || this.#states.isBusy(slot) || this.#states.isKept(extent, place) === isKept)
      return;
    this.#states.set(extent, place, { used: true, kept: isKept });
    const quarter = this.#quarterOf(extent, place);
    if (isKept) this.#dequeueIfEmpty(quarter);
    else this.#queue(quarter, hash);
  }

  #findFree(slotPages: number): { extent: number; place: number } | undefined {
    let looks = 0;
    for (const extent of this.#withFree.get(slotPages) ?? []) {
      const place = this.#states.findFree(extent, this.grows);
      if (place >= 0) return { extent, place };
      if (++looks === looksMax) break;
    }
    return undefined;
  }

  /** Taken out of the empty ones. One that was written all over has its place in the file system, however it is cut. */
  #findEmpty(): number | undefined {
    if (this.grows) return this.#empty.pop() ?? (this.#neverUsedFrom < this.#options.extentCount ? this.#neverUsedFrom++ : undefined);
    const first = Math.max(0, this.#empty.length - looksMax);
    const at = this.#empty.findLastIndex((extent, place) => place >= first && this.#states.isWrittenAllOver(extent));
    return at < 0 ? undefined : this.#empty.splice(at, 1)[0];
  }

  #evict(slotPages: number, isKept: boolean): AllocatedSlot | undefined {
    const passedOver: number[] = [];
    let given: AllocatedSlot | undefined;
    for (let tries = 0; tries < triesMax && !given; tries++) {
      const quarter = this.#eviction.choose();
      if (quarter === undefined) break;
      this.#setQueued(quarter, false);
      const extent = Math.floor(quarter / fullSlotsPerExtent);
      if (this.#states.slotPagesOf(extent) === slotPages) {
        const places = this.#demandPlacesOf(quarter);
        const evicts = places.map((place) => this.#end(extent, place));
        if (places.length > 0) given = this.#give(extent, places[0]!, isKept, evicts);
        if (places.length > 1) this.#noteFree(extent);
      } else if (this.#states.keptIn(extent) > 0 || this.#states.busyIn(extent) > 0) {
        passedOver.push(quarter);
      } else {
        const evicts: number[] = [];
        for (let place = 0; place < this.#slotsOf(extent); place++)
          if (this.#states.isUsed(extent, place)) evicts.push(this.#end(extent, place));
        this.#forgetFree(extent);
        this.#cutAnew(extent, slotPages);
        given = this.#give(extent, 0, isKept, evicts);
      }
    }
    for (const quarter of passedOver) this.#queue(quarter, this.#hashOfQuarter(quarter) ?? 0);
    return given;
  }

  #cutAnew(extent: number, slotPages: number): void {
    const { newEpoch = () => randomInt(1, epochEnd) } = this.#options;
    this.#states.cut(extent, slotPages);
    this.#epoch[extent] = newEpoch();
    this.#cutUnknown.add(extent);
    this.#noteFree(extent);
  }

  #give(extent: number, place: number, isKept: boolean, evicts: readonly number[]): AllocatedSlot {
    const slotPages = this.#states.slotPagesOf(extent);
    const slot = slotAt(this.#options.geometry, extent, slotPages, place);
    const reused = this.#states.isWritten(extent, place);
    this.#states.set(extent, place, { used: true, kept: isKept });
    this.#states.setBusy(slot, true);
    if (this.#states.usedIn(extent) === this.#slotsOf(extent)) this.#forgetFree(extent);
    const epoch = this.#epoch[extent]!;
    return { slot, epoch, evicts, reused, cut: this.#cutUnknown.has(extent) ? { extent, slotPages, epoch } : undefined };
  }

  /** The slot holds nothing any more; the answer is its number. */
  #end(extent: number, place: number): number {
    this.#states.set(extent, place, { used: false, kept: false });
    this.#dequeueIfEmpty(this.#quarterOf(extent, place));
    return slotAt(this.#options.geometry, extent, this.#states.slotPagesOf(extent), place);
  }

  #placeOf(slot: number): number {
    const slotPages = this.#states.slotPagesOf(extentOf(this.#options.geometry, slot));
    return slotPages === 0 ? -1 : placeInExtentOf(this.#options.geometry, slot, slotPages);
  }

  #slotsOf(extent: number): number {
    return slotsPerExtentOf(this.#options.geometry, this.#states.slotPagesOf(extent));
  }

  #quarterOf(extent: number, place: number): number {
    return extent * fullSlotsPerExtent + Math.floor((place * fullSlotsPerExtent) / this.#slotsOf(extent));
  }

  /** Places of a quarter with chunks that may be evicted. */
  #demandPlacesOf(quarter: number): number[] {
    const extent = Math.floor(quarter / fullSlotsPerExtent);
    const slots = this.#slotsOf(extent);
    const part = quarter % fullSlotsPerExtent;
    const places: number[] = [];
    const end = Math.ceil(((part + 1) * slots) / fullSlotsPerExtent);
    for (let place = Math.ceil((part * slots) / fullSlotsPerExtent); place < end; place++) {
      if (!this.#states.isUsed(extent, place) || this.#states.isKept(extent, place)) continue;
      if (!this.#states.isBusy(slotAt(this.#options.geometry, extent, this.#states.slotPagesOf(extent), place))) places.push(place);
    }
    return places;
  }

  /** That of the hottest chunk in it. */
  #hashOfQuarter(quarter: number): number | undefined {
    const { geometry, hashOf, hits } = this.#options;
    const extent = Math.floor(quarter / fullSlotsPerExtent);
    const places = this.#demandPlacesOf(quarter);
    const step = Math.ceil(places.length / sampleMax);
    let hottest: number | undefined;
    for (let at = 0; at < places.length; at += step) {
      const hash = hashOf(slotAt(geometry, extent, this.#states.slotPagesOf(extent), places[at]!));
      if (hash !== undefined && (hottest === undefined || hits.countOf(hash) > hits.countOf(hottest))) hottest = hash;
    }
    return hottest;
  }

  #queue(quarter: number, hash: number): void {
    if (this.#isQueued(quarter)) return;
    this.#setQueued(quarter, true);
    this.#eviction.add(quarter, hash);
  }

  #dequeueIfEmpty(quarter: number): void {
    if (!this.#isQueued(quarter) || this.#demandPlacesOf(quarter).length > 0) return;
    this.#setQueued(quarter, false);
    this.#eviction.remove(quarter);
  }

  #isQueued(quarter: number): boolean {
    return ((this.#queued[Math.floor(quarter / fullSlotsPerExtent)]! >> (quarter % fullSlotsPerExtent)) & 1) === 1;
  }

  #setQueued(quarter: number, queued: boolean): void {
    const extent = Math.floor(quarter / fullSlotsPerExtent);
    const bit = 1 << (quarter % fullSlotsPerExtent);
    this.#queued[extent] = queued ? this.#queued[extent]! | bit : this.#queued[extent]! & ~bit;
  }

  #noteFree(extent: number): void {
    const slotPages = this.#states.slotPagesOf(extent);
    const extents = this.#withFree.get(slotPages);
    if (extents) extents.add(extent);
    else this.#withFree.set(slotPages, new Set([extent]));
  }

  #forgetFree(extent: number): void {
    this.#withFree.get(this.#states.slotPagesOf(extent))?.delete(extent);
  }
}
