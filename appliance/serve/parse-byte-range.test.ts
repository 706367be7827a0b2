import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseByteRange } from "./parse-byte-range.js";

test("parseByteRange() reads closed, open and suffix ranges", () => {
  assert.deepEqual(parseByteRange("bytes=0-0", 10), { first: 0, last: 0 });
  assert.deepEqual(parseByteRange("bytes=2-5", 10), { first: 2, last: 5 });
  assert.deepEqual(parseByteRange("bytes=7-", 10), { first: 7, last: 9 });
  assert.deepEqual(parseByteRange("bytes=-3", 10), { first: 7, last: 9 });
  assert.deepEqual(parseByteRange("Bytes=0-1", 10), { first: 0, last: 1 });
});

test("parseByteRange() clamps the last byte and a long suffix to the object", () => {
  assert.deepEqual(parseByteRange("bytes=8-99", 10), { first: 8, last: 9 });
  assert.deepEqual(parseByteRange("bytes=-99", 10), { first: 0, last: 9 });
  assert.deepEqual(parseByteRange(`bytes=0-${"9".repeat(400)}`, 10), { first: 0, last: 9 });
});

test("parseByteRange() finds what no byte can satisfy, and what is malformed", () => {
  for (const header of [
    "bytes=10-",
    "bytes=10-11",
    "bytes=-0",
    "bytes=5-4",
    "bytes=",
    "bytes=-",
    "bytes=a-b",
    "bytes=1",
    "bytes= 1-2",
    "bytes=1-2x",
    "bytes=--1",
    "bytes=1--2",
  ]) {
    assert.equal(parseByteRange(header, 10), "unsatisfiable", header);
  }
  assert.equal(parseByteRange("bytes=0-0", 0), "unsatisfiable");
  assert.equal(parseByteRange("bytes=-1", 0), "unsatisfiable");
});

test("parseByteRange() ignores no header, other units and several parts", () => {
  for (const header of ["", "items=0-1", "seconds=1-2", "bytes=0-1,3-4"]) assert.equal(parseByteRange(header, 10), "whole", header);
});

test("parseByteRange() never leaves the object, whatever the header", () => {
  fc.assert(
    fc.property(fc.string(), fc.nat(1000), (text, sizeBytes) => {
      const range = parseByteRange(`bytes=${text}`, sizeBytes);
      if (typeof range === "string") return;
      assert.ok(range.first >= 0 && range.first <= range.last && range.last < sizeBytes);
    }),
  );
});
