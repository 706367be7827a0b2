import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { CutExtent } from "./extent-header.js";
import { extentOf, pageBytes, placeInExtentOf, slabGeometryOf, slotAt, slotsPerExtentOf } from "./slab-geometry.js";
import { SlotAllocator } from "./slot-allocator.js";

/** Extents of 69 pages, in slots of 17, 13, …, 2 and 1 pages. */
const geometry = slabGeometryOf(65_536);
const full = geometry.fullSlotPages;

function open(extentCount: number, cut: readonly CutExtent[] = [], used: readonly number[] = []): SlotAllocator {
  let epoch = 1000;
  return new SlotAllocator({ geometry, extentCount, cut, used, newEpoch: () => epoch++ });
}

/** What a disk holds, by page, as the store and the index would have it. */
class Model {
  /** First page -> pages. */
  readonly held = new Map<number, number>();
  readonly busy = new Map<number, number>();
  readonly cut = new Map<number, CutExtent>();

  assertNoOverlap(): void {
    const slots = [...this.held, ...this.busy].sort(([a], [b]) => a - b);
    for (const [at, [slot, pages]] of slots.entries()) {
      const next = slots[at + 1];
      assert.ok(!next || slot + pages <= next[0], `slots ${slot} and ${next?.[0]} overlap`);
      const cut = this.cut.get(extentOf(geometry, slot));
      assert.equal(cut?.slotPages, pages, "a slot lies in an extent that is cut for another size");
      assert.ok(placeInExtentOf(geometry, slot, pages) >= 0);
    }
  }
}

const step = fc.record({
  what: fc.constantFrom(
    "allocate",
    "allocate",
    "allocate",
    "settle-held",
    "settle-held",
    "settle-empty",
    "free",
    "free-nothing",
    "restart",
  ),
  pick: fc.nat({ max: 5000 }),
});
/** Runs of one size, so that need shifts from one to another. */
const shifts = fc.array(fc.tuple(fc.constantFrom(...geometry.slotClasses), fc.array(step, { maxLength: 60, size: "max" })), {
  maxLength: 8,
  size: "max",
});

test("no two live slots overlap, nothing is given twice or lost, whatever is written, freed, evicted, and cut anew for another size", () => {
  let cutAnew = 0;
  let evictedMost = 0;
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 5 }), shifts, (extentCount, runs) => {
      const model = new Model();
      let allocator = open(extentCount);
      for (const [slotPages, steps] of runs) {
        for (const { what, pick } of steps) {
          if (what === "allocate") {
            const given = allocator.allocate(slotPages);
            if (!given) {
              assert.ok(extentCount === 0 || model.busy.size > 0, "nothing could be had although nothing is being written");
              continue;
            }
            for (const slot of given.evicts) {
              assert.ok(!model.busy.has(slot), "a slot that is being written gave way");
              assert.ok(model.held.delete(slot), "a slot gave way that held nothing");
            }
            if (given.cut) {
              const { extent } = given.cut;
              cutAnew += model.cut.has(extent) && model.cut.get(extent)!.slotPages !== slotPages ? 1 : 0;
              for (const slot of [...model.held.keys(), ...model.busy.keys()])
                assert.notEqual(extentOf(geometry, slot), extent, "an extent was cut that holds something");
              model.cut.set(extent, given.cut);
            }
            evictedMost = Math.max(evictedMost, given.evicts.length);
            assert.ok(extentOf(geometry, given.slot) < extentCount);
            assert.ok(!model.busy.has(given.slot) && !model.held.has(given.slot));
            assert.equal(given.epoch, model.cut.get(extentOf(geometry, given.slot))!.epoch);
            model.busy.set(given.slot, slotPages);
          } else if (what === "free" || what === "free-nothing") {
            // Words that come late: of slots that are free by now, of another cut, beyond the disk.
            const slot = what === "free" ? [...model.held.keys()][pick % Math.max(1, model.held.size)] : pick % (6 * geometry.extentPages);
            if (slot === undefined) continue;
            allocator.free(slot);
            model.held.delete(slot);
          } else if (what === "restart") {
            // What is being written is not in the index.
            model.busy.clear();
            allocator = open(
              extentCount,
              [...model.cut.values()],
              [...model.held.keys()].sort((a, b) => a - b),
            );
          } else if (model.busy.size > 0) {
            const [slot, pages] = [...model.busy][pick % model.busy.size]!;
            model.busy.delete(slot);
            allocator.settle(slot, what === "settle-held");
            if (what === "settle-held") model.held.set(slot, pages);
          }
          model.assertNoOverlap();
          const pages = [...model.held.values(), ...model.busy.values()];
          assert.equal(allocator.usedCount, pages.length);
          assert.equal(allocator.usedBytes, pages.reduce((sum, one) => sum + one, 0) * pageBytes);
        }
      }
      // Nothing is lost: with all that was written settled, every extent can be had for the largest slots.
      for (const slot of model.busy.keys()) allocator.settle(slot, false);
      const seen = new Set<number>();
      for (let count = 0; count < extentCount * 4; count++) seen.add(allocator.allocate(full)!.slot);
      assert.equal(seen.size, extentCount * 4, "slots were lost");
      assert.equal(allocator.allocate(full), undefined);
    }),
    { numRuns: 400 },
  );
  assert.ok(
    cutAnew > 100 && evictedMost >= 5,
    `the runs showed little: ${cutAnew} extents were cut anew, ${evictedMost} slots gave way at once`,
  );
});

