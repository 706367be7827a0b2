import assert from "node:assert/strict";
import { test } from "node:test";
import { loadTrace } from "../../bench/policies/load-trace.js";
import { LruPolicy } from "../../bench/policies/lru-policy.js";
import { zipfTrace } from "../../bench/policies/zipf-trace.js";
import { perfectManifests, simulateDemand, simulateManifest } from "../../bench/popularity/simulate-popularity.js";
import { plannedManifests } from "./planned-manifests.js";

const days = 20;
const requestsPerDay = 5000;

async function* batches(drift: number) {
  const recipe = { requests: days * requestsPerDay, objects: 2000, alpha: 0.8, bytesMin: 100, bytesMax: 1000, drift };
  yield* zipfTrace({ ...recipe, requestsPerSecond: requestsPerDay / 86_400, seed: 7 });
}

test("plannedManifests() keeps to its budget and its churn, and serves more than LRU and less than who knows the day", async () => {
  const trace = await loadTrace(batches(1));
  const capacityBytes = Math.round(trace.footprintBytes / 10);
  const how = { requestsPerDay, warmUpDays: 5, capacityBytes };
  const budgetBytes = Math.round(capacityBytes * 0.9);
  const demandBytes = capacityBytes - budgetBytes;
  const demand = (options: ConstructorParameters<typeof LruPolicy>[0]) => new LruPolicy(options);
  const maker = plannedManifests({ objectBytes: trace.objectBytes, budgetBytes, churnPerDay: 0.05 });
  const seen: number[] = [];
  const watched = {
    noteDay: maker.noteDay,
    plan: (day: number) => {
      const held = [...maker.plan(day)];
      seen.push(held.reduce((sum, object) => sum + trace.objectBytes[object]!, 0));
      return held;
    },
  };
  const planned = simulateManifest("planned", { maker: watched, demand, demandBytes }, trace, how);
  assert.ok(seen.every((bytes) => bytes <= budgetBytes));
  // One object may be larger than what was left of the day's share.
  assert.ok(planned.churnWorstDay <= 0.045 + 1000 / capacityBytes, String(planned.churnWorstDay));
  assert.ok(planned.days.slice(3).some(({ churn }) => churn > 0));
  const lru = simulateDemand("LRU", demand, trace, how);
  const perfect = simulateManifest(
    "perfect",
    { maker: perfectManifests(trace, requestsPerDay, budgetBytes), demand, demandBytes },
    trace,
    how,
  );
  assert.ok(lru.byteHitRatio < planned.byteHitRatio && planned.byteHitRatio < perfect.byteHitRatio);
  for (const { byteHitRatio, fillBytesPerServedByte } of [lru]) assert.ok(Math.abs(byteHitRatio + fillBytesPerServedByte - 1) < 1e-9);
});
