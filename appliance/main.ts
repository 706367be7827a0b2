// The appliance: puts the agent together, starts the workers, and ends them in order.
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { Worker } from "node:worker_threads";
import { ApplianceRole, DiskState } from "../fill-protocol/generated/millrace/fleet/v1/fleet.js";
import { listen, openAdminServer } from "../runtime/admin-server.js";
import { systemClock } from "../runtime/clock.js";
import { openLog } from "../runtime/log.js";
import { messageOf, OperatingError } from "../runtime/operating-error.js";
import { packageVersion } from "../runtime/package-root.js";
import { announceReady, endNow, onStop } from "../runtime/stop-signal.js";
import { ConnectionCensus } from "./agent/connection-census.js";
import { DiskInventory } from "./agent/disk-inventory.js";
import { EscalationFile } from "./agent/escalation-file.js";
import { HeatJournal } from "./agent/heat-journal.js";
import { ControlPlaneClient } from "./agent/control-plane-client.js";
import { FleetMember, type ApplianceSelf } from "./agent/fleet-member.js";
import { HeadroomMeter } from "./agent/headroom.js";
import { HoldingsReporter } from "./agent/holdings-reporter.js";
import { readLease, withoutSecrets, writeLease } from "./agent/lease-file.js";
import { LogRotation } from "./agent/log-rotation.js";
import { SeedControl } from "./agent/seed-control.js";
import { StorageControl } from "./agent/storage-control.js";
import { allocateCounters, sumCounter } from "./counters.js";
import { allocateChunkHits } from "./disk/chunk-hits.js";
import { DiskMonitor } from "./disk/disk-monitor.js";
import { ioThreadsOf, readsPerDiskOf } from "./disk/io-threads.js";
import { openDisks } from "./disk/open-disks.js";
import { probeDisk } from "./disk/probe-disk.js";
import { fullSlotsPerExtent, slabGeometryOf } from "./disk/slab-geometry.js";
import type { FillProgress, FillToMain, MainToFill, ManifestKept } from "./fill-messages.js";
import { openUpstream } from "./fill/open-upstream.js";
import { allocateHeat, HeatCollector, type ObjectHeatSums } from "./heat-table.js";
import { ManifestFile } from "./manifest-file.js";
import { ChunkIndex } from "./index/chunk-index.js";
import { allocateFrameArena, FrameArena } from "./memory/frame-arena.js";
import { openApplianceMetrics } from "./metrics.js";
import { chunkCountOf, objectKeyOf } from "./object.js";
import { readCertificates } from "./certificates.js";
import { allocateClientLimiter, ClientLimiter } from "./serve/client-limiter.js";
import { allocateSessionCounter, SessionCounter, sessionPeriodMs } from "./serve/session-counter.js";
import { ServeWorkers } from "./serve-workers.js";
import { SettingsReload } from "./settings-reload.js";
import { clientLimitsOf, type ApplianceSettings } from "./settings.js";
import { lockIndex } from "./single-instance.js";
import { tokenRulesOf } from "./token-rules.js";
import { upMs } from "./up-time.js";
import { allocateVitals } from "./thread-vitals.js";
import type { FillWorkerData } from "./worker-data.js";

/** Heads of requests may be this long; beyond it the answer is 431. Signed URLs and CMCD headers need more than the engine's 4 KiB. */
const requestHeadBytesMax = 16_384;
/** Hits are counted in so many bytes for each extent, which is four whole chunks or many short ones; see chunk-hits.ts. */
const hitBytesPerExtent = 16;
/** Workers are given this long to close after the drain; then the process ends anyway. Everything acknowledged is on disk by then. */
const closeTimeoutMs = 2000;
/** Often enough that a crash costs little and the tables of the workers do not fill up. */
const heatCollectEveryMs = 10_000;

/**
 * Runs an appliance until it is asked to stop.
 *
 * `readAgain` reads the settings anew at SIGHUP, and throws what is wrong with them.
 *
 * @throws OperatingError when it cannot start: the index, a disk, a port or an upstream is not usable.
 */
