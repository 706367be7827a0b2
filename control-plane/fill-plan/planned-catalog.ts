// The catalog as plans and manifests need it: whole titles, each with what stands for its content.
import { setImmediate } from "node:timers/promises";
import { Xxh64 } from "@node-rs/xxhash";
import type { CatalogStore } from "../catalog/catalog-store.js";

/** Objects that are read at once: some ten milliseconds, in which SQLite holds the thread. */
const objectsPerReadMax = 10_000;

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

/** Reads what has changed since `known` was read: every publication has a time of its own. */
export async function readPlannedCatalog(
  store: Pick<CatalogStore, "listTitleVersions" | "listObjectsOf">,
  known: PlannedCatalog,
): Promise<PlannedCatalog> {
  const titles = new Map<string, PlannedTitle>();
  let batch: PlannedTitle[] = [];
  let batchObjects = 0;
  const readBatch = async () => {
    const byId = new Map(batch.map((title) => [title.titleId, title]));
    const hashes = new Map(batch.map(({ titleId }) => [titleId, new Xxh64()]));
    for (const { titleId, path, sizeBytes, etag } of await store.listObjectsOf([...byId.keys()])) {
      const title = byId.get(titleId)!;
      title.objects.push({ path, sizeBytes, etag });
      title.sizeBytes += sizeBytes;
      hashes.get(titleId)!.update(`${path}\0${sizeBytes}\0${etag}\n`);
    }
    for (const title of batch) title.contentHash = hashes.get(title.titleId)!.digest();
    batch = [];
    batchObjects = 0;
    // Steering goes on in between.
    await setImmediate();
  };
  for (const { titleId, publishedAtUnixMs, sizeBytes, objectCount } of await store.listTitleVersions()) {
    const before = known.get(titleId);
    if (before?.publishedAtUnixMs === publishedAtUnixMs && before.sizeBytes === sizeBytes && before.objects.length === objectCount) {
      titles.set(titleId, before);
      continue;
    }
    const title: PlannedTitle = { titleId, publishedAtUnixMs, objects: [], sizeBytes: 0, contentHash: 0n };
    titles.set(titleId, title);
    batch.push(title);
    batchObjects += objectCount;
    if (batchObjects >= objectsPerReadMax) await readBatch();
  }
  if (batch.length > 0) await readBatch();
  return titles;
}
