// Simulates every policy at every size over one trace.
import type { LoadedTrace } from "./load-trace.js";
import { findNextRequests } from "./cache-policy.js";
import { offlineBound } from "./offline-bound.js";
import type { SimulatedPolicy, SimulatedSize, TraceFacts } from "./policies-result.js";
import type { PolicyName } from "./policy-names.js";
import { policyTable } from "./policy-table.js";
import { simulatePolicy } from "./simulate-policy.js";

export interface RunPoliciesOptions {
  capacitiesBytes: readonly number[];
  policies: readonly PolicyName[];
  /** Before each simulation: how many are done, and what comes. May wait, so that a terminal can be drawn and signals are heard. */
  onStep?: (done: number, label: string) => Promise<void>;
}

/** Yields each size when all its policies were simulated. */
export async function* runPolicies(trace: LoadedTrace, options: RunPoliciesOptions): AsyncGenerator<SimulatedSize> {
  const { objects, objectBytes, footprintBytes, requestedBytes } = trace;
  const nextRequests = findNextRequests(objects, objectBytes.length);
  let done = 0;
  for (const capacityBytes of options.capacitiesBytes) {
    const policies: SimulatedPolicy[] = [];
    for (const name of options.policies) {
      const { title, offline, create } = policyTable[name];
      await options.onStep?.(done++, title);
      const started = performance.now();
      const { hits, hitBytes } = simulatePolicy(create({ capacityBytes, objectBytes, nextRequests }), trace);
      const seconds = (performance.now() - started) / 1000;
      policies.push({
        name,
        title,
        offline,
        hits,
        hitRatio: hits / objects.length,
        byteHitRatio: hitBytes / requestedBytes,
        requestsPerSecond: Math.round(objects.length / seconds),
      });
    }
    await options.onStep?.(done++, "bound");
    const bound = offlineBound({ objects, objectBytes, nextRequests, capacityBytes });
    yield {
      capacityBytes,
      footprintShare: capacityBytes / footprintBytes,
      policies,
      bound: { hitRatio: bound.hits / objects.length, byteHitRatio: bound.hitBytes / requestedBytes },
    };
  }
}

/** Simulations and bounds of a run, for a progress bar. */
export function countSteps({ capacitiesBytes, policies }: RunPoliciesOptions): number {
  return capacitiesBytes.length * (policies.length + 1);
}

export function factsOfTrace(source: string, trace: LoadedTrace): TraceFacts {
  const { objects, objectBytes, footprintBytes, requestedBytes, spanSeconds } = trace;
  return {
    source,
    requests: objects.length,
    objects: objectBytes.length,
    footprintBytes,
    requestedBytes,
    spanSeconds,
    endlessHitRatio: 1 - objectBytes.length / objects.length,
    endlessByteHitRatio: 1 - footprintBytes / requestedBytes,
  };
}
