import assert from "node:assert/strict";
import { test } from "node:test";
import { evaluatePreconditions, ifRangeHolds, type ConditionalHeaders } from "./evaluate-preconditions.js";

const none: ConditionalHeaders = { ifMatch: "", ifNoneMatch: "", ifModifiedSince: "", ifUnmodifiedSince: "", ifRange: "" };
const lastModifiedUnixMs = Date.UTC(2026, 0, 1, 12, 0, 0, 789);
const object = { etag: '"abc"', lastModifiedUnixMs };
const same = "Thu, 01 Jan 2026 12:00:00 GMT";
const before = "Thu, 01 Jan 2026 11:59:59 GMT";
const after = "Thu, 01 Jan 2026 12:00:01 GMT";

const rows: [headers: Partial<ConditionalHeaders>, expected: "perform" | 304 | 412][] = [
  [{}, "perform"],
  [{ ifNoneMatch: '"abc"' }, 304],
  [{ ifNoneMatch: 'W/"abc"' }, 304],
  [{ ifNoneMatch: '"x", "abc"' }, 304],
  [{ ifNoneMatch: "*" }, 304],
  [{ ifNoneMatch: '"x"' }, "perform"],
  [{ ifNoneMatch: "abc" }, "perform"],
  [{ ifMatch: '"abc"' }, "perform"],
  [{ ifMatch: "*" }, "perform"],
  [{ ifMatch: '"x", "y"' }, 412],
  [{ ifMatch: 'W/"abc"' }, 412],
  [{ ifModifiedSince: same }, 304],
  [{ ifModifiedSince: after }, 304],
  [{ ifModifiedSince: before }, "perform"],
  [{ ifModifiedSince: "yesterday" }, "perform"],
  [{ ifModifiedSince: "Thursday, 01-Jan-26 12:00:00 GMT" }, 304],
  [{ ifUnmodifiedSince: same }, "perform"],
  [{ ifUnmodifiedSince: before }, 412],
  [{ ifUnmodifiedSince: "nonsense" }, "perform"],
  // Precedence: tags go before dates.
  [{ ifNoneMatch: '"x"', ifModifiedSince: after }, "perform"],
  [{ ifMatch: '"abc"', ifUnmodifiedSince: before }, "perform"],
  [{ ifMatch: '"abc"', ifNoneMatch: '"abc"' }, 304],
];

for (const [headers, expected] of rows) {
  test(`evaluatePreconditions() answers ${JSON.stringify(headers)} with ${expected}`, () => {
    assert.equal(evaluatePreconditions({ ...none, ...headers }, object), expected);
  });
}

test("evaluatePreconditions() compares a weak tag weakly only", () => {
  const weak = { etag: 'W/"abc"', lastModifiedUnixMs };
  assert.equal(evaluatePreconditions({ ...none, ifNoneMatch: '"abc"' }, weak), 304);
  assert.equal(evaluatePreconditions({ ...none, ifMatch: 'W/"abc"' }, weak), 412);
});

test("evaluatePreconditions() ignores dates when the object's is not known", () => {
  const undated = { etag: '"abc"', lastModifiedUnixMs: 0 };
  assert.equal(evaluatePreconditions({ ...none, ifModifiedSince: after }, undated), "perform");
  assert.equal(evaluatePreconditions({ ...none, ifUnmodifiedSince: before }, undated), "perform");
});

test("ifRangeHolds() wants the same strong tag, or the same second", () => {
  assert.ok(ifRangeHolds("", object));
  assert.ok(ifRangeHolds('"abc"', object));
  assert.ok(ifRangeHolds(same, object));
  for (const value of ['"abd"', 'W/"abc"', before, after, "nonsense"]) assert.ok(!ifRangeHolds(value, object), value);
  assert.ok(!ifRangeHolds('W/"abc"', { etag: 'W/"abc"', lastModifiedUnixMs }));
});

test("evaluatePreconditions() follows the steps of RFC 9110 13.2.2 in every combination of headers that hold, fail or are void", () => {
  const object = { etag: '"v1"', lastModifiedUnixMs: Date.parse("Mon, 02 Nov 2026 10:00:00 GMT") };
  // Each header: absent, true, false, and where there is such a thing one that is void.
  const values = {
    ifMatch: ["", '"v0", "v1"', '"v0"', "*", 'W/"v1"'],
    ifUnmodifiedSince: ["", "Mon, 02 Nov 2026 10:00:00 GMT", "Mon, 02 Nov 2026 09:59:59 GMT", "never"],
    ifNoneMatch: ["", '"v0"', 'W/"v1"', "*"],
    ifModifiedSince: ["", "Mon, 02 Nov 2026 09:59:59 GMT", "Mon, 02 Nov 2026 10:00:00 GMT", "never"],
  };
  let combinations = 0;
  for (const ifMatch of values.ifMatch) {
    for (const ifUnmodifiedSince of values.ifUnmodifiedSince) {
      for (const ifNoneMatch of values.ifNoneMatch) {
        for (const ifModifiedSince of values.ifModifiedSince) {
          // Steps 1 to 4, as they stand there; 5 and 6 are those of If-Range.
          const matchHolds = ifMatch === "*" || ifMatch === '"v0", "v1"';
          const step1 = ifMatch !== "" && !matchHolds;
          const step2 = ifMatch === "" && ifUnmodifiedSince === "Mon, 02 Nov 2026 09:59:59 GMT";
          const step3 = ifNoneMatch !== "" && ifNoneMatch !== '"v0"';
          const step4 = ifNoneMatch === "" && ifModifiedSince === "Mon, 02 Nov 2026 10:00:00 GMT";
          const expected = step1 || step2 ? 412 : step3 || step4 ? 304 : "perform";
          const headers = { ifMatch, ifUnmodifiedSince, ifNoneMatch, ifModifiedSince, ifRange: "" };
          assert.equal(evaluatePreconditions(headers, object), expected, JSON.stringify(headers));
          combinations++;
        }
      }
    }
  }
  assert.equal(combinations, 5 * 4 * 4 * 4);
});
