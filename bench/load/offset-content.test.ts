import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { countWrongBytes, fillWithContent, patternBytes } from "./offset-content.js";

test("fillWithContent() writes the documented function, computed here a second way", () => {
  const pattern = new Uint8Array(patternBytes);
  let x = 0x9e3779b9n;
  for (let i = 0; i < patternBytes; i++) {
    x = (x ^ (x << 13n)) & 0xffffffffn;
    x ^= x >> 17n;
    x = (x ^ (x << 5n)) & 0xffffffffn;
    pattern[i] = Number(x >> 24n);
  }
  const bytes = Buffer.alloc(3000);
  for (const [object, offset] of [
    [0, 0],
    [1, 0],
    [9999, 7],
    [5, 3 * patternBytes - 1000],
  ] as const) {
    fillWithContent(bytes, object, offset);
    for (const at of [0, 1, 999, 1000, 2999]) assert.equal(bytes[at], pattern[(offset + at + 104729 * object) % patternBytes]);
  }
});

test("countWrongBytes() finds none in any slice of an object, and each byte that is changed", () => {
  const object = Buffer.alloc(2_500_000);
  fillWithContent(object, 3, 0);
  const slice = fc
    .tuple(fc.nat(object.length - 1), fc.nat(object.length - 1))
    .map(([a, b]) => [Math.min(a, b), Math.max(a, b) + 1] as const);
  fc.assert(
    fc.property(slice, fc.uniqueArray(fc.nat(), { maxLength: 5 }), ([start, end], places) => {
      assert.equal(countWrongBytes(object, start, end, 3, start), 0);
      const spots = [...new Set(places.map((place) => start + (place % (end - start))))];
      for (const spot of spots) object[spot]! ^= 0xff;
      const wrong = countWrongBytes(object, start, end, 3, start);
      for (const spot of spots) object[spot]! ^= 0xff;
      assert.equal(wrong, spots.length);
    }),
  );
});

test("countWrongBytes() sees a body of another object, and one shifted by whole chunks", () => {
  const bytes = Buffer.alloc(65536);
  fillWithContent(bytes, 4, 0);
  assert.ok(countWrongBytes(bytes, 0, bytes.length, 5, 0) > 60_000);
  for (const shift of [4096, 65536, 2 ** 20, 2 ** 30]) {
    fillWithContent(bytes, 4, shift);
    assert.ok(countWrongBytes(bytes, 0, bytes.length, 4, 0) > 60_000, `shift ${shift}`);
  }
});
