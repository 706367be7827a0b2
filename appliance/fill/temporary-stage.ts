// What the tests of this room stand on: real disks in temporary folders, a real index, an arena, and upstreams that do as they are told.
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { systemClock } from "../../runtime/clock.js";
import { openLog } from "../../runtime/log.js";
import { allocateCounters, counterPlace, counterRow, type CounterName } from "../counters.js";
import { allocateChunkHits, ChunkHits } from "../disk/chunk-hits.js";
import { DiskSet } from "../disk/disk-set.js";
import { SlabFiles } from "../disk/slab-files.js";
import { slabGeometryOf, slotShapeOf, slotsPerExtentOf } from "../disk/slab-geometry.js";
import { SlotReader, type SlotReadOutcome } from "../disk/slot-reader.js";
import { SlotWriter } from "../disk/slot-writer.js";
import { ChunkIndex } from "../index/chunk-index.js";
import { allocateFrameArena, FrameArena } from "../memory/frame-arena.js";
import { chunkLengthOf, objectKeyOf, objectKeyWords, type ObjectRecord } from "../object.js";
import { FillPace, WriteBudgets } from "./fill-pace.js";
import { FillWindows } from "./fill-window.js";
import { KeptObjects } from "./kept-objects.js";
import { SourceHealth } from "./source-health.js";
import type { Upstream, UpstreamFailure, UpstreamKind, UpstreamObject, UpstreamRange, UpstreamRequest } from "./upstream.js";

export interface StageOptions {
  chunkBytes?: number;
  frames?: number;
  /** Slots of each disk, of the size that a whole chunk needs: rounded up to whole extents. */
  slots?: readonly number[];
  /** Where the first disk is, when it is not to be a folder of its own. */
  firstDiskPath?: string;
}

