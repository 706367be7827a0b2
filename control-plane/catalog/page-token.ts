// Where a page of titles ends, as text that the caller hands back for the next.
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
  const match = /^(\d{1,16})\.(.+)$/.exec(token.length <= 128 ? Buffer.from(token, "base64url").toString("latin1") : "");
  if (!match || !isTitleId(match[2]!)) return undefined;
  const publishedAtUnixMs = Number(match[1]);
  return Number.isSafeInteger(publishedAtUnixMs) ? { publishedAtUnixMs, titleId: match[2]! } : undefined;
}
