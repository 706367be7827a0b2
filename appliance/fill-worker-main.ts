// Entry of the fill worker: the only thread that asks upstreams, writes to disks, and writes the index.
import { parentPort, workerData } from "node:worker_threads";
import { openLog } from "../runtime/log.js";
import { counterRow } from "./counters.js";
import { DiskSet } from "./disk/disk-set.js";
import { SlabFiles } from "./disk/slab-files.js";
import { slabGeometryOf } from "./disk/slab-geometry.js";
import { SlotWriter } from "./disk/slot-writer.js";
import type { FillToMain, MainToFill } from "./fill-messages.js";
import { FillService } from "./fill/fill-service.js";
import { openUpstream } from "./fill/open-upstream.js";
import { ChunkIndex } from "./index/chunk-index.js";
import { FrameArena } from "./memory/frame-arena.js";
import type { FillWorkerData } from "./worker-data.js";

const data = workerData as FillWorkerData;
const { settings } = data;
const tell = (message: FillToMain) => parentPort!.postMessage(message);

const geometry = slabGeometryOf(settings.chunk);
const http = {
  connections: settings.fill.connections,
  connectTimeoutMs: settings.fill.connectTimeout,
  silenceTimeoutMs: settings.fill.silenceTimeout,
};
const service = new FillService({
  arena: new FrameArena(data.arena),
  chunkBytes: settings.chunk,
  counters: counterRow(data.counters, data.thread),
  disks: new DiskSet(data.disks, data.diskStates),
  index: new ChunkIndex(settings.index, settings.chunk),
  log: openLog("appliance", settings.log.level).child({ thread: "fill" }),
  fetchesMax: settings.fill.fetches,
  waitingFetchesMax: settings.fill.waiting,
  manifestFetchesMax: settings.fill.manifestFetches,
  openSource: (url) => openUpstream(url, http),
  toMain: tell,
  upstreams: settings.upstreams.map(({ url }) => openUpstream(url, http)),
  writer: new SlotWriter(geometry, new SlabFiles(geometry, "write")),
});
parentPort!.on("message", (message: MainToFill) => service.handle(message));
tell({ type: "ready" });
