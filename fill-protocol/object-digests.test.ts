import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { digestChunk, encodeObjectDigests, makeObjectDigests, matchesDigest, parseObjectDigests } from "./object-digests.js";

function digestsOf(bytes: Uint8Array, chunkBytes: number) {
  const chunkDigests: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += chunkBytes) chunkDigests.push(digestChunk(bytes.subarray(at, at + chunkBytes)));
  return makeObjectDigests({ path: "a/b.mp4", sizeBytes: bytes.length, chunkBytes, chunkDigests, lastModifiedUnixMs: 1.5 });
}

test("parseObjectDigests() gives back what encodeObjectDigests() wrote, for any bytes and chunk size", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.integer({ min: 1, max: 64 }), (bytes, chunkBytes) => {
      const digests = digestsOf(bytes, chunkBytes);
      const parsed = parseObjectDigests(encodeObjectDigests(digests), "a/b.mp4");
      assert.ok(parsed);
      assert.deepEqual({ ...parsed, sha256: Buffer.from(parsed.sha256) }, digests);
      for (let at = 0; at < bytes.length; at += chunkBytes) {
        assert.ok(matchesDigest(parsed, at / chunkBytes, bytes.subarray(at, at + chunkBytes)));
      }
    }),
  );
});

test("makeObjectDigests() gives another tag for every other byte, size or chunk size", () => {
  const bytes = Buffer.from("hello world");
  const changed = Buffer.from("hello worle");
  const tags = [digestsOf(bytes, 4), digestsOf(changed, 4), digestsOf(bytes, 5), digestsOf(bytes.subarray(1), 4)].map(({ etag }) => etag);
  assert.equal(new Set(tags).size, 4);
});

test("parseObjectDigests() refuses another path, a forged tag, missing digests and noise", () => {
  const digests = digestsOf(Buffer.from("hello world"), 4);
  assert.equal(parseObjectDigests(encodeObjectDigests(digests), "a/c.mp4"), undefined);
  assert.equal(parseObjectDigests(encodeObjectDigests({ ...digests, etag: '"0"' }), "a/b.mp4"), undefined);
  assert.equal(
    parseObjectDigests(encodeObjectDigests({ ...digests, sha256: Buffer.from(digests.sha256.subarray(32)) }), "a/b.mp4"),
    undefined,
  );
  assert.equal(parseObjectDigests(encodeObjectDigests({ ...digests, chunkBytes: 0 }), "a/b.mp4"), undefined);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (noise) => {
      assert.equal(parseObjectDigests(noise, "a/b.mp4"), undefined);
    }),
  );
});

test("matchesDigest() refuses a changed byte", () => {
  const digests = digestsOf(Buffer.from("hello world"), 4);
  assert.ok(matchesDigest(digests, 2, Buffer.from("rld")));
  assert.ok(!matchesDigest(digests, 2, Buffer.from("rle")));
  assert.ok(!matchesDigest(digests, 9, Buffer.from("rld")));
});
