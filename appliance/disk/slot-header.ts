// The header of a slot: what the slot holds, so that it can be trusted and found again without the index.
//
//   0        8       16               32               48      52      56       64         72
//   | magic  | format | disk uuid      | object key     | chunk | bytes | stamp  | xxh64 of | xxh64 of the    |
//   |        |        | 16             | 16             | u32   | u32   | u64    | chunk    | header but this |
//   80              88                96     98     100
//   | object bytes  | last modified   | etag | path | etag bytes, path bytes, generation u32, zeros to 4096
//   | u64           | u64, unix ms    | u16  | u16  |
//
// Numbers are little-endian. The stamp is the wall clock at the time of writing: of two slots with the same chunk the later counts.
import { xxh64 } from "@node-rs/xxhash";
import type { ObjectVersion } from "../object.js";

/** A slot starts with its header, and its chunk starts at a page. */
export const slotHeaderBytes = 4096;

const magic = Buffer.from("MILLRACE");
const formatVersion = 1n;
const fixedBytes = 100;
/** A path and a tag of an object must fit beside the fixed fields. */
export const pathAndTagBytesMax = slotHeaderBytes - fixedBytes - 4;

export interface SlotHeader {
  diskUuid: Buffer;
  objectKey: Buffer;
  chunk: number;
  lengthBytes: number;
  stampUnixMs: number;
  chunkXxh64: bigint;
  object: ObjectVersion;
}

/** Writes `header` into `into`, of slotHeaderBytes. */
export function encodeSlotHeader(header: SlotHeader, into: Buffer): void {
  into.fill(0);
  magic.copy(into, 0);
  into.writeBigUInt64LE(formatVersion, 8);
  header.diskUuid.copy(into, 16);
  header.objectKey.copy(into, 32);
  into.writeUInt32LE(header.chunk, 48);
  into.writeUInt32LE(header.lengthBytes, 52);
  into.writeBigUInt64LE(BigInt(header.stampUnixMs), 56);
  into.writeBigUInt64LE(header.chunkXxh64, 64);
  into.writeBigUInt64LE(BigInt(header.object.sizeBytes), 80);
  into.writeBigUInt64LE(BigInt(Math.max(0, header.object.lastModifiedUnixMs)), 88);
  const etagBytes = into.write(header.object.etag, fixedBytes, "utf8");
  const pathBytes = into.write(header.object.path, fixedBytes + etagBytes, "utf8");
  into.writeUInt16LE(etagBytes, 96);
  into.writeUInt16LE(pathBytes, 98);
  into.writeUInt32LE(header.object.generation ?? 0, fixedBytes + etagBytes + pathBytes);
  into.writeBigUInt64LE(headerXxh64(into), 72);
}

/** The header that `from` holds; undefined when it is not a whole header of this format. */
export function parseSlotHeader(from: Buffer): SlotHeader | undefined {
  if (from.length < slotHeaderBytes || !from.subarray(0, 8).equals(magic) || from.readBigUInt64LE(8) !== formatVersion) return undefined;
  if (from.readBigUInt64LE(72) !== headerXxh64(from)) return undefined;
  const etagEnd = fixedBytes + from.readUInt16LE(96);
  const pathEnd = etagEnd + from.readUInt16LE(98);
  const generation = from.readUInt32LE(pathEnd);
  return {
    diskUuid: Buffer.from(from.subarray(16, 32)),
    objectKey: Buffer.from(from.subarray(32, 48)),
    chunk: from.readUInt32LE(48),
    lengthBytes: from.readUInt32LE(52),
    stampUnixMs: Number(from.readBigUInt64LE(56)),
    chunkXxh64: from.readBigUInt64LE(64),
    object: {
      sizeBytes: Number(from.readBigUInt64LE(80)),
      lastModifiedUnixMs: Number(from.readBigUInt64LE(88)),
      etag: from.toString("utf8", fixedBytes, etagEnd),
      path: from.toString("utf8", etagEnd, pathEnd),
      ...(generation > 0 && { generation }),
    },
  };
}

/** Why a slot is not what the index said, for logs and metrics. */
export type SlotMismatch = "torn" | "other-chunk" | "wrong-bytes";

export interface ExpectedSlot {
  diskUuid: Buffer;
  objectKey: Uint8Array;
  chunk: number;
  lengthBytes: number;
}

/** Whether a slot that was read holds the chunk that was wanted, byte for byte; undefined when it does. */
export function findSlotMismatch(header: Buffer, chunkBytes: Uint8Array, expected: ExpectedSlot): SlotMismatch | undefined {
  // Only the fields that count are looked at: this runs for every chunk that comes from a disk.
  if (header.readBigUInt64LE(72) !== headerXxh64(header) || !header.subarray(0, 8).equals(magic)) return "torn";
  if (
    header.compare(expected.objectKey, 0, expected.objectKey.length, 32, 48) !== 0 ||
    header.compare(expected.diskUuid, 0, 16, 16, 32) !== 0 ||
    header.readUInt32LE(48) !== expected.chunk ||
    header.readUInt32LE(52) !== expected.lengthBytes
  ) {
    return "other-chunk";
  }
  return xxh64(chunkBytes) === header.readBigUInt64LE(64) ? undefined : "wrong-bytes";
}

function headerXxh64(header: Buffer): bigint {
  // The seed of the second part is the first part's hash, so both count.
  return xxh64(header.subarray(80, slotHeaderBytes), xxh64(header.subarray(0, 72)));
}
