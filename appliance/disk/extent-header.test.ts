import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { encodeExtentHeader, parseExtentHeader } from "./extent-header.js";

const uuid = Buffer.alloc(16, 7);

test("parseExtentHeader() gives back what encodeExtentHeader() wrote, for any extent", () => {
  const uint32 = fc.integer({ min: 0, max: 0xffffffff });
  fc.assert(
    fc.property(uint32, uint32, uint32, (extent, slotPages, epoch) => {
      assert.deepEqual(parseExtentHeader(encodeExtentHeader({ extent, slotPages, epoch }, uuid), extent, uuid), {
        extent,
        slotPages,
        epoch,
      });
    }),
  );
});

test("parseExtentHeader() takes no header of another extent or disk, none with a flipped bit, none cut short, and no noise", () => {
  const page = encodeExtentHeader({ extent: 3, slotPages: 17, epoch: 99 }, uuid);
  assert.equal(parseExtentHeader(page, 4, uuid), undefined);
  assert.equal(parseExtentHeader(page, 3, Buffer.alloc(16, 8)), undefined);
  assert.equal(parseExtentHeader(page.subarray(0, 47), 3, uuid), undefined);
  assert.equal(parseExtentHeader(Buffer.alloc(4096), 3, uuid), undefined);
  for (let bit = 0; bit < 48 * 8; bit++) {
    page[bit >> 3]! ^= 1 << (bit & 7);
    assert.equal(parseExtentHeader(page, 3, uuid), undefined, `bit ${bit}`);
    page[bit >> 3]! ^= 1 << (bit & 7);
  }
});
