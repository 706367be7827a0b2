// Reads every slot of a disk, one extent after another as they lie, for checks that are not in a hurry to answer anyone.
import { open, type FileHandle } from "node:fs/promises";
import { xxh64 } from "@node-rs/xxhash";
import { errnoOf } from "../../runtime/operating-error.js";
import { chunkLengthOf, objectKeyOf } from "../object.js";
import { uuidBytesOf, type DiskDescription } from "./disk-set.js";
import { parseExtentHeader, type CutExtent } from "./extent-header.js";
import {
  extentOffsetOf,
  pageBytes,
  slabOfExtent,
  slabPathOf,
  slotAt,
  slotOffsetOf,
  slotShapeOf,
  slotsPerExtentOf,
  type SlabGeometry,
} from "./slab-geometry.js";
import { fullSlotHeaderBytes, parseSlotHeader, type SlotHeader } from "./slot-header.js";

/** Reads under way at one disk: enough to hide the way to a disk and back, few enough to read nearly in order. */
const readsAtOnce = 8;

/** What lies in a slot: a chunk that may be trusted as far as it was read, nothing, or something that is no chunk of this disk. */
export type ScannedSlot = { slot: number; header: SlotHeader } | { slot: number; why: "empty" | "torn" | "wrong-bytes" | "other-disk" };

/** `cut` undefined: the extent was never used, or its header is not whole, and nothing in it can be trusted. */
export interface ScannedExtent {
  extent: number;
  cut: CutExtent | undefined;
  slots: readonly ScannedSlot[];
}

export interface ScanSlotsOptions {
  disk: DiskDescription;
  geometry: SlabGeometry;
  /** Reads chunks too, and compares their checksums; otherwise only headers are read. */
  wholeChunks: boolean;
  onExtent: (scanned: ScannedExtent) => void | Promise<void>;
}

/** Calls `onExtent` once for every extent of the disk, nearly in order. Throws the system's error when the disk cannot be read. */
export async function scanSlots({ disk, geometry, wholeChunks, onExtent }: ScanSlotsOptions): Promise<void> {
  const uuid = uuidBytesOf(disk.uuid);
  for (let first = 0; first < disk.extentCount; first += geometry.extentsPerSlab) {
    const end = Math.min(disk.extentCount, first + geometry.extentsPerSlab);
    const slab = await openSlab(slabPathOf(disk.path, slabOfExtent(geometry, first)));
    try {
      let next = first;
      const readLine = async () => {
        const buffer = Buffer.alloc(wholeChunks ? geometry.fullSlotPages * pageBytes : fullSlotHeaderBytes);
        for (let extent = next++; extent < end; extent = next++) await onExtent(await readExtent(slab, extent, buffer));
      };
      await Promise.all(Array.from({ length: readsAtOnce }, readLine));
    } finally {
      await slab?.close();
    }
  }

  async function readExtent(slab: FileHandle | undefined, extent: number, buffer: Buffer): Promise<ScannedExtent> {
    if (!slab) return { extent, cut: undefined, slots: [] };
    const { bytesRead } = await slab.read(buffer, 0, pageBytes, extentOffsetOf(geometry, extent));
    const cut = parseExtentHeader(buffer.subarray(0, bytesRead), extent, uuid);
    if (!cut || !geometry.slotClasses.includes(cut.slotPages)) return { extent, cut: undefined, slots: [] };
    const slots: ScannedSlot[] = [];
    for (let place = 0; place < slotsPerExtentOf(geometry, cut.slotPages); place++) {
      const slot = slotAt(geometry, extent, cut.slotPages, place);
      slots.push(await readSlot(slab, slot, cut, wholeChunks ? buffer.subarray(0, cut.slotPages * pageBytes) : buffer));
    }
    return { extent, cut, slots };
  }

  async function readSlot(slab: FileHandle, slot: number, cut: CutExtent, buffer: Buffer): Promise<ScannedSlot> {
    const { bytesRead } = await slab.read(buffer, 0, buffer.length, slotOffsetOf(geometry, slot));
    if (bytesRead < fullSlotHeaderBytes || buffer.readBigUInt64LE(0) === 0n) return { slot, why: "empty" };
    const header = parseSlotHeader(buffer);
    // From before the extent was cut anew, or part of what was a chunk then.
    if (header && header.epoch !== cut.epoch) return { slot, why: "empty" };
    if (!header || !isPlausible(header, cut, geometry)) return { slot, why: "torn" };
    if (!header.diskUuid.equals(uuid)) return { slot, why: "other-disk" };
    if (wholeChunks) {
      const { headerBytes, lengthBytes } = header;
      if (bytesRead < headerBytes + lengthBytes) return { slot, why: "torn" };
      if (xxh64(buffer.subarray(headerBytes, headerBytes + lengthBytes)) !== header.chunkXxh64) return { slot, why: "wrong-bytes" };
    }
    return { slot, header };
  }
}

async function openSlab(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, "r");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** A header with a right checksum was written by us; these were then computed from the same object. */
function isPlausible(header: SlotHeader & { headerBytes: number }, cut: CutExtent, geometry: SlabGeometry): boolean {
  const shape = slotShapeOf(geometry, header.lengthBytes, header.object);
  return (
    header.objectKey.equals(objectKeyOf(header.object)) &&
    header.lengthBytes === chunkLengthOf(header.object.sizeBytes, geometry.chunkBytes, header.chunk) &&
    shape.headerBytes === header.headerBytes &&
    shape.slotPages === cut.slotPages
  );
}
