// The disks of one appliance as its threads share them: who is who, how each is doing, and which of them may be used now.

/** What a thread is told of a disk. Plain data. */
export interface DiskDescription {
  diskNumber: number;
  uuid: string;
  path: string;
  capacityBytes: number;
  /** Extents that its capacity has room for. */
  extentCount: number;
}

/** In the order of how little may be done with a disk. */
export const diskStates = ["online", "suspect", "offline", "retired"] as const;
export type DiskState = (typeof diskStates)[number];

/** Words of the shared table, per disk; the histogram follows them. */
const words = {
  state: 0,
  errors: 1,
  usedSlots: 2,
  errorsInRow: 3,
  lateReads: 4,
  lateInRow: 5,
  retiring: 6,
  scrubbed: 7,
  scrubFindings: 8,
  full: 9,
  hanging: 10,
  badSlots: 11,
} as const;
/** 64-bit floats: bytes of more than 16 TiB do not fit into a count of pages. */
const usedBytesAt = 12;
const keptBytesAt = 14;
const histogramAt = 16;

/** Read times are counted in buckets of a quarter of an octave: every bound is 19 % above the one before. */
const bucketsPerOctave = 4;
/** The first bucket ends here; a read from a page cache is faster. */
const firstBucketMs = 1 / 16;
const bucketCount = 84;
const wordsPerDisk = histogramAt + bucketCount;

/** So many errors without a good read or write between them take a disk out. */
const errorsInRowMax = 3;
/** So many reads past their deadline without one in time between them make a disk suspect. */
const lateInRowMax = 3;
/** Disks that may be added while the appliance runs. */
const addedDisksMax = 64;

/** States and counts of all disks in shared memory; every thread has one, and sees a change at once. */
export class DiskSet {
  readonly memory: SharedArrayBuffer;
  readonly #disks: DiskDescription[];
  readonly #words: Int32Array;
  readonly #floats: Float64Array;
  readonly #place = new Map<number, number>();

  constructor(
    disks: readonly DiskDescription[],
    memory = new SharedArrayBuffer((disks.length + addedDisksMax) * wordsPerDisk * Int32Array.BYTES_PER_ELEMENT),
  ) {
    this.memory = memory;
    this.#words = new Int32Array(memory);
    this.#floats = new Float64Array(memory);
    this.#disks = [];
    for (const disk of disks) this.add(disk);
  }

  get disks(): readonly DiskDescription[] {
    return this.#disks;
  }

