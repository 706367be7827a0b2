import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { slabGeometryOf, slabOf, slabPathOf, slotCountOf, slotOffsetOf } from "./slab-geometry.js";
import { slotHeaderBytes } from "./slot-header.js";

const chunkSizes = fc.oneof(fc.integer({ min: 1, max: 20_000 }), fc.integer({ min: 1, max: 64 * 2 ** 20 }), fc.constantFrom(4096, 2 ** 20));

test("slots never overlap, have room for header and chunk, start at pages and stay within their slab", () => {
  fc.assert(
    fc.property(chunkSizes, fc.nat({ max: 2 ** 31 }), fc.integer({ min: 1, max: 5000 }), (chunkBytes, slot, further) => {
      const geometry = slabGeometryOf(chunkBytes);
      const neededBytes = slotHeaderBytes + chunkBytes;
      for (const other of [slot + 1, slot + further]) {
        const apart = Math.abs(slotOffsetOf(geometry, other) - slotOffsetOf(geometry, slot));
        assert.ok(slabOf(geometry, other) !== slabOf(geometry, slot) || apart >= neededBytes);
      }
      const offset = slotOffsetOf(geometry, slot);
      assert.equal(offset % 4096, 0);
      assert.ok(offset + neededBytes <= geometry.slotBytes * geometry.slotsPerSlab);
      assert.ok(geometry.slotBytes * geometry.slotsPerSlab <= 2 ** 30);
    }),
  );
});

test("slotCountOf() gives only slots that fit into the disk's capacity", () => {
  fc.assert(
    fc.property(chunkSizes, fc.integer({ min: 0, max: 2 ** 44 }), (chunkBytes, capacityBytes) => {
      const geometry = slabGeometryOf(chunkBytes);
      const count = slotCountOf(geometry, capacityBytes);
      assert.ok(count * geometry.slotBytes <= capacityBytes && (count + 1) * geometry.slotBytes > capacityBytes);
    }),
  );
});

test("slabPathOf() names slabs so that they sort, and each its own", () => {
  assert.equal(slabPathOf("/d", 0), "/d/slab-00000.bin");
  assert.equal(slabPathOf("/d", 123_456), "/d/slab-123456.bin");
});
