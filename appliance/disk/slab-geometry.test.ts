import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  extentCountOf,
  extentOf,
  extentOffsetOf,
  pageBytes,
  placeInExtentOf,
  slabGeometryOf,
  slabOf,
  slabOfExtent,
  slabPathOf,
  slotAt,
  slotOffsetOf,
  slotShapeOf,
  slotsPerExtentOf,
} from "./slab-geometry.js";
import { fullSlotHeaderBytes, pathAndTagBytesMax, smallSlotHeaderBytes } from "./slot-header.js";

const chunkSizes = fc.oneof(fc.integer({ min: 1, max: 20_000 }), fc.integer({ min: 1, max: 64 * 2 ** 20 }), fc.constantFrom(4096, 2 ** 20));
const named = { path: "films/one/video-1080.mp4", etag: '"1"' };

test("slots of one extent, and of any two extents, never overlap, start at pages, and stay within their slab", () => {
  fc.assert(
    fc.property(chunkSizes, fc.nat({ max: 2 ** 24 }), fc.nat(), fc.nat(), fc.nat(), (chunkBytes, extent, pick, one, other) => {
      const geometry = slabGeometryOf(chunkBytes);
      const slotPages = geometry.slotClasses[pick % geometry.slotClasses.length]!;
      const count = slotsPerExtentOf(geometry, slotPages);
      const [first, second] = [slotAt(geometry, extent, slotPages, one % count), slotAt(geometry, extent, slotPages, other % count)];
      assert.ok(first === second || Math.abs(slotOffsetOf(geometry, first) - slotOffsetOf(geometry, second)) >= slotPages * pageBytes);
      const offset = slotOffsetOf(geometry, first);
      assert.equal(offset % pageBytes, 0);
      // Behind the header of its extent, and before the next one's.
      assert.ok(offset >= extentOffsetOf(geometry, extent) + pageBytes);
      assert.ok(offset + slotPages * pageBytes <= extentOffsetOf(geometry, extent) + geometry.extentBytes);
      assert.ok(extentOffsetOf(geometry, extent) + geometry.extentBytes <= Math.max(2 ** 30, geometry.extentBytes));
      assert.equal(slabOf(geometry, first), slabOfExtent(geometry, extent));
      assert.equal(extentOf(geometry, first), extent);
      assert.equal(placeInExtentOf(geometry, first, slotPages), one % count);
      assert.equal(placeInExtentOf(geometry, extent * geometry.extentPages, slotPages), -1, "the header's page is no slot");
    }),
  );
});

test("slotShapeOf() gives every chunk of every object a slot that it fits into, with its header, and none that is larger than it needs", () => {
  fc.assert(
    fc.property(chunkSizes, fc.nat(), fc.integer({ min: 0, max: pathAndTagBytesMax }), (chunkBytes, pick, nameBytes) => {
      const geometry = slabGeometryOf(chunkBytes);
      const lengthBytes = 1 + (pick % chunkBytes);
      const { slotPages, headerBytes } = slotShapeOf(geometry, lengthBytes, { path: "p".repeat(nameBytes), etag: "" });
      assert.ok(geometry.slotClasses.includes(slotPages));
      assert.ok(headerBytes + lengthBytes <= slotPages * pageBytes);
      assert.ok(headerBytes === fullSlotHeaderBytes || nameBytes <= smallSlotHeaderBytes - 108);
      const smaller = geometry.slotClasses[geometry.slotClasses.indexOf(slotPages) - 1];
      const leastHeaderBytes = nameBytes <= smallSlotHeaderBytes - 108 ? smallSlotHeaderBytes : fullSlotHeaderBytes;
      assert.ok(smaller === undefined || leastHeaderBytes + lengthBytes > smaller * pageBytes);
    }),
  );
});

test("a full chunk of 1 MiB keeps a header of a page, and its bytes start at a page", () => {
  const geometry = slabGeometryOf(2 ** 20);
  assert.deepEqual(slotShapeOf(geometry, 2 ** 20, named), { slotPages: 257, headerBytes: 4096 });
  assert.equal(slotsPerExtentOf(geometry, 257), 4);
});

test("an object of 16 KiB or more wastes at most a quarter of its slot, an object of a byte takes a page, with chunks of 1 MiB", () => {
  const geometry = slabGeometryOf(2 ** 20);
  let worst = 0;
  for (let lengthBytes = 16 * 1024; lengthBytes <= 2 ** 20; lengthBytes += 97) {
    const { slotPages } = slotShapeOf(geometry, lengthBytes, named);
    worst = Math.max(worst, 1 - lengthBytes / (slotPages * pageBytes));
  }
  assert.ok(worst <= 0.25, `${worst} of a slot is empty`);
  assert.deepEqual(slotShapeOf(geometry, 1, named), { slotPages: 1, headerBytes: 512 });
  for (const slotPages of geometry.slotClasses) {
    const left = geometry.extentPages - 1 - slotPages * slotsPerExtentOf(geometry, slotPages);
    assert.ok(left / geometry.extentPages < 0.03, `slots of ${slotPages} pages leave ${left} pages of an extent`);
  }
});

test("extentCountOf() gives only extents that fit into the disk's capacity", () => {
  fc.assert(
    fc.property(chunkSizes, fc.integer({ min: 0, max: 2 ** 44 }), (chunkBytes, capacityBytes) => {
      const geometry = slabGeometryOf(chunkBytes);
      const count = extentCountOf(geometry, capacityBytes);
      assert.ok(count * geometry.extentBytes <= capacityBytes && (count + 1) * geometry.extentBytes > capacityBytes);
    }),
  );
});

test("slabPathOf() names slabs so that they sort, and each its own", () => {
  assert.equal(slabPathOf("/d", 0), "/d/slab-00000.bin");
  assert.equal(slabPathOf("/d", 123_456), "/d/slab-123456.bin");
});
