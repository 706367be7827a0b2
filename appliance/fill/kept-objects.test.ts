import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { cutManifest, KeptObjects } from "./kept-objects.js";

const itemOf = (path: string, chunks: number) => ({ path, etag: `"1"`, sizeBytes: chunks * 10, stratum: 0, urgent: false });

test("cutManifest() keeps what fits, best first, and cuts what is last", () => {
  const manifest = [itemOf("a", 5), itemOf("b", 4), itemOf("c", 3), itemOf("d", 1)];
  const pathsOf = (chunksMax: number) => cutManifest(manifest, chunksMax, 10).items.map(({ path }) => path);
  assert.deepEqual(pathsOf(100), ["a", "b", "c", "d"]);
  assert.deepEqual(pathsOf(12), ["a", "b", "c"]);
  assert.deepEqual(pathsOf(11), ["a", "b"], "nothing of lower rank slips in");
  assert.deepEqual(pathsOf(0), []);
  assert.deepEqual(cutManifest(manifest, 9, 10), {
    items: manifest.slice(0, 2),
    chunks: 9,
    chunksMax: 9,
    objectsCut: 2,
    bytesCut: 40,
  });
});

test("cutManifest() passes over an object that would not fit alone, and keeps the others", () => {
  const { items } = cutManifest([itemOf("giant", 1000), itemOf("a", 5), itemOf("b", 5)], 10, 10);
  assert.deepEqual(
    items.map(({ path }) => path),
    ["a", "b"],
  );
});

test("cutManifest() with less room keeps a part of what it keeps with more, never more than there is room for, and loses no object", () => {
  const manifests = fc
    .array(fc.nat({ max: 20 }), { size: "max", maxLength: 60 })
    .map((sizes) => sizes.map((chunks, at) => itemOf(`${at}`, chunks)));
  fc.assert(
    fc.property(manifests, fc.integer({ min: 20, max: 300 }), fc.nat({ max: 50 }), (manifest, room, more) => {
      const [less, larger] = [cutManifest(manifest, room, 10), cutManifest(manifest, room + more, 10)];
      assert.ok(less.chunks <= room);
      assert.equal(less.items.length + less.objectsCut, manifest.length);
      const kept = new Set(larger.items);
      assert.ok(less.items.every((item) => kept.has(item)));
    }),
  );
});

test("KeptObjects tells what is new and what is not kept any more, another version of a path being both", () => {
  const kept = new KeptObjects([
    ["a", '"1"'],
    ["b", '"1"'],
  ]);
  const { added, removed } = kept.replace([
    { path: "b", etag: '"2"' },
    { path: "c", etag: '"1"' },
  ]);
  assert.deepEqual(added, [
    ["b", '"2"'],
    ["c", '"1"'],
  ]);
  assert.deepEqual(removed, [
    ["a", '"1"'],
    ["b", '"1"'],
  ]);
  assert.ok(kept.has({ path: "b", etag: '"2"' }) && !kept.has({ path: "b", etag: '"1"' }) && kept.size === 2);
});
