// A set that forgets names and keeps 16 bits of each: what an appliance holds in part. Says "perhaps" or "no", and can delete.
// Fan, Andersen, Kaminsky and Mitzenmacher, "Cuckoo Filter: Practically Better Than Bloom", CoNEXT 2014.
import { xxh64 } from "@node-rs/xxhash";

const slotsPerBucket = 4;
/** Fingerprints that are moved to make room before the filter counts as full. */
const kicksMax = 200;
const firstBuckets = 256;

/**
 * Of keys that are not in it, about 2 · 4 · load / 2^16 are said to be: 0.012 % for each full part. Deleting a key that was never added may take a
 * key with the same fingerprint with it.
 */
export class CuckooFilter {
  /** Parts, each twice as large as the one before: a filter cannot be made larger without its keys. */
  #parts: Uint16Array[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get bytes(): number {
    return this.#parts.reduce((sum, part) => sum + part.byteLength, 0);
  }

  add(key: string): void {
    const hash = xxh64(key);
    this.#size++;
    if (this.#parts.some((part) => insert(part, hash))) return;
    const part = new Uint16Array((slotsPerBucket * firstBuckets) << this.#parts.length);
    insert(part, hash);
    // Newest first: it has room.
    this.#parts.unshift(part);
  }

  has(key: string): boolean {
    const hash = xxh64(key);
    return this.#parts.some((part) => findSlot(part, hash) !== -1);
  }

  /** Whether there was such a fingerprint. */
  delete(key: string): boolean {
    const hash = xxh64(key);
    for (const part of this.#parts) {
      const slot = findSlot(part, hash);
      if (slot === -1) continue;
      part[slot] = 0;
      this.#size--;
      return true;
    }
    return false;
  }

  clear(): void {
    this.#parts = [];
    this.#size = 0;
  }
}

/** 1 to 65,535: 0 is an empty slot. */
function fingerprintOf(hash: bigint): number {
  return (Number(hash & 0xffffn) % 65_535) + 1;
}

/** The other bucket that a fingerprint may stand in; of the other it is this one. */
function otherBucket(bucket: number, fingerprint: number, mask: number): number {
  return (bucket ^ Math.imul(fingerprint, 0x5bd1e995)) & mask;
}

function findSlot(part: Uint16Array, hash: bigint): number {
  const mask = part.length / slotsPerBucket - 1;
  const fingerprint = fingerprintOf(hash);
  const first = Number((hash >> 16n) & 0xffffffffn) & mask;
  for (const bucket of [first, otherBucket(first, fingerprint, mask)]) {
    for (let slot = bucket * slotsPerBucket; slot < (bucket + 1) * slotsPerBucket; slot++) if (part[slot] === fingerprint) return slot;
  }
  return -1;
}

/** False when there is no room: then nothing has changed. */
function insert(part: Uint16Array, hash: bigint): boolean {
  const mask = part.length / slotsPerBucket - 1;
  let fingerprint = fingerprintOf(hash);
  let bucket = Number((hash >> 16n) & 0xffffffffn) & mask;
  const moved: number[] = [];
  for (let kick = 0; kick < kicksMax; kick++) {
    for (const candidate of [bucket, otherBucket(bucket, fingerprint, mask)]) {
      for (let slot = candidate * slotsPerBucket; slot < (candidate + 1) * slotsPerBucket; slot++) {
        if (part[slot] !== 0) continue;
        part[slot] = fingerprint;
        return true;
      }
    }
    bucket = otherBucket(bucket, fingerprint, mask);
    // Which one gives way need not be random, only not the same each time.
    const slot = bucket * slotsPerBucket + ((kick + fingerprint) & 3);
    const giving = part[slot]!;
    part[slot] = fingerprint;
    moved.push(slot);
    fingerprint = giving;
    // The one that gives way goes to its other bucket.
    bucket = otherBucket(bucket, fingerprint, mask);
  }
  for (const slot of moved.toReversed()) {
    const back = part[slot]!;
    part[slot] = fingerprint;
    fingerprint = back;
  }
  return false;
}
