// Entry of the fill worker: the only thread that asks upstreams, writes to disks, and writes the index.
import { parentPort, workerData } from "node:worker_threads";
import { systemClock } from "../runtime/clock.js";
import { openLog } from "../runtime/log.js";
import { counterRow } from "./counters.js";
import { ChunkHits } from "./disk/chunk-hits.js";
import { DiskSet } from "./disk/disk-set.js";
import { SlabFiles } from "./disk/slab-files.js";
import { slabGeometryOf } from "./disk/slab-geometry.js";
import { SlotReader } from "./disk/slot-reader.js";
import { SlotWriter } from "./disk/slot-writer.js";
import type { FillToMain, MainToFill } from "./fill-messages.js";
import { DiskEmptier } from "./fill/disk-emptier.js";
import { DiskScrubber } from "./fill/disk-scrubber.js";
import { FillPace, WriteBudgets } from "./fill/fill-pace.js";
import { FillService } from "./fill/fill-service.js";
import { FillTokenSource } from "./fill/fill-token-source.js";
import { ManifestPinner } from "./fill/manifest-pinner.js";
import { FillWindows, parseTimeOfDay } from "./fill/fill-window.js";
import { HttpUpstream } from "./fill/http-upstream.js";
import { openUpstream } from "./fill/open-upstream.js";
import { PurgeSweeper } from "./fill/purge-sweeper.js";
import { SeedJobs } from "./fill/seed-jobs.js";
import { ChunkIndex } from "./index/chunk-index.js";
import { FrameArena } from "./memory/frame-arena.js";
import type { FillWorkerData } from "./worker-data.js";

const data = workerData as FillWorkerData;
const { settings } = data;
const tell = (message: FillToMain) => parentPort!.postMessage(message);

/** What scrub and emptying have under way at one disk: requests go first. */
const backgroundReadsPerDisk = 2;
const waitingBackgroundReadsPerDisk = 64;
/** Nobody waits for these reads, and they wait in a queue of two: a busy disk is not a sick one. */
const backgroundPatience = 10;

const geometry = slabGeometryOf(settings.chunk);
const fillTokens = new FillTokenSource(data.applianceId, systemClock);
fillTokens.setKeys(data.tokenKeys);
/** For other appliances alone: an origin has no use for the token. */
const fillSign = async () => fillTokens.headers();
const http = {
  connections: settings.fill.connections,
  connectTimeoutMs: settings.fill.connectTimeout,
  silenceTimeoutMs: settings.fill.silenceTimeout,
};
const log = openLog("appliance", settings.log.level).child({ thread: "fill" });
const arena = new FrameArena(data.arena);
const disks = new DiskSet(data.disks, data.diskStates);
const index = new ChunkIndex(settings.index, settings.chunk);
const hits = new ChunkHits(data.hits, systemClock);
const writer = new SlotWriter(geometry, new SlabFiles(geometry, "write"));
const onHeldChanged = (paths: readonly string[]) => tell({ type: "held-changed", paths: [...paths] });
const upstreams = settings.upstreams.map((upstream) =>
  openUpstream(upstream, upstream.url.startsWith("appliance:") ? { ...http, sign: fillSign } : http),
);
const service = new FillService({
  applianceId: data.applianceId,
  arena,
  chunkBytes: settings.chunk,
  counters: counterRow(data.counters, data.thread),
  demandShare: settings.disk.demandShare,
  disks,
  geometry,
  hits,
  index,
  log,
  sync: { bytes: settings.disk.syncBytes, everyMs: settings.disk.syncEvery, deadlineMs: settings.disk.writeTimeout },
  fetchesMax: settings.fill.fetches,
  waitingFetchesMax: settings.fill.waiting,
  manifestFetchesMax: settings.fill.manifestFetches,
  onManifest: (paths) => pinner?.setManifest(paths),
  hedgeAfterMs: settings.fill.hedgeAfter,
  totalTimeoutMs: settings.fill.totalTimeout,
  // Sources are appliances, whatever their scheme.
  openSource: (url, applianceId) =>
    openUpstream({ url }, { ...http, kind: "appliance", ...(applianceId !== "" && { applianceId }), sign: fillSign }),
  toMain: tell,
  upstreams,
  pace: new FillPace({
    clock: systemClock,
    bytesPerSecond: settings.fill.maxBytesPerSecond ?? 0,
    upstreamBytesPerSecond: new Map(
      upstreams.flatMap(({ name }, place) => {
        const limit = settings.upstreams[place]!.maxBytesPerSecond;
        return limit === undefined ? [] : [[name, limit]];
      }),
    ),
    budgets: new WriteBudgets({
      clock: systemClock,
      disks,
      bytesPerSecondMax: settings.fill.maxDiskBytesPerSecond ?? 0,
      readP99LimitMs: settings.fill.readP99Limit,
    }),
  }),
  windows: new FillWindows(
    settings.fill.windows.map(({ from, to }) => ({ fromMinute: parseTimeOfDay(from)!, toMinute: parseTimeOfDay(to)! })),
    settings.fill.timeZone,
  ),
  writer,
});
const { store } = service;
const readFiles = new SlabFiles(geometry, "read");
const reader = new SlotReader({
  disks,
  geometry,
  files: readFiles,
  readsPerDiskMax: backgroundReadsPerDisk,
  waitingPerDiskMax: waitingBackgroundReadsPerDisk,
  deadlineMs: settings.limits.diskReadTimeout * backgroundPatience,
  onDiskLost: (disk, error) => log.error({ disk: disk.path, error: error.message }, "a disk failed to read"),
});
const { pinManifest } = settings.memory;
const pinner =
  pinManifest === undefined
    ? undefined
    : new ManifestPinner({
        arena,
        chunkBytes: settings.chunk,
        disks,
        geometry,
        index,
        reader,
        bytesMax: pinManifest,
        onPinned: (pinned) => tell({ type: "pinned", ...pinned }),
      });
