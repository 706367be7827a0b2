// Reads every slot of a disk, one after another as they lie, for checks that are not in a hurry to answer anyone.
import { open, type FileHandle } from "node:fs/promises";
import { xxh64 } from "@node-rs/xxhash";
import { errnoOf } from "../../runtime/operating-error.js";
import { chunkLengthOf, objectKeyOf } from "../object.js";
import { uuidBytesOf, type DiskDescription } from "./disk-set.js";
import { slabOf, slabPathOf, slotOffsetOf, type SlabGeometry } from "./slab-geometry.js";
import { parseSlotHeader, slotHeaderBytes, type SlotHeader } from "./slot-header.js";

/** Reads under way at one disk: enough to hide the way to a disk and back, few enough to read nearly in order. */
const readsAtOnce = 8;

/** What lies in a slot: a chunk that may be trusted as far as it was read, nothing, or something that is no chunk of this disk. */
export type ScannedSlot = { slot: number; header: SlotHeader } | { slot: number; why: "empty" | "torn" | "wrong-bytes" | "other-disk" };

export interface ScanSlotsOptions {
  disk: DiskDescription;
  geometry: SlabGeometry;
  /** Reads chunks too, and compares their checksums; otherwise only headers are read. */
  wholeChunks: boolean;
  onSlot: (scanned: ScannedSlot) => void | Promise<void>;
}

/** Calls `onSlot` once for every slot of the disk, nearly in order. Throws the system's error when the disk cannot be read. */
export async function scanSlots({ disk, geometry, wholeChunks, onSlot }: ScanSlotsOptions): Promise<void> {
  const uuid = uuidBytesOf(disk.uuid);
  for (let first = 0; first < disk.slotCount; first += geometry.slotsPerSlab) {
    const end = Math.min(disk.slotCount, first + geometry.slotsPerSlab);
    const slab = await openSlab(slabPathOf(disk.path, slabOf(geometry, first)));
    try {
      let next = first;
      const readLine = async () => {
        const buffer = Buffer.alloc(wholeChunks ? geometry.slotBytes : slotHeaderBytes);
        for (let slot = next++; slot < end; slot = next++) await onSlot(await readSlot(slab, slot, buffer));
      };
      await Promise.all(Array.from({ length: readsAtOnce }, readLine));
    } finally {
      await slab?.close();
    }
  }

  async function readSlot(slab: FileHandle | undefined, slot: number, buffer: Buffer): Promise<ScannedSlot> {
    if (!slab) return { slot, why: "empty" };
    const { bytesRead } = await slab.read(buffer, 0, buffer.length, slotOffsetOf(geometry, slot));
    if (bytesRead < slotHeaderBytes || buffer.readBigUInt64LE(0) === 0n) return { slot, why: "empty" };
    const header = parseSlotHeader(buffer);
    if (!header || !isPlausible(header, geometry)) return { slot, why: "torn" };
    if (!header.diskUuid.equals(uuid)) return { slot, why: "other-disk" };
    if (wholeChunks) {
      if (bytesRead < slotHeaderBytes + header.lengthBytes) return { slot, why: "torn" };
      if (xxh64(buffer.subarray(slotHeaderBytes, slotHeaderBytes + header.lengthBytes)) !== header.chunkXxh64)
        return { slot, why: "wrong-bytes" };
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

/** A header with a right checksum was written by us; these two were then computed from the same object. */
function isPlausible(header: SlotHeader, { chunkBytes }: SlabGeometry): boolean {
  return (
    header.objectKey.equals(objectKeyOf(header.object)) &&
    header.lengthBytes === chunkLengthOf(header.object.sizeBytes, chunkBytes, header.chunk)
  );
}
