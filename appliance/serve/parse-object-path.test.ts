import assert from "node:assert/strict";
import { posix } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { objectPathBytesMax } from "../object.js";
import { parseObjectPath } from "./parse-object-path.js";

test("parseObjectPath() decodes an ordinary path", () => {
  assert.equal(parseObjectPath("/clock/video-720p.mp4"), "clock/video-720p.mp4");
  assert.equal(parseObjectPath("/a%20b/%C3%BC.mp4"), "a b/ü.mp4");
  assert.equal(parseObjectPath("/.millrace/digests/a.mp4"), ".millrace/digests/a.mp4");
  assert.equal(parseObjectPath("/a..b/...c"), "a..b/...c");
});

test("parseObjectPath() refuses what could leave the root, or is no path", () => {
  const targets = [
    "",
    "/",
    "a",
    "//a",
    "/a//b",
    "/a/",
    "/.",
    "/..",
    "/../a",
    "/a/../b",
    "/a/./b",
    "/a/..",
    "/%2e%2e/a",
    "/a/%2E%2e%2fb",
    "/a\\..\\b",
    "/a%5cb",
  ];
  for (const target of [...targets, "/a%00b", "/a%0ab", "/%", "/%zz", "/%ff", `/${"a".repeat(objectPathBytesMax + 1)}`]) {
    assert.equal(parseObjectPath(target), undefined, target);
  }
});

test("parseObjectPath() gives only paths that stay below their root", () => {
  const part = fc.oneof(fc.constantFrom(".", "..", "%2e", "%2e%2e", "/", "%2f", "\\", "%5c", "a", "", "%00"), fc.string());
  fc.assert(
    fc.property(fc.array(part), (parts) => {
      const path = parseObjectPath(`/${parts.join("")}`);
      if (path === undefined) return;
      assert.equal(posix.normalize(`/root/${path}`), `/root/${path}`);
    }),
    { numRuns: 2000 },
  );
});

test("parseObjectPath() counts bytes, not characters: what it lets through fits into a key of the index", () => {
  assert.equal(parseObjectPath(`/${"a".repeat(objectPathBytesMax)}`), "a".repeat(objectPathBytesMax));
  // Three bytes each: 2040 of them once passed as 2040 characters, and LMDB threw at the key of 6120 bytes.
  const characters = Math.floor(objectPathBytesMax / 3);
  assert.equal(parseObjectPath(`/${"€".repeat(characters)}`), "€".repeat(characters));
  for (const count of [characters + 1, 2040]) {
    assert.equal(parseObjectPath(`/${"€".repeat(count)}`), undefined);
    assert.equal(parseObjectPath(`/${"%E2%82%AC".repeat(count)}`), undefined);
    assert.equal(parseObjectPath(`/${"\ufffd".repeat(count)}`), undefined);
  }
});
