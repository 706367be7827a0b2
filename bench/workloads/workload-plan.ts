// The load plan that a workload's flags stand for.
import { parseByteSize } from "../../runtime/byte-size.js";
import { parseDurationMs } from "../../runtime/duration.js";
import { OperatingError } from "../../runtime/operating-error.js";
import { readReplayTrace, type ReplayTrace } from "./replay-trace.js";
import { rateCurves, type CatalogObject, type LoadPlan, type RateCurve, type RequestPlan } from "../load/load-plan.js";
import { flagName, type WorkloadFlags } from "./workload-flags.js";

/** One of 16 bodies: about 2 % of the generator's time at 512 KiB. */
const sampleShare = 1 / 16;

/** After a trace's last request is due: for its answer. */
const replayGraceSeconds = 1;

/** Where the load goes, which the flags don't say. */
export interface LoadTarget {
  baseUrl: string;
  caPem: string | null;
  insecure: boolean;
  headers: Record<string, string>;
  objects: readonly CatalogObject[];
  /** The trace to replay over `objects`, where the flags name one. */
  replay: ReplayTrace | null;
  workers: number;
}

/** @throws OperatingError "bad-flag" that names the flag. */
export function planOf(flags: Readonly<WorkloadFlags>, target: LoadTarget): LoadPlan {
  const rate = atLeast("rate", flags.rate, 0);
  const { replay } = target;
  return {
    baseUrl: target.baseUrl,
    tls: { caPem: target.caPem, insecure: target.insecure },
    headers: target.headers,
    objects: target.objects,
    requests: {
      rangeBytes: flags.range === "whole" || replay !== null ? "whole" : bytesOf("range", flags.range),
      walk: oneOf("walk", flags.walk, ["random", "sequential"] as const),
      pick: replay === null ? pickOf(flags) : { kind: "trace", objectIndexes: replay.objectIndexes },
      crowd: flags.crowdAt < 1 ? { atFraction: flags.crowdAt, share: flags.crowdShare, rateFactor: flags.crowdFactor } : null,
    },
    loop: loopOf(flags, rate, replay),
    connections: atLeast("connections", flags.connections, 1),
    workers: Math.min(target.workers, flags.connections),
    verifyShare: { all: 1, sample: sampleShare, none: 0 }[oneOf("verify", flags.verify, ["all", "sample", "none"] as const)],
    requestTimeoutMs: msOf("timeout", flags.timeout),
    // A trace is replayed from its first request on: nothing of it may be lost in a warm-up.
    warmupSeconds: replay === null ? msOf("warmup", flags.warmup) / 1000 : 0,
    seconds: Math.min(
      msOf("duration", flags.duration) / 1000,
      replay === null ? Number.POSITIVE_INFINITY : replay.seconds + replayGraceSeconds,
    ),
    seed: flags.seed,
  };
}

/** Whether the server's files shall be taken out of the page cache. @throws OperatingError "bad-flag". */
export function dropsPageCache(flags: Readonly<WorkloadFlags>): boolean {
  return oneOf("pageCache", flags.pageCache, ["kept", "dropped"] as const) === "dropped";
}

/** The trace that the flags name; null where they name none. */
export async function readReplayOf(flags: Readonly<WorkloadFlags>): Promise<ReplayTrace | null> {
  if (flags.trace === "") return null;
  return readReplayTrace(flags.trace, {
    speed: numberOf("traceSpeed", flags.traceSpeed, 0),
    maxRequests: flags.traceRequests,
    objectMaxBytes: bytesOf("traceObjectMax", flags.traceObjectMax),
  });
}

function loopOf(flags: Readonly<WorkloadFlags>, rate: number, replay: ReplayTrace | null): LoadPlan["loop"] {
  if (replay !== null) return { kind: "replay", dueSeconds: replay.dueSeconds };
  if (rate === 0) return { kind: "closed" };
  return {
    kind: "open",
    requestsPerSecond: rate,
    arrivals: oneOf("arrivals", flags.arrivals, ["constant", "poisson"] as const),
    curve: oneOf<RateCurve>("curve", flags.curve, rateCurves),
  };
}

function pickOf(flags: Readonly<WorkloadFlags>): RequestPlan["pick"] {
  const kind = oneOf("pick", flags.pick, ["uniform", "zipf", "once"] as const);
  return kind === "zipf" ? { kind, alpha: atLeast("alpha", flags.alpha, 0) } : { kind };
}

function fail(key: string, expected: string, received: unknown): never {
  throw new OperatingError("bad-flag", `Cannot use ${flagName(key)}: expected ${expected}: received ${JSON.stringify(received)}`);
}

function numberOf(key: keyof WorkloadFlags, value: number, above: number): number {
  return value > above ? value : fail(key, `a number above ${above}`, value);
}

export function bytesOf(key: keyof WorkloadFlags, text: string): number {
  const bytes = parseByteSize(text);
  return bytes === undefined || bytes < 1 ? fail(key, "an amount of bytes such as 512KiB", text) : bytes;
}

function msOf(key: keyof WorkloadFlags, text: string): number {
  return parseDurationMs(text) ?? fail(key, "a length of time such as 10s", text);
}

function atLeast(key: keyof WorkloadFlags, value: number, lowest: number): number {
  return value >= lowest ? value : fail(key, `a number from ${lowest} on`, value);
}

function oneOf<Value extends string>(key: keyof WorkloadFlags, text: string, values: readonly Value[]): Value {
  return values.find((value) => value === text) ?? fail(key, `one of ${values.join(", ")}`, text);
}
