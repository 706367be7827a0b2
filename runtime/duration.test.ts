import assert from "node:assert/strict";
import { test } from "node:test";
import { parseDurationMs } from "./duration.js";

test("parseDurationMs() reads each unit", () => {
  assert.equal(parseDurationMs("250ms"), 250);
  assert.equal(parseDurationMs("1.5s"), 1500);
  assert.equal(parseDurationMs("5 m"), 300_000);
  assert.equal(parseDurationMs("12h"), 43_200_000);
  assert.equal(parseDurationMs("7d"), 604_800_000);
});

test("parseDurationMs() refuses a number without a unit and nonsense", () => {
  for (const text of ["10", "", "s", "-1s", "1 fortnight", "1e3s"]) assert.equal(parseDurationMs(text), undefined, text);
});
