// Looks at an LMDB file before it is opened: LMDB maps it, and a page that is not there ends the process with a signal instead of an error.
//
// The first two pages are meta pages; the one with the higher transaction counts. Of a meta page, in the build of lmdb-js (little-endian):
//
//   24        28        48              88                  136             144           152
//   | magic   | version | page bytes    | root, free pages  | root, names   | last page   | transaction
//   | u32     | u32     | u32           | u64               | u64           | u64         | u64
//
// The last page may lie behind the end of a file that is well: LMDB does not write pages that a transaction took and gave back. Seen: 2 of 28 pages,
// after a rebuild. So a little is let pass, and a cut of less than that is not found.
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { errnoOf } from "../../runtime/operating-error.js";

const pageBytesMin = 4096;
const magic = 0xbeefc0de;
const place = { magic: 24, pageBytes: 48, freeRoot: 88, namesRoot: 136, lastPage: 144, transaction: 152 } as const;
/** Stands for the root of a tree that is empty. */
const noPage = 2n ** 64n - 1n;
/** Pages at the end that may never have been written: so many, and no more than this part of all. */
const unwrittenPagesMax = 256n;
const unwrittenPart = 4n;

/**
 * Why the file cannot be opened; undefined when it can, when it is not there, or is empty, which is what a kill at the very first start leaves. Only its
 * beginning and its length are looked at: a page that was altered, or a few that are missing at its end, are not found. Throws the system's error when it cannot be read.
 */
export function findLmdbDamage(file: string): string | undefined {
  let handle: number;
  try {
    handle = openSync(file, "r");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
  try {
    if (fstatSync(handle).size === 0) return undefined;
    const first = readMeta(handle, 0);
    if (!first) return "its index.mdb is damaged, or no index";
    const second = readMeta(handle, first.pageBytes);
    // Read after the meta pages: somebody may be writing, and a file grows before its meta page says so.
    const { size } = fstatSync(handle);
    if (!second) return `its index.mdb was cut short: it has ${size} bytes, less than its first two pages`;
    const newest = second.transaction > first.transaction ? second : first;
    const pagesNeeded = newest.lastPage + 1n;
    const bytesNeeded = pagesNeeded * BigInt(first.pageBytes);
    const pages = BigInt(size) / BigInt(first.pageBytes);
    const missing = pagesNeeded - pages;
    const lacksRoot = newest.roots.some((root) => root !== noPage && root >= pages);
    if (lacksRoot || missing > unwrittenPagesMax || missing * unwrittenPart > pagesNeeded)
      return `its index.mdb was cut short: it has ${size} bytes of ${bytesNeeded}`;
    return undefined;
  } finally {
    closeSync(handle);
  }
}

function readMeta(handle: number, offset: number) {
  const page = Buffer.alloc(pageBytesMin);
  if (readSync(handle, page, 0, page.length, offset) < page.length || page.readUInt32LE(place.magic) !== magic) return undefined;
  const pageBytes = page.readUInt32LE(place.pageBytes);
  if (pageBytes < pageBytesMin || pageBytes > 2 ** 16) return undefined;
  return {
    pageBytes,
    roots: [page.readBigUInt64LE(place.freeRoot), page.readBigUInt64LE(place.namesRoot)],
    lastPage: page.readBigUInt64LE(place.lastPage),
    transaction: page.readBigUInt64LE(place.transaction),
  };
}
