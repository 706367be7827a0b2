// Fills one disk in several ways with the same requests, day by day: by demand alone, or by a manifest of tomorrow's popular objects with the rest for demand.
import type { CachePolicy, CachePolicyOptions } from "../policies/cache-policy.js";
import type { LoadedTrace } from "../policies/load-trace.js";
import type { FilledWay } from "./popularity-result.js";

/** Who makes manifests: the one under test is handed in, since the bench imports no server. */
export interface ManifestMaker {
  /** Tells what was asked for in one day. */
  noteDay(day: number, requestedBytes: Float64Array): void;
  /** The objects to hold from now on; at most `budgetBytes` of them. */
  plan(day: number): Iterable<number>;
}

export interface SimulatePopularityOptions {
  requestsPerDay: number;
  warmUpDays: number;
  capacityBytes: number;
}

type MakePolicy = (options: CachePolicyOptions) => CachePolicy;

/** A manifest maker that knows each day's requests before it begins: what no forecast can be better than by much. */
export function perfectManifests({ objects, objectBytes }: LoadedTrace, requestsPerDay: number, budgetBytes: number): ManifestMaker {
  return {
    noteDay() {},
    plan(day) {
      const plays = new Uint32Array(objectBytes.length);
      for (const object of objects.subarray(day * requestsPerDay, (day + 1) * requestsPerDay)) plays[object]!++;
      const held: number[] = [];
      let freeBytes = budgetBytes;
      for (const object of [...plays.keys()].sort((a, b) => plays[b]! - plays[a]!)) {
        if (objectBytes[object]! > freeBytes) continue;
        freeBytes -= objectBytes[object]!;
        held.push(object);
      }
      return held;
    },
  };
}

/** Every miss is written to the disk, as an appliance does. */
export function simulateDemand(title: string, makePolicy: MakePolicy, trace: LoadedTrace, options: SimulatePopularityOptions): FilledWay {
  return simulateManifest(title, { maker: undefined, demand: makePolicy, demandBytes: options.capacityBytes }, trace, options);
}

export interface ManifestWay {
  /** Undefined: demand has the whole disk. */
  maker: ManifestMaker | undefined;
  demand: MakePolicy;
  demandBytes: number;
}

/**
 * The manifest of a day is in place when it begins: it was filled in the night. An object that comes into the manifest and is held by
 * demand already is not fetched again; one that leaves it is gone.
 */
export function simulateManifest(
  title: string,
  { maker, demand, demandBytes }: ManifestWay,
  { objects, objectBytes }: LoadedTrace,
  { requestsPerDay, warmUpDays, capacityBytes }: SimulatePopularityOptions,
): FilledWay {
  const policy = demand({ capacityBytes: demandBytes, objectBytes, nextRequests: new Uint32Array(0) });
  const days: FilledWay["days"] = [];
  let planned = new Set<number>();
  let [servedSum, hitSum, fillSum] = [0, 0, 0];
  for (let day = 0; day * requestsPerDay < objects.length; day++) {
    let churnBytes = 0;
    if (maker && day > 0) {
      const next = new Set(maker.plan(day));
      for (const object of next) if (!planned.has(object) && !policy.holds(object)) churnBytes += objectBytes[object]!;
      planned = next;
    }
    const requestedBytes = new Float64Array(objectBytes.length);
    let [served, hit, missed] = [0, 0, 0];
    const end = Math.min(objects.length, (day + 1) * requestsPerDay);
    for (let at = day * requestsPerDay; at < end; at++) {
      const object = objects[at]!;
      const bytes = objectBytes[object]!;
      requestedBytes[object]! += bytes;
      served += bytes;
      if (planned.has(object) || policy.request(object, at)) hit += bytes;
      else missed += bytes;
    }
    maker?.noteDay(day, requestedBytes);
    days.push({ byteHitRatio: hit / served, fillBytes: missed + churnBytes, churn: churnBytes / capacityBytes });
    if (day < warmUpDays) continue;
    servedSum += served;
    hitSum += hit;
    fillSum += missed + churnBytes;
  }
  const counted = days.slice(warmUpDays).map(({ churn }) => churn);
  return {
    title,
    byteHitRatio: hitSum / servedSum,
    fillBytesPerServedByte: fillSum / servedSum,
    churnWorstDay: Math.max(...counted),
    churnMeanDay: counted.reduce((sum, churn) => sum + churn, 0) / counted.length,
    days,
  };
}
