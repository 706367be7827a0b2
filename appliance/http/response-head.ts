// The heads of the appliance's answers. What never changes between two answers is text that is made once.
import type { HttpResponse } from "uWebSockets.js";
import { lookup } from "mime-types";
import type { ObjectRecord } from "../object.js";
import { cacheLinesOf, cacheOutcomeNames, ttlMark, ttlTextOf, type CacheOutcome } from "./cache-outcome.js";

/** Reason phrases of the statuses that we send. */
const reasons: Readonly<Record<number, string>> = {
  200: "OK",
  204: "No Content",
  206: "Partial Content",
  304: "Not Modified",
  307: "Temporary Redirect",
  400: "Bad Request",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  412: "Precondition Failed",
  416: "Range Not Satisfiable",
  429: "Too Many Requests",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
  508: "Loop Detected",
};

/** Types that players look at and that the general table has otherwise, or not at all. */
const mediaTypes: Readonly<Record<string, string>> = {
  m3u8: "application/vnd.apple.mpegurl",
  mpd: "application/dash+xml",
  mp4: "video/mp4",
  m4v: "video/mp4",
  m4s: "video/iso.segment",
  cmfv: "video/mp4",
  m4a: "audio/mp4",
  cmfa: "audio/mp4",
  ts: "video/mp2t",
  vtt: "text/vtt",
};

/** A version never changes, but a path may get a new one: caches ask again after an hour. */
const cacheControl = "public, max-age=3600";

const exposedHeaders = "Accept-Ranges, Cache-Status, Content-Length, Content-Range, Date, ETag, Retry-After, Server-Timing, X-Cache-Status";
const allowedHeaders = "Range, If-Match, If-None-Match, If-Modified-Since, If-Range, CMCD-Request, CMCD-Object, CMCD-Status, CMCD-Session";

/**
 * What lets pages of other origins read an answer, and time it. Like every text here it is written behind a status line: uWebSockets.js
 * copies what `writeStatus` is given as it is, so one call writes many headers, where each `writeHeader` costs a crossing into C++.
 */
const sharingLines = `\r\nAccess-Control-Allow-Origin: *\r\nAccess-Control-Expose-Headers: ${exposedHeaders}\r\nTiming-Allow-Origin: *`;

const preflightStatus =
  statusLineOf(204) +
  sharingLines +
  `\r\nAccess-Control-Allow-Methods: GET, HEAD, OPTIONS\r\nAccess-Control-Allow-Headers: ${allowedHeaders}\r\nAccess-Control-Max-Age: 86400`;

/** What an answer with a body is: the whole object (200), one part, or several (206). */
const headKinds = ["whole", "part", "parts"] as const;
export type HeadKind = (typeof headKinds)[number];

/**
 * The heads of one version of an object. Each is a status line with headers behind it, for `writeStatus`; as bytes, since the engine
 * would convert a string anew for every answer. They are made when they are first wanted; the seconds of their ttl are replaced in place, since the
 * engine copies what it is given.
 */
export class ObjectHeads {
  /** What a Content-Range ends with: a slash and the size. */
  readonly ofSize: string;
  /** What says which version this is, for answers without a body. */
  readonly lines: string;
  readonly contentType: string;
  readonly #heads: Buffer[] = [];
  readonly #ttlsS: number[] = [];

  constructor(record: ObjectRecord) {
    this.contentType = contentTypeOf(record.path);
    this.ofSize = `/${record.sizeBytes}`;
    let lines = `\r\nAccept-Ranges: bytes\r\nCache-Control: ${cacheControl}`;
    // The tag comes from upstream. One that could end its line would be a second header, or a second answer.
    if (isHeaderText(record.etag)) lines += `\r\nETag: ${record.etag}`;
    if (record.lastModifiedUnixMs !== 0) lines += `\r\nLast-Modified: ${new Date(record.lastModifiedUnixMs).toUTCString()}`;
    this.lines = lines + sharingLines;
  }

  /** "part" has to be followed by a Content-Range, "parts" by a Content-Type. */
  headOf(kind: HeadKind, outcome: CacheOutcome, ttlS: number): Uint8Array {
    const place = headPlaces[kind][outcome];
    const made = this.#heads[place];
    if (made !== undefined) {
      if (this.#ttlsS[place] !== ttlS) {
        const at = made.indexOf(ttlMark, 0, "latin1");
        if (at >= 0) made.write(ttlTextOf(outcome, ttlS), at + ttlMark.length, "latin1");
        this.#ttlsS[place] = ttlS;
      }
      return made;
    }
    const type = kind === "parts" ? "" : `\r\nContent-Type: ${this.contentType}`;
    const text = `${statusLineOf(kind === "whole" ? 200 : 206)}${this.lines}${cacheLinesOf(outcome, ttlS)}${type}`;
    const head = Buffer.from(text, "latin1");
    this.#heads[place] = head;
    this.#ttlsS[place] = ttlS;
    return head;
  }
}

const headPlaces = Object.fromEntries(
  headKinds.map((kind, row) => [
    kind,
    Object.fromEntries(cacheOutcomeNames.map((outcome, column) => [outcome, row * cacheOutcomeNames.length + column])),
  ]),
) as Readonly<Record<HeadKind, Readonly<Record<CacheOutcome, number>>>>;

export const contentRangeName = Buffer.from("Content-Range", "latin1");

export function writePreflight(response: HttpResponse): void {
  response.writeStatus(preflightStatus);
}

/** An answer of status `status` that says nothing of an object. `moreLines`: each behind a line's end. */
export function writePlainHead(
  response: HttpResponse,
  status: number,
  { contentType, cacheControl = "no-store", moreLines = "" }: { contentType: string; cacheControl?: string; moreLines?: string },
): void {
  response.writeStatus(
    `${statusLineOf(status)}${sharingLines}${moreLines}\r\nCache-Control: ${cacheControl}\r\nContent-Type: ${contentType}`,
  );
}

export function statusLineOf(status: number): string {
  return `${status} ${reasons[status] ?? "Unknown"}`;
}

function contentTypeOf(path: string): string {
  const dot = path.lastIndexOf(".");
  const extension = dot < 0 ? "" : path.slice(dot + 1).toLowerCase();
  return mediaTypes[extension] ?? (lookup(extension) || "application/octet-stream");
}

function isHeaderText(text: string): boolean {
  return text !== "" && /^[\u0021-\u007e\u0080-\u00ff]+$/.test(text);
}