const sweeper = new PurgeSweeper({ index, store, onHeldChanged, log });
const emptier = new DiskEmptier({
  arena,
  chunkBytes: settings.chunk,
  disks,
  geometry,
  index,
  reader,
  store,
  onHeldChanged,
  onProgress: (progress) => tell({ type: "emptying", progress }),
  log,
});
const scrubber = new DiskScrubber({
  chunkBytes: settings.chunk,
  disks,
  geometry,
  index,
  reader,
  store,
  roundMs: settings.scrub.every,
  log,
});
const seedJobs = new SeedJobs({
  applianceId: data.applianceId,
  arena,
  chunkBytes: settings.chunk,
  clock: systemClock,
  counters: counterRow(data.counters, data.thread),
  describer: service.describer,
  disks,
  geometry,
  hits,
  index,
  kept: service.kept,
  log,
  neighbourReadsMax: settings.fill.manifestFetches,
  openNeighbour: (url) => new HttpUpstream(new URL(url), { ...http, kind: "appliance", sign: fillSign }),
  reader,
  store,
  onProgress: (progress) => tell({ type: "seed", progress }),
});

parentPort!.on("message", (message: MainToFill) => {
  switch (message.type) {
    case "disk-added":
      if (!disks.find(message.disk.diskNumber)) disks.add(message.disk);
      return store.addDisk(message.disk);
    case "disk-closed": {
      const disk = disks.find(message.diskNumber)!;
      writer.closeDisk(disk);
      return readFiles.closeDisk(disk.path);
    }
    case "empty-disk":
      return emptier.empty(disks.find(message.diskNumber)!);
    case "seed":
      return seedJobs.start(message.order);
    case "stop-seed":
      return seedJobs.stop();
    case "resume-seed":
      return seedJobs.resume();
    case "token-keys":
      return fillTokens.setKeys(message.keys);
    case "purged":
      return sweeper.sweep();
    case "stop":
      return void stop();
    default:
      return service.handle(message);
  }
});
sweeper.sweep();
emptier.forgetDisksGone();
scrubber.start();
tell({ type: "ready" });
void store.loadDisks();

async function stop(): Promise<void> {
  scrubber.stop();
  // The index stays open: fetches that are still under way may look into it until the process ends. All that was committed is safe.
  await Promise.all([seedJobs.end(), pinner?.stop(), emptier.stop(), sweeper.stop(), service.stop()]);
  tell({ type: "stopped" });
}
