// What an appliance knows of one version of one object.
import { createHash } from "node:crypto";

/** Longest path, in bytes of UTF-8: the index cannot have longer keys (LMDB takes 1978 bytes, and an encoding needs its share). */
export const objectPathBytesMax = 1900;

/** Chunks are counted in 31 bits, in the frame table and in the index. An object of more is none that we can hold. */
export const chunkCountMax = 2 ** 31 - 1;

/** Bytes of an object key. */
export const objectKeyBytes = 16;

/** One immutable version of an object. Plain data: it is sent between threads. */
export interface ObjectRecord {
  /** Without a leading slash, percent-decoded. */
  path: string;
  sizeBytes: number;
  /** With its quotes; weak when the origin has no strong one. */
  etag: string;
  /** 0 when the origin does not say. */
  lastModifiedUnixMs: number;
  /** The origin published digests in pieces of our chunk size, or of a part of it: every chunk is checked against them. */
  digested: boolean;
  /** When an upstream last said that this is the newest version; wall clock. */
  checkedUnixMs: number;
  /** The last purge that its path had been through when it was described; absent before the first. Bytes from before a purge have another key. */
  generation?: number;
}

/** What tells versions of objects apart. */
export type ObjectVersion = Pick<ObjectRecord, "path" | "etag" | "sizeBytes" | "lastModifiedUnixMs" | "generation">;

/** Whether all that is known of the object comes from slots: no upstream has been asked since, and its digests are not known. */
export function isRebuilt(object: ObjectRecord): boolean {
  return object.checkedUnixMs === 0;
}

/**
 * What stands for one version of one object in the index, in slot headers and in the frame table: the first 128 bits of a
 * SHA-256 over what tells versions apart. Two versions share a key with a chance of 2^-64 in a fleet of 2^32 versions.
 */
export function objectKeyOf(object: ObjectVersion): Buffer {
  // A weak tag promises no equal bytes, so the date joins in.
  const version = object.etag.startsWith("W/") || object.etag === "" ? `${object.etag} ${object.lastModifiedUnixMs}` : object.etag;
  const generation = object.generation ? `\n${object.generation}` : "";
  return createHash("sha256").update(`${object.path}\n${version}\n${object.sizeBytes}${generation}`).digest().subarray(0, objectKeyBytes);
}

/**
 * Whether `path` can be an object's: not empty, not too long, without an empty, "." or ".." part, a backslash or a control character.
 * Any other path is never asked for anywhere, so no trick with dots reaches a folder that was not meant.
 */
export function isObjectPath(path: string): boolean {
  // A character is one byte or more, so the long ones need no counting.
  if (path.length > objectPathBytesMax || Buffer.byteLength(path) > objectPathBytesMax) return false;
  // eslint-disable-next-line no-control-regex
  return !/[\u0000-\u001f\u007f\\]/.test(path) && !/(?:^|\/)\.{0,2}(?:\/|$)/.test(path);
}

/** The key as four words, as the frame table wants it. */
export function objectKeyWords(key: Uint8Array): Int32Array {
  const words = new Int32Array(objectKeyBytes / 4);
  new Uint8Array(words.buffer).set(key);
  return words;
}

/** How many chunks of `chunkBytes` an object of `sizeBytes` has. */
export function chunkCountOf(sizeBytes: number, chunkBytes: number): number {
  return Math.ceil(sizeBytes / chunkBytes);
}

/** Bytes of one chunk: `chunkBytes`, or what is left in the last. */
export function chunkLengthOf(sizeBytes: number, chunkBytes: number, chunk: number): number {
  return Math.min(chunkBytes, sizeBytes - chunk * chunkBytes);
}
