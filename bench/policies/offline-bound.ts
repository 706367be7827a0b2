// PFOO-L: hits that no policy can exceed on a trace of sized objects, however well it knows the future.
import { neverAgain } from "./cache-policy.js";

export interface OfflineBound {
  /** No policy has more hits; not always a whole number. */
  hits: number;
  /** No policy serves more bytes from the cache. Reached by other choices than `hits`: no one policy need reach both. */
  hitBytes: number;
}

export interface OfflineBoundOptions {
  objects: Uint32Array;
  objectBytes: Float64Array;
  nextRequests: Uint32Array;
  capacityBytes: number;
}

/**
 * Berger, Beckmann, Harchol-Balter, "Practical Bounds on Optimal Caching with Variable Object Sizes", SIGMETRICS 2018, section 5 (PFOO-L).
 * A hit at request j after a request at i needs size × (j − i) of the cache's space-time. A cache of C bytes has C × (n − 1) of it over n
 * requests. Relaxation: any intervals may be taken while their sum fits, as if the cache could be over-full at one moment and less at
 * another. Cheapest first gives most hits; shortest first gives most bytes per space-time. The last one is taken in part.
 */
export function offlineBound({ objects, objectBytes, nextRequests, capacityBytes }: OfflineBoundOptions): OfflineBound {
  const requests = objects.length;
  const spaceTime = capacityBytes * Math.max(0, requests - 1);
  const costs = new Float64Array(requests);
  const bytesByLength = new Float64Array(requests);
  let intervals = 0;
  for (let at = 0; at < requests; at++) {
    const next = nextRequests[at]!;
    if (next === neverAgain) continue;
    const bytes = objectBytes[objects[at]!]!;
    if (bytes > capacityBytes) continue;
    costs[intervals++] = bytes * (next - at);
    bytesByLength[next - at]! += bytes;
  }
  return { hits: mostHits(costs.subarray(0, intervals).sort(), spaceTime), hitBytes: mostBytes(bytesByLength, spaceTime) };
}

function mostHits(sortedCosts: Float64Array, spaceTime: number): number {
  let left = spaceTime;
  for (let hits = 0; hits < sortedCosts.length; hits++) {
    const cost = sortedCosts[hits]!;
    if (cost > left) return hits + left / cost;
    left -= cost;
  }
  return sortedCosts.length;
}

function mostBytes(bytesByLength: Float64Array, spaceTime: number): number {
  let left = spaceTime;
  let hitBytes = 0;
  for (let length = 1; length < bytesByLength.length; length++) {
    const bytes = bytesByLength[length]!;
    if (bytes * length > left) return hitBytes + left / length;
    hitBytes += bytes;
    left -= bytes * length;
  }
  return hitBytes;
}
