import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { weekdayFactors, weekdayOf } from "./weekday-factors.js";

const today = 20_000;
const days = (count: number, bytesOf: (weekday: number, unixDay: number) => number) =>
  Array.from({ length: count }, (_, at) => today - 1 - at).map((unixDay) => ({ unixDay, bytes: bytesOf(weekdayOf(unixDay), unixDay) }));

test("weekdayOf() knows that 1970-01-01 was a Thursday", () => {
  assert.equal(weekdayOf(0), 4);
  assert.equal(weekdayOf(3), 0);
  assert.equal(weekdayOf(-1), 3);
});

test("weekdayFactors() finds the weekend, and one outage does not move it", () => {
  const factors = weekdayFactors(
    days(56, (weekday) => (weekday === 0 || weekday === 6 ? 200 : 100)),
    today,
  );
  assert.ok(factors[0]! > 1.5 && factors[6]! > 1.5 && factors[3]! < 0.8, factors.join(" "));
  const withOutage = weekdayFactors(
    days(56, (weekday, unixDay) => (unixDay === today - 5 ? 0 : weekday === 0 || weekday === 6 ? 200 : 100)),
    today,
  );
  assert.deepEqual(withOutage, factors);
});

test("weekdayFactors() says nothing of less than two weeks, and keeps each factor in its bounds", () => {
  assert.deepEqual(
    weekdayFactors(
      days(13, () => 5),
      today,
    ),
    Array(7).fill(1),
  );
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 1e12 }), { size: "max", maxLength: 80 }), (bytes) => {
      const all = bytes.map((one, at) => ({ unixDay: today - 40 + at, bytes: one }));
      for (const factor of weekdayFactors(all, today)) assert.ok(factor >= 0.5 && factor <= 2);
    }),
  );
});
