import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseNextRequest, resolveNextPath } from "./parse-cmcd.js";

test("parseNextRequest() reads nor and nrr among other keys", () => {
  const rows: [text: string, object: string | undefined, range: string | undefined][] = [
    ['bl=21300,nor="..%2Fvideo-2.m4s",nrr="0-99",su', "../video-2.m4s", "0-99"],
    ['nrr="12323-48763"', undefined, "12323-48763"],
    ['nor="a.m4s"', "a.m4s", undefined],
    ['mtp=25400, nrr="5-"', undefined, "5-"],
  ];
  for (const [text, nextObject, nextRange] of rows) assert.deepEqual(parseNextRequest(text), { nextObject, nextRange }, text);
});

test("parseNextRequest() says nothing where the player says nothing, or nonsense", () => {
  for (const text of ["", "bl=1", "nor=a", 'xnor="a"', 'nor="%zz"', 'nrr="a-b"', 'nrr="-5"', `nor="${"a".repeat(3000)}"`]) {
    assert.equal(parseNextRequest(text), undefined, text);
  }
});

test("resolveNextPath() stays on this host", () => {
  assert.equal(resolveNextPath("films/a/1.m4s", undefined), "films/a/1.m4s");
  assert.equal(resolveNextPath("films/a/1.m4s", "2.m4s"), "films/a/2.m4s");
  assert.equal(resolveNextPath("films/a/1.m4s", "../b/ü 2.m4s?x=1"), "films/b/ü 2.m4s");
  assert.equal(resolveNextPath("films/a#/1.m4s", "/c.m4s"), "c.m4s");
  for (const url of ["http://y/2.m4s", "//y/2.m4s", "\\\\y/2", "data:x", "https:2.m4s"])
    assert.equal(resolveNextPath("a", url), undefined, url);
});

test("parseNextRequest() and resolveNextPath() throw at nothing", () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (text, path) => {
      parseNextRequest(text);
      parseNextRequest(`nor="${text}"`);
      resolveNextPath(path, text);
    }),
    { numRuns: 5000 },
  );
});
