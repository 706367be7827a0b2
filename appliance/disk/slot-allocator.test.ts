import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SlotAllocator } from "./slot-allocator.js";

test("SlotAllocator never gives out a busy slot and counts what is used, as a model does, for any sequence of calls", () => {
  const step = fc.record({
    what: fc.constantFrom("allocate", "allocate", "settle-held", "settle-empty", "free"),
    pick: fc.nat({ max: 1000 }),
  });
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 9 }),
      fc.array(fc.nat({ max: 12 })),
      fc.array(step, { maxLength: 200 }),
      (slotCount, used, steps) => {
        const allocator = new SlotAllocator(slotCount, used);
        const holds = new Set(used.filter((slot) => slot < slotCount));
        const busy = new Set<number>();
        for (const { what, pick } of steps) {
          const inUse = new Set([...holds, ...busy]);
          if (what === "allocate") {
            const given = allocator.allocate();
            if (given === undefined) {
              assert.equal(busy.size, slotCount, "a slot could be had");
              continue;
            }
            assert.ok(given.slot >= 0 && given.slot < slotCount);
            assert.ok(!busy.has(given.slot), "a busy slot was given out");
            assert.equal(given.evicts, holds.has(given.slot));
            assert.ok(!given.evicts || inUse.size === slotCount, "a chunk was evicted although a slot was free");
            busy.add(given.slot);
          } else if (what === "free") {
            const slot = pick % 12;
            allocator.free(slot);
            // Its writer settles a busy one, and what it held before is gone in either case.
            if (slot < slotCount && !busy.has(slot)) holds.delete(slot);
          } else if (busy.size > 0) {
            const slot = [...busy][pick % busy.size]!;
            busy.delete(slot);
            allocator.settle(slot, what === "settle-held");
            if (what === "settle-held") holds.add(slot);
            else holds.delete(slot);
          }
          assert.equal(allocator.usedCount, new Set([...holds, ...busy]).size);
        }
      },
    ),
    { numRuns: 500 },
  );
});

test("SlotAllocator of a full disk gives the slots again in the order in which they were written", () => {
  const allocator = new SlotAllocator(5, []);
  const order: number[] = [];
  for (let count = 0; count < 15; count++) {
    const { slot, evicts } = allocator.allocate()!;
    assert.equal(evicts, count >= 5);
    allocator.settle(slot, true);
    order.push(slot);
  }
  assert.deepEqual(order, [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4]);
});

test("SlotAllocator goes on behind the last used slot after a restart, and has none of a disk without slots", () => {
  assert.equal(new SlotAllocator(10, [0, 1, 2]).allocate()!.slot, 3);
  assert.equal(new SlotAllocator(10, [7, 99]).allocate()!.slot, 8);
  assert.equal(new SlotAllocator(0, []).allocate(), undefined);
});
