import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { CuckooFilter } from "./cuckoo-filter.js";

test("CuckooFilter never denies what is in it, over random histories of add and delete", () => {
  const step = fc.record({ key: fc.integer({ min: 0, max: 3000 }), count: fc.integer({ min: 1, max: 900 }), remove: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { size: "max", maxLength: 20 }), (steps) => {
      const filter = new CuckooFilter();
      const model = new Set<string>();
      for (const { key, count, remove } of steps) {
        for (let number = key; number < key + count; number++) {
          const name = `film/${number}`;
          if (remove) {
            if (model.delete(name)) assert.ok(filter.delete(name));
          } else if (!model.has(name)) {
            model.add(name);
            filter.add(name);
          }
        }
      }
      assert.equal(filter.size, model.size);
      for (const name of model) assert.ok(filter.has(name), name);
    }),
    { numRuns: 60 },
  );
});

test("CuckooFilter takes 100,000 keys at under 5 bytes each, and takes fewer than 1 in 1000 others for its own", () => {
  const filter = new CuckooFilter();
  for (let number = 0; number < 100_000; number++) filter.add(`title/${number}/video.mp4`);
  let wrong = 0;
  for (let number = 0; number < 100_000; number++) if (filter.has(`other/${number}/video.mp4`)) wrong++;
  // Expected at most 0.012 % for each of 9 parts.
  assert.ok(wrong < 100, `${wrong} of 100,000`);
  assert.ok(filter.bytes < 500_000, String(filter.bytes));
});
