// Reads titles' details from JSON lines and hands them on in batches, in order.
import { OperatingError } from "../../runtime/operating-error.js";
import type { TitleDetails } from "../protocol/generated/millrace/catalog/v1/catalog.js";
import { detailsOfJson, titleDetailsBody } from "./details-json.js";
import { titlesPerPutMax } from "./details-rules.js";

/** A title with a thousand encodes has some 150 KB. */
const lineMaxBytes = 2 ** 20;
/** Below the control plane's 4 MiB per message, which is more compact. */
const batchMaxBytes = 2 ** 20;

export interface ImportProgress {
  titles: number;
  /** Of the input. */
  bytes: number;
}

export interface ImportOptions {
  /** Lines at the start that are passed over. */
  skipLines: number;
  /** Writes a batch, all or none; how many were new or changed. */
  put: (titles: TitleDetails[]) => Promise<number>;
  onProgress: (progress: ImportProgress) => void;
}

/** @throws OperatingError "line-malformed", or that of `put` with the same code, which say how far the import has got. */
export async function importLines(
  input: AsyncIterable<Buffer | string>,
  { skipLines, put, onProgress }: ImportOptions,
): Promise<{ titles: number; changed: number }> {
  let batch: TitleDetails[] = [];
  let batchBytes = 0;
  /** The last line of what is written. */
  let doneLine = skipLines;
  let lineNumber = 0;
  let bytes = 0;
  let titles = 0;
  let changed = 0;
  const fail = (code: string, why: string, cause?: unknown) =>
    new OperatingError(code, `Cannot import: ${why}. Lines up to ${doneLine} are imported: go on with --skip ${doneLine}`, { cause });
  const flush = async () => {
    if (batch.length > 0) {
      try {
        changed += await put(batch);
      } catch (error) {
        if (error instanceof OperatingError) throw fail(error.code, `lines ${doneLine + 1} to ${lineNumber}: ${error.message}`, error);
        throw error;
      }
    }
    titles += batch.length;
    doneLine = Math.max(doneLine, lineNumber);
    batch = [];
    batchBytes = 0;
    onProgress({ titles, bytes });
  };

  for await (const line of linesOf(input)) {
    if (line.byteLength > lineMaxBytes) throw fail("line-malformed", `line ${lineNumber + 1} is longer than ${lineMaxBytes} bytes`);
    // What came before this line is whole already.
    if (batch.length >= titlesPerPutMax || batchBytes + line.byteLength > batchMaxBytes) await flush();
    lineNumber++;
    bytes += line.byteLength + 1;
    const text = line.toString("utf8").trim();
    if (lineNumber <= skipLines || text === "") continue;
    const title = parseLine(text);
    if ("why" in title) {
      lineNumber--;
      await flush();
      throw fail("line-malformed", `line ${lineNumber + 1} ${title.why}`);
    }
    batch.push(title);
    batchBytes += line.byteLength;
  }
  await flush();
  return { titles, changed };
}

function parseLine(text: string): TitleDetails | { why: string } {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return { why: "is not JSON" };
  }
  const result = titleDetailsBody.safeParse(parsed);
  if (result.success) return detailsOfJson(result.data);
  const mistakes = result.error.issues.slice(0, 10).map(({ path, message }) => `${path.join(".") || "the line"}: ${message}`);
  return { why: `is no title: ${mistakes.join("; ")}` };
}

/** Lines without their ends; one that is too long comes as far as it was read, and is the last. */
async function* linesOf(input: AsyncIterable<Buffer | string>): AsyncGenerator<Buffer> {
  let pieces: Buffer[] = [];
  let pieceBytes = 0;
  for await (const chunk of input) {
    const buffer = typeof chunk === "string" ? Buffer.from(chunk) : chunk;
    let from = 0;
    for (let end = buffer.indexOf(10); end >= 0; end = buffer.indexOf(10, from)) {
      yield Buffer.concat([...pieces, buffer.subarray(from, end)]);
      pieces = [];
      pieceBytes = 0;
      from = end + 1;
    }
    if (from < buffer.length) pieces.push(buffer.subarray(from));
    pieceBytes += buffer.length - from;
    if (pieceBytes > lineMaxBytes) {
      yield Buffer.concat(pieces);
      return;
    }
  }
  if (pieceBytes > 0) yield Buffer.concat(pieces);
}
