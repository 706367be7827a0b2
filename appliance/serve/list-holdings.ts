// Which chunks this appliance holds, a page at a time, for a neighbour that wants to have the same.
import type { HoldingsPage, ListedVersion } from "../../fill-protocol/holdings-listing.js";
import type { DiskSet } from "../disk/disk-set.js";
import type { ChunkIndex } from "../index/chunk-index.js";
import { chunkCountOf, objectKeyBytes, objectKeyOf } from "../object.js";

/** Versions looked at for one page, and chunks that are looked up for it: some milliseconds of a serving worker. */
const versionsPerPage = 200;
const chunksPerPage = 2000;

export interface ListHoldingsOptions {
  chunkBytes: number;
  disks: DiskSet;
  index: ChunkIndex;
}

/** The page after the one that ended with `after`, "" for the first. Undefined when `after` is none of ours. */
export function listHoldings(after: string, { chunkBytes, disks, index }: ListHoldingsOptions): HoldingsPage | undefined {
  const key = Buffer.from(after, "hex");
  if (after !== "" && (key.length !== objectKeyBytes || key.toString("hex") !== after)) return undefined;
  const versions: ListedVersion[] = [];
  let chunksLeft = chunksPerPage;
  const found = index.versionsAfter(after === "" ? undefined : key, versionsPerPage);
  let last: Buffer | undefined;
  for (const { objectKey, path } of found) {
    if (chunksLeft <= 0) return { chunkBytes, versions, next: last!.toString("hex") };
    last = objectKey;
    const object = index.findObject(path);
    if (!object?.digested || !objectKeyOf(object).equals(objectKey)) continue;
    const held: number[] = [];
    const total = chunkCountOf(object.sizeBytes, chunkBytes);
    // Most are held whole, and then nothing has to be looked up.
    if (index.chunksHeldOf(objectKey) === total) held.push(0, total);
    else {
      for (const { chunk, place } of index.placesOf(objectKey)) {
        chunksLeft--;
        if (disks.isLost(place.diskNumber)) continue;
        const nextInRun = held.length > 0 ? held.at(-2)! + held.at(-1)! : -1;
        if (nextInRun === chunk) held[held.length - 1]!++;
        else held.push(chunk, 1);
      }
    }
    if (held.length > 0) versions.push([path, object.sizeBytes, object.etag, held]);
  }
  return { chunkBytes, versions, next: found.length < versionsPerPage ? "" : last!.toString("hex") };
}
