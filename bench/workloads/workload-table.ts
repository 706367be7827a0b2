// The named workloads: each is a title and the flags it stands for.
import { OperatingError } from "../../runtime/operating-error.js";
import { defaultFlags, flagName, type WorkloadFlags } from "./workload-flags.js";

export interface Workload {
  name: string;
  title: string;
  /** What differs from the defaults. */
  flags: Partial<WorkloadFlags>;
  /** For servers that the bench starts itself; a server given by its URL has its own. */
  scheme?: "https";
}

const inMemory = { objects: 64, objectSize: "8MiB" } as const;

export const workloads: readonly Workload[] = [
  { name: "ranges-4k", title: "4 KiB ranges in memory: requests per second", flags: { ...inMemory, range: "4KiB", connections: 64 } },
  { name: "ranges-64k", title: "64 KiB ranges in memory", flags: { ...inMemory, range: "64KiB" } },
  { name: "ranges-512k", title: "512 KiB ranges in memory", flags: { ...inMemory, range: "512KiB" } },
  { name: "ranges-2m", title: "2 MiB ranges in memory", flags: { ...inMemory, range: "2MiB", connections: 16 } },
  {
    name: "cold",
    title: "From disk: a set 8 times as large as the server's memory, and out of the page cache",
    flags: { objects: 64, objectSize: "64MiB", range: "1MiB", connections: 32, pageCache: "dropped" },
  },
  {
    name: "zipf",
    title: "Zipf over a catalog, one day of demand in one run, open loop",
    flags: { objects: 64, objectSize: "8MiB", pick: "zipf", alpha: 1, rate: 1000, curve: "diurnal", duration: "24s", connections: 128 },
  },
  {
    name: "crowd",
    title: "Flash crowd: from a third of the run on, 4 times the requests and 9 of 10 for one title",
    flags: { ...inMemory, pick: "zipf", rate: 500, crowdAt: 0.33, crowdShare: 0.9, crowdFactor: 4, duration: "15s", connections: 256 },
  },
  {
    name: "replay",
    title: "Replay of a request trace at its own times: --trace FILE (CSV time,id,size or oracleGeneral binary), whole objects",
    flags: { range: "whole", connections: 256, rounds: 1, duration: "10m" },
  },
  {
    name: "fill",
    title: "Ranges in memory while the server fills objects that no one read before",
    flags: { ...inMemory, pick: "zipf", rate: 500, fillConnections: 4, fillObjects: 256, fillRate: 350, connections: 128, rounds: 1 },
  },
  {
    name: "disk-loss",
    title: "A disk is taken away in mid-run by a command you give: --at 50% --run 'CMD'; figures before and after",
    flags: { objects: 256, objectSize: "8MiB", pick: "zipf", rate: 500, connections: 128, duration: "30s", rounds: 1 },
  },
];

/** What `millrace bench` runs without a workload: the sizes that players ask for, then viewers at a fixed rate. */
export const canonicalWorkloads: readonly Workload[] = [
  { name: "ranges-4k", title: "4 KiB ranges in memory", flags: { ...inMemory, range: "4KiB", connections: 64, duration: "5s" } },
  { name: "ranges-512k", title: "512 KiB ranges in memory", flags: { ...inMemory, range: "512KiB", duration: "5s" } },
  { name: "ranges-512k", title: "512 KiB ranges in memory", flags: { ...inMemory, range: "512KiB", duration: "5s" }, scheme: "https" },
  {
    name: "viewers",
    title: "1000 segments of 512 KiB a second by Zipf, open loop",
    flags: { ...inMemory, range: "512KiB", pick: "zipf", rate: 1000, connections: 128, duration: "8s" },
  },
];

/** @throws OperatingError "unknown-workload". */
export function findWorkload(name: string): Workload {
  const found = workloads.find((workload) => workload.name === name);
  if (found !== undefined) return found;
  const names = workloads.map((workload) => workload.name).join(", ");
  throw new OperatingError("unknown-workload", `Cannot run workload "${name}": there are ${names}`);
}

/** All flags of `workload`, with what the person typed on top. */
export function flagsOf(workload: Workload, typed: Partial<WorkloadFlags>): WorkloadFlags {
  return { ...defaultFlags, ...workload.flags, ...typed };
}

/** The command-line flags that a workload stands for: "--range 4KiB --connections 64". */
export function flagsText(flags: Partial<WorkloadFlags>): string {
  return Object.entries(flags)
    .map(([key, value]) => `${flagName(key)} ${value}`)
    .join(" ");
}
