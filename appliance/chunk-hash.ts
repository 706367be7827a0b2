// One number for a chunk of an object, for tables that are looked into by hash.

/**
 * 32 bits, signed. `firstKeyWord` is the first word of the object's key: keys are parts of a SHA-256, so their words are spread well already, and the
 * chunk number is mixed in (murmur3's finaliser).
 */
export function chunkHashOf(firstKeyWord: number, chunk: number): number {
  let hash = firstKeyWord ^ Math.imul(chunk + 1, 0x9e3779b1);
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
