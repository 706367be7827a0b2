import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { digestChunk } from "../../fill-protocol/object-digests.js";
import { titleIdFrom } from "./ingest.js";
import { ChunkDigester } from "./origin-title.js";

test("ChunkDigester gives what digestChunk() gives for each chunk, however the bytes come in", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 40 })), fc.integer({ min: 1, max: 50 }), (pieces, chunkBytes) => {
      const digester = new ChunkDigester(chunkBytes);
      for (const piece of pieces) digester.update(piece);
      const bytes = Buffer.concat(pieces);
      const expected: Buffer[] = [];
      for (let at = 0; at < bytes.length; at += chunkBytes) expected.push(digestChunk(bytes.subarray(at, at + chunkBytes)));
      assert.deepEqual(digester.finish(), expected);
    }),
  );
});

test("titleIdFrom() makes an id of a file's name", () => {
  assert.equal(titleIdFrom("My Film (2024)"), "my-film-2024");
  assert.equal(titleIdFrom("Épilogue_ÀB"), "epilogue-ab");
  assert.equal(titleIdFrom("你好"), "");
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (name) => {
      assert.match(titleIdFrom(name), /^$|^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$/);
    }),
  );
});
