import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SlotAllocator } from "./slot-allocator.js";

const noHits = { countOf: () => 0, setCount: () => {} };

function openAllocator(slotCount: number, used: Iterable<number> = [], { demandShare = 0.1, kept = [] as readonly number[] } = {}) {
  const allocator = new SlotAllocator({ slotCount, demandShare, hashOf: (slot) => slot, hits: noHits });
  for (const slot of used) allocator.load(slot, kept.includes(slot), 0);
  allocator.endLoad();
  return allocator;
}

test("SlotAllocator never gives out a busy slot, evicts only when nothing is free and nothing that is kept, and counts as a model does", () => {
  const step = fc.record({
    what: fc.constantFrom("allocate", "allocate", "settle-held", "settle-empty", "settle-refused", "free", "keep", "full", "room"),
    pick: fc.nat({ max: 1000 }),
    isKept: fc.boolean(),
  });
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 12 }),
      fc.array(fc.nat({ max: 12 })),
      fc.constantFrom(0, 0.1, 0.5, 1),
      fc.array(step, { maxLength: 200, size: "max" }),
      (slotCount, used, demandShare, steps) => {
        const allocator = openAllocator(slotCount, used, { demandShare });
        /** Slot -> whether it is kept. */
        const holds = new Map(used.filter((slot) => slot < slotCount).map((slot) => [slot, false]));
        const busy = new Map<number, { isKept: boolean; reused: boolean }>();
        const written = new Set(holds.keys());
        for (const { what, pick, isKept } of steps) {
          const keptCount = [...holds.values(), ...[...busy.values()].map((one) => one.isKept)].filter(Boolean).length;
          assert.deepEqual([allocator.usedCount, allocator.keptCount], [holds.size + busy.size, keptCount]);
          const room = allocator.grows ? slotCount : written.size;
          const keptMax = Math.max(0, room - (demandShare > 0 ? Math.max(1, Math.ceil(room * demandShare)) : 0));
          assert.equal(allocator.keptMax, keptMax);
          const free = [...Array(slotCount).keys()].filter(
            (slot) => !holds.has(slot) && !busy.has(slot) && (allocator.grows || written.has(slot)),
          );
          const evictable = [...holds].filter(([, one]) => !one);
          assert.equal(allocator.hasSlot, free.length + evictable.length > 0);
          if (what === "full" || what === "room") allocator.grows = what === "room";
          else if (what === "allocate") {
            const given = allocator.allocate(isKept);
            const mayHave = (!isKept || keptCount < keptMax) && free.length + evictable.length > 0;
            assert.equal(given !== undefined, mayHave);
            if (!given) continue;
            assert.ok(given.slot >= 0 && given.slot < slotCount && !busy.has(given.slot));
            assert.equal(given.evicts, free.length === 0);
            assert.equal(holds.get(given.slot), given.evicts ? false : undefined);
            assert.equal(given.reused, written.has(given.slot));
            holds.delete(given.slot);
            busy.set(given.slot, { isKept, reused: given.reused });
            written.add(given.slot);
          } else if (what === "free") {
            const slot = pick % 13;
            allocator.free(slot);
            holds.delete(slot);
          } else if (what === "keep") {
            const slot = pick % 13;
            allocator.setKept(slot, isKept, slot);
            if (holds.has(slot)) holds.set(slot, isKept);
          } else if (busy.size > 0) {
            const [slot, { isKept: asked, reused }] = [...busy][pick % busy.size]!;
            busy.delete(slot);
            const isHeld = what === "settle-held";
            const isWritten = reused || what !== "settle-refused";
            allocator.settle(slot, isHeld ? { isKept: asked, hash: slot } : undefined, isWritten);
            if (isHeld) holds.set(slot, asked);
            if (!isWritten) written.delete(slot);
          }
        }
      },
    ),
    { numRuns: 500 },
  );
});

test("SlotAllocator gives slots that were written before the ones that were not, and goes on behind the last used one after a restart", () => {
  assert.deepEqual(openAllocator(10, [0, 1, 2]).allocate(false), { slot: 3, evicts: false, reused: false });
  assert.equal(openAllocator(10, [7, 99]).allocate(false)!.slot, 8);
  assert.equal(openAllocator(0).allocate(false), undefined);
  const allocator = openAllocator(10, [0, 1, 2]);
  allocator.free(1);
  assert.deepEqual(allocator.allocate(false), { slot: 1, evicts: false, reused: true });
});

test("SlotAllocator of a disk full of the manifest gives the rest of the slots to what requests bring in, over and over", () => {
  const kept = Array.from({ length: 9 }, (_, slot) => slot);
  const allocator = openAllocator(10, kept, { kept });
  assert.deepEqual([allocator.keptCount, allocator.keptMax], [9, 9]);
  for (let count = 0; count < 100; count++) {
    const given = allocator.allocate(false)!;
    assert.equal(given.slot, 9);
    assert.equal(allocator.allocate(true), undefined);
    allocator.settle(given.slot, { isKept: false, hash: count });
  }
});

test("SlotAllocator makes room for the manifest among what requests brought in, and takes no more than its share", () => {
  const allocator = openAllocator(20, Array(20).keys(), { demandShare: 0.25 });
  for (let count = 0; count < 15; count++) {
    const given = allocator.allocate(true)!;
    assert.ok(given.evicts);
    allocator.settle(given.slot, { isKept: true, hash: count });
  }
  assert.equal(allocator.allocate(true), undefined);
  assert.deepEqual([allocator.keptCount, allocator.demandCount], [15, 5]);
});
