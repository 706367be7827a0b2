// Streams the requests of a trace file, whatever its format and compression.
import { spawn } from "node:child_process";
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import type { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { errnoOf, messageOf, OperatingError } from "../../runtime/operating-error.js";
import { CsvTraceParser } from "./csv-trace.js";
import type { TraceFormat } from "./policy-names.js";
import { OracleGeneralTraceParser } from "./oracle-general-trace.js";
import type { TraceParser, TraceRequest } from "./trace-request.js";

export interface ReadTraceOptions {
  /** Guessed from the first bytes when left out: text is CSV. */
  format?: TraceFormat;
}

const readBytes = 1 << 20;
const gzipMagic = Buffer.from([0x1f, 0x8b]);
const zstdMagic = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);

/** The requests of the trace at `path`, in its order. Throws OperatingError where the file cannot be read or is malformed. */
export async function* readTrace(path: string, options: ReadTraceOptions = {}): AsyncGenerator<TraceRequest> {
  for await (const batch of readTraceBatches(path, options)) yield* batch;
}

/** As readTrace(), some thousand requests at a time, which costs a third. */
export async function* readTraceBatches(path: string, options: ReadTraceOptions = {}): AsyncGenerator<TraceRequest[]> {
  let parser: TraceParser | undefined;
  for await (const bytes of readUnpacked(path)) {
    parser ??= parserFor(options.format ?? guessFormat(bytes), path);
    const batch = parser.push(bytes);
    if (batch.length > 0) yield batch;
  }
  const last = parser?.end() ?? [];
  if (last.length > 0) yield last;
}

function parserFor(format: TraceFormat, path: string): TraceParser {
  return format === "csv" ? new CsvTraceParser(path) : new OracleGeneralTraceParser(path);
}

/** Binary records begin with a time below 2^32 and an id below 2^64: their upper bytes are control characters, which text never has. */
function guessFormat(bytes: Buffer): TraceFormat {
  const isText = bytes.subarray(0, 4096).every((byte) => byte >= 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d);
  return isText ? "csv" : "oracle-general";
}

async function* readUnpacked(path: string): AsyncGenerator<Buffer> {
  const magic = await readMagic(path);
  const file = createReadStream(path, { highWaterMark: readBytes });
  try {
    if (magic.subarray(0, 2).equals(gzipMagic)) {
      const unpacked = createGunzip({ chunkSize: readBytes });
      file.on("error", (error) => unpacked.destroy(error));
      yield* file.pipe(unpacked) as AsyncIterable<Buffer>;
    } else if (magic.equals(zstdMagic)) {
      yield* readZstd(path, file);
    } else yield* file as AsyncIterable<Buffer>;
  } catch (error) {
    if (error instanceof OperatingError) throw error;
    throw unreadable(path, error);
  } finally {
    file.destroy();
  }
}

/** Public oracleGeneral traces come as .zst, which Node 20 cannot unpack: the `zstd` program does. */
async function* readZstd(path: string, file: Readable): AsyncGenerator<Buffer> {
  const program = spawn("zstd", ["-dc"], { stdio: ["pipe", "pipe", "pipe"] });
  const failed = new Promise<never>((_, reject) => {
    program.on("error", (error) => {
      const reason = errnoOf(error) === "ENOENT" ? "it is packed with zstd, and the program `zstd` is not installed" : messageOf(error);
      reject(new OperatingError("trace-unreadable", `Cannot read trace ${path}: ${reason}`, { source: path, cause: error }));
    });
  });
  failed.catch(() => undefined);
  let complaint = "";
  program.stderr.on("data", (bytes: Buffer) => (complaint = (complaint + bytes.toString()).slice(-500)));
  // A reader that stops early closes the pipe: that is no error of the trace.
  program.stdin.on("error", () => undefined);
  const closed = new Promise<number | null>((resolve) => program.on("close", resolve));
  try {
    file.pipe(program.stdin);
    yield* program.stdout as AsyncIterable<Buffer>;
    const code = await Promise.race([closed, failed]);
    if (code !== 0) throw new OperatingError("trace-unreadable", `Cannot read trace ${path}: zstd: ${complaint.trim()}`, { source: path });
  } finally {
    program.kill();
  }
}

async function readMagic(path: string): Promise<Buffer> {
  try {
    const file = await open(path);
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(4), 0, 4, 0);
      return buffer.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  } catch (error) {
    throw unreadable(path, error);
  }
}

function unreadable(path: string, cause: unknown): OperatingError {
  return new OperatingError("trace-unreadable", `Cannot read trace ${path}: ${messageOf(cause)}`, { source: path, cause });
}