test("a full disk gives slots of one size again in the order in which they were written, one at a time", () => {
  const allocator = open(2);
  const order: number[] = [];
  for (let count = 0; count < 24; count++) {
    const { slot, evicts } = allocator.allocate(full)!;
    assert.deepEqual(evicts, count >= 8 ? [slot] : []);
    allocator.settle(slot, true);
    order.push(slot);
  }
  assert.deepEqual(order.slice(8, 16), order.slice(0, 8));
  assert.deepEqual(order.slice(16), order.slice(0, 8));
});

test("each size has its share of a full disk by what is written in it, and the shares follow when the need shifts", () => {
  const extentCount = 40;
  const allocator = open(extentCount);
  const held = new Map<number, number>();
  const write = (slotPages: number, pages: number) => {
    for (let left = pages; left > 0; left -= slotPages) {
      const { slot, evicts } = allocator.allocate(slotPages)!;
      for (const one of evicts) held.delete(one);
      allocator.settle(slot, true);
      held.set(slot, slotPages);
    }
  };
  const shareOf = (slotPages: number) => {
    const pages = [...held.values()].filter((one) => one === slotPages).length * slotPages;
    return pages / (extentCount * (geometry.extentPages - 1));
  };
  const turnPages = extentCount * (geometry.extentPages - 1);
  for (let round = 0; round < 30; round++) {
    write(full, turnPages / 10);
    write(1, turnPages / 30);
  }
  assert.ok(Math.abs(shareOf(1) - 0.25) < 0.1, `small slots have ${shareOf(1)} of the disk and are a quarter of what is written`);
  assert.ok(shareOf(1) + shareOf(full) > 0.9, `${1 - shareOf(1) - shareOf(full)} of the disk is empty`);
  write(1, 3 * turnPages);
  assert.ok(shareOf(1) > 0.98);
  write(full, 3 * turnPages);
  assert.ok(shareOf(full) > 0.98);
});

test("holes are filled before anything gives way, and an extent that is empty serves any size", () => {
  const allocator = open(1);
  const slots = Array.from({ length: slotsPerExtentOf(geometry, 2) }, () => allocator.allocate(2)!.slot);
  for (const slot of slots) allocator.settle(slot, true);
  allocator.free(slots[5]!);
  const filled = allocator.allocate(2)!;
  assert.deepEqual([filled.slot, filled.evicts], [slots[5], []]);
  allocator.settle(filled.slot, true);
  for (const slot of slots) allocator.free(slot);
  const { evicts, cut } = allocator.allocate(full)!;
  assert.deepEqual([evicts, cut?.slotPages], [[], full]);
});

test("after a restart free slots are found again, what lies beyond a disk that was made smaller is left alone, and a disk without room has none", () => {
  const cut = [0, 3].map((extent) => ({ extent, slotPages: full, epoch: 7 }));
  const used = [slotAt(geometry, 0, full, 0), slotAt(geometry, 0, full, 1), slotAt(geometry, 3, full, 0)];
  const allocator = open(2, cut, used);
  assert.equal(allocator.usedCount, 2);
  const { slot, epoch } = allocator.allocate(full)!;
  assert.deepEqual([slot, epoch], [slotAt(geometry, 0, full, 2), 7]);
  assert.equal(open(0).allocate(1), undefined);
});
