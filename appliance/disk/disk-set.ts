// The disks of one appliance as its threads share them: who is who, and which of them may be used now.

/** What a thread is told of a disk when it starts. Plain data. */
export interface DiskDescription {
  diskNumber: number;
  uuid: string;
  path: string;
  capacityBytes: number;
  slotCount: number;
}

export const diskStates = ["online", "suspect", "offline", "retired"] as const;
export type DiskState = (typeof diskStates)[number];

/** Words per disk in the shared table. */
const wordsPerDisk = 4;
const stateWord = 0;
const errorsWord = 1;
const usedSlotsWord = 2;
const inRowWord = 3;

/** So many errors without a good read or write between them take a disk out. */
const errorsInRowMax = 3;

/** States and counts of all disks in shared memory; every thread has one, and sees a change at once. */
export class DiskSet {
  readonly disks: readonly DiskDescription[];
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #place = new Map<number, number>();

  constructor(disks: readonly DiskDescription[], memory = new SharedArrayBuffer(disks.length * wordsPerDisk * 4)) {
    this.disks = disks;
    this.memory = memory;
    this.#words = new Int32Array(memory);
    for (const [place, disk] of disks.entries()) this.#place.set(disk.diskNumber, place * wordsPerDisk);
  }

  find(diskNumber: number): DiskDescription | undefined {
    const place = this.#place.get(diskNumber);
    return place === undefined ? undefined : this.disks[place / wordsPerDisk];
  }

  /** Reads and writes go to online disks only. */
  isOnline(diskNumber: number): boolean {
    const place = this.#place.get(diskNumber);
    return place !== undefined && Atomics.load(this.#words, place + stateWord) === 0;
  }

  /** Whether what the disk holds has to be had elsewhere, now and for long. */
  isLost(diskNumber: number): boolean {
    const place = this.#place.get(diskNumber);
    return place === undefined || Atomics.load(this.#words, place + stateWord) >= diskStates.indexOf("offline");
  }

  stateOf(diskNumber: number): DiskState {
    return diskStates[Atomics.load(this.#words, this.#at(diskNumber) + stateWord)]!;
  }

  setState(diskNumber: number, state: DiskState): void {
    Atomics.store(this.#words, this.#at(diskNumber) + stateWord, diskStates.indexOf(state));
  }

  /** Counts an error of the disk itself. True when it was the one that took the disk offline. */
  countError(diskNumber: number): boolean {
    const at = this.#at(diskNumber);
    Atomics.add(this.#words, at + errorsWord, 1);
    if (Atomics.add(this.#words, at + inRowWord, 1) + 1 < errorsInRowMax) return false;
    return Atomics.compareExchange(this.#words, at + stateWord, 0, diskStates.indexOf("offline")) === 0;
  }

  countSuccess(diskNumber: number): void {
    const at = this.#at(diskNumber) + inRowWord;
    if (this.#words[at] !== 0) Atomics.store(this.#words, at, 0);
  }

  errorsOf(diskNumber: number): number {
    return Atomics.load(this.#words, this.#at(diskNumber) + errorsWord);
  }

  setUsedSlots(diskNumber: number, count: number): void {
    Atomics.store(this.#words, this.#at(diskNumber) + usedSlotsWord, count);
  }

  usedSlotsOf(diskNumber: number): number {
    return Atomics.load(this.#words, this.#at(diskNumber) + usedSlotsWord);
  }

  #at(diskNumber: number): number {
    const place = this.#place.get(diskNumber);
    if (place === undefined) throw new RangeError(`There is no disk ${diskNumber}`);
    return place;
  }
}

/** A UUID's 16 bytes, as slot headers have them. */
export function uuidBytesOf(uuid: string): Buffer {
  return Buffer.from(uuid.replaceAll("-", ""), "hex");
}
