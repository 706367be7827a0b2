import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatVia, parseVia } from "./via-header.js";

test("parseVia() reads the appliances of a header, in their order, among the entries of others", () => {
  assert.deepEqual(parseVia(""), []);
  assert.deepEqual(parseVia("1.1 squid, HTTP/2 varnish (x)"), []);
  assert.deepEqual(parseVia("1.1 squid, 1.1 millrace-a,1.0  millrace-b , 1.1 nginx"), ["a", "b"]);
  assert.deepEqual(parseVia("millrace-a"), [], "an entry has its protocol first");
});

test("parseVia() takes back what formatVia() wrote", () => {
  fc.assert(fc.property(fc.array(fc.uuid()), (ids) => assert.deepEqual(parseVia(formatVia(ids)), ids)));
});
