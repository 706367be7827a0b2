// Where slots lie: which slab file of a disk, and at which offset.
import { join } from "node:path";
import { slotHeaderBytes } from "./slot-header.js";

/** A slab is cut so that it is not larger than this: small enough to make and to lose, large enough that files stay few. */
const slabBytesMax = 2 ** 30;
/** Slots start at pages, so that direct reads are possible. */
const pageBytes = 4096;

export interface SlabGeometry {
  readonly chunkBytes: number;
  readonly slotBytes: number;
  readonly slotsPerSlab: number;
}

export function slabGeometryOf(chunkBytes: number): SlabGeometry {
  const slotBytes = slotHeaderBytes + Math.ceil(chunkBytes / pageBytes) * pageBytes;
  return { chunkBytes, slotBytes, slotsPerSlab: Math.max(1, Math.floor(slabBytesMax / slotBytes)) };
}

/** How many slots a disk of `capacityBytes` has. */
export function slotCountOf(geometry: SlabGeometry, capacityBytes: number): number {
  return Math.floor(capacityBytes / geometry.slotBytes);
}

export function slabOf(geometry: SlabGeometry, slot: number): number {
  return Math.floor(slot / geometry.slotsPerSlab);
}

/** Where a slot starts in its slab. */
export function slotOffsetOf(geometry: SlabGeometry, slot: number): number {
  return (slot % geometry.slotsPerSlab) * geometry.slotBytes;
}

export function slabPathOf(diskPath: string, slab: number): string {
  return join(diskPath, `slab-${String(slab).padStart(5, "0")}.bin`);
}
