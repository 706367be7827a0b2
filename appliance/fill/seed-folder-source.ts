// A seed in a folder, as an import reads it: whatever is in the folder, nothing but bytes that are checked afterwards comes out of it.
import type { FileHandle } from "node:fs/promises";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { xxh64 } from "@node-rs/xxhash";
import { parseObjectDigests } from "../../fill-protocol/object-digests.js";
import { messageOf } from "../../runtime/operating-error.js";
import { chunkCountOf, chunkLengthOf } from "../object.js";
import { openSeedFile, packPathOf, readSeedLines, SeedDamage, type SeedChunkLine, type SeedObjectLine } from "./seed-folder.js";
import type { SeedChunk, SeedObject, SeedSource } from "./seed-source.js";
import type { UpstreamFailure } from "./upstream.js";

/** Packs that are kept open: chunks come in the order in which they were written. */
const packsOpenMax = 4;

export class SeedFolderSource implements SeedSource {
  readonly name: string;
  readonly readsMax = 8;
  readonly #folder: string;
  readonly #chunkBytes: number;
  readonly #packs = new Map<number, Promise<FileHandle>>();
  #bytesTotal: number | null = null;

  constructor(folder: string, chunkBytes: number) {
    this.#folder = folder;
    this.#chunkBytes = chunkBytes;
    this.name = folder;
  }

  get bytesTotal(): number | null {
    return this.#bytesTotal;
  }

  async *chunks(): AsyncGenerator<SeedChunk> {
    this.#bytesTotal = await this.#sumPacks();
    let object: SeedObject | undefined;
    const lines = readSeedLines(this.#folder, ({ chunkBytes }) => {
      if (chunkBytes !== this.#chunkBytes)
        throw new SeedDamage(`${this.#folder} has chunks of ${chunkBytes} bytes, and this appliance has chunks of ${this.#chunkBytes}`);
    });
    for await (const { line } of lines) {
      if ("object" in line) object = seedObjectOf(line);
      else if (!("end" in line)) {
        if (!object) throw new SeedDamage(`${this.#folder} has a chunk of no object`);
        const { sizeBytes } = object;
        const [chunk, , , length] = line;
        if (chunk >= chunkCountOf(sizeBytes, this.#chunkBytes) || length !== chunkLengthOf(sizeBytes, this.#chunkBytes, chunk))
          throw new SeedDamage(`${this.#folder} has chunk ${chunk} of ${length} bytes of an object of ${sizeBytes} bytes`);
        yield { object, chunk, read: (_proven, into) => this.#read(line, into) };
      }
    }
  }

  async close(): Promise<void> {
    const packs = [...this.#packs.values()];
    this.#packs.clear();
    for (const pack of packs)
      await pack.then(
        (file) => file.close(),
        () => {},
      );
  }

  async #read([, pack, offset, , sum]: SeedChunkLine, into: Uint8Array): Promise<UpstreamFailure | undefined> {
    try {
      const file = await this.#open(pack);
      for (let done = 0; done < into.length;) {
        const { bytesRead } = await file.read(into, done, into.length - done, offset + done);
        if (bytesRead === 0) return { failure: "bad-answer", detail: `${packPathOf(this.#folder, pack)} is cut off` };
        done += bytesRead;
      }
    } catch (error) {
      return { failure: "unreachable", detail: messageOf(error) };
    }
    if (xxh64(into).toString(16).padStart(16, "0") === sum) return undefined;
    return { failure: "wrong-bytes", detail: `bytes ${offset} and on of ${packPathOf(this.#folder, pack)} are damaged` };
  }

  #open(pack: number): Promise<FileHandle> {
    let file = this.#packs.get(pack);
    if (!file) {
      this.#packs.set(pack, (file = openSeedFile(packPathOf(this.#folder, pack))));
      // Whoever reads from the oldest has done so long ago: fewer chunks are under way than a pack has.
      const [oldest] = this.#packs;
      if (this.#packs.size > packsOpenMax && oldest) {
        this.#packs.delete(oldest[0]);
        void oldest[1].then((old) => old.close()).catch(() => {});
      }
    }
    return file;
  }

  async #sumPacks(): Promise<number> {
    let bytes = 0;
    for (const name of await readdir(this.#folder))
      if (/^pack-\d{6}\.bin$/.test(name)) bytes += (await stat(join(this.#folder, name))).size;
    return bytes;
  }
}

function seedObjectOf({ object: { path, sizeBytes, etag }, digests: encoded }: SeedObjectLine): SeedObject {
  return {
    path,
    sizeBytes,
    etag,
    describe: async () => {
      const digests = parseObjectDigests(Buffer.from(encoded, "base64"), path);
      if (!digests || Number(digests.sizeBytes) !== sizeBytes || digests.etag !== etag)
        return { failure: "bad-answer", detail: `the digests of ${path} are damaged` };
      return { sizeBytes, etag, lastModifiedUnixMs: Number(digests.lastModifiedUnixMs), digests };
    },
  };
}
