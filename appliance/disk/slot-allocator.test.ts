import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { CutExtent } from "./extent-header.js";
import { extentOf, pageBytes, placeInExtentOf, slabGeometryOf, slotAt, slotsPerExtentOf } from "./slab-geometry.js";
import { SlotAllocator } from "./slot-allocator.js";

/** Extents of 69 pages, in slots of 17, 13, …, 2 and 1 pages. */
const geometry = slabGeometryOf(65_536);
const full = geometry.fullSlotPages;
const noHits = { countOf: () => 0, setCount: () => {} };

interface OpenOptions {
  demandShare?: number;
  cut?: Iterable<CutExtent>;
  /** Slot -> whether it is kept. */
  used?: ReadonlyMap<number, boolean>;
}

let epochs = 1000;
let lastHash = 2 ** 30;
const newHash = () => lastHash++;

function open(extentCount: number, { demandShare = 0.1, cut = [], used = new Map() }: OpenOptions = {}): SlotAllocator {
  // Nothing comes back that has left, so the ghost has nothing to say.
  let hashes = 0;
  const hashOf = () => hashes++;
  const allocator = new SlotAllocator({ geometry, extentCount, cut, demandShare, hashOf, hits: noHits, newEpoch: () => epochs++ });
  for (const [slot, isKept] of [...used].sort(([a], [b]) => a - b)) allocator.load(slot, isKept, 0);
  allocator.endLoad();
  return allocator;
}

/** A disk whose extents are all cut into full slots, all of them used. */
function fullDisk(extentCount: number, keptSlots: number): { cut: CutExtent[]; used: Map<number, boolean> } {
  const cut = Array.from({ length: extentCount }, (_, extent) => ({ extent, slotPages: full, epoch: 7 }));
  const used = new Map(
    Array.from({ length: extentCount * 4 }, (_, at) => [slotAt(geometry, Math.floor(at / 4), full, at % 4), at < keptSlots]),
  );
  return { cut, used };
}

const step = fc.record({
  what: fc.constantFrom(
    ...(["allocate", "allocate", "allocate", "settle-held", "settle-held", "settle-empty", "settle-refused"] as const),
    ...(["free", "free-nothing", "keep", "full", "room", "restart"] as const),
  ),
  pick: fc.nat({ max: 5000 }),
  isKept: fc.nat({ max: 5 }).map((one) => one === 0),
});
/** Runs of one size, so that need shifts from one to another. */
const shifts = fc.array(fc.tuple(fc.constantFrom(...geometry.slotClasses), fc.array(step, { maxLength: 60, size: "max" })), {
  maxLength: 8,
  size: "max",
});