/** Waits for `condition`, and fails when it does not come true within twenty seconds. */
export async function until(condition: () => boolean, what = "what was waited for"): Promise<void> {
  const end = performance.now() + 20_000;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`${what} did not happen in time`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

export function openTemporaryStage(
  context: TestContext,
  { chunkBytes = 10, frames = 16, slots = [20, 20], firstDiskPath }: StageOptions = {},
) {
  const folder = mkdtempSync(join(tmpdir(), "millrace-fill-"));
  const geometry = slabGeometryOf(chunkBytes);
  const slotsPerExtent = slotsPerExtentOf(geometry, slotShapeOf(geometry, chunkBytes, { path: "", etag: "" }).slotPages);
  const extentsFor = (slotCount: number) => Math.ceil(slotCount / slotsPerExtent);
  const index = new ChunkIndex(folder, chunkBytes);
  const disks = new DiskSet(
    slots.map((slotCount, diskNumber) => ({
      diskNumber,
      uuid: randomUUID(),
      path: diskNumber === 0 && firstDiskPath ? firstDiskPath : mkdtempSync(join(folder, "disk-")),
      capacityBytes: extentsFor(slotCount) * geometry.extentBytes,
      extentCount: extentsFor(slotCount),
    })),
  );
  // Without it a folder is no disk, and no slab is made there.
  for (const { path } of disks.disks) writeFileSync(join(path, "disk.json"), "{}");
  const files = { read: new SlabFiles(geometry, "read"), write: new SlabFiles(geometry, "write") };
  const arena = new FrameArena(allocateFrameArena({ ramBytes: frames * Math.ceil(chunkBytes / 64) * 64, chunkBytes }));
  const counters = counterRow(allocateCounters(1), 0);
  const reader = new SlotReader({
    disks,
    geometry,
    files: files.read,
    readsPerDiskMax: 4,
    waitingPerDiskMax: 1000,
    onDiskLost: () => {},
  });
  const users: (() => Promise<void>)[] = [];
  context.after(async () => {
    for (const end of users) await end();
    await index.close();
    files.read.closeAll();
    files.write.closeAll();
    rmSync(folder, { recursive: true, force: true });
  });
  return {
    chunkBytes,
    demandShare: 0.1,
    folder,
    hits: new ChunkHits(allocateChunkHits(1), systemClock),
    kept: new KeptObjects([]),
    sync: { bytes: 1e6, everyMs: 5, deadlineMs: 10_000 },
    index,
    disks,
    arena,
    counters,
    geometry,
    reader,
    writer: new SlotWriter(geometry, files.write),
    /** What must have ended before the index is closed. */
    endFirst: (end: () => Promise<void>) => void users.push(end),
    log: openLog("test", "silent"),
    clock: systemClock,
    // What fetching needs, patient enough for a busy machine.
    applianceId: "self",
    windows: new FillWindows([], "UTC"),
    pace: new FillPace({
      clock: systemClock,
      bytesPerSecond: 0,
      upstreamBytesPerSecond: new Map(),
      budgets: new WriteBudgets({ clock: systemClock, disks, bytesPerSecondMax: 0, readP99LimitMs: 10_000 }),
    }),
    health: new SourceHealth({ clock: systemClock, log: openLog("test", "silent"), random: () => 0 }),
    random: () => 0,
    hedgeAfterMs: 20_000,
    totalTimeoutMs: 30_000,
    count: (name: CounterName) => counters[counterPlace[name]]!,
    /** Reads a chunk from where the index says it lies. */
    readChunk: (object: ObjectRecord, chunk: number) =>
      new Promise<SlotReadOutcome | "unknown">((resolve) => {
        const place = index.findChunk(objectKeyOf(object), chunk);
        if (!place) return resolve("unknown");
        const lengthBytes = chunkLengthOf(object.sizeBytes, chunkBytes, chunk);
        const into = new Uint8Array(lengthBytes);
        const { headerBytes } = slotShapeOf(geometry, lengthBytes, object);
        reader.read({ ...place, objectKey: objectKeyOf(object), chunk, lengthBytes, headerBytes, into }, (outcome) => {
          const right = into.every((byte, at) => byte === byteAt(object, chunk * chunkBytes + at));
          resolve(outcome === "ok" && !right ? "wrong-bytes" : outcome);
        });
      }),
    /** A frame with the chunk's bytes, pinned once. */
    publish: (object: ObjectRecord, chunk: number) => {
      const lengthBytes = chunkLengthOf(object.sizeBytes, chunkBytes, chunk);
      const frame = arena.allocate(lengthBytes);
      const bytes = arena.wholeFrame(frame);
      for (let at = 0; at < lengthBytes; at++) bytes[at] = byteAt(object, chunk * chunkBytes + at);
      return arena.publish(frame, objectKeyWords(objectKeyOf(object)), chunk, lengthBytes);
    },
  };
}

export type Stage = ReturnType<typeof openTemporaryStage>;

export function objectOf(path: string, sizeBytes: number, version = 1): ObjectRecord {
  return { path, sizeBytes, etag: `"${version}"`, lastModifiedUnixMs: 1000, digested: false, checkedUnixMs: 0 };
}

/** Byte `offset` of an object; every version has its own. */
export function byteAt({ path, etag }: Pick<ObjectRecord, "path" | "etag">, offset: number): number {
  return (path.length * 31 + path.charCodeAt(0) + etag.charCodeAt(1) * 101 + offset * 7) & 255;
}

type Answer<Value> = Value | Promise<Value>;

/** An upstream without a network. Gives right answers unless it is told otherwise. */
export class ScriptedUpstream implements Upstream {
  readonly name: string;
  kind: UpstreamKind = "origin";
  applianceId: string | undefined;
  readonly objects = new Map<string, UpstreamObject>();
  readonly described: UpstreamRequest[] = [];
  readonly fetched: UpstreamRange[] = [];
  /** Asked first; undefined lets the right answer through. */
  beforeDescribe: (request: UpstreamRequest) => Answer<UpstreamFailure | "not-found" | undefined> = () => undefined;
  beforeFetch: (range: UpstreamRange) => Answer<UpstreamFailure | "not-found" | "wrong-bytes" | undefined> = () => undefined;

  /** A range comes in parts of so many bytes, and this is asked after each but the last. */
  partBytes = Infinity;
  /** This byte of each range is wrong. */
  flipAt: number | undefined;
  betweenParts: (range: UpstreamRange, at: number) => Answer<UpstreamFailure | undefined> = () => undefined;

  constructor(name: string, objects: readonly (UpstreamObject & { path: string })[] = []) {
    this.name = name;
    for (const { path, ...object } of objects) this.objects.set(path, object);
  }

  async describe(request: UpstreamRequest): Promise<UpstreamObject | "not-found" | UpstreamFailure> {
    this.described.push(request);
    return (await this.beforeDescribe(request)) ?? this.objects.get(request.path) ?? "not-found";
  }

  async fetch(range: UpstreamRange): Promise<UpstreamFailure | "not-found" | undefined> {
    this.fetched.push(range);
    const before = await this.beforeFetch(range);
    if (before !== undefined && before !== "wrong-bytes") return before;
    const object = this.objects.get(range.path);
    if (!object) return "not-found";
    if (object.etag !== range.etag && !range.digested) return { failure: "version-changed", detail: "scripted" };
    for (let at = 0; at < range.into.length; at++) {
      if (at % this.partBytes === 0 && at > 0) {
        range.onBytes?.(at);
        const failure = await this.betweenParts(range, at);
        if (range.signal?.aborted) return { failure: "cancelled", detail: "scripted" };
        if (failure) return failure;
      }
      const right = byteAt({ path: range.path, etag: object.etag }, range.offsetBytes + at);
      range.into[at] = before === "wrong-bytes" || at === this.flipAt ? 255 - right : right;
    }
    range.onBytes?.(range.into.length);
    return undefined;
  }

  async close(): Promise<void> {}
}
