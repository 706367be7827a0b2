// The flags that a workload is made of, and their defaults. Imports nothing: the command line lists them without loading the bench.

/** As a person types them. Each name is a flag of `millrace bench`, in camel case. */
export interface WorkloadFlags {
  /** Bytes per request, or "whole". */
  range: string;
  /** "random" ranges, or "sequential" ones as a player asks. */
  walk: string;
  /** "uniform", "zipf" or "once". */
  pick: string;
  alpha: number;
  objects: number;
  objectSize: string;
  connections: number;
  /** Requests per second in the open loop; 0 is the closed loop. */
  rate: number;
  arrivals: string;
  curve: string;
  /** Fraction of the run at which a crowd comes for object 0; 1 is never. */
  crowdAt: number;
  crowdShare: number;
  crowdFactor: number;
  /** A request trace to replay instead of the choices above; "" is none. */
  trace: string;
  /** What the trace's clock is multiplied by. */
  traceSpeed: number;
  /** Requests of the trace that are replayed at most. */
  traceRequests: number;
  /** Larger objects of the trace are cut to this. */
  traceObjectMax: string;
  /** Connections that read never-read objects beside the load that is reported: what a server fills meanwhile. 0 is none. */
  fillConnections: number;
  fillObjects: number;
  /** Requests per second of those; 0 keeps one under way on each of the fill's connections. */
  fillRate: number;
  /** "kept", or "dropped": the server's files are taken out of the page cache before and during each round. */
  pageCache: string;
  verify: string;
  timeout: string;
  warmup: string;
  duration: string;
  rounds: number;
  seed: number;
}

export const defaultFlags: Readonly<WorkloadFlags> = {
  range: "512KiB",
  walk: "random",
  pick: "uniform",
  alpha: 1,
  objects: 64,
  objectSize: "8MiB",
  connections: 32,
  rate: 0,
  arrivals: "poisson",
  curve: "flat",
  crowdAt: 1,
  crowdShare: 0.9,
  crowdFactor: 4,
  trace: "",
  traceSpeed: 1,
  traceRequests: 100_000,
  traceObjectMax: "8MiB",
  fillConnections: 0,
  fillObjects: 256,
  fillRate: 0,
  pageCache: "kept",
  verify: "sample",
  timeout: "10s",
  warmup: "1s",
  duration: "10s",
  rounds: 3,
  seed: 1,
};

/** Flag names as typed: "objectSize" is "--object-size". */
export function flagName(key: string): string {
  return `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}
