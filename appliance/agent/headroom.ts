// How much is free of what an appliance can run out of: network, disks, processors. Steering sends players by it.
import { readFileSync, statSync } from "node:fs";
import { availableParallelism } from "node:os";
import type { Headroom } from "../../fill-protocol/generated/millrace/fleet/v1/fleet.js";

/** Shares over a shorter time are noise; over a longer one a box that is full stays in steering for too long. */
const sampleMinMsDefault = 4000;

/** Totals that only grow, at one moment. Undefined: this machine does not tell. */
export interface LoadSample {
  atMs: number;
  /** Processor time of this process. */
  processCpuMs: number;
  sentBytes: number | undefined;
  nicBitsPerSecond: number | undefined;
  /** For each disk, time in which it had something to do. */
  diskBusyMs: readonly number[];
}

/** What was free between two samples. Pure. */
export function headroomBetween(before: LoadSample, after: LoadSample, processors: number): Headroom {
  const ms = Math.max(1, after.atMs - before.atMs);
  // Of this process, not of the machine: in a container the machine may be idle and our share of it used up.
  const cpuShare = (after.processCpuMs - before.processCpuMs) / (ms * processors);
  const diskShare = Math.max(0, ...after.diskBusyMs.map((busyMs, disk) => (busyMs - (before.diskBusyMs[disk] ?? busyMs)) / ms));
  const { nicBitsPerSecond = 0, sentBytes } = after;
  const isNicKnown = nicBitsPerSecond > 0 && sentBytes !== undefined && before.sentBytes !== undefined;
  const nicShare = isNicKnown ? ((sentBytes - before.sentBytes!) * 8 * 1000) / ms / nicBitsPerSecond : 0;
  return {
    nicBitsPerSecond: isNicKnown ? BigInt(Math.round(nicBitsPerSecond)) : 0n,
    nicFreePermille: freePermille(nicShare),
    diskFreePermille: freePermille(diskShare),
    cpuFreePermille: freePermille(cpuShare),
  };
}

function freePermille(usedShare: number): number {
  return Math.round(1000 * (1 - Math.min(1, Math.max(0, usedShare))));
}

export class HeadroomMeter {
  readonly #diskPaths: () => readonly string[];
  readonly #sampleMinMs: number;
  #before: LoadSample;
  #last: Headroom | undefined;

  constructor(diskPaths: () => readonly string[], sampleMinMs = sampleMinMsDefault) {
    this.#diskPaths = diskPaths;
    this.#sampleMinMs = sampleMinMs;
    this.#before = readSample(diskPaths());
  }

  /** Over the time since the last answer; undefined until there has been some. */
  read(): Headroom | undefined {
    const sample = readSample(this.#diskPaths());
    if (sample.atMs - this.#before.atMs >= this.#sampleMinMs) {
      this.#last = headroomBetween(this.#before, sample, availableParallelism());
      this.#before = sample;
    }
    return this.#last;
  }
}

function readSample(diskPaths: readonly string[]): LoadSample {
  const { user, system } = process.cpuUsage();
  const nic = defaultInterface();
  const speedMbps = nic === undefined ? undefined : readNumber(`/sys/class/net/${nic}/speed`);
  return {
    atMs: performance.now(),
    processCpuMs: (user + system) / 1000,
    sentBytes: nic === undefined ? undefined : readNumber(`/sys/class/net/${nic}/statistics/tx_bytes`),
    nicBitsPerSecond: speedMbps !== undefined && speedMbps > 0 ? speedMbps * 1e6 : undefined,
    diskBusyMs: diskPaths.map(readDiskBusyMs),
  };
}

/** The interface of the default route; undefined where there is none. */
function defaultInterface(): string | undefined {
  // Columns: interface, destination, …; all in hexadecimal.
  const line = readText("/proc/net/route")
    ?.split("\n")
    .find((row) => row.split("\t")[1] === "00000000");
  return line?.split("\t")[0];
}

/** 0 for what is no block device, such as a tmpfs. */
function readDiskBusyMs(path: string): number {
  try {
    const { dev } = statSync(path);
    const [major, minor] = [(dev >> 8) & 0xfff, (dev & 0xff) | ((dev >> 12) & 0xfff00)];
    // The tenth number: milliseconds with a request under way (kernel: Documentation/block/stat.rst).
    const fields = readText(`/sys/dev/block/${major}:${minor}/stat`)?.trim().split(/\s+/);
    return Number(fields?.[9] ?? 0);
  } catch {
    return 0;
  }
}

function readNumber(file: string): number | undefined {
  const number = Number(readText(file));
  return Number.isFinite(number) ? number : undefined;
}

/** Undefined where the kernel does not tell: another system, a container, a virtual interface. */
function readText(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}
