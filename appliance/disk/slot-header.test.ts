import assert from "node:assert/strict";
import { test } from "node:test";
import { xxh64 } from "@node-rs/xxhash";
import fc from "fast-check";
import {
  encodeSlotHeader,
  findSlotMismatch,
  parseSlotHeader,
  pathAndTagBytesMax,
  fullSlotHeaderBytes,
  smallHeaderNameBytesMax,
  smallSlotHeaderBytes,
  type SlotHeader,
} from "./slot-header.js";

const bytes16 = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => Buffer.from(bytes));
const uint32 = fc.integer({ min: 0, max: 0xffffffff });

/** Whole text within the room of a header. */
const text = fc.string({ unit: "grapheme", maxLength: 300 }).filter((value) => Buffer.byteLength(value) < pathAndTagBytesMax / 2);

const plain = { noNullPrototype: true };
const headers: fc.Arbitrary<SlotHeader> = fc.record(
  {
    diskUuid: bytes16,
    epoch: uint32,
    objectKey: bytes16,
    chunk: uint32,
    lengthBytes: uint32,
    stampUnixMs: fc.maxSafeNat(),
    chunkXxh64: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    object: fc.record({ path: text, etag: text, sizeBytes: fc.maxSafeNat(), lastModifiedUnixMs: fc.maxSafeNat() }, plain),
  },
  plain,
);

function encode(header: SlotHeader, headerBytes = fullSlotHeaderBytes): Buffer {
  const into = Buffer.alloc(headerBytes, 0xaa);
  encodeSlotHeader(header, into);
  return into;
}

/** As it lies on a disk: with what follows it, up to a page. */
function pageWith(header: SlotHeader, headerBytes: number): Buffer {
  return Buffer.concat([encode(header, headerBytes), Buffer.alloc(fullSlotHeaderBytes - headerBytes, 0x55)]);
}

const chunk = Buffer.from("the bytes of a chunk");
const example: SlotHeader = {
  diskUuid: Buffer.alloc(16, 1),
  epoch: 99,
  objectKey: Buffer.alloc(16, 2),
  chunk: 7,
  lengthBytes: chunk.length,
  stampUnixMs: 1_790_000_000_000,
  chunkXxh64: xxh64(chunk),
  object: { path: "a/ü.mp4", etag: '"x"', sizeBytes: 1000, lastModifiedUnixMs: 1_700_000_000_000 },
};
const expected = { diskUuid: example.diskUuid, objectKey: example.objectKey, chunk: 7, lengthBytes: chunk.length };

test("parseSlotHeader() gives back what encodeSlotHeader() wrote, for any header", () => {
  fc.assert(
    fc.property(headers, (header) => {
      assert.deepEqual(parseSlotHeader(encode(header)), { ...header, headerBytes: fullSlotHeaderBytes });
    }),
  );
});

test("encodeSlotHeader() has room for the longest path and tag together", () => {
  const etag = `"${"e".repeat(98)}"`;
  const path = "p".repeat(pathAndTagBytesMax - etag.length);
  const header = { ...example, object: { ...example.object, path, etag } };
  assert.deepEqual(parseSlotHeader(encode(header)), { ...header, headerBytes: fullSlotHeaderBytes });
  const short = {
    ...header,
    object: { ...header.object, path: "p".repeat(smallHeaderNameBytesMax - etag.length), generation: 2 ** 32 - 1 },
  };
  assert.deepEqual(parseSlotHeader(pageWith(short, smallSlotHeaderBytes)), { ...short, headerBytes: smallSlotHeaderBytes });
});

test("parseSlotHeader() and findSlotMismatch() find every single flipped bit of a header", () => {
  for (const headerBytes of [smallSlotHeaderBytes, fullSlotHeaderBytes]) {
    const page = pageWith(example, headerBytes);
    const header = page.subarray(0, headerBytes);
    assert.equal(findSlotMismatch(header, chunk, expected), undefined);
    for (let bit = 0; bit < headerBytes * 8; bit++) {
      header[bit >> 3]! ^= 1 << (bit & 7);
      assert.equal(parseSlotHeader(page), undefined, `bit ${bit}`);
      assert.equal(findSlotMismatch(header, chunk, expected), "torn", `bit ${bit}`);
      header[bit >> 3]! ^= 1 << (bit & 7);
    }
  }
});

test("findSlotMismatch() finds every single flipped bit of a chunk", () => {
  const header = encode(example);
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), fc.nat(), (bytes, pick) => {
      const own = encode({ ...example, lengthBytes: bytes.length, chunkXxh64: xxh64(bytes) });
      const wanted = { ...expected, lengthBytes: bytes.length };
      assert.equal(findSlotMismatch(own, bytes, wanted), undefined);
      const bit = pick % (bytes.length * 8);
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      assert.equal(findSlotMismatch(own, bytes, wanted), "wrong-bytes");
    }),
  );
  assert.equal(findSlotMismatch(header, chunk, expected), undefined);
});

test("findSlotMismatch() names a slot of another disk, object, chunk or length", () => {
  const header = encode(example);
  for (const other of [
    { diskUuid: Buffer.alloc(16, 9) },
    { objectKey: Buffer.alloc(16, 9) },
    { chunk: 8 },
    { lengthBytes: chunk.length - 1 },
  ]) {
    assert.equal(findSlotMismatch(header, chunk, { ...expected, ...other }), "other-chunk");
  }
});

test("findSlotMismatch() calls a slot torn that was never written, or holds noise", () => {
  assert.equal(findSlotMismatch(Buffer.alloc(fullSlotHeaderBytes), chunk, expected), "torn");
  fc.assert(
    fc.property(fc.uint8Array({ minLength: fullSlotHeaderBytes, maxLength: fullSlotHeaderBytes }), (noise) => {
      assert.equal(findSlotMismatch(Buffer.from(noise), chunk, expected), "torn");
      assert.equal(parseSlotHeader(Buffer.from(noise)), undefined);
    }),
    { numRuns: 20 },
  );
});

test("parseSlotHeader() takes no header that is cut short", () => {
  assert.equal(parseSlotHeader(encode(example).subarray(0, fullSlotHeaderBytes - 1)), undefined);
  assert.equal(parseSlotHeader(Buffer.alloc(0)), undefined);
});
