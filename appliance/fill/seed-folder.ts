// The format of a seed: a folder of chunks that is carried from one appliance to another, and how it is read.
//
//   seed.jsonl        a line of JSON each:
//     {"seed":1,"chunkBytes":n,"applianceId":"…"}                         the first line
//     {"object":{path,sizeBytes,etag},"digests":"base64"}                 an object: its chunks follow. The digests are the origin's: SHA-256 of every piece
//     [chunk, pack, offset, length, "xxh64"]                              a chunk of the object before, and where it lies
//     {"end":{"chunks":n,"bytes":n}}                                      the export has ended; without it, it was stopped
//   pack-000001.bin   chunks, one after another
//
// A line stands in the file when the bytes that it names are on the disk. Names of packs are made from their numbers, so no name in the file leads anywhere.
import { constants } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { messageOf } from "../../runtime/operating-error.js";

export const seedFormat = 1;
/** Longest line: the digests of an object of 128 GiB in pieces of 64 KiB, as base64. */
const lineBytesMax = 96 * 2 ** 20;
const readBytes = 1 << 20;
export const packNumberMax = 999_999;

const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const headLine = z.strictObject({ seed: z.literal(seedFormat), chunkBytes: count.min(1), applianceId: z.string() });
const objectLine = z.strictObject({
  object: z.strictObject({ path: z.string(), sizeBytes: count, etag: z.string() }),
  digests: z.base64(),
});
const chunkLine = z.tuple([count, count.min(1).max(packNumberMax), count, count.min(1), z.string().regex(/^[0-9a-f]{16}$/)]);
const endLine = z.strictObject({ end: z.strictObject({ chunks: count, bytes: count }) });
const anyLine = z.union([chunkLine, objectLine, endLine]);

export type SeedHead = z.infer<typeof headLine>;
export type SeedObjectLine = z.infer<typeof objectLine>;
export type SeedChunkLine = z.infer<typeof chunkLine>;
export type SeedLine = SeedChunkLine | SeedObjectLine | z.infer<typeof endLine>;

export function seedFileOf(folder: string): string {
  return join(folder, "seed.jsonl");
}

export function packPathOf(folder: string, pack: number): string {
  return join(folder, `pack-${String(pack).padStart(6, "0")}.bin`);
}

/** What is wrong with a seed: for the person who brought it. */
export class SeedDamage extends Error {}

/** Opens a file of a seed to read. A link, a pipe or a device in its place is refused: nothing outside the folder is read, and nothing waits for ever. */
export async function openSeedFile(path: string): Promise<FileHandle> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  if ((await file.stat()).isFile()) return file;
  await file.close();
  throw new SeedDamage(`${path} is no file`);
}

/**
 * The lines of a seed after its head, each with where it ends in the file. A last line that was cut off is left out: it is where an export was stopped.
 *
 * @throws SeedDamage when a line is none of a seed; the system's error when it cannot be read.
 */
export async function* readSeedLines(
  folder: string,
  onHead: (head: SeedHead, endsAt: number) => void,
): AsyncGenerator<{ line: SeedLine; endsAt: number }> {
  const path = seedFileOf(folder);
  const file = await openSeedFile(path);
  try {
    let number = 0;
    for await (const { text, endsAt } of linesOf(file, path)) {
      number++;
      const schema = number === 1 ? headLine : anyLine;
      let value: SeedHead | SeedLine;
      try {
        value = schema.parse(JSON.parse(text));
      } catch (error) {
        throw new SeedDamage(`line ${number} of ${path} is none of a seed: ${messageOf(error).slice(0, 200)}`);
      }
      if ("seed" in value) onHead(value, endsAt);
      else yield { line: value, endsAt };
    }
    if (number === 0) throw new SeedDamage(`${path} is empty`);
  } finally {
    await file.close();
  }
}

async function* linesOf(file: FileHandle, path: string): AsyncGenerator<{ text: string; endsAt: number }> {
  const buffer = Buffer.allocUnsafe(readBytes);
  let parts: Buffer[] = [];
  let partBytes = 0;
  for (let at = 0; ;) {
    const { bytesRead } = await file.read(buffer, 0, readBytes, at);
    if (bytesRead === 0) return;
    let from = 0;
    for (;;) {
      const end = buffer.indexOf(10, from);
      if (end < 0 || end >= bytesRead) break;
      parts.push(Buffer.from(buffer.subarray(from, end)));
      yield { text: Buffer.concat(parts).toString("utf8"), endsAt: at + end + 1 };
      [parts, partBytes, from] = [[], 0, end + 1];
    }
    partBytes += bytesRead - from;
    if (partBytes > lineBytesMax) throw new SeedDamage(`${path} has a line of more than ${lineBytesMax} bytes`);
    parts.push(Buffer.from(buffer.subarray(from, bytesRead)));
    at += bytesRead;
  }
}
