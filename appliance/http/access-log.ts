// One line for each response, for those who need every one: JSON, or the W3C's extended log format. Buffered: it never makes a response wait.
import { appendFileSync, statSync } from "node:fs";
import sonicBoom from "sonic-boom";
import { counterPlace } from "../counters.js";

/** Lines that wait for the disk, in bytes; beyond it they are dropped, and counted. */
const bufferBytesMax = 4 * 2 ** 20;
/** Written when so much has come together, or after `flushEveryMs`. */
const writeBytes = 64 * 2 ** 10;
const flushEveryMs = 1000;

export interface AccessLogEntry {
  startedUnixMs: number;
  startedAtMs: number;
  client: string;
  method: string;
  /** As it came, without a token and without the query. */
  target: string;
  range: string;
  /** By its token, else by CMCD's sid; "" where nobody says. */
  session: string;
  /** CMCD's cid. */
  content: string;
  /** X-Cache-Status; "" where the answer has none. */
  cache: string;
  /** 0 until it is answered. */
  status: number;
}

/** What is known of a response when it is over. */
export interface AccessLogEnd {
  /** Of the body, handed to the network. */
  bytes: number;
  aborted: boolean;
  tookMs: number;
}

export const accessLogFormats = ["json", "w3c"] as const;
export type AccessLogFormat = (typeof accessLogFormats)[number];

export interface AccessLogOptions {
  format: AccessLogFormat;
  counters: Float64Array;
  /** Hears of a disk that takes no lines. */
  onError: (error: Error) => void;
}

const w3cFields =
  "date time c-ip cs-method cs-uri-stem cs(Range) sc-status sc-bytes time-taken x-cache-status x-aborted x-session x-content";

export class AccessLog {
  readonly #path: string;
  readonly #format: AccessLogFormat;
  readonly #file: sonicBoom.SonicBoom;
  readonly #counters: Float64Array;

  /** Appends to `path`, which several workers share: a line is written in one piece. */
  constructor(path: string, { format, counters, onError }: AccessLogOptions) {
    this.#path = path;
    this.#format = format;
    this.#counters = counters;
    this.#file = new sonicBoom.SonicBoom({
      dest: path,
      append: true,
      mkdir: true,
      sync: false,
      minLength: writeBytes,
      maxWrite: 4 * writeBytes,
      maxLength: bufferBytesMax,
      periodicFlush: flushEveryMs,
    });
    this.#file.on("drop", () => this.#counters[counterPlace.accessLogDropped]!++);
    this.#file.on("error", onError);
    this.#file.on("ready", () => this.#writeHead());
  }

  write(entry: AccessLogEntry, { bytes, aborted }: { bytes: number; aborted: boolean }): void {
    const end = { bytes, aborted, tookMs: performance.now() - entry.startedAtMs };
    this.#file.write(this.#format === "json" ? jsonLineOf(entry, end) : w3cLineOf(entry, end));
  }

  /** Goes on in a new file of the same name: the old one has been moved away. */
  reopen(): void {
    this.#file.reopen();
  }

  /** Writes what is left, and closes the file. */
  close(): void {
    this.#file.end();
  }

  /** A W3C log says first which fields it has. Two workers that both find the file empty both say it, which readers take. */
  #writeHead(): void {
    if (this.#format !== "w3c") return;
    try {
      if (statSync(this.#path).size === 0) appendFileSync(this.#path, `#Version: 1.0\n#Fields: ${w3cFields}\n`);
    } catch {
      // The file has gone again, or takes nothing: the lines themselves will tell.
    }
  }
}

export function jsonLineOf(entry: AccessLogEntry, { bytes, aborted, tookMs }: AccessLogEnd): string {
  const { startedUnixMs, client, method, target, range, session, content, cache, status } = entry;
  const line = {
    time: new Date(startedUnixMs).toISOString(),
    client,
    method,
    path: target,
    ...(range === "" ? {} : { range }),
    status,
    bytes,
    ms: Math.round(tookMs * 10) / 10,
    ...(cache === "" ? {} : { cache }),
    ...(aborted ? { aborted } : {}),
    ...(session === "" ? {} : { session }),
    ...(content === "" ? {} : { content }),
  };
  return `${JSON.stringify(line)}\n`;
}

/** In the order of `w3cFields`. */
export function w3cLineOf(entry: AccessLogEntry, { bytes, aborted, tookMs }: AccessLogEnd): string {
  const { startedUnixMs, client, method, target, range, session, content, cache, status } = entry;
  const [date, time] = new Date(startedUnixMs).toISOString().slice(0, 19).split("T");
  const took = (tookMs / 1000).toFixed(3);
  const texts = [method, target, range].map(w3cText);
  return `${date} ${time} ${client} ${texts.join(" ")} ${status} ${bytes} ${took} ${w3cText(cache)} ${aborted ? 1 : 0} ${w3cText(session)} ${w3cText(content)}\n`;
}

/** A field has no blank in it and is never empty: blanks and controls are escaped as in URLs, and a dash is nothing. */
function w3cText(text: string): string {
  return text === "" ? "-" : text.replace(/[\p{Cc}\s"]/gu, encodeURIComponent);
}
