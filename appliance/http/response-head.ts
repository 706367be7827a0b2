// The heads of the appliance's answers. What never changes between two answers is text that is made once.
import type { HttpResponse } from "uWebSockets.js";
import { lookup } from "mime-types";
import type { ObjectRecord } from "../object.js";

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

/** How an answer came about: X-Cache-Status, and Cache-Status as of RFC 9211. */
const cacheStatuses = {
  HIT: "millrace; hit",
  MISS: "millrace; fwd=uri-miss; stored",
} as const;

export type CacheStatus = keyof typeof cacheStatuses;

/**
 * What lets pages of other origins read an answer, and time it. Like every text here it is written behind a status line: uWebSockets.js
 * copies what `writeStatus` is given as it is, so one call writes many headers, where each `writeHeader` costs a crossing into C++.
 */
const sharingLines = `\r\nAccess-Control-Allow-Origin: *\r\nAccess-Control-Expose-Headers: ${exposedHeaders}\r\nTiming-Allow-Origin: *`;

const preflightStatus =
  statusLineOf(204) +
  sharingLines +
  `\r\nAccess-Control-Allow-Methods: GET, HEAD, OPTIONS\r\nAccess-Control-Allow-Headers: ${allowedHeaders}\r\nAccess-Control-Max-Age: 86400`;

/**
 * The heads of one version of an object. Each is a status line with headers behind it, for `writeStatus`; as bytes, since the engine
 * would convert a string anew for every answer.
 */
export interface ObjectHeads {
  /** Of a whole answer (200), by how it came about. */
  readonly whole: Readonly<Record<CacheStatus, Uint8Array>>;
  /** Of one part (206); a Content-Range has to follow. */
  readonly part: Readonly<Record<CacheStatus, Uint8Array>>;
  /** Of several parts (206); a Content-Type has to follow. */
  readonly parts: Readonly<Record<CacheStatus, Uint8Array>>;
  /** What a Content-Range ends with: a slash and the size. */
  readonly ofSize: string;
  /** What says which version this is, for answers without a body. */
  readonly lines: string;
  readonly contentType: string;
}

export function objectHeadsOf(record: ObjectRecord): ObjectHeads {
  const contentType = contentTypeOf(record.path);
  let lines = `\r\nAccept-Ranges: bytes\r\nCache-Control: ${cacheControl}`;
  // The tag comes from upstream. One that could end its line would be a second header, or a second answer.
  if (isHeaderText(record.etag)) lines += `\r\nETag: ${record.etag}`;
  if (record.lastModifiedUnixMs !== 0) lines += `\r\nLast-Modified: ${new Date(record.lastModifiedUnixMs).toUTCString()}`;
  lines += sharingLines;
  const make = (status: number, rest: string) => {
    const head = (cache: CacheStatus) =>
      Buffer.from(`${statusLineOf(status)}${lines}\r\nCache-Status: ${cacheStatuses[cache]}\r\nX-Cache-Status: ${cache}${rest}`, "latin1");
    return { HIT: head("HIT"), MISS: head("MISS") };
  };
  return {
    whole: make(200, `\r\nContent-Type: ${contentType}`),
    part: make(206, `\r\nContent-Type: ${contentType}`),
    parts: make(206, ""),
    ofSize: `/${record.sizeBytes}`,
    lines,
    contentType,
  };
}

export const contentRangeName = Buffer.from("Content-Range", "latin1");

export function writePreflight(response: HttpResponse): void {
  response.writeStatus(preflightStatus);
}

/** An answer of status `status` that says nothing of an object. */
export function writePlainHead(response: HttpResponse, status: number, contentType: string, cacheControl = "no-store"): void {
  response.writeStatus(`${statusLineOf(status)}${sharingLines}\r\nCache-Control: ${cacheControl}\r\nContent-Type: ${contentType}`);
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
