// What a title must be like to be published.
import type { CatalogObject, PublishTitleRequest } from "../protocol/generated/millrace/catalog/v1/catalog.js";

export const objectsPerTitleMax = 10_000;
/** Keeps the database's key below MySQL's limit, and a request line below the appliance's 4 KiB. */
const pathMaxBytes = 700;
const nameMaxLength = 200;
const etagMaxLength = 130;
/** A frame and a slot are of this size at most. */
const chunkMaxBytes = 2 ** 30;
/** So that one answer can name them: the caller mends some and tries again. */
const mistakesMax = 10;

/** Lower-case letters, digits and dashes, up to 64 of them, with a letter or digit first. */
export function isTitleId(id: string): boolean {
  return /^[a-z0-9][a-z0-9-]{0,63}$/.test(id);
}

/** Why `path` can't name an object, in words that follow "path "; undefined when it can. */
export function whyBadPath(path: string): string | undefined {
  if (path === "") return "is empty";
  if (Buffer.byteLength(path) > pathMaxBytes) return `is longer than ${pathMaxBytes} bytes`;
  if (path.startsWith("/")) return "must be relative, without a slash at the start";
  // eslint-disable-next-line no-control-regex
  if (/[\u0000-\u001f\u007f\\?#]/.test(path)) return "has a control character, backslash, question mark or hash";
  const parts = path.split("/");
  if (parts.some((part) => part === "" || part === "." || part === "..")) return 'has a part that is empty, "." or ".."';
  // Tokens and digests live under such names.
  if (parts[0]!.startsWith(".millrace") || parts[0]!.startsWith("~")) return 'must not start with ".millrace" or "~"';
  return undefined;
}

/** Every mistake in a title that is to be published, for a person; empty when it is in order. */
export function mistakesInTitle({ title, objects }: PublishTitleRequest): string[] {
  if (!title) return ["title is missing"];
  const mistakes: string[] = [];
  if (!isTitleId(title.titleId)) mistakes.push("title_id must be 1 to 64 lower-case letters, digits and dashes");
  if (title.name.trim() === "" || title.name.length > nameMaxLength) mistakes.push(`name must be 1 to ${nameMaxLength} characters`);
  if (objects.length === 0 || objects.length > objectsPerTitleMax) {
    mistakes.push(`a title has 1 to ${objectsPerTitleMax} objects: received ${objects.length}`);
    return mistakes;
  }
  const paths = new Set<string>();
  let titleBytes = 0n;
  for (const object of objects) {
    mistakes.push(...mistakesInObject(object));
    if (paths.has(object.path)) mistakes.push(`path ${JSON.stringify(object.path)} is there twice`);
    paths.add(object.path);
    titleBytes += object.sizeBytes;
    if (mistakes.length >= mistakesMax) return mistakes.slice(0, mistakesMax);
  }
  if (titleBytes > BigInt(Number.MAX_SAFE_INTEGER)) mistakes.push("the objects together must be below 2^53 bytes");
  for (const [key, path] of [
    ["hls_path", title.hlsPath],
    ["dash_path", title.dashPath],
  ] as const) {
    if (path !== "" && !paths.has(path)) mistakes.push(`${key} must be the path of one of the objects`);
  }
  return mistakes;
}

function mistakesInObject({ path, sizeBytes, etag, chunkBytes }: CatalogObject): string[] {
  const mistakes: string[] = [];
  const name = JSON.stringify(path.slice(0, 100));
  const why = whyBadPath(path);
  if (why !== undefined) mistakes.push(`path ${name} ${why}`);
  if (sizeBytes > BigInt(Number.MAX_SAFE_INTEGER)) mistakes.push(`size_bytes of ${name} must be below 2^53`);
  // RFC 9110 8.8.3: a strong entity tag.
  if (!/^"[\x21\x23-\x7e]+"$/.test(etag) || etag.length > etagMaxLength) {
    mistakes.push(`etag of ${name} must be a strong entity tag with its quotes, of ${etagMaxLength} characters at most`);
  }
  if (chunkBytes < 1 || chunkBytes > chunkMaxBytes) mistakes.push(`chunk_bytes of ${name} must be 1 to ${chunkMaxBytes}`);
  return mistakes;
}