  /** Whether one more disk has its place in the shared memory. */
  get hasRoom(): boolean {
    return (this.#disks.length + 1) * wordsPerDisk <= this.#words.length;
  }

  /** Threads add the same disks in the same order: the place in the shared memory follows from it. */
  add(disk: DiskDescription): void {
    if (!this.hasRoom) throw new RangeError("There is no place for one more disk");
    this.#place.set(disk.diskNumber, this.#disks.length * wordsPerDisk);
    this.#disks.push(disk);
  }

  find(diskNumber: number): DiskDescription | undefined {
    const place = this.#place.get(diskNumber);
    return place === undefined ? undefined : this.#disks[place / wordsPerDisk];
  }

  /** Reads go to online disks only. */
  isOnline(diskNumber: number): boolean {
    const place = this.#place.get(diskNumber);
    return place !== undefined && Atomics.load(this.#words, place + words.state) === 0;
  }

  /** New chunks go to online disks that are not being emptied. */
  takesChunks(diskNumber: number): boolean {
    return this.isOnline(diskNumber) && !this.isRetiring(diskNumber);
  }

  /** Whether what the disk holds has to be had elsewhere, now and for long. */
  isLost(diskNumber: number): boolean {
    const place = this.#place.get(diskNumber);
    if (place === undefined || Atomics.load(this.#words, place + words.retiring) !== 0) return true;
    return Atomics.load(this.#words, place + words.state) >= diskStates.indexOf("offline");
  }

  /** Whether nothing can be read from the disk: it is offline, or was retired. */
  isAway(diskNumber: number): boolean {
    const place = this.#place.get(diskNumber);
    return place === undefined || Atomics.load(this.#words, place + words.state) >= diskStates.indexOf("offline");
  }

  stateOf(diskNumber: number): DiskState {
    return diskStates[this.#load(diskNumber, "state")]!;
  }

  setState(diskNumber: number, state: DiskState): void {
    const at = this.#at(diskNumber);
    Atomics.store(this.#words, at + words.errorsInRow, 0);
    Atomics.store(this.#words, at + words.lateInRow, 0);
    Atomics.store(this.#words, at + words.state, diskStates.indexOf(state));
  }

  /** A retiring disk is read until its chunks have moved away; nothing new is written to it. */
  isRetiring(diskNumber: number): boolean {
    return this.#load(diskNumber, "retiring") !== 0;
  }

  setRetiring(diskNumber: number, retiring: boolean): void {
    this.#store(diskNumber, "retiring", retiring ? 1 : 0);
  }

  /** Counts an error of the disk itself. True when it was the one that took the disk offline. */
  countError(diskNumber: number): boolean {
    const at = this.#at(diskNumber);
    Atomics.add(this.#words, at + words.errors, 1);
    if (Atomics.add(this.#words, at + words.errorsInRow, 1) + 1 < errorsInRowMax) return false;
    return this.#fall(at, "offline");
  }

  /** Counts a read that was not done by its deadline. True when it was the one that made the disk suspect. */
  countLate(diskNumber: number): boolean {
    const at = this.#at(diskNumber);
    Atomics.add(this.#words, at + words.lateReads, 1);
    if (Atomics.add(this.#words, at + words.lateInRow, 1) + 1 < lateInRowMax) return false;
    return this.#fall(at, "suspect");
  }

  /** Reads and probes that were given up, and may still take a thread and a frame: +1 when it is given up, -1 when it has ended after all. */
  countHanging(diskNumber: number, difference: 1 | -1): void {
    Atomics.add(this.#words, this.#at(diskNumber) + words.hanging, difference);
  }

  hangingOf(diskNumber: number): number {
    return this.#load(diskNumber, "hanging");
  }

  countSuccess(diskNumber: number): void {
    const at = this.#at(diskNumber) + words.errorsInRow;
    if (this.#words[at] !== 0) Atomics.store(this.#words, at, 0);
  }

  /** Counts a read that has ended, in whatever time. */
  countRead(diskNumber: number, ms: number, inTime: boolean): void {
    const at = this.#at(diskNumber);
    Atomics.add(this.#words, at + histogramAt + bucketOf(ms), 1);
    if (inTime && this.#words[at + words.lateInRow] !== 0) Atomics.store(this.#words, at + words.lateInRow, 0);
  }

  /** How many reads have taken how long since the start: one count per bucket; see `quantileMs`. */
  readTimesOf(diskNumber: number): Int32Array {
    const from = this.#at(diskNumber) + histogramAt;
    return this.#words.slice(from, from + bucketCount);
  }

  errorsOf(diskNumber: number): number {
    return this.#load(diskNumber, "errors");
  }

  lateReadsOf(diskNumber: number): number {
    return this.#load(diskNumber, "lateReads");
  }

  /** Counts a slot that did not hold what the index said. The index is told by the writer of the slot, so this is never a reader's old snapshot. */
  countBadSlot(diskNumber: number): void {
    if (this.#place.has(diskNumber)) Atomics.add(this.#words, this.#at(diskNumber) + words.badSlots, 1);
  }

  badSlotsOf(diskNumber: number): number {
    return this.#load(diskNumber, "badSlots");
  }

  /** Slots in use, the bytes that they take on the disk, and those of the ones that hold chunks of the manifest. */
  setSlots(diskNumber: number, { usedCount, usedBytes, keptBytes }: { usedCount: number; usedBytes: number; keptBytes: number }): void {
    this.#store(diskNumber, "usedSlots", usedCount);
    this.#floats[(this.#at(diskNumber) + usedBytesAt) / 2] = usedBytes;
    this.#floats[(this.#at(diskNumber) + keptBytesAt) / 2] = keptBytes;
  }

  usedBytesOf(diskNumber: number): number {
    return this.#floats[(this.#at(diskNumber) + usedBytesAt) / 2]!;
  }

  keptBytesOf(diskNumber: number): number {
    return this.#floats[(this.#at(diskNumber) + keptBytesAt) / 2]!;
  }

  usedSlotsOf(diskNumber: number): number {
    return this.#load(diskNumber, "usedSlots");
  }

  /** Whether the file system gave no room for what the disk may hold by its setting. */
  isFull(diskNumber: number): boolean {
    return this.#load(diskNumber, "full") !== 0;
  }

  setFull(diskNumber: number, full: boolean): void {
    this.#store(diskNumber, "full", full ? 1 : 0);
  }

  /** Slots that the scrubber has read since the start, and those of them that were not right. */
  countScrubbed(diskNumber: number, right: boolean): void {
    Atomics.add(this.#words, this.#at(diskNumber) + words.scrubbed, 1);
    if (!right) Atomics.add(this.#words, this.#at(diskNumber) + words.scrubFindings, 1);
  }

  scrubbedOf(diskNumber: number): { slots: number; findings: number } {
    return { slots: this.#load(diskNumber, "scrubbed"), findings: this.#load(diskNumber, "scrubFindings") };
  }

  #fall(at: number, state: DiskState): boolean {
    const next = diskStates.indexOf(state);
    for (;;) {
      const now = Atomics.load(this.#words, at + words.state);
      if (now >= next) return false;
      if (Atomics.compareExchange(this.#words, at + words.state, now, next) === now) return true;
    }
  }

  #load(diskNumber: number, word: keyof typeof words): number {
    return Atomics.load(this.#words, this.#at(diskNumber) + words[word]);
  }

  #store(diskNumber: number, word: keyof typeof words, value: number): void {
    Atomics.store(this.#words, this.#at(diskNumber) + words[word], value);
  }

  #at(diskNumber: number): number {
    const place = this.#place.get(diskNumber);
    if (place === undefined) throw new RangeError(`There is no disk ${diskNumber}`);
    return place;
  }
}

function bucketOf(ms: number): number {
  if (ms <= firstBucketMs) return 0;
  return Math.min(bucketCount - 1, Math.ceil(Math.log2(ms / firstBucketMs) * bucketsPerOctave));
}

/** The upper bound of the bucket in which a share `quantile` of all counts ends; undefined when nothing was counted. */
export function quantileMs(counts: Int32Array, quantile: number): number | undefined {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return undefined;
  let left = Math.ceil(total * quantile);
  let bucket = 0;
  for (; bucket < counts.length - 1; bucket++) {
    left -= counts[bucket]!;
    if (left <= 0) break;
  }
  return firstBucketMs * 2 ** (bucket / bucketsPerOctave);
}

/** A UUID's 16 bytes, as slot headers have them. */
export function uuidBytesOf(uuid: string): Buffer {
  return Buffer.from(uuid.replaceAll("-", ""), "hex");
}