export async function runAppliance(settings: ApplianceSettings, readAgain?: () => ApplianceSettings): Promise<void> {
  process.env["UWS_HTTP_MAX_HEADERS_SIZE"] ??= String(requestHeadBytesMax);
  const log = openLog("appliance", settings.log.level);
  if (settings.listen.tls) readCertificates(settings.listen.tls);
  // Mistyped URLs are found here, by name, and not in a worker.
  for (const upstream of settings.upstreams)
    await openUpstream(upstream, { connections: 1, connectTimeoutMs: 1, silenceTimeoutMs: 1 }).close();
  const client = settings.controlPlane && new ControlPlaneClient(settings.controlPlane.url, settings.controlPlane.key);
  await lockIndex(settings.index);
  const index = new ChunkIndex(settings.index, settings.chunk);
  const geometry = slabGeometryOf(settings.chunk);
  const disks = await openDisks({ wanted: settings.disks, geometry, register: index, log });
  let applianceId = index.getMeta<string>("applianceId");
  if (!applianceId) await index.putMeta("applianceId", (applianceId = randomUUID()));

  const arenaMemory = allocateFrameArena({ ramBytes: settings.ram, chunkBytes: settings.chunk });
  const arena = new FrameArena(arenaMemory);
  const readsPerDisk = readsPerDiskOf({
    frames: arena.frameCount,
    threads: ioThreadsOf(process.env),
    disks: disks.disks.length,
    workers: settings.workers,
    wanted: settings.limits.readsPerDisk,
  });
  if (!readsPerDisk.enough) {
    log.warn(
      { threads: ioThreadsOf(process.env), disks: disks.disks.length, workers: settings.workers },
      "a disk that hangs could stall the others: start with a higher UV_THREADPOOL_SIZE (at most 1024), or fewer workers",
    );
  }
  const counters = allocateCounters(settings.workers + 1);
  const vitals = allocateVitals(settings.workers);
  const port = await takePort(settings.listen.host, settings.listen.port);
  const limiterMemory = settings.limits.perClient && allocateClientLimiter(settings.workers + 1);
  const sessionMemory = allocateSessionCounter();
  const sessions = new SessionCounter(sessionMemory);
  const hits = allocateChunkHits(disks.disks.reduce((sum, { extentCount }) => sum + extentCount * hitBytesPerExtent, 0));
  const shared = { applianceId, arena: arenaMemory, counters, vitals, diskStates: disks.memory, hits, readsPerDisk: readsPerDisk.reads };
  const heatMemory = allocateHeat(settings.workers);

  let whyNotReady: "starting" | "draining" | undefined = "starting";
  let drainingSinceMs: number | undefined;
  let progress: FillProgress | undefined;
  let pinned = { chunks: 0, bytes: 0 };
  let kept: ManifestKept | undefined;
  let member: FleetMember | undefined;
  let heat: HeatJournal | undefined;
  let inventory: DiskInventory | undefined;
  let serving: ServeWorkers | undefined;
  const monitor = new DiskMonitor({
    disks,
    clock: systemClock,
    log,
    probe: (disk) => probeDisk(disk, geometry, settings.limits.diskReadTimeout * 5),
    onChange: ({ disk, to }) => {
      if (to === "offline" || to === "retired") {
        const message = { type: "disk-closed", diskNumber: disk.diskNumber } as const;
        serving?.tell(message);
        tellFill(message);
      }
      void inventory?.settle();
      member?.hurry();
    },
  });
  const storage = new StorageControl({
    disks,
    geometry,
    index,
    monitor,
    announceDisk: (disk) => {
      serving?.tell({ type: "disk-added", disk });
      tellFill({ type: "disk-added", disk });
    },
    startEmptying: (diskNumber) => tellFill({ type: "empty-disk", diskNumber }),
    announcePurge: async () => {
      await serving?.tellAndWait({ type: "purged" }, "purge-seen");
      tellFill({ type: "purged" });
    },
    log,
  });
  const seed = new SeedControl({ tellFill: (message) => tellFill(message) });
  const registry = openApplianceMetrics({
    fillProgress: () => progress,
    arena,
    counters,
    vitals,
    workers: settings.workers,
    disks,
    monitor,
    sessions,
    manifestKept: () => kept,
  });
  const bootId = randomUUID();
  const scheme = settings.listen.tls ? "https" : "http";
  const publicUrl = settings.listen.publicUrl ?? `${scheme}://${hostInUrl(settings.listen.host)}:${port}/`;
  const dataUrl = publicUrl.endsWith("/") ? publicUrl : `${publicUrl}/`;
  // Before the workers: a port that is taken ends a process without threads.
  const admin = await openAdminServer({
    host: settings.admin.host,
    port: settings.admin.port,
    registry,
    whyNotReady: () => whyNotReady,
    status: () => ({
      applianceId,
      bootId,
      pid: process.pid,
      version: packageVersion,
      state: whyNotReady ?? "live",
      site: settings.site,
      dataUrl,
      uptimeSeconds: Math.round(process.uptime()),
      controlPlane: member
        ? { url: settings.controlPlane?.url, connected: member.connected, lease: member.lease && withoutSecrets(member.lease) }
        : null,
      requests: {
        received: sumCounter(counters, "requests"),
        underWay: sumCounter(counters, "underWay"),
        bytesSent: sumCounter(counters, "bytesSent"),
      },
      sessions: sessions.count(),
      drain:
        drainingSinceMs === undefined
          ? null
          : {
              sinceSeconds: Math.round((performance.now() - drainingSinceMs) / 1000),
              deadlineSeconds: settings.drain.deadline / 1000,
              responsesLeft: sumCounter(counters, "underWay"),
              sessionsLeft: sessions.count(),
            },
      memory: { ...arena.counts(), headChunks: pinned.chunks, headBytes: pinned.bytes },
      disks: storage.statuses(),
      manifest: kept ? manifestStatusOf(kept) : null,
      fill: progress ?? null,
      seed: seed.progress ?? null,
      heat: heat ? { reportsWaiting: heat.counts.waiting, reportsDropped: heat.counts.dropped } : null,
    }),
    actions: {
      "/disks/add": (body) => whenLive(() => storage.addDisk(body)),
      "/disks/retire": (body) => whenLive(() => storage.retireDisk(body)),
      "/drain": async () => {
        // The same as SIGTERM; asking twice is not asking to stop at once.
        if (whyNotReady !== "draining") process.kill(process.pid, "SIGTERM");
        return { state: "draining", deadlineSeconds: settings.drain.deadline / 1000 };
      },
      "/fill/pause": () => whenLive(() => pauseFill(true)),
      "/fill/resume": () => whenLive(() => pauseFill(false)),
      "/seed/export": (body) => whenLive(() => seed.export(body)),
      "/seed/import": (body) => whenLive(() => seed.import(body)),
      "/seed/stop": () => whenLive(async () => seed.stop()),
      "/purge": (body) => whenLive(() => storage.purge(body)),
    },
  });
  const whenLive = async (action: () => Promise<unknown>) => {
    if (whyNotReady) throw new OperatingError("not-ready", `Cannot do this now: the appliance is ${whyNotReady}`, { retryable: true });
    return action();
  };
  const pauseFill = async (paused: boolean) => {
    tellFill({ type: "pause-fill", paused });
    return { paused };
  };
  const leaseFile = join(settings.index, "lease.json");
  const lastLease = readLease(leaseFile);
  const tokenRules = tokenRulesOf(settings, lastLease);
  const fill = new Worker(new URL("fill-worker-main.js", import.meta.url), {
    workerData: {
      ...shared,
      settings,
      disks: disks.disks,
      thread: settings.workers,
      applianceId,
      tokenKeys: tokenRules.keys,
    } satisfies FillWorkerData,
  });
  fill.on("error", (error) => {
    // State is shared with this thread, and may be half changed: a fresh start is the only one that can be trusted.
    log.fatal({ error: error.stack }, "the fill worker has crashed");
    endNow();
  });
  await messageFrom(fill, "ready");
  const tellFill = (message: MainToFill) => fill.postMessage(message);
  serving = new ServeWorkers({
    settings,
    tokenRules,
    // A worker that is started again finds the disks that have come since.
    shared: () => ({ ...shared, heat: heatMemory, disks: disks.disks, listenPort: port, limiter: limiterMemory, sessions: sessionMemory }),
    connectFill: (line) => fill.postMessage({ type: "serve", port: line } satisfies MainToFill, [line]),
    log,
  });
  try {
    await serving.start();
  } catch (error) {
    await Promise.race([serving.close(), wait(closeTimeoutMs)]);
    throw error;
  }
  whyNotReady = undefined;

  let inForce = settings;
  let rulesInForce = tokenRules;
  /** Hands out the keys of settings and lease when they have changed. */
  const useTokens = () => {
    const rules = tokenRulesOf(inForce, member?.lease ?? lastLease);
    if (isDeepStrictEqual(rules, rulesInForce)) return;
    rulesInForce = rules;
    serving.useTokens(rules);
    tellFill({ type: "token-keys", keys: rules.keys });
  };
  const manifest = new ManifestFile(settings.index);
  heat = new HeatJournal({ folder: join(settings.index, "heat"), clock: systemClock, log, intervalMs: settings.heat.interval });
  const heatCollector = new HeatCollector(heatMemory, settings.workers);
  const collectHeat = () => {
    const collected = new Map<string, ObjectHeatSums>();
    heat.record(collected, heatCollector.collect(collected));
  };
  const role = settings.site.role === "edge" ? ApplianceRole.APPLIANCE_ROLE_EDGE : ApplianceRole.APPLIANCE_ROLE_STORAGE;
  const headroom = new HeadroomMeter(() => disks.disks.map(({ path }) => path));
  const heldBytes = () =>
    disks.disks
      .filter(({ diskNumber }) => !disks.isAway(diskNumber))
      .reduce((sum, { diskNumber }) => sum + disks.usedBytesOf(diskNumber), 0);
  const self: ApplianceSelf = {
    identity: () => ({
      applianceId: applianceId!,
      siteId: settings.site.id,
      clusterId: settings.site.cluster ?? settings.site.id,
      role,
      dataUrl,
      adminUrl: `http://${hostInUrl(settings.admin.host)}:${admin.port}/`,
      capacityBytes: BigInt(
        disks.disks
          .filter(({ diskNumber }) => !disks.isLost(diskNumber))
          .reduce((sum, { extentCount }) => sum + extentCount * fullSlotsPerExtent * settings.chunk, 0),
      ),
      chunkBytes: settings.chunk,
      softwareVersion: packageVersion,
    }),
    totals: () => ({
      requests: BigInt(sumCounter(counters, "requests")),
      bytesSent: BigInt(sumCounter(counters, "bytesSent")),
      bytesFilled: BigInt(sumCounter(counters, "fetchedBytes")),
      heldBytes: BigInt(heldBytes()),
    }),
    disks: () =>
      storage.statuses().map(({ uuid, path, state, capacityBytes, usedBytes }) => ({
        uuid,
        path,
        state: DiskState[`DISK_STATE_${state.toUpperCase()}` as keyof typeof DiskState],
        capacityBytes: BigInt(capacityBytes),
        usedBytes: BigInt(usedBytes),
      })),
    requestHeadroom: () =>
      whyNotReady ? 0 : Math.max(0, settings.workers * settings.limits.requestsPerWorker - sumCounter(counters, "underWay")),
    headroom: () => headroom.read(),
    fillHeadroom: () =>
      whyNotReady
        ? 0
        : Math.max(0, settings.workers * settings.limits.fillRequestsPerWorker - sumCounter(counters, "fillRequestsUnderWay")),
    fillProgress: () => progress,
    isDraining: () => whyNotReady === "draining",
  };
  const holdings = new HoldingsReporter(
    (path) => {
      const object = index.findObject(path);
      const chunksHeld = object ? index.chunksHeldOf(objectKeyOf(object)) : 0;
      return { path, etag: object?.etag ?? "", chunksHeld, chunksTotal: object ? chunkCountOf(object.sizeBytes, settings.chunk) : 0 };
    },
    function* () {
      for (const { path } of index.heldVersions()) yield path;
    },
  );
  // An appliance that runs alone has nobody to report to, and must not remember every path for that.
  const noteHeldChanged = (paths: readonly string[]) => {
    if (client) holdings.noteChanged(paths);
  };
  inventory = new DiskInventory({
    disks,
    index,
    onHeldChanged: noteHeldChanged,
    onTold: () => member?.hurry(),
    log,
  });
  await inventory.settle();
  member =
    client &&
    new FleetMember({
      bootId,
      client,
      clock: systemClock,
      holdings,
      log,
      self,
      lease: lastLease,
      onLease: (lease) => {
        useTokens();
        try {
          writeLease(leaseFile, lease);
        } catch (error) {
          log.error(
            { file: leaseFile, error: messageOf(error) },
            "the lease cannot be kept: a restart without the control plane would not have it",
          );
        }
      },
      manifest,
      escalation: new EscalationFile(join(settings.index, "escalation.json")),
      onManifest: () => tellFill({ type: "manifest", file: manifest.path }),
      heat,
    });
  fill.on("message", (message: FillToMain) => {
    if (message.type === "held-changed") noteHeldChanged(message.paths);
    else if (message.type === "pinned") pinned = { chunks: message.chunks, bytes: message.bytes };
    else if (message.type === "progress") progress = message.progress;
    else if (message.type === "seed") seed.note(message.progress);
    else if (message.type === "manifest-cut") kept = message;
    else if (message.type === "emptying") void storage.noteEmptying(message.progress);
    else if (message.type === "ask-sources") {
      const { id, path } = message;
      void Promise.resolve(member?.rankSources(path)).then((ranked) => tellFill({ type: "sources", id, ranked }));
    }
  });
  tellFill({ type: "resume-seed" });
  const { accessLog } = settings;
  const rotation =
    accessLog && (accessLog.rotateAt ?? accessLog.rotateEvery) !== undefined
      ? new LogRotation({
          path: accessLog.path,
          bytesMax: accessLog.rotateAt,
          everyMs: accessLog.rotateEvery,
          filesKept: accessLog.keep,
          onMoved: () => serving.tell({ type: "reopen-log" }),
          log,
        })
      : undefined;
  const census =
    limiterMemory && settings.limits.perClient?.connections !== undefined
      ? watchConnections(
          new ClientLimiter(limiterMemory, { limits: clientLimitsOf(settings), thread: settings.workers, nowMs: upMs }),
          port,
        )
      : undefined;
  const sessionTurns = setInterval(() => sessions.turn(), sessionPeriodMs).unref();
  // By the manifest of before until the control plane has another.
  if (member && manifest.version !== 0n) tellFill({ type: "manifest", file: manifest.path });
  // An appliance that runs alone has nobody to tell.
  const heatTimer = member && setInterval(collectHeat, Math.min(heatCollectEveryMs, settings.heat.interval));
  member?.start();
  monitor.start();
  storage.resumeEmptying();
  log.info(
    { dataUrl, admin: admin.port, workers: settings.workers, frames: arena.frameCount, disks: disks.disks.length, applianceId },
    "appliance is up",
  );
  const reload =
    readAgain &&
    new SettingsReload({
      settings,
      read: readAgain,
      onReload: (fresh) => {
        inForce = fresh;
        serving.reload(fresh);
        useTokens();
      },
      log,
    });

  onStop(async (reason) => {
    log.info({ reason }, "draining");
    whyNotReady = "draining";
    member?.hurry();
    drainingSinceMs = performance.now();
    reload?.close();
    await Promise.race([serving.drain(), wait(settings.drain.deadline)]);
    const cutOff = sumCounter(counters, "underWay");
    monitor.stop();
    rotation?.stop();
    census?.stop();
    clearInterval(sessionTurns);
    clearInterval(heatTimer);
    if (member) {
      collectHeat();
      heat.endInterval();
    }
    tellFill({ type: "stop" });
    const closed = Promise.all([serving.close(), messageFrom(fill, "stopped"), member?.stop(), admin.close()]);
    if ((await Promise.race([closed, wait(closeTimeoutMs, "late")])) === "late") log.warn("a thread did not close in time");
    const hanging = disks.disks.filter(({ diskNumber }) => disks.hangingOf(diskNumber) > 0).map(({ path }) => path);
    log.info({ cutOff }, "appliance has stopped");
    if (hanging.length > 0) {
      // The end of a process waits for its reads, and these may never end.
      log.warn({ disks: hanging }, "disks still hang; the process is ended by force");
      endNow();
    }
  });
  // Last: whoever waits for this may send a signal at once.
  announceReady({ port, adminPort: admin.port, dataUrl });
}

function watchConnections(limiter: ClientLimiter, port: number): ConnectionCensus {
  return new ConnectionCensus({ port, onCount: (counts) => limiter.setConnections(counts) });
}

function manifestStatusOf({ version, objectsKept, chunks, chunksMax, objectsCut, bytesCut }: ManifestKept) {
  return { version, objectsKept, chunks, chunksMax, objectsCut, bytesCut };
}

/** Resolves at the first message of that type. */
function messageFrom(worker: Worker, type: FillToMain["type"]): Promise<void> {
  return new Promise((resolve) => {
    const receive = (message: FillToMain) => {
      if (message.type !== type) return;
      worker.off("message", receive);
      resolve();
    };
    worker.on("message", receive);
  });
}

/** Makes sure that nobody has the port, since the serving workers share it in a way that would not tell; 0 becomes a free one. */
async function takePort(host: string, port: number): Promise<number> {
  const probe = createServer();
  await listen(probe, host, port);
  const taken = (probe.address() as AddressInfo).port;
  await new Promise((resolve) => probe.close(resolve));
  return taken;
}

function hostInUrl(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}
