// The listing by which an appliance tells a neighbour which chunks it holds: pages of lines, each a version of an object.
//
//   GET /.millrace/holdings/          the first page
//   GET /.millrace/holdings/<after>   the next: `after` is what the page before ended with
//
// A page is JSON: { chunkBytes, versions: [[path, bytes, etag, held]], next }. `held` has first chunks and counts by turns; `next` is "" on the last page.

/** The reserved start of the paths of its pages. */
export const holdingsPrefix = ".millrace/holdings/";

export type ListedVersion = readonly [path: string, sizeBytes: number, etag: string, held: readonly number[]];

export interface HoldingsPage {
  chunkBytes: number;
  versions: readonly ListedVersion[];
  next: string;
}

/** Undefined for what is no such page. Paths are as they came: nobody has looked whether they can be an object's. */
export function parseHoldingsPage(text: string): HoldingsPage | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { chunkBytes, versions, next } = value as Record<string, unknown>;
  if (!isCount(chunkBytes) || chunkBytes < 1 || typeof next !== "string" || !/^[0-9a-f]*$/.test(next) || !Array.isArray(versions))
    return undefined;
  return versions.every(isListedVersion) ? { chunkBytes, versions, next } : undefined;
}

function isListedVersion(value: unknown): value is ListedVersion {
  if (!Array.isArray(value) || value.length !== 4) return false;
  const [path, sizeBytes, etag, held] = value as unknown[];
  return (
    typeof path === "string" &&
    isCount(sizeBytes) &&
    typeof etag === "string" &&
    Array.isArray(held) &&
    held.length % 2 === 0 &&
    held.every(isCount)
  );
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
