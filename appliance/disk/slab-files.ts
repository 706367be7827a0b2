// The open slab files of one thread. They stay open until the thread ends: a read or write under way may still need them.
import { closeSync, constants, fdatasync, ftruncateSync, openSync } from "node:fs";
import { promisify } from "node:util";
import type { DiskDescription } from "./disk-set.js";
import { slabPathOf, type SlabGeometry } from "./slab-geometry.js";

const sync = promisify(fdatasync);

export class SlabFiles {
  readonly #geometry: SlabGeometry;
  readonly #flags: number;
  readonly #open = new Map<string, number>();

  /** With "write", a slab that is not there yet is made at its full size, as a sparse file. */
  constructor(geometry: SlabGeometry, access: "read" | "write") {
    this.#geometry = geometry;
    this.#flags = access === "read" ? constants.O_RDONLY : constants.O_RDWR | constants.O_CREAT;
  }

  /** The file descriptor of a slab. Throws the system's error when it cannot be opened. */
  open(disk: DiskDescription, slab: number): number {
    const path = slabPathOf(disk.path, slab);
    let file = this.#open.get(path);
    if (file === undefined) {
      file = openSync(path, this.#flags, 0o644);
      try {
        if (this.#flags !== constants.O_RDONLY) ftruncateSync(file, this.#geometry.slotBytes * slotsIn(this.#geometry, disk, slab));
      } catch (error) {
        closeSync(file);
        throw error;
      }
      this.#open.set(path, file);
    }
    return file;
  }

  /** Resolves when all that was written to the slab is on its disk. */
  async sync(disk: DiskDescription, slab: number): Promise<void> {
    await sync(this.open(disk, slab));
  }

  closeAll(): void {
    for (const file of this.#open.values()) closeSync(file);
    this.#open.clear();
  }
}

function slotsIn(geometry: SlabGeometry, disk: DiskDescription, slab: number): number {
  return Math.min(geometry.slotsPerSlab, disk.slotCount - slab * geometry.slotsPerSlab);
}
