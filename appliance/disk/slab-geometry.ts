// Where slots lie: slabs are cut into extents, an extent into slots of one size, and a chunk goes to the smallest size that takes it.
//
//   slab file (at most 1 GiB)    | extent 0            | extent 1            | …
//   extent                       | extent header, 1 page | slot 0 | slot 1 | …  as many as fit, all of one size
//   slot                         | slot header, 512 or 4096 bytes | chunk | zeros to a whole page
//
// A slot's number is the number of its first page, counted over all slabs of the disk: whoever knows the number and the chunk's length
// can read the slot without asking how its extent is cut.
import { join } from "node:path";
import { fullSlotHeaderBytes, nameBytesOf, smallHeaderNameBytesMax, smallSlotHeaderBytes } from "./slot-header.js";

/** A slab is cut so that it is not larger than this: small enough to make and to lose, large enough that files stay few. */
const slabBytesMax = 2 ** 30;
/** Extents and slots start at pages, so that direct reads are possible. */
export const pageBytes = 4096;
/** Full slots that an extent takes. Four is the least with which the sizes below a full slot can follow each other in steps of 5 : 4. */
export const fullSlotsPerExtent = 4;
/** A class of slots is not larger than this, times the next smaller one: at most a fifth of a slot is left empty by it. */
const classStepMax = 1.26;

export interface SlabGeometry {
  readonly chunkBytes: number;
  /** Sizes of slots in pages, ascending; the last is that of a full chunk. */
  readonly slotClasses: readonly number[];
  readonly fullSlotPages: number;
  readonly extentPages: number;
  readonly extentBytes: number;
  readonly extentsPerSlab: number;
}

export function slabGeometryOf(chunkBytes: number): SlabGeometry {
  const fullSlotPages = Math.ceil((fullSlotHeaderBytes + chunkBytes) / pageBytes);
  const extentPages = 1 + fullSlotsPerExtent * fullSlotPages;
  const extentBytes = extentPages * pageBytes;
  return {
    chunkBytes,
    slotClasses: slotClassesOf(fullSlotPages),
    fullSlotPages,
    extentPages,
    extentBytes,
    extentsPerSlab: Math.max(1, Math.floor(slabBytesMax / extentBytes)),
  };
}

/** Sizes that cut an extent with little left over: each is the extent divided by a whole number. */
function slotClassesOf(fullSlotPages: number): number[] {
  const roomPages = fullSlotsPerExtent * fullSlotPages;
  const classes = [fullSlotPages];
  for (let pages = fullSlotPages; pages > 1;) {
    let parts = Math.floor(roomPages / pages) + 1;
    while (Math.floor(roomPages / parts) === pages) parts++;
    // The next smaller size that there is, or a smaller one that is still within the step.
    while (Math.floor(roomPages / (parts + 1)) >= pages / classStepMax) parts++;
    pages = Math.floor(roomPages / parts);
    classes.unshift(pages);
  }
  return classes;
}

/** How many slots of `slotPages` an extent takes. */
export function slotsPerExtentOf({ extentPages }: SlabGeometry, slotPages: number): number {
  return Math.floor((extentPages - 1) / slotPages);
}

/** The slot that a chunk needs. */
export interface SlotShape {
  slotPages: number;
  headerBytes: number;
}

/** Follows from what the index knows of a chunk, so that no one has to remember it. `lengthBytes` is that of the chunk. */
export function slotShapeOf(geometry: SlabGeometry, lengthBytes: number, object: { path: string; etag: string }): SlotShape {
  const { fullSlotPages, slotClasses } = geometry;
  const largestSmall = slotClasses[slotClasses.length - 2] ?? 0;
  // Most chunks are whole ones: their header has room for any name, and their bytes start at a page.
  if (smallSlotHeaderBytes + lengthBytes > largestSmall * pageBytes) return { slotPages: fullSlotPages, headerBytes: fullSlotHeaderBytes };
  const headerBytes = nameBytesOf(object) <= smallHeaderNameBytesMax ? smallSlotHeaderBytes : fullSlotHeaderBytes;
  const slotPages = slotClasses.find((pages) => headerBytes + lengthBytes <= pages * pageBytes)!;
  return slotPages === fullSlotPages ? { slotPages, headerBytes: fullSlotHeaderBytes } : { slotPages, headerBytes };
}

/** How many extents a disk of `capacityBytes` has. */
export function extentCountOf(geometry: SlabGeometry, capacityBytes: number): number {
  return Math.floor(capacityBytes / geometry.extentBytes);
}

export function extentOf(geometry: SlabGeometry, slot: number): number {
  return Math.floor(slot / geometry.extentPages);
}

/** The number of slot `place` of an extent that is cut into slots of `slotPages`. */
export function slotAt(geometry: SlabGeometry, extent: number, slotPages: number, place: number): number {
  return extent * geometry.extentPages + 1 + place * slotPages;
}

/** Which of the slots of its extent a slot is; -1 when the extent is cut so that none starts there. */
export function placeInExtentOf(geometry: SlabGeometry, slot: number, slotPages: number): number {
  const page = (slot % geometry.extentPages) - 1;
  if (page < 0 || page % slotPages !== 0) return -1;
  const place = page / slotPages;
  return place < slotsPerExtentOf(geometry, slotPages) ? place : -1;
}

export function slabOf(geometry: SlabGeometry, slot: number): number {
  return Math.floor(extentOf(geometry, slot) / geometry.extentsPerSlab);
}

/** Where a slot starts in its slab. */
export function slotOffsetOf(geometry: SlabGeometry, slot: number): number {
  return (slot % (geometry.extentPages * geometry.extentsPerSlab)) * pageBytes;
}

export function slabOfExtent(geometry: SlabGeometry, extent: number): number {
  return Math.floor(extent / geometry.extentsPerSlab);
}

/** Where an extent, and its header, starts in its slab. */
export function extentOffsetOf(geometry: SlabGeometry, extent: number): number {
  return (extent % geometry.extentsPerSlab) * geometry.extentBytes;
}

export function slabPathOf(diskPath: string, slab: number): string {
  return join(diskPath, `slab-${String(slab).padStart(5, "0")}.bin`);
}
