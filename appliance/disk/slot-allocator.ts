// Which slot of a disk is written next: a free one, else the one that was written longest ago.

/** The slots of one disk, as the fill worker sees them. */
export class SlotAllocator {
  readonly slotCount: number;
  readonly #used: Uint8Array;
  /** Given out, and not settled yet. */
  readonly #busy = new Set<number>();
  #usedCount = 0;
  /** Where the search goes on; after a full turn it meets the oldest slots first. */
  #hand = 0;

  /** `used`: the slots that hold a chunk now. */
  constructor(slotCount: number, used: Iterable<number>) {
    this.slotCount = slotCount;
    this.#used = new Uint8Array(slotCount);
    for (const slot of used) {
      // A disk that was made smaller in the settings keeps what lies beyond its end until it is forgotten.
      if (slot >= slotCount) continue;
      if (this.#used[slot] === 0) this.#usedCount++;
      this.#used[slot] = 1;
      this.#hand = Math.max(this.#hand, slot + 1);
    }
    if (this.#hand >= slotCount) this.#hand = 0;
  }

  get usedCount(): number {
    return this.#usedCount;
  }

  /**
   * The next slot to write; `evicts` when it holds a chunk that must be forgotten first. Undefined when every slot is being written. The
   * caller settles the slot when it knows how the write ended.
   */
  allocate(): { slot: number; evicts: boolean } | undefined {
    if (this.#busy.size === this.slotCount) return undefined;
    const searchFree = this.#usedCount < this.slotCount;
    while (searchFree ? this.#used[this.#hand] !== 0 : this.#busy.has(this.#hand)) this.#advance();
    const slot = this.#hand;
    const evicts = this.#used[slot] !== 0;
    if (!evicts) this.#usedCount++;
    this.#used[slot] = 1;
    this.#busy.add(slot);
    this.#advance();
    return { slot, evicts };
  }

  /** Ends what `allocate` began: the slot holds a chunk that the index knows, or nothing. */
  settle(slot: number, holdsChunk: boolean): void {
    this.#busy.delete(slot);
    if (!holdsChunk) this.free(slot);
  }

  /** The index has forgotten what the slot held. One that is being written again stays with its writer. */
  free(slot: number): void {
    if (slot >= this.slotCount || this.#used[slot] === 0 || this.#busy.has(slot)) return;
    this.#used[slot] = 0;
    this.#usedCount--;
  }

  #advance(): void {
    this.#hand = this.#hand + 1 === this.slotCount ? 0 : this.#hand + 1;
  }
}
