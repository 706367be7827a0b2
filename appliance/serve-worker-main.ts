// Entry of a serving worker: puts together what answers requests in this thread.
import { parentPort, workerData } from "node:worker_threads";
import { systemClock } from "../runtime/clock.js";
import { openLog } from "../runtime/log.js";
import { messageOf, OperatingError } from "../runtime/operating-error.js";
import { readCertificates } from "./certificates.js";
import { counterPlace, counterRow } from "./counters.js";
import { ChunkHits } from "./disk/chunk-hits.js";
import { DiskSet } from "./disk/disk-set.js";
import { SlabFiles } from "./disk/slab-files.js";
import { slabGeometryOf } from "./disk/slab-geometry.js";
import { SlotReader } from "./disk/slot-reader.js";
import type { MainToServe, ServeToMain } from "./fill-messages.js";
import { HeapWatch } from "./heap-watch.js";
import { AccessLog } from "./http/access-log.js";
import { RequestHandler } from "./http/request-handler.js";
import { ServeApp } from "./http/serve-app.js";
import { HeatCounter } from "./heat-table.js";
import { ChunkIndex } from "./index/chunk-index.js";
import { FrameArena } from "./memory/frame-arena.js";
import { ChunkGetter } from "./serve/chunk-getter.js";
import { ClientLimiter } from "./serve/client-limiter.js";
import { ClientRules } from "./serve/client-rules.js";
import { FillClient } from "./serve/fill-client.js";
import { listHoldings } from "./serve/list-holdings.js";
import { ObjectFinder } from "./serve/object-finder.js";
import { PaceWheel } from "./serve/pace-wheel.js";
import { RangeWarmer } from "./serve/range-warmer.js";
import { SessionCounter } from "./serve/session-counter.js";
import { TokenChecker } from "./serve/token-checker.js";
import { clientLimitsOf } from "./settings.js";
import { upMs } from "./up-time.js";
import { watchVitals } from "./thread-vitals.js";
import type { ServeWorkerData } from "./worker-data.js";

/** After a crash, disks and the fill worker are given so long to finish what this thread asked them for. */
const settleAfterCrashMs = 2000;
const lookEveryMs = 20;

const data = workerData as ServeWorkerData;
const { settings } = data;
const { pacing } = settings;
const tell = (message: ServeToMain) => parentPort!.postMessage(message);

function throwError(): void {
  throw new Error("Crashed as it was asked to");
}

/** Fills the heap, in pieces that let the thread go on with its work. */
function leak(): void {
  const kept: number[][] = [];
  setInterval(() => kept.push(Array.from({ length: 250_000 }, (_, at) => at + 0.5)), 40).unref();
}

