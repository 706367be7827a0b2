// The headers that the appliance's answers carry.
import type { HttpResponse } from "uWebSockets.js";
import { lookup } from "mime-types";
import type { ServedObject } from "../serve/object-finder.js";

/** Reason phrases of the statuses that we send. */
const statusLines: Readonly<Record<number, string>> = {
  200: "200 OK",
  204: "204 No Content",
  206: "206 Partial Content",
  304: "304 Not Modified",
  307: "307 Temporary Redirect",
  400: "400 Bad Request",
  404: "404 Not Found",
  405: "405 Method Not Allowed",
  412: "412 Precondition Failed",
  416: "416 Range Not Satisfiable",
  502: "502 Bad Gateway",
  503: "503 Service Unavailable",
  504: "504 Gateway Timeout",
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

const exposedHeaders = "Accept-Ranges, Cache-Status, Content-Length, Content-Range, Date, ETag, Retry-After, X-Cache-Status";
const allowedHeaders = "Range, If-Match, If-None-Match, If-Modified-Since, If-Range, CMCD-Request, CMCD-Object, CMCD-Status, CMCD-Session";

/** How an answer came about: X-Cache-Status, and Cache-Status as of RFC 9211. */
export const cacheStatuses = {
  HIT: "millrace; hit",
  MISS: "millrace; fwd=uri-miss; stored",
} as const;

/** What the headers of one version always are, made when it is first served. */
export interface ObjectHeaders {
  contentType: string;
  etag: string;
  lastModified: string;
}

export function objectHeadersOf({ record }: ServedObject): ObjectHeaders {
  const dot = record.path.lastIndexOf(".");
  const extension = dot < 0 ? "" : record.path.slice(dot + 1).toLowerCase();
  return {
    contentType: mediaTypes[extension] ?? (lookup(extension) || "application/octet-stream"),
    etag: record.etag,
    lastModified: record.lastModifiedUnixMs === 0 ? "" : new Date(record.lastModifiedUnixMs).toUTCString(),
  };
}

export function statusLineOf(status: number): string {
  return statusLines[status] ?? String(status);
}

/** What lets pages of other origins read an answer, and time it. */
export function writeSharingHeaders(response: HttpResponse): void {
  response.writeHeader("Access-Control-Allow-Origin", "*");
  response.writeHeader("Access-Control-Expose-Headers", exposedHeaders);
  response.writeHeader("Timing-Allow-Origin", "*");
}

/** What answers a browser's question before a request with unusual headers. */
export function writePreflightHeaders(response: HttpResponse): void {
  writeSharingHeaders(response);
  response.writeHeader("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS");
  response.writeHeader("Access-Control-Allow-Headers", allowedHeaders);
  response.writeHeader("Access-Control-Max-Age", "86400");
}

/** What says which version of which object this is. */
export function writeObjectHeaders(response: HttpResponse, headers: ObjectHeaders): void {
  response.writeHeader("Accept-Ranges", "bytes");
  response.writeHeader("Cache-Control", cacheControl);
  if (headers.etag !== "") response.writeHeader("ETag", headers.etag);
  if (headers.lastModified !== "") response.writeHeader("Last-Modified", headers.lastModified);
  writeSharingHeaders(response);
}

export function writeCacheStatus(response: HttpResponse, status: keyof typeof cacheStatuses): void {
  response.writeHeader("Cache-Status", cacheStatuses[status]);
  response.writeHeader("X-Cache-Status", status);
}
