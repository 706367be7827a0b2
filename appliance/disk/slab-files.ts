// The open slab files of one thread. Each is closed when its disk is given up and nobody uses it any more.
import { access, close, closeSync, constants, fdatasync, ftruncate, open, read } from "node:fs";
import { promisify } from "node:util";
import { errnoOf } from "../../runtime/operating-error.js";
import { allocatePages } from "../memory/page-memory.js";
import { identityPathOf } from "./disk-identity.js";
import type { DiskDescription } from "./disk-set.js";
import { pageBytes, slabPathOf, type SlabGeometry } from "./slab-geometry.js";

const accessFile = promisify(access);
const openFile = promisify(open);
const closeFile = promisify(close);
const truncate = promisify(ftruncate);
const sync = promisify(fdatasync);
const readPiece = promisify(read);

/** An open slab. */
export interface SlabFile {
  readonly descriptor: number;
  readonly diskNumber: number;
  /** Reads go past the page cache: offsets, lengths and memory must be those of whole pages. */
  readonly direct: boolean;
  users: number;
  /** The last user closes it. */
  closing: boolean;
}

export class SlabFiles {
  readonly #geometry: SlabGeometry;
  readonly #flags: number;
  readonly #open = new Map<string, SlabFile | Promise<SlabFile>>();

  readonly #direct: boolean;
  #probePage: Uint8Array | undefined;

  /**
   * With "write", a slab that is not there yet is made at its full size, as a sparse file. "read-direct" reads past the page cache where the
   * file system can.
   */
  constructor(geometry: SlabGeometry, access: "read" | "read-direct" | "write") {
    this.#geometry = geometry;
    this.#flags = access === "write" ? constants.O_RDWR | constants.O_CREAT : constants.O_RDONLY;
    this.#direct = access === "read-direct" && constants.O_DIRECT !== undefined;
  }

  /**
   * Takes a slab into use until `release`; at once when it is open. Opening happens outside this thread: a disk that hangs holds up nobody
   * else. Rejects with the system's error when it cannot be opened.
   */
  acquire(disk: DiskDescription, slab: number): SlabFile | Promise<SlabFile> {
    const path = slabPathOf(disk.path, slab);
    let file = this.#open.get(path);
    if (!file) {
      file = this.#openSlab(disk, slab, path).then(
        (opened) => {
          // Given up while it was opened: the first user, who waits for it, closes it.
          if (this.#open.get(path) === file) this.#open.set(path, opened);
          else opened.closing = true;
          return opened;
        },
        (error: unknown) => {
          if (this.#open.get(path) === file) this.#open.delete(path);
          throw error;
        },
      );
      this.#open.set(path, file);
    }
    if (!(file instanceof Promise)) {
      file.users++;
      return file;
    }
    return file.then((opened) => {
      opened.users++;
      return opened;
    });
  }

  release(file: SlabFile): void {
    file.users--;
    if (file.closing && file.users === 0) close(file.descriptor, () => {});
  }

  /** Resolves when all that was written to the slab is on its disk. */
  async sync(disk: DiskDescription, slab: number): Promise<void> {
    const file = await this.acquire(disk, slab);
    try {
      await sync(file.descriptor);
    } finally {
      this.release(file);
    }
  }

  /** Closes the slabs of a disk: at once, or when their reads and writes under way have ended. It may be unmounted then. */
  closeDisk(diskPath: string): void {
    for (const [path, file] of this.#open) {
      if (!path.startsWith(`${diskPath}/`)) continue;
      this.#open.delete(path);
      if (file instanceof Promise) continue;
      file.closing = true;
      if (file.users === 0) close(file.descriptor, () => {});
    }
  }

  /** For the end, when nothing is under way. */
  closeAll(): void {
    for (const file of this.#open.values()) if (!(file instanceof Promise)) closeSync(file.descriptor);
    this.#open.clear();
  }

  async #openFile(disk: DiskDescription, path: string): Promise<number> {
    try {
      return await openFile(path, this.#flags & ~constants.O_CREAT, 0o644);
    } catch (error) {
      if (errnoOf(error) !== "ENOENT" || !(this.#flags & constants.O_CREAT)) throw error;
      // A disk that has dropped out leaves its mount point behind, a folder of another file system, which must not be filled instead.
      await accessFile(identityPathOf(disk.path));
      return openFile(path, this.#flags, 0o644);
    }
  }

  async #openSlab(disk: DiskDescription, slab: number, path: string): Promise<SlabFile> {
    if (this.#direct) {
      const descriptor = await this.#openDirect(path);
      if (descriptor !== undefined) return { descriptor, diskNumber: disk.diskNumber, direct: true, users: 0, closing: false };
    }
    const descriptor = await this.#openFile(disk, path);
    try {
      if (this.#flags !== constants.O_RDONLY)
        await truncate(descriptor, this.#geometry.extentBytes * extentsIn(this.#geometry, disk, slab));
    } catch (error) {
      await closeFile(descriptor);
      throw error;
    }
    return { descriptor, diskNumber: disk.diskNumber, direct: false, users: 0, closing: false };
  }

  /** Undefined when the file system, or the device's blocks, do not allow it. The first read is the only way to know. */
  async #openDirect(path: string): Promise<number | undefined> {
    let descriptor: number | undefined;
    try {
      descriptor = await openFile(path, this.#flags | constants.O_DIRECT);
      this.#probePage ??= new Uint8Array(allocatePages(pageBytes).memory, 0, pageBytes);
      await readPiece(descriptor, this.#probePage, 0, pageBytes, 0);
      return descriptor;
    } catch (error) {
      if (descriptor !== undefined) await closeFile(descriptor);
      if (errnoOf(error) === "EINVAL") return undefined;
      throw error;
    }
  }
}

function extentsIn(geometry: SlabGeometry, disk: DiskDescription, slab: number): number {
  return Math.min(geometry.extentsPerSlab, disk.extentCount - slab * geometry.extentsPerSlab);
}
