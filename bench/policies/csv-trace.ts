// Traces as text: one `time,id,size` per line.
import { OperatingError } from "../../runtime/operating-error.js";
import type { TraceParser, TraceRequest } from "./trace-request.js";

/** A longer line is not a trace: it would be held in memory as a whole. */
const lineMaxBytes = 64 * 1024;
const newline = 0x0a;

/**
 * Reads lines of time (seconds), object id (any text without separators) and size (bytes), separated by commas, tabs or spaces. Further
 * columns are ignored, so are empty lines and lines that begin with "#". A first line whose time is not a number is a header.
 */
export class CsvTraceParser implements TraceParser {
  readonly #source: string;
  #rest: Buffer = Buffer.alloc(0);
  #line = 0;
  #headerAllowed = true;

  /** `source` names the trace in error messages. */
  constructor(source: string) {
    this.#source = source;
  }

  push(bytes: Buffer): TraceRequest[] {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    const end = all.lastIndexOf(newline) + 1;
    this.#rest = all.subarray(end);
    const requests = this.#parseLines(all.toString("utf8", 0, end));
    if (this.#rest.length > lineMaxBytes) throw this.#malformed(this.#line + 1, `the line is longer than ${lineMaxBytes} bytes`);
    return requests;
  }

  end(): TraceRequest[] {
    const text = this.#rest.toString("utf8");
    this.#rest = Buffer.alloc(0);
    return text === "" ? [] : this.#parseLines(`${text}\n`);
  }

  #parseLines(text: string): TraceRequest[] {
    const requests: TraceRequest[] = [];
    let start = 0;
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", start)) {
      this.#line++;
      const line = text.slice(start, end).trim();
      start = end + 1;
      if (line === "" || line.startsWith("#")) continue;
      const request = this.#parseLine(line);
      if (request) requests.push(request);
    }
    return requests;
  }

  #parseLine(line: string): TraceRequest | undefined {
    const columns = line.includes(",") ? line.split(",", 3) : line.split(/\s+/, 3);
    const timeText = columns[0]!.trim();
    const objectId = columns[1]?.trim();
    const sizeText = columns[2]?.trim();
    const timeSeconds = timeText === "" ? NaN : Number(timeText);
    if (this.#headerAllowed) {
      this.#headerAllowed = false;
      if (Number.isNaN(timeSeconds) && !(Number(sizeText) >= 0)) return undefined;
    }
    if (!Number.isFinite(timeSeconds) || timeSeconds < 0) {
      throw this.#malformed(this.#line, `time "${timeText}" is not a number of seconds`);
    }
    if (objectId === undefined || objectId === "" || sizeText === undefined) {
      throw this.#malformed(this.#line, `"${line.slice(0, 80)}" is not time,id,size`);
    }
    const sizeBytes = sizeText === "" ? NaN : Number(sizeText);
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0) {
      throw this.#malformed(this.#line, `size "${sizeText}" is not a whole number of bytes`);
    }
    return { timeSeconds, objectId, sizeBytes };
  }

  #malformed(line: number, reason: string): OperatingError {
    return new OperatingError("trace-malformed", `Cannot read trace ${this.#source}: line ${line}: ${reason}`, { source: this.#source });
  }
}