test("no two live slots overlap, nothing kept or busy gives way, nothing is lost, whatever is written, freed, kept, and cut anew for another size", () => {
  let cutAnew = 0;
  let evictedMost = 0;
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 5 }), fc.constantFrom(0, 0.1, 0.5, 1), shifts, (extentCount, demandShare, runs) => {
      const held = new Map<number, { pages: number; isKept: boolean }>();
      const busy = new Map<number, { pages: number; isKept: boolean; reused: boolean }>();
      const cuts = new Map<number, CutExtent>();
      let allocator = open(extentCount, { demandShare });
      for (const [slotPages, steps] of runs) {
        for (const { what, pick, isKept } of steps) {
          if (what === "full" || what === "room") allocator.grows = what === "room";
          else if (what === "allocate") {
            const { hasSlot, keptMax } = allocator;
            const given = allocator.allocate(slotPages, isKept);
            if (!given) {
              const mayGiveWay =
                [...held.values()].every((one) => one.isKept) || busy.size > 0 || [...held.values()].some((one) => one.isKept);
              assert.ok(isKept || !allocator.grows || extentCount === 0 || mayGiveWay, "nothing could be had although all may be evicted");
              continue;
            }
            assert.ok(hasSlot);
            for (const slot of given.evicts) {
              assert.ok(!busy.has(slot), "a slot that is being written gave way");
              assert.equal(held.get(slot)?.isKept, false, "a slot gave way that is kept, or held nothing");
              held.delete(slot);
            }
            evictedMost = Math.max(evictedMost, given.evicts.length);
            const extent = extentOf(geometry, given.slot);
            assert.ok(extent < extentCount && !busy.has(given.slot) && !held.has(given.slot));
            if (given.cut && given.cut.epoch !== cuts.get(extent)?.epoch) {
              cutAnew += cuts.has(extent) && cuts.get(extent)!.slotPages !== slotPages ? 1 : 0;
              for (const slot of [...held.keys(), ...busy.keys()])
                assert.notEqual(extentOf(geometry, slot), extent, "an extent was cut that holds something");
              cuts.set(extent, given.cut);
            }
            assert.equal(given.epoch, cuts.get(extent)!.epoch);
            busy.set(given.slot, { pages: slotPages, isKept, reused: given.reused });
            const keptPages = [...held.values(), ...busy.values()].reduce((sum, one) => sum + (one.isKept ? one.pages : 0), 0);
            if (isKept) assert.ok(keptPages <= keptMax * full, "the manifest took more than its share");
          } else if (what === "free" || what === "free-nothing") {
            // Words that come late: of slots that are free by now, of another cut, beyond the disk.
            const slot = what === "free" ? [...held.keys()][pick % Math.max(1, held.size)] : pick % (6 * geometry.extentPages);
            if (slot === undefined) continue;
            allocator.free(slot);
            held.delete(slot);
          } else if (what === "keep") {
            const slot = [...held.keys()][pick % Math.max(1, held.size)];
            if (slot === undefined) continue;
            allocator.setKept(slot, isKept, newHash());
            held.get(slot)!.isKept = isKept;
          } else if (what === "restart") {
            // What is being written is not in the index; of the cuts, those with chunks are.
            busy.clear();
            const used = new Map([...held].map(([slot, one]) => [slot, one.isKept]));
            allocator = open(extentCount, { demandShare, cut: cuts.values(), used });
          } else if (busy.size > 0) {
            const [slot, one] = [...busy][pick % busy.size]!;
            busy.delete(slot);
            const isHeld = what === "settle-held";
            allocator.settle(
              slot,
              isHeld ? { isKept: one.isKept, hash: newHash() } : undefined,
              isHeld || what === "settle-empty" || one.reused,
            );
            if (!isHeld) continue;
            held.set(slot, one);
            allocator.noteCut(cuts.get(extentOf(geometry, slot))!);
          }
          const slots = [...held, ...busy].sort(([a], [b]) => a - b);
          for (const [at, [slot, { pages }]] of slots.entries()) {
            const next = slots[at + 1];
            assert.ok(!next || slot + pages <= next[0], `slots ${slot} and ${next?.[0]} overlap`);
            assert.equal(cuts.get(extentOf(geometry, slot))?.slotPages, pages, "a slot lies in an extent that is cut for another size");
            assert.ok(placeInExtentOf(geometry, slot, pages) >= 0);
          }
          assert.equal(allocator.usedCount, slots.length);
          assert.equal(allocator.usedBytes, slots.reduce((sum, [, { pages }]) => sum + pages, 0) * pageBytes);
          assert.equal(allocator.keptBytes, slots.reduce((sum, [, one]) => sum + (one.isKept ? one.pages : 0), 0) * pageBytes);
        }
      }
      // Nothing is lost: with nothing kept and nothing being written, every extent can be had for the largest slots.
      allocator.grows = true;
      for (const slot of busy.keys()) allocator.settle(slot, undefined);
      for (const slot of held.keys()) allocator.setKept(slot, false, newHash());
      const seen = new Set<number>();
      for (let count = 0; count < extentCount * 4; count++) seen.add(allocator.allocate(full, false)!.slot);
      assert.equal(seen.size, extentCount * 4, "slots were lost");
      assert.equal(allocator.allocate(full, false), undefined);
    }),
    { numRuns: 400 },
  );
  assert.ok(
    cutAnew > 100 && evictedMost >= 3,
    `the runs showed little: ${cutAnew} extents were cut anew, ${evictedMost} slots gave way at once`,
  );
});

test("full slots of a full disk give way one at a time, and those that were written last come last", () => {
  const allocator = open(2);
  const order: number[] = [];
  for (let count = 0; count < 16; count++) {
    const { slot, evicts } = allocator.allocate(full, false)!;
    assert.deepEqual(evicts, count >= 8 ? [slot] : []);
    allocator.settle(slot, { isKept: false, hash: newHash() });
    order.push(slot);
  }
  assert.deepEqual(order.slice(8), order.slice(0, 8));
});

