import assert from "node:assert/strict";
import { test } from "node:test";
import { ChunkStore } from "./chunk-store.js";
import { DiskScrubber } from "./disk-scrubber.js";
import { objectOf, openTemporaryStage, until } from "./temporary-stage.js";

test("DiskScrubber goes on when the index cannot write down how far it is", async (context) => {
  const stage = openTemporaryStage(context, { slots: [20] });
  const { index } = stage;
  const object = objectOf("a", 50);
  await index.putObject(object, undefined);
  const store = new ChunkStore({ ...stage, waitingMax: 10, onHeldChanged: () => {} });
  for (let chunk = 0; chunk < 5; chunk++) {
    const frame = stage.publish(object, chunk);
    store.store(object, chunk, frame);
    stage.arena.unpin(frame);
  }
  await store.flush();
  index.seeLatest();
  let tries = 0;
  context.mock.method(index, "putMeta", () => {
    tries++;
    return Promise.reject(new Error("MDB_MAP_FULL"));
  });
  const scrubber = new DiskScrubber({ ...stage, store, roundMs: 1000 });
  // A round is over at its end, and that is written down.
  await until(() => {
    scrubber.tick(1000);
    return tries >= 2;
  }, "two rounds");
  assert.equal(stage.disks.scrubbedOf(0).slots >= 10, true);
});
