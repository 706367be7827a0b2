import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { ObjectRecord } from "../object.js";
import { decideResponse, type RequestHeaders } from "./decide-response.js";

const lastModified = "Mon, 02 Nov 2026 10:00:00 GMT";
const object: ObjectRecord = {
  path: "a",
  sizeBytes: 1000,
  etag: '"v1"',
  lastModifiedUnixMs: Date.parse(lastModified),
  digested: false,
  checkedUnixMs: 0,
};
const none: RequestHeaders = { range: "", ifMatch: "", ifNoneMatch: "", ifModifiedSince: "", ifUnmodifiedSince: "", ifRange: "" };
const decide = (headers: Partial<RequestHeaders>, method: "GET" | "HEAD" = "GET", of = object) =>
  decideResponse(method, { ...none, ...headers }, of);

const whole = { status: 200, first: 0, last: 999 };

test("decideResponse() answers whole, a part, or 416, as the Range says", () => {
  assert.deepEqual(decide({}), whole);
  assert.deepEqual(decide({ range: "bytes=0-0" }), { status: 206, first: 0, last: 0 });
  assert.deepEqual(decide({ range: "bytes=990-2000" }), { status: 206, first: 990, last: 999 });
  assert.deepEqual(decide({ range: "bytes=-10" }), { status: 206, first: 990, last: 999 });
  assert.deepEqual(decide({ range: "bytes=0-" }), { status: 206, first: 0, last: 999 });
  assert.deepEqual(decide({ range: "bytes=1000-" }), { status: 416 });
  assert.deepEqual(decide({ range: "seconds=1-2" }), whole);
});

test("decideResponse() ignores a Range on HEAD (RFC 9110 14.2)", () => {
  assert.deepEqual(decide({ range: "bytes=5-9" }, "HEAD"), whole);
  assert.deepEqual(decide({ range: "bytes=5000-" }, "HEAD"), whole);
});

test("decideResponse() answers a Range whole when If-Range names another version, or a weak one", () => {
  const range = "bytes=5-9";
  assert.deepEqual(decide({ range, ifRange: '"v1"' }), { status: 206, first: 5, last: 9 });
  assert.deepEqual(decide({ range, ifRange: lastModified }), { status: 206, first: 5, last: 9 });
  for (const ifRange of ['"v2"', 'W/"v1"', "Mon, 02 Nov 2026 10:00:01 GMT", "nonsense"])
    assert.deepEqual(decide({ range, ifRange }), whole);
  const weak = { ...object, etag: 'W/"v1"' };
  assert.deepEqual(decide({ range, ifRange: 'W/"v1"' }, "GET", weak), whole);
  assert.deepEqual(decide({ range: "bytes=5000-", ifRange: '"v2"' }), whole, "a range of another version is not unsatisfiable");
});

test("decideResponse() looks at preconditions before the Range (RFC 9110 13.2.2)", () => {
  assert.deepEqual(decide({ range: "bytes=5000-", ifNoneMatch: '"v1"' }), { status: 304 });
  assert.deepEqual(decide({ range: "bytes=5-9", ifMatch: '"v2"' }), { status: 412 });
  assert.deepEqual(decide({ ifMatch: '"v2"', ifNoneMatch: '"v1"' }), { status: 412 });
  assert.deepEqual(decide({ ifModifiedSince: lastModified }, "HEAD"), { status: 304 });
  assert.deepEqual(decide({ ifNoneMatch: '"v2"', ifModifiedSince: lastModified }), whole, "a tag outranks a date");
});

test("decideResponse() of an object without bytes has none to give", () => {
  const empty = { ...object, sizeBytes: 0 };
  assert.deepEqual(decide({}, "GET", empty), { status: 200, first: 0, last: -1 });
  for (const range of ["bytes=0-", "bytes=0-0", "bytes=-1"]) assert.deepEqual(decide({ range }, "GET", empty), { status: 416 });
});

test("decideResponse() never goes outside the object, for any Range", () => {
  const text = fc.oneof(
    fc.string(),
    fc.tuple(fc.maxSafeNat(), fc.maxSafeNat()).map(([a, b]) => `${a}-${b}`),
    fc.nat().map((n) => `-${n}`),
  );
  fc.assert(
    fc.property(text, fc.nat({ max: 5000 }), (range, sizeBytes) => {
      const decision = decide({ range: `bytes=${range}` }, "GET", { ...object, sizeBytes });
      if (!("first" in decision)) return assert.equal(decision.status, 416);
      if (decision.status === 200) return assert.deepEqual(decision, { status: 200, first: 0, last: sizeBytes - 1 });
      assert.ok(0 <= decision.first && decision.first <= decision.last && decision.last < sizeBytes);
    }),
  );
});