test("each size has its share of a full disk by what is written in it, and the shares follow when the need shifts", () => {
  const extentCount = 40;
  const allocator = open(extentCount);
  const held = new Map<number, number>();
  const write = (slotPages: number, pages: number) => {
    for (let left = pages; left > 0; left -= slotPages) {
      const { slot, evicts } = allocator.allocate(slotPages, false)!;
      for (const one of evicts) held.delete(one);
      allocator.settle(slot, { isKept: false, hash: newHash() });
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
  assert.ok(Math.abs(shareOf(1) - 0.25) < 0.15, `small slots have ${shareOf(1)} of the disk and are a quarter of what is written`);
  assert.ok(shareOf(1) + shareOf(full) > 0.9, `${1 - shareOf(1) - shareOf(full)} of the disk is empty`);
  write(1, 3 * turnPages);
  assert.ok(shareOf(1) > 0.95);
  write(full, 3 * turnPages);
  assert.ok(shareOf(full) > 0.95);
});

test("holes are filled before anything gives way, and an extent that is empty serves any size", () => {
  const allocator = open(1);
  const slots = Array.from({ length: slotsPerExtentOf(geometry, 2) }, () => allocator.allocate(2, false)!.slot);
  for (const slot of slots) allocator.settle(slot, { isKept: false, hash: newHash() });
  allocator.free(slots[5]!);
  const filled = allocator.allocate(2, false)!;
  assert.deepEqual([filled.slot, filled.evicts, filled.reused], [slots[5], [], true]);
  allocator.settle(filled.slot, { isKept: false, hash: newHash() });
  for (const slot of slots) allocator.free(slot);
  const { evicts, cut, reused } = allocator.allocate(full, false)!;
  assert.deepEqual([evicts, cut?.slotPages, reused], [[], full, true], "what was written all over has its place in the file system");
});

test("every slot of an extent that the index does not know brings its cut, until it does", () => {
  const allocator = open(1);
  const [first, second] = [allocator.allocate(full, false)!, allocator.allocate(full, false)!];
  assert.ok(first.cut);
  assert.deepEqual(second.cut, first.cut);
  // The batch with the first fails; the second is in the next one.
  allocator.settle(first.slot, undefined, false);
  allocator.settle(second.slot, { isKept: false, hash: newHash() });
  assert.ok(allocator.allocate(full, false)!.cut);
  allocator.noteCut(first.cut);
  assert.equal(allocator.allocate(full, false)!.cut, undefined);
});

test("after a restart free slots are found again, what lies beyond a disk that was made smaller is left alone, and a disk without room has none", () => {
  const cut = [0, 3].map((extent) => ({ extent, slotPages: full, epoch: 7 }));
  const used = new Map(
    [slotAt(geometry, 0, full, 0), slotAt(geometry, 0, full, 1), slotAt(geometry, 3, full, 0)].map((slot) => [slot, false]),
  );
  const allocator = open(2, { cut, used });
  assert.equal(allocator.usedCount, 2);
  const { slot, epoch, evicts, reused } = allocator.allocate(full, false)!;
  assert.deepEqual([slot, epoch, evicts, reused], [slotAt(geometry, 0, full, 2), 7, [], false]);
  assert.equal(open(0).allocate(1, false), undefined);
});

test("a disk full of the manifest gives the rest to what requests bring in, over and over, and none of it to other sizes", () => {
  const allocator = open(5, fullDisk(5, 18));
  assert.equal(allocator.keptMax, 18);
  const last = [slotAt(geometry, 4, full, 2), slotAt(geometry, 4, full, 3)];
  for (let count = 0; count < 100; count++) {
    const given = allocator.allocate(full, false)!;
    assert.ok(last.includes(given.slot));
    assert.equal(allocator.allocate(full, true), undefined);
    allocator.settle(given.slot, { isKept: false, hash: newHash() });
    assert.equal(allocator.allocate(1, false), undefined, "an extent with kept chunks was cut anew");
  }
});

test("the manifest finds room among what requests brought in, and takes no more than its share", () => {
  const allocator = open(5, { ...fullDisk(5, 0), demandShare: 0.25 });
  for (let count = 0; count < 15; count++) {
    const given = allocator.allocate(full, true)!;
    assert.equal(given.evicts.length, 1);
    allocator.settle(given.slot, { isKept: true, hash: newHash() });
  }
  assert.equal(allocator.allocate(full, true), undefined);
  assert.deepEqual([allocator.keptBytes, allocator.usedBytes], [15 * full * pageBytes, 20 * full * pageBytes]);
});

test("while the file system has no room only slots that were written before are written again", () => {
  const allocator = open(2);
  const first = allocator.allocate(full, false)!;
  allocator.settle(first.slot, { isKept: false, hash: newHash() });
  const refused = allocator.allocate(full, false)!;
  allocator.settle(refused.slot, undefined, false);
  allocator.grows = false;
  assert.equal(allocator.keptMax, 0);
  const again = allocator.allocate(full, false)!;
  assert.deepEqual([again.slot, again.evicts, again.reused], [first.slot, [first.slot], true]);
  assert.equal(allocator.allocate(full, false), undefined);
  allocator.grows = true;
  assert.equal(allocator.allocate(full, false)!.slot, refused.slot);
});
