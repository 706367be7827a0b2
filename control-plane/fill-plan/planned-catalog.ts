// The catalog as plans and manifests need it: whole titles, each with what stands for its content.
import { Xxh64 } from "@node-rs/xxhash";
import type { CatalogStore } from "../catalog/catalog-store.js";

export interface PlannedObject {
  path: string;
  sizeBytes: number;
  etag: string;
}

export interface PlannedTitle {
  titleId: string;
  publishedAtUnixMs: number;
  objects: PlannedObject[];
  sizeBytes: number;
  /** Changes when, and only when, an object does. */
  contentHash: bigint;
}

/** Titles by id, the newest first. */
export type PlannedCatalog = ReadonlyMap<string, PlannedTitle>;

export async function readPlannedCatalog(store: Pick<CatalogStore, "listObjectsNewestFirst">): Promise<PlannedCatalog> {
  const titles = new Map<string, PlannedTitle>();
  const hashes = new Map<string, Xxh64>();
  for (const { titleId, publishedAtUnixMs, path, sizeBytes, etag } of await store.listObjectsNewestFirst()) {
    let title = titles.get(titleId);
    if (!title) {
      titles.set(titleId, (title = { titleId, publishedAtUnixMs, objects: [], sizeBytes: 0, contentHash: 0n }));
      hashes.set(titleId, new Xxh64());
    }
    title.objects.push({ path, sizeBytes, etag });
    title.sizeBytes += sizeBytes;
    hashes.get(titleId)!.update(`${path}\0${sizeBytes}\0${etag}\n`);
  }
  for (const title of titles.values()) title.contentHash = hashes.get(title.titleId)!.digest();
  return titles;
}
