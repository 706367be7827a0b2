// What the generator shall do: which requests, how many at a time or per second, for how long. Plain data, so that it crosses to worker threads.

export interface CatalogObject {
  /** Path below the base URL, without a leading slash. */
  name: string;
  bytes: number;
  /** Its number when its bytes are those of offset-content.ts; null when they are unknown and can't be verified. */
  contentNumber: number | null;
}

export interface LoadPlan {
  /** Where the objects are: http(s)://host:port/prefix/ */
  baseUrl: string;
  tls: {
    /** Certificates to trust besides the system's. */
    caPem: string | null;
    /** Accept any certificate. */
    insecure: boolean;
  };
  /** Sent with every request. */
  headers: Record<string, string>;
  objects: readonly CatalogObject[];
  requests: RequestPlan;
  loop: LoopPlan;
  /** Of all workers together. */
  connections: number;
  workers: number;
  /** Share of the responses whose bodies are compared with what they should be: 0 to 1. */
  verifyShare: number;
  requestTimeoutMs: number;
  warmupSeconds: number;
  seconds: number;
  /** The same seed asks for the same objects and ranges in the same order. */
  seed: number;
}

export type LoopPlan =
  /** Each connection has one request under way all the time. */
  | { kind: "closed" }
  /** Requests are due at moments that do not depend on the answers. */
  | { kind: "open"; requestsPerSecond: number; arrivals: "constant" | "poisson"; curve: RateCurve }
  /** Request i is due this long after the start; in shared memory. Goes with the pick "trace". */
  | { kind: "replay"; dueSeconds: Float64Array };

/** How the open loop's rate moves over the run: "diurnal" passes through one day, with the given rate as its mean. */
export const rateCurves = ["flat", "diurnal"] as const;
export type RateCurve = (typeof rateCurves)[number];

export interface RequestPlan {
  /** Length of the ranges asked for, or whole objects without a Range header. */
  rangeBytes: number | "whole";
  /** Which range of the chosen object: any aligned one, or (as a player) the next one until the object ends. */
  walk: "random" | "sequential";
  pick: ObjectPick;
  /** From this fraction of the run on, `share` of the requests go to object 0 and the open loop's rate is multiplied by `rateFactor`. */
  crowd: { atFraction: number; share: number; rateFactor: number } | null;
}

export type ObjectPick =
  | { kind: "uniform" }
  /** Object i (from 0) has weight 1 / (i + 1)^alpha. */
  | { kind: "zipf"; alpha: number }
  /** Every object in turn, each range once: for reading what no one has read before. */
  | { kind: "once" }
  /** Request i asks for the object with this index; in shared memory. */
  | { kind: "trace"; objectIndexes: Uint32Array };
