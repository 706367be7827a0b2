import assert from "node:assert/strict";
import { test } from "node:test";
import { countAllocatedBytes } from "./count-allocated.js";

const collection = (thread: string, before: number, after: number) =>
  `[77:${thread}]     1000 ms: Scavenge ${before.toFixed(1)} (34.0) -> ${after.toFixed(1)} (35.0) MB, 0.61 / 0.00 ms  (average mu = 1.000) task; \n`;

test("countAllocatedBytes() sums what grew between collections, of the thread that allocated most", () => {
  const worker = [...Array(5)].map(() => collection("0xaa", 20, 12)).join("");
  assert.equal(countAllocatedBytes(worker + collection("0xbb", 90, 4)), 5 * 8 * 2 ** 20);
});

test("countAllocatedBytes() reads full collections too, and tells nothing from a few", () => {
  const full = "[77:0xaa]     1100 ms: Mark-Compact (reduce) 21.0 (35.0) -> 11.0 (33.0) MB, 3.1 / 0.0 ms\n";
  assert.equal(
    countAllocatedBytes(collection("0xaa", 20, 12) + full + [...Array(3)].map(() => collection("0xaa", 20, 11)).join("")),
    (9 + 9 * 3) * 1.25 * 2 ** 20,
  );
  assert.equal(countAllocatedBytes(collection("0xaa", 20, 12)), undefined);
});
