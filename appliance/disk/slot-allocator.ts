// Which slot of a disk is written next: a free one, else one whose chunk may be evicted. Chunks of the manifest are kept; the others give way.
import { SlotEviction, type SlotEvictionOptions } from "./slot-eviction.js";

/** What is known of a slot. A free slot that was written before has its place in the file system, which may have no other. */
const neverWritten = 0;
const free = 1;
const busy = 2;
const kept = 3;
const demand = 4;

export interface SlotAllocatorOptions extends SlotEvictionOptions {
  /** Part of the slots, 0 to 1, that chunks of the manifest leave to the others. */
  demandShare: number;
}

/** How many of `slotCount` slots chunks of the manifest may have: at least one is left to the others, unless they are to have none. */
export function keptSlotsMax(slotCount: number, demandShare: number): number {
  const left = demandShare > 0 ? Math.max(1, Math.ceil(slotCount * demandShare)) : 0;
  return Math.max(0, slotCount - left);
}

export interface AllocatedSlot {
  slot: number;
  /** It holds a chunk that must be forgotten before it is written. */
  evicts: boolean;
  /** It has its place in the file system already. */
  reused: boolean;
}

/** The slots of one disk, as the fill worker sees them. */
export class SlotAllocator {
  readonly slotCount: number;
  readonly #demandShare: number;
  readonly #state: Uint8Array;
  readonly #eviction: SlotEviction;
  readonly #counts = [0, 0, 0, 0, 0];
  /** Busy slots that were asked for a chunk of the manifest. */
  readonly #busyKept = new Set<number>();
  /** Where the search for a slot that was never written goes on. */
  #hand = 0;
  /** False while the file system has no room: only slots that were written before are written again. */
  grows = true;

  /** All slots count as never written; see `load`. */
  constructor({ demandShare, ...options }: SlotAllocatorOptions) {
    this.slotCount = options.slotCount;
    this.#demandShare = demandShare;
    this.#state = new Uint8Array(options.slotCount);
    this.#counts[neverWritten] = options.slotCount;
    this.#eviction = new SlotEviction(options);
  }

  /** For the start: a slot that holds a chunk. `endLoad` comes after the last, and nothing is allocated before. */
  load(slot: number, isKept: boolean, ageSeconds: number): void {
    // A disk that was made smaller in the settings keeps what lies beyond its end until it is forgotten.
    if (slot >= this.slotCount || this.#state[slot] !== neverWritten) return;
    this.#set(slot, isKept ? kept : demand);
    if (!isKept) this.#eviction.restore(slot, ageSeconds);
    this.#hand = Math.max(this.#hand, slot + 1);
  }

  endLoad(): void {
    this.#eviction.endRestore();
  }

  /** Slots that hold a chunk, or are being written. */
  get usedCount(): number {
    return this.#counts[busy]! + this.#counts[kept]! + this.#counts[demand]!;
  }

  /** Slots with chunks of the manifest, or being written with them. */
  get keptCount(): number {
    return this.#counts[kept]! + this.#busyKept.size;
  }

  get demandCount(): number {
    return this.#counts[demand]!;
  }

  /** So many chunks of the manifest find room: of a disk whose file system is full, only what it holds already counts as room. */
  get keptMax(): number {
    return keptSlotsMax(this.grows ? this.slotCount : this.usedCount + this.#counts[free]!, this.#demandShare);
  }

  /** Whether there is a slot that may be written: free, or with a chunk that may be evicted. */
  get hasSlot(): boolean {
    return this.#counts[demand]! + this.#counts[free]! + (this.grows ? this.#counts[neverWritten]! : 0) > 0;
  }

  /**
   * The next slot to write, for a chunk of the manifest or for one that a request brought in. Undefined when every slot is being written, or is kept.
   * The caller settles the slot when it knows how the write ended.
   */
  allocate(isKept: boolean): AllocatedSlot | undefined {
    if (isKept && this.keptCount >= this.keptMax) return undefined;
    const slot = this.#findFree() ?? this.#eviction.choose();
    if (slot === undefined) return undefined;
    const before = this.#state[slot]!;
    this.#set(slot, busy);
    if (isKept) this.#busyKept.add(slot);
    return { slot, evicts: before === demand, reused: before !== neverWritten };
  }

  /**
   * Ends what `allocate` began: the slot holds a chunk of that hash that the index knows, or nothing. `written` false: the file system gave it no room.
   */
  settle(slot: number, holds: { isKept: boolean; hash: number } | undefined, written = true): void {
    this.#busyKept.delete(slot);
    this.#set(slot, holds ? (holds.isKept ? kept : demand) : written ? free : neverWritten);
    if (holds && !holds.isKept) this.#eviction.add(slot, holds.hash);
  }

  /** The index has forgotten what the slot held. One that is being written again stays with its writer. */
  free(slot: number): void {
    if (this.#state[slot] !== kept && this.#state[slot] !== demand) return;
    this.#eviction.remove(slot);
    this.#set(slot, free);
  }

  /** The manifest has changed: the slot's chunk, of that hash, is its, or not any more. */
  setKept(slot: number, isKept: boolean, hash: number): void {
    if (this.#state[slot] !== (isKept ? demand : kept)) return;
    this.#set(slot, isKept ? kept : demand);
    if (isKept) this.#eviction.remove(slot);
    else this.#eviction.add(slot, hash);
  }

  #findFree(): number | undefined {
    if (this.#counts[free]! > 0) return this.#state.indexOf(free);
    if (!this.grows || this.#counts[neverWritten] === 0) return undefined;
    let slot = this.#state.indexOf(neverWritten, this.#hand);
    if (slot < 0) slot = this.#state.indexOf(neverWritten);
    this.#hand = slot + 1;
    return slot;
  }

  #set(slot: number, state: number): void {
    this.#counts[this.#state[slot]!]!--;
    this.#counts[state]!++;
    this.#state[slot] = state;
  }
}
