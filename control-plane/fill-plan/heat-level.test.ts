import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { addPlays, advanceHeatClock, dayMs, decayedTo, ratesPerDay, type HeatClock, type HeatLevel } from "./heat-level.js";

const steady = (playsPerDay: number, days: number, fromMs = 0) => {
  let level: HeatLevel | undefined;
  for (let hour = 0; hour < days * 24; hour++) level = addPlays(level, playsPerDay / 24, fromMs + (hour * dayMs) / 24);
  return level!;
};

test("ratesPerDay() finds a steady rate, for a young level too", () => {
  for (const days of [1, 3, 30, 200]) {
    const { fast, slow } = ratesPerDay(steady(24, days), days * dayMs);
    assert.ok(Math.abs(fast - 24) < 1 && Math.abs(slow - 24) < 1, `${days} days: ${fast} ${slow}`);
  }
});

test("ratesPerDay() follows a rise fast with the one, slowly with the other", () => {
  let level = steady(10, 60);
  for (let hour = 0; hour < 48; hour++) level = addPlays(level, 100 / 24, 60 * dayMs + (hour * dayMs) / 24);
  const { fast, slow } = ratesPerDay(level, 62 * dayMs);
  assert.ok(fast > 70 && fast < 100, String(fast));
  assert.ok(slow > 20 && slow < 40, String(slow));
});

test("addPlays() comes to the same in whatever order plays are told", () => {
  const play = fc.record({ plays: fc.double({ min: 0.001, max: 1000, noNaN: true }), atMs: fc.integer({ min: 0, max: 60 * dayMs }) });
  fc.assert(
    fc.property(fc.array(play, { minLength: 1 }), (plays) => {
      const told = (order: typeof plays) => {
        let level: HeatLevel | undefined;
        for (const { plays, atMs } of order) level = addPlays(level, plays, atMs);
        return { ...decayedTo(level!, 60 * dayMs), firstMs: level!.firstMs };
      };
      const [one, other] = [told(plays), told(plays.toReversed())];
      assert.ok(Math.abs(one.fast - other.fast) <= 1e-9 * one.fast + 1e-300);
      assert.ok(Math.abs(one.slow - other.slow) <= 1e-9 * one.slow);
      assert.equal(one.firstMs, other.firstMs);
    }),
  );
});

test("advanceHeatClock() never goes back and never moves by more than 7 days at once", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 2 ** 45 }), { size: "max", maxLength: 200 }), (walls) => {
      let clock: HeatClock | undefined;
      for (const wallMs of walls) {
        const next = advanceHeatClock(clock, wallMs);
        if (clock) assert.ok(next.heatMs >= clock.heatMs && next.heatMs - clock.heatMs <= 7 * dayMs);
        clock = next;
      }
    }),
  );
});

test("a clock that jumps a year ahead and back changes no order and freezes nothing", () => {
  let clock: HeatClock | undefined;
  const levels = new Map<string, HeatLevel>();
  const play = (title: string, plays: number, wallMs: number) => {
    clock = advanceHeatClock(clock, wallMs);
    levels.set(title, addPlays(levels.get(title), plays, clock.heatMs));
  };
  for (let day = 0; day < 30; day++)
    for (const [title, plays] of [
      ["a", 10],
      ["b", 5],
    ] as const)
      play(title, plays, day * dayMs);
  play("a", 10, 395 * dayMs);
  play("b", 5, 395 * dayMs);
  for (let day = 30; day < 40; day++)
    for (const [title, plays] of [
      ["a", 1],
      ["b", 20],
    ] as const)
      play(title, plays, day * dayMs);
  const rate = (title: string) => ratesPerDay(levels.get(title)!, clock!.heatMs);
  // The news of the last ten days have come through, in both.
  assert.ok(rate("b").fast > 10 * rate("a").fast);
  assert.ok(rate("b").slow > rate("a").slow);
});
