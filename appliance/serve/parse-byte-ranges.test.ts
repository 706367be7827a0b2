import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { byteRangePartsMax, parseByteRanges } from "./parse-byte-ranges.js";
import type { ByteRange } from "./parse-byte-range.js";

const range = (first: number, last: number): ByteRange => ({ first, last });

const rows: [header: string, expected: ByteRange[] | "whole" | "unsatisfiable"][] = [
  // Apart: in the order of the request.
  ["bytes=0-1,5-6", [range(0, 1), range(5, 6)]],
  ["bytes=5-6,0-1", [range(5, 6), range(0, 1)]],
  ["bytes=0-0,-1", [range(0, 0), range(9, 9)]],
  ["BYTES=0-0,9-", [range(0, 0), range(9, 9)]],
  // Overlapping, touching, the same, one in the other.
  ["bytes=0-3,2-5", [range(0, 5)]],
  ["bytes=0-1,2-3", [range(0, 3)]],
  ["bytes=2-3,0-1", [range(0, 3)]],
  ["bytes=4-4,4-4", [range(4, 4)]],
  ["bytes=0-9,3-4", [range(0, 9)]],
  ["bytes=0-1,4-5,2-3", [range(0, 5)]],
  ["bytes=8-9,0-1,4-5,1-4", [range(8, 9), range(0, 5)]],
  ["bytes=-5,-2,0-", [range(0, 9)]],
  // What the object does not have is left out or cut.
  ["bytes=0-1,10-11", [range(0, 1)]],
  ["bytes=10-11,20-", "unsatisfiable"],
  ["bytes=8-99,0-0", [range(8, 9), range(0, 0)]],
  ["bytes=-0,-1", [range(9, 9)]],
  ["bytes=-0,-0", "unsatisfiable"],
  // White space and empty elements of the list.
  ["bytes= 0-1 ,\t5-6", [range(0, 1), range(5, 6)]],
  ["bytes=,0-1,,5-6,", [range(0, 1), range(5, 6)]],
  ["bytes=,", "unsatisfiable"],
  ["bytes= , ,", "unsatisfiable"],
  // One malformed part spoils the header.
  ["bytes=0-1,x", "unsatisfiable"],
  ["bytes=0-1,-", "unsatisfiable"],
  ["bytes=0-1,3-2", "unsatisfiable"],
  ["bytes=0-1;3-4,5-6", "unsatisfiable"],
  ["bytes=0 - 1,3-4", "unsatisfiable"],
  ["bytes=0-1,1.5-2", "unsatisfiable"],
  // Other units, and too many parts.
  ["items=0-1,3-4", "whole"],
  [`bytes=${Array.from({ length: byteRangePartsMax }, () => "0-0").join()}`, [range(0, 0)]],
  [`bytes=${Array.from({ length: byteRangePartsMax + 1 }, () => "0-0").join()}`, "whole"],
];

for (const [header, expected] of rows) {
  test(`parseByteRanges() reads ${header.slice(0, 40)}`, () => assert.deepEqual(parseByteRanges(header, 10), expected));
}

/** What RFC 9110 14.1.2 says of a set of well-formed ranges, byte by byte: which bytes of `size` are asked for. */
function bytesAskedFor(specs: readonly (readonly [first: number | undefined, last: number | undefined])[], size: number): Set<number> {
  const asked = new Set<number>();
  for (const [first, last] of specs) {
    for (let at = 0; at < size; at++) {
      const inside = first === undefined ? at >= size - last! : at >= first && (last === undefined || at <= last);
      if (inside) asked.add(at);
    }
  }
  return asked;
}

const spec = fc.oneof(
  fc.tuple(fc.nat(40), fc.nat(40)).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const),
  fc.nat(40).map((first) => [first, undefined] as const),
  fc.nat(40).map((last) => [undefined, last] as const),
);

test("parseByteRanges() asks for the bytes that a reference finds one by one, in parts that do not touch", () => {
  fc.assert(
    fc.property(fc.array(spec, { minLength: 1, maxLength: byteRangePartsMax }), fc.nat(33), (specs, size) => {
      const header = `bytes=${specs.map(([first, last]) => `${first ?? ""}-${last ?? ""}`).join(",")}`;
      const expected = bytesAskedFor(specs, size);
      const ranges = parseByteRanges(header, size);
      if (ranges === "unsatisfiable") return assert.equal(expected.size, 0, header);
      assert.ok(typeof ranges !== "string", header);
      const seen: number[] = [];
      for (const { first, last } of ranges) for (let at = first; at <= last; at++) seen.push(at);
      assert.deepEqual(
        seen.toSorted((a, b) => a - b),
        [...expected].toSorted((a, b) => a - b),
        header,
      );
      for (const one of ranges) {
        for (const other of ranges) if (one !== other) assert.ok(one.first > other.last + 1 || other.first > one.last + 1, header);
      }
    }),
    { numRuns: 5000 },
  );
});
