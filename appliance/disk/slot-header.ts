// The header of a slot: what the slot holds, so that it can be trusted and found again without the index.
//
//   0        8        12      16               32               48      52      56       64         72
//   | magic  | format | epoch | disk uuid      | object key     | chunk | bytes | stamp  | xxh64 of | xxh64 of the    |
//   |        | u32    | u32   | 16             | 16             | u32   | u32   | u64    | chunk    | header but this |
//   80              88                96     98     100    102    104
//   | object bytes  | last modified   | etag | path | head | zero | etag bytes, path bytes, generation u32, zeros to the header's end
//   | u64           | u64, unix ms    | u16  | u16  | u16  | u16  |
//
// `head` is how long the header is: the chunk follows it. `epoch` is that of the slot's extent when the slot was written (extent-header.ts).
// Numbers are little-endian. The stamp is the wall clock at the time of writing: of two slots with the same chunk the later counts.
import { xxh64 } from "@node-rs/xxhash";
import type { ObjectVersion } from "../object.js";

/** Raised when what is on disks changes; a disk of another format is refused. */
export const diskFormatVersion = 2;

/** The header of a full chunk: its bytes start at a page. */
export const fullSlotHeaderBytes = 4096;
/** The header of a shorter chunk, when its object's path and tag are not too long for it. */
export const smallSlotHeaderBytes = 512;

const magic = Buffer.from("MILLRACE");
const fixedBytes = 104;
/** A path and a tag of an object must fit beside the fixed fields, and the generation. */
export const pathAndTagBytesMax = fullSlotHeaderBytes - fixedBytes - 4;
export const smallHeaderNameBytesMax = smallSlotHeaderBytes - fixedBytes - 4;

/** What of an object takes room in a header. */
export function nameBytesOf({ path, etag }: { path: string; etag: string }): number {
  return Buffer.byteLength(path) + Buffer.byteLength(etag);
}

export interface SlotHeader {
  diskUuid: Buffer;
  epoch: number;
  objectKey: Buffer;
  chunk: number;
  lengthBytes: number;
  stampUnixMs: number;
  chunkXxh64: bigint;
  object: ObjectVersion;
}

/** Writes `header` into `into`, which is as long as the header is to be. */
export function encodeSlotHeader(header: SlotHeader, into: Buffer): void {
  into.fill(0);
  magic.copy(into, 0);
  into.writeUInt32LE(diskFormatVersion, 8);
  into.writeUInt32LE(header.epoch, 12);
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
  into.writeUInt16LE(into.length, 100);
  into.writeUInt32LE(header.object.generation ?? 0, fixedBytes + etagBytes + pathBytes);
  into.writeBigUInt64LE(headerXxh64(into), 72);
}

/** The header at the start of `from`, which is as long as a full header or longer; undefined when it is not a whole header of this format. */
export function parseSlotHeader(from: Buffer): (SlotHeader & { headerBytes: number }) | undefined {
  if (from.length < fullSlotHeaderBytes || !from.subarray(0, 8).equals(magic) || from.readUInt32LE(8) !== diskFormatVersion)
    return undefined;
  const headerBytes = from.readUInt16LE(100);
  if (headerBytes !== fullSlotHeaderBytes && headerBytes !== smallSlotHeaderBytes) return undefined;
  if (from.readBigUInt64LE(72) !== headerXxh64(from.subarray(0, headerBytes))) return undefined;
  const etagEnd = fixedBytes + from.readUInt16LE(96);
  const pathEnd = etagEnd + from.readUInt16LE(98);
  const generation = from.readUInt32LE(pathEnd);
  return {
    headerBytes,
    epoch: from.readUInt32LE(12),
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

/** Whether a slot that was read holds the chunk that was wanted, byte for byte; undefined when it does. `header` is as long as it should be. */
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
  return xxh64(header.subarray(80), xxh64(header.subarray(0, 72)));
}
