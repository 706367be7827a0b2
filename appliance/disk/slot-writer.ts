// Writes chunks into slots for the fill worker, and makes them durable before anyone is told where they are.
import { writev } from "node:fs";
import { promisify } from "node:util";
import { xxh64 } from "@node-rs/xxhash";
import { objectKeyOf, type ObjectRecord } from "../object.js";
import { uuidBytesOf, type DiskDescription } from "./disk-set.js";
import { slabOf, slotOffsetOf, type SlabGeometry } from "./slab-geometry.js";
import type { SlabFiles } from "./slab-files.js";
import { encodeSlotHeader, slotHeaderBytes } from "./slot-header.js";

const writeVector = promisify(writev);

export interface SlotWrite {
  disk: DiskDescription;
  slot: number;
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
  async write({ disk, slot, object, chunk, bytes, stampUnixMs }: SlotWrite): Promise<void> {
    const header = Buffer.allocUnsafe(slotHeaderBytes);
    encodeSlotHeader(
      {
        diskUuid: uuidBytesOf(disk.uuid),
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
    if (bytesWritten !== slotHeaderBytes + bytes.length) {
      throw Object.assign(new Error(`wrote ${bytesWritten} of ${slotHeaderBytes + bytes.length} bytes`), { code: "ENOSPC" });
    }
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