try {
  const log = openLog("appliance", settings.log.level).child({ thread: `serve-${data.thread}` });
  const counters = counterRow(data.counters, data.thread);
  const arena = new FrameArena(data.arena);
  const disks = new DiskSet(data.disks, data.diskStates);
  const index = new ChunkIndex(settings.index, settings.chunk);
  const geometry = slabGeometryOf(settings.chunk);
  const files = new SlabFiles(geometry, "read");
  const directFiles = settings.limits.directReads && data.arena.atPages ? new SlabFiles(geometry, "read-direct") : undefined;
  const reader = new SlotReader({
    disks,
    geometry,
    files,
    directFiles,
    readsPerDiskMax: data.readsPerDisk,
    waitingPerDiskMax: settings.limits.waitingReadsPerDisk,
    deadlineMs: settings.limits.diskReadTimeout,
    onDiskLost: (disk, error) => log.error({ disk: disk.path, error: error.message }, "a disk fails to read"),
  });
  const fill = new FillClient(data.fill, arena, (path) => finder.forget(path));
  const finder = new ObjectFinder({
    index,
    fill,
    clock: systemClock,
    objectsMax: settings.limits.objectsPerWorker,
    revalidateAfterMs: settings.revalidateAfter,
  });
  const getter = new ChunkGetter({
    arena,
    chunkBytes: settings.chunk,
    counters,
    disks,
    fill,
    geometry,
    miss: settings.miss,
    hits: new ChunkHits(data.hits, systemClock),
    index,
    reader,
  });
  const tokens = new TokenChecker(data.tokenRules, systemClock);
  const clients = new ClientRules(settings.clients);
  const warmer = settings.cmcd.warm ? new RangeWarmer({ arena, chunkBytes: settings.chunk, counters, finder, getter }) : undefined;
  const onError = (error: Error) => log.error({ error: error.message }, "the access log cannot be written");
  const accessLog = settings.accessLog && new AccessLog(settings.accessLog.path, { format: settings.accessLog.format, counters, onError });
  const limiter = data.limiter && new ClientLimiter(data.limiter, { limits: clientLimitsOf(settings), thread: data.thread, nowMs: upMs });
  const wheel = new PaceWheel({ nowMs: () => performance.now(), setTimer: (callback, delayMs) => void setTimeout(callback, delayMs) });
  const redirect = settings.upstreams.find(({ url }) => /^https?:/.test(url))?.url ?? "";
  const handler = new RequestHandler({
    applianceId: data.applianceId,
    arena,
    chunkBytes: settings.chunk,
    counters,
    fill,
    finder,
    heat: new HeatCounter(data.heat, data.thread),
    getter,
    miss: settings.miss,
    redirectBase: redirect.endsWith("/") ? redirect : `${redirect}/`,
    requestsMax: settings.limits.requestsPerWorker,
    fillRequestsMax: settings.limits.fillRequestsPerWorker,
    readAheadChunks: settings.fill.readAhead,
    listHoldings: (after) => listHoldings(after, { chunkBytes: settings.chunk, disks, index }),
    accessLog,
    clients,
    limiter,
    tokens,
    warmer,
    sessions: new SessionCounter(data.sessions),
    pacing: { bytesPerSecond: pacing.bytesPerSecond, burstBytes: pacing.burst, followPlayers: pacing.followPlayers },
    wheel,
    serverTiming: settings.serverTiming,
    faults: process.env["MILLRACE_FAULTS"] === "crash" ? { ".millrace/faults/crash": throwError, ".millrace/faults/leak": leak } : {},
  });
  const certificates = settings.listen.tls ? readCertificates(settings.listen.tls) : [];
  const app = new ServeApp({ host: settings.listen.host, port: data.listenPort, certificates, handler, onCrash: (error) => crash(error) });
  let crashed = false;
  /** Closes all connections, waits for what other threads do for this one, takes its pins back, and lets the thread end. */
  const crash = (error: unknown) => {
    if (crashed) return;
    crashed = true;
    counters[counterPlace.workerCrashes]!++;
    app.close();
    const deadlineMs = performance.now() + settleAfterCrashMs;
    const settle = () => {
      const { pins, frames } = arena.held();
      if ((pins > 0 || frames > 0 || fill.waiting > 0) && performance.now() < deadlineMs) return void setTimeout(settle, lookEveryMs);
      counters[counterPlace.underWay] = 0;
      limiter?.takeBack();
      counters[counterPlace.fillRequestsUnderWay] = 0;
      const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
      tell({ type: "crashed", error: stack, pinsTakenBack: arena.takeBackPins(), framesLost: frames });
      close();
    };
    settle();
  };
  const close = () => {
    heapWatch.stop();
    app.close();
    fill.close();
    accessLog?.close();
    parentPort!.close();
    void index.close();
  };
  process.on("uncaughtException", crash);
  const heapWatch = new HeapWatch({ onFull: crash });
  app.listen();
  watchVitals(data.vitals, data.thread);
  tell({ type: "listening" });

  parentPort!.on("message", (message: MainToServe) => {
    switch (message.type) {
      case "drain":
        return void app.drain().then(() => tell({ type: "drained" }));
      case "disk-added":
        if (!disks.find(message.disk.diskNumber)) disks.add(message.disk);
        return;
      case "disk-closed":
        for (const open of [files, directFiles]) open?.closeDisk(disks.find(message.diskNumber)!.path);
        return;
      case "purged":
        finder.forgetAll();
        return tell({ type: "purge-seen" });
      case "close":
        return close();
      case "reopen-log":
        return accessLog?.reopen();
      case "tokens":
        return tokens.setRules(message.rules);
      case "reload": {
        accessLog?.reopen();
        clients.setRules(message.settings.clients);
        const { tls } = message.settings.listen;
        try {
          if (tls) app.useCertificates(readCertificates(tls));
        } catch (error) {
          tell({ type: "reload-failed", error: messageOf(error) });
        }
      }
    }
  });
} catch (error) {
  tell({ type: "failed", code: error instanceof OperatingError ? error.code : "bug", message: messageOf(error) });
}
