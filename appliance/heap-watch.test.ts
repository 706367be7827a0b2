import assert from "node:assert/strict";
import { test } from "node:test";
import { HeapWatch } from "./heap-watch.js";

test("HeapWatch tells of a heap that stays full, once, and not of one that was collected in between", () => {
  const heap = { used: 0, limit: 100 };
  const told: string[] = [];
  const watch = new HeapWatch({ read: () => heap, onFull: (error) => told.push(error.message) });
  for (const used of [10, 90, 20, 86, 85]) {
    heap.used = used;
    watch.look();
  }
  assert.deepEqual(told, []);
  heap.used = 86;
  watch.look();
  watch.look();
  assert.equal(told.length, 1);
});
