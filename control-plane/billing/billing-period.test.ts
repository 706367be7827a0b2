import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { addMonths, dayOfMonth } from "./billing-period.js";

const at = (text: string) => Date.parse(`${text}Z`);

test("addMonths() keeps the anchor day through shorter months and leap years", () => {
  assert.equal(addMonths(at("2026-01-31T10:00:00"), 1, 31), at("2026-02-28T10:00:00"));
  assert.equal(addMonths(at("2026-02-28T10:00:00"), 1, 31), at("2026-03-31T10:00:00"));
  assert.equal(addMonths(at("2027-12-30T23:59:59"), 2, 30), at("2028-02-29T23:59:59"));
  assert.equal(addMonths(at("2024-02-29T00:00:00"), 12, 29), at("2025-02-28T00:00:00"));
});

test("addMonths() gives a later moment on the anchor day or the month's last, at the same time of day", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 4_000_000_000_000 }), fc.integer({ min: 1, max: 36 }), (from, months) => {
      const to = addMonths(from, months, dayOfMonth(from));
      assert.ok(to > from);
      assert.equal(to % 86_400_000, from % 86_400_000);
      assert.ok(dayOfMonth(to) === dayOfMonth(from) || dayOfMonth(to + 86_400_000) === 1);
      const [a, b] = [new Date(from), new Date(to)];
      assert.equal((b.getUTCFullYear() - a.getUTCFullYear()) * 12 + b.getUTCMonth() - a.getUTCMonth(), months);
    }),
  );
});
