// Writes a seed: chunks into packs, then, when these are on the disk, the lines that name them. Goes on where an export before was stopped.
import { constants } from "node:fs";
import { open, rename, writeFile, type FileHandle } from "node:fs/promises";
import { xxh64 } from "@node-rs/xxhash";
import { errnoOf } from "../../runtime/operating-error.js";
import {
  packNumberMax,
  packPathOf,
  readSeedLines,
  SeedDamage,
  seedFileOf,
  seedFormat,
  type SeedChunkLine,
  type SeedHead,
  type SeedObjectLine,
} from "./seed-folder.js";

/** A pack is closed when it has so many bytes: file systems of carried disks may have no larger files than 4 GiB. */
const packBytesMax = 2 ** 30;
/** So much can be lost when an export is killed. */
const syncEveryBytes = 64 * 2 ** 20;

export interface SeededObject {
  path: string;
  sizeBytes: number;
  etag: string;
}

export class SeedWriter {
  readonly #folder: string;
  readonly #lines: FileHandle;
  #linesEnd: number;
  #pack: FileHandle | undefined;
  #packNumber: number;
  #packEnd: number;
  /** Chunks of each version that are in the folder: a bit each. */
  readonly #written = new Map<string, Buffer>();
  #object = "";
  #waiting = "";
  #waitingBytes = 0;
  #chunks = 0;
  #bytes = 0;

  private constructor(folder: string, lines: FileHandle, linesEnd: number, packNumber: number, packEnd: number) {
    this.#folder = folder;
    this.#lines = lines;
    this.#linesEnd = linesEnd;
    this.#packNumber = packNumber;
    this.#packEnd = packEnd;
  }

  /** @throws SeedDamage when the folder has a seed that cannot be gone on with; the system's error when it cannot be written to. */
  static async open(folder: string, head: Omit<SeedHead, "seed">): Promise<SeedWriter> {
    const path = seedFileOf(folder);
    if ((await sizeOf(path)) === undefined) {
      await writeFile(`${path}.new`, `${JSON.stringify({ seed: seedFormat, ...head })}\n`, { flush: true });
      await rename(`${path}.new`, path);
    }
    const written = new Map<string, Buffer>();
    let [pack, packEnd, chunks, bytes, end] = [1, 0, 0, 0, 0];
    let object: SeedObjectLine["object"] | undefined;
    const onHead = ({ chunkBytes }: SeedHead, endsAt: number) => {
      if (chunkBytes !== head.chunkBytes)
        throw new SeedDamage(`${folder} has a seed of chunks of ${chunkBytes} bytes: export to another folder`);
      end = endsAt;
    };
    for await (const { line, endsAt } of readSeedLines(folder, onHead)) {
      if ("end" in line) continue;
      end = endsAt;
      if ("object" in line) object = line.object;
      else if (object) {
        note(written, object, line[0]);
        [pack, packEnd] = [line[1], line[2] + line[3]];
        chunks++;
        bytes += line[3];
      }
    }
    const inPack = (await sizeOf(packPathOf(folder, pack))) ?? 0;
    if (inPack < packEnd) throw new SeedDamage(`${packPathOf(folder, pack)} is shorter than it was: export to an empty folder`);
    const lines = await open(path, constants.O_RDWR | constants.O_NOFOLLOW);
    const writer = new SeedWriter(folder, lines, end, pack, packEnd);
    for (const [name, bits] of written) writer.#written.set(name, bits);
    writer.#chunks = chunks;
    writer.#bytes = bytes;
    await lines.truncate(end);
    return writer;
  }

  /** Of all packs. */
  get bytes(): number {
    return this.#bytes;
  }

  has(object: SeededObject, chunk: number): boolean {
    const bits = this.#written.get(nameOf(object));
    return bits !== undefined && chunk >> 3 < bits.length && (bits[chunk >> 3]! & (1 << (chunk & 7))) !== 0;
  }

  /** @throws the system's error; what was written up to the last sync stays good. */
  async add(object: SeededObject, digests: Uint8Array, chunk: number, bytes: Uint8Array): Promise<void> {
    if (this.#packEnd > 0 && this.#packEnd + bytes.length > packBytesMax) {
      await this.sync();
      await this.#pack?.close();
      this.#pack = undefined;
      this.#packNumber++;
      this.#packEnd = 0;
      if (this.#packNumber > packNumberMax) throw new SeedDamage(`${this.#folder} has as many packs as can be`);
    }
    this.#pack ??= await this.#openPack();
    await writeAll(this.#pack, bytes, this.#packEnd);
    const name = nameOf(object);
    if (name !== this.#object) {
      const { path, sizeBytes, etag } = object;
      this.#waiting += `${JSON.stringify({ object: { path, sizeBytes, etag }, digests: Buffer.from(digests).toString("base64") })}\n`;
      this.#object = name;
    }
    const line: SeedChunkLine = [chunk, this.#packNumber, this.#packEnd, bytes.length, xxh64(bytes).toString(16).padStart(16, "0")];
    this.#waiting += `${JSON.stringify(line)}\n`;
    this.#packEnd += bytes.length;
    this.#waitingBytes += bytes.length;
    this.#chunks++;
    this.#bytes += bytes.length;
    note(this.#written, object, chunk);
    if (this.#waitingBytes >= syncEveryBytes) await this.sync();
  }

  /** Everything that was added is on the disk, and named. */
  async sync(): Promise<void> {
    if (this.#waiting === "") return;
    await this.#pack?.datasync();
    const lines = Buffer.from(this.#waiting);
    await writeAll(this.#lines, lines, this.#linesEnd);
    await this.#lines.datasync();
    this.#linesEnd += lines.length;
    this.#waiting = "";
    this.#waitingBytes = 0;
  }

  /** After an error: names what came before it, as far as that can be. */
  async salvage(): Promise<void> {
    try {
      // The part of a chunk that found no room makes some for the lines.
      await this.#pack?.truncate(this.#packEnd);
      await this.sync();
    } catch {
      // A line that is cut off, or none: the export goes on before it.
    }
  }

  /** Says in the folder that it is whole. */
  async finish(): Promise<void> {
    await this.sync();
    await writeAll(this.#lines, Buffer.from(`${JSON.stringify({ end: { chunks: this.#chunks, bytes: this.#bytes } })}\n`), this.#linesEnd);
    await this.#lines.sync();
  }

  async close(): Promise<void> {
    await this.#pack?.close();
    await this.#lines.close();
  }

  async #openPack(): Promise<FileHandle> {
    const path = packPathOf(this.#folder, this.#packNumber);
    const pack = await open(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o644);
    // What a killed export wrote and did not name.
    await pack.truncate(this.#packEnd);
    return pack;
  }
}

function nameOf({ path, etag, sizeBytes }: SeededObject): string {
  return `${path}\n${etag}\n${sizeBytes}`;
}

function note(written: Map<string, Buffer>, object: SeededObject, chunk: number): void {
  const name = nameOf(object);
  let bits = written.get(name) ?? Buffer.alloc(8);
  if (chunk >> 3 >= bits.length) bits = Buffer.concat([bits], Math.max((chunk >> 3) + 1, bits.length * 2));
  bits[chunk >> 3]! |= 1 << (chunk & 7);
  written.set(name, bits);
}

async function writeAll(file: FileHandle, bytes: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < bytes.length;) done += (await file.write(bytes, done, bytes.length - done, at + done)).bytesWritten;
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const status = await file.stat();
      if (!status.isFile()) throw new SeedDamage(`${path} is no file`);
      return status.size;
    } finally {
      await file.close();
    }
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}
