// The first page of an extent: into slots of which size the extent is cut, so that its slots can be found without the index.
//
//   0        8        12      16               32       36           40                48
//   | magic  | format | epoch | disk uuid      | extent | slot pages | xxh64 of all    | zeros to 4096
//   |        | u32    | u32   | 16             | u32    | u32        | before          |
//
// An extent is cut anew when another size is needed. Headers of slots from before may still lie in it then, and what was a
// chunk's bytes may look like one: only slots that carry the extent's own epoch, a random number, count.
import { xxh64 } from "@node-rs/xxhash";
import { diskFormatVersion } from "./slot-header.js";
import { pageBytes } from "./slab-geometry.js";

const magic = Buffer.from("MILLEXTN");
const checkedBytes = 40;

/** How an extent is cut. */
export interface CutExtent {
  extent: number;
  slotPages: number;
  /** 1 to 2^32 - 1. */
  epoch: number;
}

/** The page to write at the start of the extent. */
export function encodeExtentHeader({ extent, slotPages, epoch }: CutExtent, diskUuid: Buffer): Buffer {
  const page = Buffer.alloc(pageBytes);
  magic.copy(page, 0);
  page.writeUInt32LE(diskFormatVersion, 8);
  page.writeUInt32LE(epoch, 12);
  diskUuid.copy(page, 16);
  page.writeUInt32LE(extent, 32);
  page.writeUInt32LE(slotPages, 36);
  page.writeBigUInt64LE(xxh64(page.subarray(0, checkedBytes)), checkedBytes);
  return page;
}

/** Undefined when the page is not the header of this extent of this disk. */
export function parseExtentHeader(page: Buffer, extent: number, diskUuid: Buffer): CutExtent | undefined {
  if (page.length < checkedBytes + 8 || !page.subarray(0, 8).equals(magic) || page.readUInt32LE(8) !== diskFormatVersion) return undefined;
  if (page.readBigUInt64LE(checkedBytes) !== xxh64(page.subarray(0, checkedBytes))) return undefined;
  if (!page.subarray(16, 32).equals(diskUuid) || page.readUInt32LE(32) !== extent) return undefined;
  return { extent, slotPages: page.readUInt32LE(36), epoch: page.readUInt32LE(12) };
}
