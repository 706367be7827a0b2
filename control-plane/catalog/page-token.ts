// Where a page of titles ends, as text that the caller hands back for the next.
import type { DetailsPageEnd } from "./details-store.js";
import { isTitleId } from "./title-rules.js";

/** The last title of a page; the next page begins after it in the order newest first, then by id. */
export interface PageEnd {
  publishedAtUnixMs: number;
  titleId: string;
}

export function encodePageToken({ publishedAtUnixMs, titleId }: PageEnd): string {
  return Buffer.from(`${publishedAtUnixMs}.${titleId}`).toString("base64url");
}

/** Undefined when `token` was not made by `encodePageToken`. */
export function parsePageToken(token: string): PageEnd | undefined {
  const match = /^(\d{1,16})\.(.+)$/.exec(textOf(token));
  if (!match || !isTitleId(match[2]!)) return undefined;
  const publishedAtUnixMs = Number(match[1]);
  return Number.isSafeInteger(publishedAtUnixMs) ? { publishedAtUnixMs, titleId: match[2]! } : undefined;
}

export function encodeDetailsPageToken({ order, titleId }: DetailsPageEnd): string {
  return Buffer.from(`d.${order}.${titleId}`).toString("base64url");
}

/** Undefined when `token` was not made by `encodeDetailsPageToken`. */
export function parseDetailsPageToken(token: string): DetailsPageEnd | undefined {
  const match = /^d\.(\d{1,6})\.(.+)$/.exec(textOf(token));
  return match && isTitleId(match[2]!) ? { order: Number(match[1]), titleId: match[2]! } : undefined;
}

/** For the hits of a search after the first `offset`. */
export function encodeHitsPageToken(offset: number): string {
  return Buffer.from(`h.${offset}`).toString("base64url");
}

/** The offset, below `offsetMax`; undefined for anything else. */
export function parseHitsPageToken(token: string, offsetMax: number): number | undefined {
  const offset = Number(/^h\.(\d{1,6})$/.exec(textOf(token))?.[1] ?? NaN);
  return offset < offsetMax ? offset : undefined;
}

function textOf(token: string): string {
  return token.length <= 128 ? Buffer.from(token, "base64url").toString("latin1") : "";
}
