// The manifest of an appliance in a file beside its lease: a restart without the control plane goes on filling by it.
//
//   manifest.jsonl        {"version":"…","entries":n}, then a line per entry: [path, bytes, etag, stratum, urgent]
//   manifest.part.jsonl   {"version":"…","baseVersion":"…","total":n}, then the entries of an answer that has not come whole yet
import {
  appendFileSync,
  closeSync,
  createReadStream,
  existsSync,
  fsyncSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { z } from "zod";
import type { FetchManifestResponse, ManifestEntry } from "../fill-protocol/generated/millrace/fill/v1/fill.js";

/** Lines that are written to the file at once. */
const linesPerWrite = 2000;
const headBytesMax = 300;

const headSchema = z.object({ version: z.string(), entries: z.number() });
const partHeadSchema = z.object({ version: z.string(), baseVersion: z.string(), total: z.number() });
const entrySchema = z.tuple([z.string(), z.number(), z.string(), z.number(), z.number(), z.number()]);
type EntryLine = z.infer<typeof entrySchema>;

export interface ManifestItem {
  path: string;
  sizeBytes: number;
  etag: string;
  /** Lower is wanted more. */
  stratum: number;
  /** May be filled at any hour. */
  urgent: boolean;
}

/** An answer that was cut off, as the next question names it. */
export interface PartialManifest {
  version: bigint;
  baseVersion: bigint;
  entries: number;
}

export class ManifestFile {
  readonly #file: string;
  readonly #partFile: string;
  #version: bigint;
  #part: (PartialManifest & { total: number }) | undefined;

  constructor(folder: string) {
    this.#file = join(folder, "manifest.jsonl");
    this.#partFile = join(folder, "manifest.part.jsonl");
    this.#version = BigInt(readHead(this.#file, headSchema)?.version ?? "0");
  }

  /** What the fill reads. */
  get path(): string {
    return this.#file;
  }

  /** Of the manifest that is there whole; 0 = none. */
  get version(): bigint {
    return this.#version;
  }

  /** What has come of the next one. */
  async readPartial(): Promise<PartialManifest | undefined> {
    if (this.#part) return this.#part;
    const head = readHead(this.#partFile, partHeadSchema);
    if (!head || BigInt(head.baseVersion) !== (BigInt(head.baseVersion) === 0n ? 0n : this.#version)) return undefined;
    let entries = 0;
    const whole: string[] = [];
    for await (const line of linesOf(this.#partFile)) {
      // The last line may be torn: what follows the last good one is asked for again.
      if (!parseEntry(line)) break;
      whole.push(line);
      entries++;
    }
    writeFileSync(`${this.#partFile}.new`, [JSON.stringify(head), ...whole, ""].join("\n"));
    renameSync(`${this.#partFile}.new`, this.#partFile);
    this.#part = { version: BigInt(head.version), baseVersion: BigInt(head.baseVersion), total: head.total, entries };
    return this.#part;
  }

  /** Takes one part of an answer, in order. True when the answer is whole and the manifest in force is another. */
  async take({ version, baseVersion, firstEntry, entriesTotal, entries }: FetchManifestResponse): Promise<boolean> {
    if (!this.#part || this.#part.version !== version || this.#part.baseVersion !== baseVersion || firstEntry === 0n) {
      // Another answer than the one that was begun: from its start.
      if (firstEntry !== 0n) throw new Error(`the control plane goes on with manifest ${version} where it was not asked to`);
      this.#part = { version, baseVersion, total: Number(entriesTotal), entries: 0 };
      writeFileSync(
        this.#partFile,
        `${JSON.stringify({ version: String(version), baseVersion: String(baseVersion), total: this.#part.total })}\n`,
      );
    }
    if (Number(firstEntry) !== this.#part.entries) throw new Error(`a part of manifest ${version} is missing`);
    if (baseVersion !== 0n && baseVersion !== this.#version) throw new Error(`manifest ${version} is changes to another than ours`);
    appendFileSync(this.#partFile, entries.map((entry) => `${JSON.stringify(lineOf(entry))}\n`).join(""));
    this.#part.entries += entries.length;
    if (this.#part.entries < this.#part.total) return false;
    await this.#putInForce(this.#part);
    this.#part = undefined;
    return true;
  }

  /** Forgets what was begun: the next question is for all of it. */
  dropPartial(): void {
    this.#part = undefined;
    rmSync(this.#partFile, { force: true });
  }

  async #putInForce(part: PartialManifest): Promise<void> {
    const changes = part.baseVersion === 0n ? undefined : new Map<string, EntryLine>();
    if (changes)
      for await (const line of linesOf(this.#partFile)) {
        const entry = parseEntry(line);
        if (entry) changes.set(entry[0], entry);
      }
    const lines = changes ? merged(linesOf(this.#file), changes) : linesOf(this.#partFile);
    const handle = openSync(`${this.#file}.new`, "w", 0o600);
    try {
      // The head is of a fixed length: the number of entries is known at the end.
      const headOf = (entries: number) => `${JSON.stringify({ version: String(part.version), entries }).padEnd(100)}\n`;
      writeSync(handle, headOf(0));
      let entries = 0;
      let batch: string[] = [];
      for await (const line of lines) {
        batch.push(line);
        entries++;
        if (batch.length < linesPerWrite) continue;
        writeSync(handle, `${batch.join("\n")}\n`);
        batch = [];
      }
      if (batch.length > 0) writeSync(handle, `${batch.join("\n")}\n`);
      writeSync(handle, headOf(entries), 0);
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
    renameSync(`${this.#file}.new`, this.#file);
    rmSync(this.#partFile, { force: true });
    this.#version = part.version;
  }
}

/** The manifest in `file`, most wanted first; undefined when there is none that can be read. */
export async function readManifestFile(file: string): Promise<{ version: string; items: ManifestItem[] } | undefined> {
  const head = readHead(file, headSchema);
  if (!head) return undefined;
  const items: ManifestItem[] = [];
  for await (const line of linesOf(file)) {
    const entry = parseEntry(line);
    // Anything that is not an entry is a file that somebody else wrote to.
    if (!entry) return undefined;
    const [path, sizeBytes, etag, stratum, urgent] = entry;
    items.push({ path, sizeBytes, etag, stratum, urgent: urgent === 1 });
  }
  if (items.length !== head.entries) return undefined;
  // Stable: within a stratum the control plane's order stays.
  return { version: head.version, items: items.sort((a, b) => a.stratum - b.stratum) };
}

async function* merged(before: AsyncIterable<string>, changes: Map<string, EntryLine>): AsyncGenerator<string> {
  for await (const line of before) {
    const entry = parseEntry(line);
    if (entry && !changes.has(entry[0])) yield line;
  }
  for (const entry of changes.values()) if (entry[5] === 0) yield JSON.stringify(entry);
}

/** All lines but the first. */
async function* linesOf(file: string): AsyncGenerator<string> {
  if (!existsSync(file)) return;
  let first = true;
  for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Infinity })) {
    if (!first) yield line;
    first = false;
  }
}

function lineOf({ path, sizeBytes, etag, stratum, urgent, removed }: ManifestEntry): EntryLine {
  return [path, Number(sizeBytes), etag, stratum, urgent ? 1 : 0, removed ? 1 : 0];
}

function parseEntry(line: string): EntryLine | undefined {
  try {
    return entrySchema.parse(JSON.parse(line));
  } catch {
    return undefined;
  }
}

function readHead<Head>(file: string, schema: z.ZodType<Head>): Head | undefined {
  let handle: number | undefined;
  try {
    handle = openSync(file, "r");
    const head = Buffer.alloc(headBytesMax);
    const bytes = readSync(handle, head, 0, headBytesMax, 0);
    return schema.parse(JSON.parse(head.toString("utf8", 0, bytes).split("\n")[0]!));
  } catch {
    return undefined;
  } finally {
    if (handle !== undefined) closeSync(handle);
  }
}
