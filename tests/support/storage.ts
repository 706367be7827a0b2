// The storage of an appliance without its network: real disks, index and store in a folder, and objects whose bytes follow from their names.
import { createHash } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { pino } from "pino";
import { allocateCounters, counterRow } from "../../appliance/counters.js";
import { allocateChunkHits, ChunkHits } from "../../appliance/disk/chunk-hits.js";
import type { DiskSet } from "../../appliance/disk/disk-set.js";
import { openDisks } from "../../appliance/disk/open-disks.js";
import { SlabFiles } from "../../appliance/disk/slab-files.js";
import { slabGeometryOf } from "../../appliance/disk/slab-geometry.js";
import { SlotWriter } from "../../appliance/disk/slot-writer.js";
import { ChunkStore } from "../../appliance/fill/chunk-store.js";
import { KeptObjects, type KeptList } from "../../appliance/fill/kept-objects.js";
import { keptName } from "../../appliance/fill/manifest-keeper.js";
import { checkIndex, type CheckReport } from "../../appliance/index/check-index.js";
import { ChunkIndex } from "../../appliance/index/chunk-index.js";
import { rebuildIndex, type RebuildReport } from "../../appliance/index/rebuild-index.js";
import { allocateFrameArena, FrameArena } from "../../appliance/memory/frame-arena.js";
import { chunkCountOf, chunkLengthOf, objectKeyOf, objectKeyWords, type ObjectRecord } from "../../appliance/object.js";
import { systemClock } from "../../runtime/clock.js";

export interface StorageOptions {
  folder: string;
  chunkBytes?: number;
  /** One disk per size, in extents. */
  extents?: readonly number[];
  frames?: number;
  /** Where disk `place` lies; default a folder of its own in `folder`. */
  diskPathOf?: (place: number) => string;
}

export interface Storage {
  index: ChunkIndex;
  disks: DiskSet;
  arena: FrameArena;
  store: ChunkStore;
  /** As the index remembers them. */
  kept: KeptObjects;
  hits: ChunkHits;
  counters: Float64Array;
  /** Stores a chunk with the bytes that `bytesOf` says. False: no frame was free. */
  put(object: ObjectRecord, chunk: number): boolean;
  check(options?: { fix?: boolean }): Promise<CheckReport>;
  close(): Promise<void>;
}

export const defaultChunkBytes = 6000;
const silent = pino({ level: "silent" });

function layoutOf({ folder, chunkBytes = defaultChunkBytes, extents = [4, 7, 11], diskPathOf }: StorageOptions) {
  const geometry = slabGeometryOf(chunkBytes);
  const wanted = extents.map((count, place) => ({
    path: diskPathOf?.(place) ?? join(folder, `disk${place}`),
    size: count * geometry.extentBytes,
  }));
  return { geometry, wanted, indexPath: join(folder, "index") };
}

export async function openStorage(options: StorageOptions): Promise<Storage> {
  const { geometry, wanted, indexPath } = layoutOf(options);
  const { chunkBytes } = geometry;
  mkdirSync(indexPath, { recursive: true });
  for (const { path } of wanted) mkdirSync(path, { recursive: true });
  const index = new ChunkIndex(indexPath, chunkBytes);
  const disks = await openDisks({ wanted, geometry, register: index, log: silent });
  const arena = new FrameArena(allocateFrameArena({ ramBytes: (options.frames ?? 48) * Math.ceil(chunkBytes / 64) * 64, chunkBytes }));
  const counters = counterRow(allocateCounters(1), 0);
  const files = new SlabFiles(geometry, "write");
  const kept = new KeptObjects(index.getMeta<KeptList>(keptName) ?? []);
  const hits = new ChunkHits(allocateChunkHits(1), systemClock);
  const store = new ChunkStore({
    arena,
    index,
    disks,
    geometry,
    writer: new SlotWriter(geometry, files),
    demandShare: 0.1,
    hits,
    kept,
    sync: { bytes: 2 ** 20, everyMs: 10, deadlineMs: 30_000 },
    waitingMax: 32,
    clock: systemClock,
    onHeldChanged: () => {},
    counters,
    log: silent,
  });
  await store.loadDisks();
  return {
    index,
    disks,
    arena,
    store,
    kept,
    hits,
    counters,
    put(object, chunk) {
      const bytes = bytesOf(object, chunk, chunkBytes);
      const frame = arena.allocate(bytes.length);
      if (frame < 0) return false;
      arena.wholeFrame(frame).set(bytes);
      const published = arena.publish(frame, objectKeyWords(objectKeyOf(object)), chunk, bytes.length);
      store.store(object, chunk, published);
      arena.unpin(published);
      return true;
    },
    check: ({ fix = false } = {}) => checkIndex({ index, disks, geometry, fix, wholeChunks: true }),
    async close() {
      await store.flush();
      files.closeAll();
      await index.close();
    },
  };
}

/** Makes the index in `options.folder` anew. Nobody may have it open. */
export async function rebuildStorage(options: StorageOptions): Promise<RebuildReport> {
  const { geometry, wanted, indexPath } = layoutOf(options);
  return rebuildIndex({ path: indexPath, wanted, geometry, wholeChunks: false, log: silent });
}

export function objectOf(path: string, version: number, chunks = 8, chunkBytes = defaultChunkBytes): ObjectRecord {
  // The last chunk is shorter than the others.
  const sizeBytes = chunks * chunkBytes - 1234;
  return { path, sizeBytes, etag: `"${version}"`, lastModifiedUnixMs: 0, digested: false, checkedUnixMs: 1 };
}

/** The bytes of a chunk: no two chunks of any two versions have the same. */
export function bytesOf(object: ObjectRecord, chunk: number, chunkBytes = defaultChunkBytes): Buffer {
  const bytes = Buffer.alloc(chunkLengthOf(object.sizeBytes, chunkBytes, chunk));
  const seed = createHash("sha256").update(`${object.path} ${object.etag} ${chunk}`).digest();
  for (let at = 0; at < bytes.length; at += seed.length) seed.copy(bytes, at);
  return bytes;
}

export function chunksOf(object: ObjectRecord, chunkBytes = defaultChunkBytes): number[] {
  return Array.from({ length: chunkCountOf(object.sizeBytes, chunkBytes) }, (_, chunk) => chunk);
}
