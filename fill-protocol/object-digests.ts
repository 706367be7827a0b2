// The digests of one object: made at ingest, published beside the object, checked by every tier.
import { createHash } from "node:crypto";
import { ObjectDigests } from "./generated/millrace/object/v1/object_digests.js";

const sha256Bytes = 32;

/** The reserved first part of the path under which an origin, and every appliance, publishes digests. */
export const digestsPrefix = ".millrace/digests/";

/** Where the digests of the object at `path` are published. */
export function digestsPathOf(path: string): string {
  return digestsPrefix + path;
}

/** SHA-256 of one chunk, 32 bytes. */
export function digestChunk(chunk: Uint8Array): Buffer {
  return createHash("sha256").update(chunk).digest();
}

export interface MakeObjectDigestsOptions {
  path: string;
  sizeBytes: number;
  chunkBytes: number;
  /** One digest per chunk, in order: ceil(sizeBytes / chunkBytes) of them. */
  chunkDigests: readonly Uint8Array[];
  lastModifiedUnixMs: number;
}

/** The digests message of an object whose chunks have been hashed. */
export function makeObjectDigests(options: MakeObjectDigestsOptions): ObjectDigests {
  const { path, sizeBytes, chunkBytes, chunkDigests, lastModifiedUnixMs } = options;
  if (chunkDigests.length !== Math.ceil(sizeBytes / chunkBytes))
    throw new RangeError(`${chunkDigests.length} digests for ${sizeBytes} bytes`);
  const sha256 = Buffer.concat(chunkDigests);
  return {
    path,
    sizeBytes: BigInt(sizeBytes),
    etag: etagOf(sizeBytes, chunkBytes, sha256),
    chunkBytes,
    sha256,
    lastModifiedUnixMs: BigInt(Math.round(lastModifiedUnixMs)),
  };
}

/** A strong entity tag that depends on every byte of the object: the first 128 bits of a hash over size and digests. */
function etagOf(sizeBytes: number, chunkBytes: number, sha256: Uint8Array): string {
  const hash = createHash("sha256").update(`${sizeBytes} ${chunkBytes}\n`).update(sha256).digest("hex");
  return `"${hash.slice(0, 32)}"`;
}

export function encodeObjectDigests(digests: ObjectDigests): Buffer {
  return Buffer.from(ObjectDigests.encode(digests).finish());
}

/**
 * The digests that an origin or a peer sent for `path`. Undefined when the bytes are not such a message, are of another
 * object, or contradict themselves: the sender is then no authority and nothing may be checked against them.
 */
export function parseObjectDigests(bytes: Uint8Array, path: string): ObjectDigests | undefined {
  let digests: ObjectDigests;
  try {
    digests = ObjectDigests.decode(bytes);
  } catch {
    return undefined;
  }
  const sizeBytes = Number(digests.sizeBytes);
  if (digests.path !== path || digests.chunkBytes < 1 || !Number.isSafeInteger(sizeBytes)) return undefined;
  if (digests.sha256.length !== Math.ceil(sizeBytes / digests.chunkBytes) * sha256Bytes) return undefined;
  if (digests.etag !== etagOf(sizeBytes, digests.chunkBytes, digests.sha256)) return undefined;
  return digests;
}

/** Whether `chunk` has the bytes that `digests` names for piece `chunkNumber`. */
export function matchesDigest(digests: ObjectDigests, chunkNumber: number, chunk: Uint8Array): boolean {
  const at = chunkNumber * sha256Bytes;
  return digestChunk(chunk).equals(digests.sha256.subarray(at, at + sha256Bytes));
}
