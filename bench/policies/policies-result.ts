// What `millrace bench policies` leaves behind as JSON.
import type { BenchResult } from "../report/bench-result.js";
import type { PolicyName } from "./policy-names.js";

/** The head is that of every result of the bench. */
export interface PoliciesResult extends Pick<
  BenchResult,
  "schema" | "tool" | "startedAt" | "finishedAt" | "complete" | "machine" | "commit" | "arguments" | "notes"
> {
  kind: "policies";
  trace: TraceFacts;
  /** In the order asked for. */
  sizes: SimulatedSize[];
}

export interface TraceFacts {
  /** The file's path as typed, or the flags of a synthetic trace. */
  source: string;
  requests: number;
  objects: number;
  footprintBytes: number;
  requestedBytes: number;
  spanSeconds: number;
  /** Share of the requests, and of the bytes, that are not for an object for the first time: what an endless cache would hit. */
  endlessHitRatio: number;
  endlessByteHitRatio: number;
}

export interface SimulatedSize {
  capacityBytes: number;
  /** Of the trace's footprint. */
  footprintShare: number;
  policies: SimulatedPolicy[];
  /** No policy, online or offline, is above (PFOO-L). The two are reached by different choices. */
  bound: { hitRatio: number; byteHitRatio: number };
}

export interface SimulatedPolicy {
  name: PolicyName;
  title: string;
  /** Knows the future: no server can follow it. */
  offline: boolean;
  hits: number;
  hitRatio: number;
  byteHitRatio: number;
  /** Of the simulation, not of a cache. */
  requestsPerSecond: number;
}
