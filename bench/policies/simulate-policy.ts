// Drives one policy through a loaded trace and counts.
import type { CachePolicy } from "./cache-policy.js";
import type { LoadedTrace } from "./load-trace.js";

export interface PolicyCounts {
  hits: number;
  hitBytes: number;
}

/** Every request counts, an object's first one too, which no cache can hit. */
export function simulatePolicy(policy: CachePolicy, { objects, objectBytes }: Pick<LoadedTrace, "objects" | "objectBytes">): PolicyCounts {
  let hits = 0;
  let hitBytes = 0;
  for (let at = 0; at < objects.length; at++) {
    const object = objects[at]!;
    if (policy.request(object, at)) {
      hits++;
      hitBytes += objectBytes[object]!;
    }
  }
  return { hits, hitBytes };
}
