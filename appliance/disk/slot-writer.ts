// Writes chunks into slots for the fill worker, and makes them durable before anyone is told where they are.
import { write, writev } from "node:fs";
import { promisify } from "node:util";
import { xxh64 } from "@node-rs/xxhash";
import { objectKeyOf, type ObjectRecord } from "../object.js";
import { uuidBytesOf, type DiskDescription } from "./disk-set.js";
import { encodeExtentHeader, type CutExtent } from "./extent-header.js";
import { extentOffsetOf, slabOf, slabOfExtent, slotOffsetOf, slotShapeOf, type SlabGeometry } from "./slab-geometry.js";
import type { SlabFiles } from "./slab-files.js";
import { encodeSlotHeader } from "./slot-header.js";

const writePage = promisify(write);
const writeVector = promisify(writev);

export interface SlotWrite {
  disk: DiskDescription;
  slot: number;
  /** Of the slot's extent. */
  epoch: number;
  object: ObjectRecord;
  chunk: number;
  bytes: Uint8Array;
  stampUnixMs: number;
}

export class SlotWriter {
  readonly #geometry: SlabGeometry;
  readonly #files: SlabFiles;

  constructor(geometry: SlabGeometry, files: SlabFiles) {
    this.#geometry = geometry;
    this.#files = files;
  }

  /** Header and chunk in one write. Throws the system's error; the slot then holds something torn, which a read finds out. */
  async write({ disk, slot, epoch, object, chunk, bytes, stampUnixMs }: SlotWrite): Promise<void> {
    const header = Buffer.allocUnsafe(slotShapeOf(this.#geometry, bytes.length, object).headerBytes);
    encodeSlotHeader(
      {
        diskUuid: uuidBytesOf(disk.uuid),
        epoch,
        objectKey: objectKeyOf(object),
        chunk,
        lengthBytes: bytes.length,
        stampUnixMs,
        chunkXxh64: xxh64(bytes),
        object,
      },
      header,
    );
    const file = await this.#files.acquire(disk, slabOf(this.#geometry, slot));
    const { bytesWritten } = await writeVector(file.descriptor, [header, bytes], slotOffsetOf(this.#geometry, slot)).finally(() =>
      this.#files.release(file),
    );
    throwIfShort(bytesWritten, header.length + bytes.length);
  }

  /** Writes the header of an extent that is cut anew; what its slots held must be forgotten by then. */
  async cut(disk: DiskDescription, extent: CutExtent): Promise<void> {
    const page = encodeExtentHeader(extent, uuidBytesOf(disk.uuid));
    const file = await this.#files.acquire(disk, slabOfExtent(this.#geometry, extent.extent));
    const { bytesWritten } = await writePage(file.descriptor, page, 0, page.length, extentOffsetOf(this.#geometry, extent.extent)).finally(
      () => this.#files.release(file),
    );
    throwIfShort(bytesWritten, page.length);
  }

  /** Lets go of a disk's files, so that it can be unmounted. */
  closeDisk(disk: DiskDescription): void {
    this.#files.closeDisk(disk.path);
  }

  /** Resolves when the slabs of these slots are on their disk. */
  async sync(disk: DiskDescription, slots: readonly number[]): Promise<void> {
    const slabs = new Set(slots.map((slot) => slabOf(this.#geometry, slot)));
    await Promise.all([...slabs].map((slab) => this.#files.sync(disk, slab)));
  }
}

function throwIfShort(bytesWritten: number, ofBytes: number): void {
  if (bytesWritten === ofBytes) return;
  throw Object.assign(new Error(`wrote ${bytesWritten} of ${ofBytes} bytes`), { code: "ENOSPC" });
}
