import assert from "node:assert/strict";
import { test } from "node:test";
import { allocateVitals, countLateTicks, loopDelayBoundsMs, readVitals, watchVitals } from "./thread-vitals.js";

function countedAt(delayMs: number): { bounds: number[]; sumMs: number } {
  const memory = allocateVitals(1);
  countLateTicks(new Float64Array(memory), delayMs);
  const { delayCounts, delaySumMs } = readVitals(memory, 0);
  const bounds = delayCounts.flatMap((count, at) => Array.from({ length: count }, () => loopDelayBoundsMs[at] ?? Infinity));
  return { bounds, sumMs: delaySumMs };
}

test("countLateTicks() counts a tick in the bucket of its delay", () => {
  assert.deepEqual(countedAt(0), { bounds: [0.5], sumMs: 0 });
  assert.deepEqual(countedAt(-1), { bounds: [0.5], sumMs: 0 });
  assert.deepEqual(countedAt(4.5), { bounds: [5], sumMs: 4.5 });
});

test("countLateTicks() counts the ticks that a standstill made impossible, each with what it would have waited", () => {
  assert.deepEqual(countedAt(35), { bounds: [5, 15, 30, 50], sumMs: 35 + 25 + 15 + 5 });
  const { bounds } = countedAt(1e9);
  assert.equal(bounds.length, 1001);
  assert.ok(bounds.every((bound) => bound === Infinity));
});

test("watchVitals() sees its own thread stand still, and tells its heap", async () => {
  const memory = allocateVitals(2);
  watchVitals(memory, 1);
  const late = () =>
    readVitals(memory, 1)
      .delayCounts.slice(loopDelayBoundsMs.indexOf(50))
      .reduce((sum, count) => sum + count, 0);
  const deadlineMs = performance.now() + 10_000;
  while (late() === 0 || readVitals(memory, 1).heapUsedBytes === 0) {
    assert.ok(performance.now() < deadlineMs, "a standstill was not counted");
    const untilMs = performance.now() + 80;
    while (performance.now() < untilMs);
    await new Promise((resolve) => setTimeout(resolve, 15));
  }
  assert.deepEqual(
    readVitals(memory, 0).delayCounts,
    Array.from({ length: loopDelayBoundsMs.length + 1 }, () => 0),
  );
});
