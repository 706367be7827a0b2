// Watches the disks of a running appliance: every second it looks at their read times and errors, probes them, and changes their states.
import type { Clock } from "../../runtime/clock.js";
import type { Log } from "../../runtime/log.js";
import { decideDiskState, diskLimits, goodProbesNeeded, slowLimitMs, type DiskSignals } from "./decide-disk-state.js";
import { quantileMs, type DiskDescription, type DiskSet, type DiskState } from "./disk-set.js";
import type { Probe } from "./probe-disk.js";

const tickMs = 1000;
/** A disk that is online is probed this often: it may be idle, and nobody would notice that it is gone. */
const onlineProbeEveryMs = 5000;
/** What is usual follows what is seen with this weight per second: a minute of slowness is not forgotten at once, a new load is learned. */
const usualWeight = 1 / 60;

export interface DiskMonitorOptions {
  disks: DiskSet;
  clock: Clock;
  log: Log;
  /** Looks at a disk past its queues; `ended` settles when the disk is done with it, which may be long after. */
  probe: (disk: DiskDescription) => Promise<Probe & { ended: Promise<unknown> }>;
  /** Told of every change, after the state is set. */
  onChange: (change: DiskChange) => void;
}

export interface DiskChange {
  disk: DiskDescription;
  from: DiskState;
  to: DiskState;
  reason: string;
}

/** What is known of one disk besides its state; for /status and metrics. */
export interface DiskHealth {
  /** Why it is in the state that it is in. */
  reason: string;
  sinceUnixMs: number;
  /** Of the last ten seconds; null when nothing was read. */
  readP50Ms: number | null;
  readP99Ms: number | null;
  /** Beyond this the disk becomes suspect. */
  slowLimitMs: number;
  /** How often it left "online" since the start. */
  falls: number;
}

interface WatchedDisk {
  seenState: DiskState;
  reason: string;
  sinceUnixMs: number;
  /** Read times and errors at the last ticks, oldest first; the window is the difference between the ends. */
  samples: { readTimes: Int32Array; errors: number; badSlots: number }[];
  usualP99Ms: number | undefined;
  window: { reads: number; errors: number; badSlots: number; p50Ms: number | undefined; p99Ms: number | undefined };
  probing: boolean;
  probedAtMs: number;
  lastProbe: Probe | undefined;
  goodProbesInRow: number;
  badProbesInRow: number;
  fallsAtMs: number[];
  seenBadSlots: number;
  /** One entry per second in which there were some. */
  badSlotsAtMs: { atMs: number; count: number }[];
  falls: number;
}

