import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { objectKeyOf, objectKeyWords, type ObjectRecord } from "../object.js";
import { ChunkStore } from "./chunk-store.js";
import { ManifestPinner } from "./manifest-pinner.js";
import { objectOf, openTemporaryStage } from "./temporary-stage.js";

/** Twelve frames of ten bytes, forty slots. */
async function openPinner(context: TestContext, objects: readonly ObjectRecord[]) {
  const stage = openTemporaryStage(context, { frames: 12 });
  const { arena, chunkBytes, index, publish } = stage;
  const store = new ChunkStore({ ...stage, waitingMax: 100, onHeldChanged: () => {} });
  await store.loadDisks();
  for (const object of objects) {
    await index.putObject(object, undefined);
    for (let chunk = 0; chunk < object.sizeBytes / chunkBytes; chunk++) {
      const frame = publish(object, chunk);
      store.store(object, chunk, frame);
      arena.unpin(frame);
      await store.flush();
    }
  }
  const kept: { chunks: number; bytes: number }[] = [];
  const keeper = new ManifestPinner({ ...stage, bytesMax: 4 * chunkBytes, onPinned: (each) => kept.push(each) });
  stage.endFirst(() => keeper.stop());
  const rush = () => {
    for (let chunk = 0; chunk < 100; chunk++) arena.unpin(publish(objectOf("rush", 1000), chunk));
  };
  const inMemory = (object: ObjectRecord, chunk: number): boolean => {
    const frame = arena.pinChunkSurely(objectKeyWords(objectKeyOf(object)), chunk);
    if (frame >= 0) arena.unpin(frame);
    return frame >= 0;
  };
  return { ...stage, keeper, kept, rush, inMemory };
}

test("ManifestPinner reads the head of the manifest into memory and keeps it there through a rush, and no more than it may", async (context) => {
  const [a, b] = [objectOf("a", 30), objectOf("b", 30)];
  const { arena, keeper, kept, rush, inMemory } = await openPinner(context, [a, b]);
  rush();
  assert.ok(!inMemory(a, 0));
  keeper.setManifest(["unknown", "a", "b"]);
  await keeper.look();
  assert.deepEqual(kept.at(-1), { chunks: 4, bytes: 40 });
  for (let round = 0; round < 3; round++) {
    rush();
    for (const chunk of [0, 1, 2]) assert.ok(inMemory(a, chunk));
    assert.ok(inMemory(b, 0));
    assert.ok(!inMemory(b, 1));
    await keeper.look();
  }
  assert.equal(arena.counts().pinned, 4);
});

test("ManifestPinner lets go of what has left the head, of what was purged, and of everything when it stops", async (context) => {
  const [a, b] = [objectOf("a", 30), objectOf("b", 30)];
  const { arena, index, keeper, rush, inMemory } = await openPinner(context, [a, b]);
  keeper.setManifest(["a"]);
  await keeper.look();
  assert.equal(arena.counts().pinned, 3);
  keeper.setManifest(["b"]);
  await keeper.look();
  await keeper.look();
  rush();
  assert.ok(!inMemory(a, 0) && inMemory(b, 0));
  assert.equal(arena.counts().pinned, 3);
  await index.removeObject("b");
  await keeper.look();
  assert.equal(arena.counts().pinned, 0);
  keeper.setManifest(["a"]);
  await keeper.look();
  await keeper.stop();
  assert.equal(arena.counts().pinned, 0);
});