export class DiskMonitor {
  readonly #options: DiskMonitorOptions;
  readonly #watched = new Map<number, WatchedDisk>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: DiskMonitorOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = setInterval(() => this.tick(), tickMs).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  healthOf(diskNumber: number): DiskHealth {
    const watched = this.#watch(diskNumber);
    return {
      reason: watched.reason,
      sinceUnixMs: watched.sinceUnixMs,
      readP50Ms: watched.window.p50Ms ?? null,
      readP99Ms: watched.window.p99Ms ?? null,
      slowLimitMs: slowLimitMs({ usualP99Ms: watched.usualP99Ms, othersP99Ms: this.#othersP99Ms(diskNumber) }),
      falls: watched.falls,
    };
  }

  /** Changes a state by command. */
  setState(disk: DiskDescription, to: DiskState, reason: string): void {
    this.#change(disk, this.#watch(disk.diskNumber), to, reason);
  }

  /** One look at every disk. */
  tick(): void {
    const { disks } = this.#options;
    for (const { diskNumber } of disks.disks) this.#measure(diskNumber, this.#watch(diskNumber));
    for (const disk of disks.disks) {
      const watched = this.#watch(disk.diskNumber);
      const state = disks.stateOf(disk.diskNumber);
      if (state !== watched.seenState) {
        // A thread has done it: it could not wait for this second to end.
        const reason = state === "suspect" ? "reads in a row missed their deadline" : "errors in a row";
        this.#noteChange(disk, watched, watched.seenState, state, reason);
      }
      const decision = decideDiskState(this.#signalsOf(disk.diskNumber, watched, state));
      if (decision) this.#change(disk, watched, decision.state, decision.reason);
      this.#probeWhenDue(disk, watched);
    }
  }

  #watch(diskNumber: number): WatchedDisk {
    let watched = this.#watched.get(diskNumber);
    if (!watched) {
      const state = this.#options.disks.stateOf(diskNumber);
      watched = {
        seenState: state,
        reason: state === "online" ? "it was there at the start" : state === "retired" ? "by command" : "it was not there at the start",
        sinceUnixMs: this.#options.clock.unixMs(),
        samples: [],
        usualP99Ms: undefined,
        window: { reads: 0, errors: 0, badSlots: 0, p50Ms: undefined, p99Ms: undefined },
        probing: false,
        probedAtMs: Number.NEGATIVE_INFINITY,
        lastProbe: undefined,
        goodProbesInRow: 0,
        badProbesInRow: 0,
        fallsAtMs: [],
        seenBadSlots: 0,
        badSlotsAtMs: [],
        falls: 0,
      };
      this.#watched.set(diskNumber, watched);
    }
    return watched;
  }

  #measure(diskNumber: number, watched: WatchedDisk): void {
    const { disks } = this.#options;
    const now = { readTimes: disks.readTimesOf(diskNumber), errors: disks.errorsOf(diskNumber), badSlots: disks.badSlotsOf(diskNumber) };
    watched.samples.push(now);
    if (watched.samples.length > diskLimits.windowSeconds + 1) watched.samples.shift();
    const then = watched.samples[0]!;
    const counts = now.readTimes.map((count, bucket) => count - then.readTimes[bucket]!);
    const reads = counts.reduce((sum, count) => sum + count, 0);
    const p99Ms = quantileMs(counts, 0.99);
    const badSlots = now.badSlots - then.badSlots;
    const newBadSlots = now.badSlots - watched.seenBadSlots;
    if (newBadSlots > 0) watched.badSlotsAtMs.push({ atMs: this.#options.clock.monotonicMs(), count: newBadSlots });
    watched.seenBadSlots = now.badSlots;
    watched.window = { reads, errors: now.errors - then.errors, badSlots, p50Ms: quantileMs(counts, 0.5), p99Ms };
    if (p99Ms === undefined || reads < diskLimits.readsMin || !disks.isOnline(diskNumber)) return;
    const usual = watched.usualP99Ms ?? p99Ms;
    // What is too slow must not become usual.
    const limitMs = slowLimitMs({ usualP99Ms: usual, othersP99Ms: this.#othersP99Ms(diskNumber) });
    if (p99Ms <= limitMs) watched.usualP99Ms = usual + (p99Ms - usual) * usualWeight;
  }

  #othersP99Ms(diskNumber: number): number | undefined {
    const { disks } = this.#options;
    const others = disks.disks
      .filter((disk) => disk.diskNumber !== diskNumber && disks.isOnline(disk.diskNumber))
      .map((disk) => this.#watched.get(disk.diskNumber)?.window)
      .flatMap((window) => (window?.p99Ms !== undefined && window.reads >= diskLimits.readsMin ? [window.p99Ms] : []))
      .sort((a, b) => a - b);
    return others[Math.floor(others.length / 2)];
  }

  #signalsOf(diskNumber: number, watched: WatchedDisk, state: DiskState): DiskSignals {
    const { clock } = this.#options;
    const since = clock.monotonicMs() - diskLimits.fallsSeconds * 1000;
    watched.fallsAtMs = watched.fallsAtMs.filter((at) => at >= since);
    watched.badSlotsAtMs = watched.badSlotsAtMs.filter(({ atMs }) => atMs >= since);
    const { reads, errors, badSlots, p99Ms } = watched.window;
    return {
      state,
      reads,
      errors,
      badSlots,
      badSlotsLately: watched.badSlotsAtMs.reduce((sum, { count }) => sum + count, 0),
      p99Ms,
      usualP99Ms: watched.usualP99Ms,
      othersP99Ms: this.#othersP99Ms(diskNumber),
      lastProbe: watched.lastProbe,
      goodProbesInRow: watched.goodProbesInRow,
      badProbesInRow: watched.badProbesInRow,
      falls: watched.fallsAtMs.length,
    };
  }

  #probeWhenDue(disk: DiskDescription, watched: WatchedDisk): void {
    const { clock, disks } = this.#options;
    const state = disks.stateOf(disk.diskNumber);
    // One that hangs in its last probe gets no other, which would hang too.
    if (state === "retired" || watched.probing) return;
    const everyMs = state === "online" ? onlineProbeEveryMs : tickMs;
    if (clock.monotonicMs() - watched.probedAtMs < everyMs) return;
    watched.probing = true;
    watched.probedAtMs = clock.monotonicMs();
    void this.#options.probe(disk).then(({ verdict, ms, ended }) => {
      const limitMs = slowLimitMs({ usualP99Ms: watched.usualP99Ms, othersP99Ms: this.#othersP99Ms(disk.diskNumber) });
      // A probe syncs a write, which takes longer than a read: it is held to the limit of a disk that nothing is known of.
      const good = (verdict === "good" || verdict === "full") && ms <= Math.max(limitMs, diskLimits.slowMsAlone / 2);
      watched.lastProbe = { verdict, ms };
      watched.goodProbesInRow = good ? watched.goodProbesInRow + 1 : 0;
      watched.badProbesInRow = verdict === "failing" || verdict === "late" ? watched.badProbesInRow + 1 : 0;
      if (verdict === "late") disks.countHanging(disk.diskNumber, 1);
      void ended.finally(() => {
        watched.probing = false;
        if (verdict === "late") disks.countHanging(disk.diskNumber, -1);
      });
    });
  }

  #change(disk: DiskDescription, watched: WatchedDisk, to: DiskState, reason: string): void {
    const { disks } = this.#options;
    const from = disks.stateOf(disk.diskNumber);
    disks.setState(disk.diskNumber, to);
    this.#noteChange(disk, watched, from, to, reason);
  }

  #noteChange(disk: DiskDescription, watched: WatchedDisk, from: DiskState, to: DiskState, reason: string): void {
    const { clock, log, onChange } = this.#options;
    watched.seenState = to;
    watched.reason = reason;
    watched.sinceUnixMs = clock.unixMs();
    watched.goodProbesInRow = 0;
    watched.badProbesInRow = 0;
    watched.samples = [];
    if (from === "online" && to !== "retired") {
      watched.falls++;
      watched.fallsAtMs.push(clock.monotonicMs());
    }
    const fields = { disk: disk.path, uuid: disk.uuid, from, to, reason };
    if (to === "online") log.info(fields, "a disk is in use again");
    else if (to === "retired") log.info(fields, "a disk is retired");
    else {
      const comesBackAfter = goodProbesNeeded(watched.fallsAtMs.length);
      log.warn({ ...fields, comesBackAfterGoodProbes: comesBackAfter }, `a disk is ${to}`);
    }
    onChange({ disk, from, to, reason });
  }
}
