import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { FillToMain, ManifestKept } from "../fill-messages.js";
import { ManifestFile } from "../manifest-file.js";
import { objectKeyOf, type ObjectRecord } from "../object.js";
import { FillService } from "./fill-service.js";
import { objectOf, openTemporaryStage, ScriptedUpstream, until } from "./temporary-stage.js";

/** Their slots are as large as slots are, so that disks can be counted in slots. */
const chunkBytes = 4000;

/** A fill worker whose manifest is `objects`, on two disks of 20 slots, of which 18 each are for the manifest. */
function openKeeper(context: TestContext, all: readonly ObjectRecord[]) {
  const stage = openTemporaryStage(context, { chunkBytes, frames: 64, slots: [20, 20] });
  const origin = new ScriptedUpstream("origin", all);
  const told: FillToMain[] = [];
  const service = new FillService({
    ...stage,
    fetchesMax: 4,
    waitingFetchesMax: 100,
    manifestFetchesMax: 2,
    openSource: () => origin,
    // Nobody knows of other sources.
    toMain: (message) => {
      told.push(message);
      if (message.type === "ask-sources") service.handle({ type: "sources", id: message.id, ranked: undefined });
    },
    upstreams: [origin],
  });
  stage.endFirst(() => service.stop());
  const folder = mkdtempSync(join(tmpdir(), "millrace-keeper-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  let version = 0n;
  const setManifest = async (objects: readonly ObjectRecord[]) => {
    const file = new ManifestFile(folder);
    version++;
    const entries = objects.map(({ path, sizeBytes, etag }, stratum) => ({
      path,
      sizeBytes: BigInt(sizeBytes),
      etag,
      stratum,
      urgent: true,
      removed: false,
    }));
    await file.take({ version, baseVersion: 0n, firstEntry: 0n, entriesTotal: BigInt(entries.length), entries } as Parameters<
      typeof file.take
    >[0]);
    service.handle({ type: "manifest", file: file.path });
  };
  const held = (object: ObjectRecord) => {
    stage.index.seeLatest();
    return Array.from({ length: Math.ceil(object.sizeBytes / chunkBytes) }, (_, chunk) =>
      service.store.holds(objectKeyOf(object), chunk),
    ).filter(Boolean).length;
  };
  const lastCut = () => told.findLast((message): message is { type: "manifest-cut" } & ManifestKept => message.type === "manifest-cut");
  return { ...stage, service, origin, setManifest, held, lastCut };
}

const filmsOf = (count: number, chunks: number) => Array.from({ length: count }, (_, at) => objectOf(`film-${at}`, chunks * chunkBytes));

test("a manifest that is larger than its share of the disks is cut by rank, said so, and fetched once: nothing is evicted for it again and again", async (context) => {
  const films = filmsOf(8, 6);
  const { count, held, lastCut, origin, service, setManifest } = openKeeper(context, films);
  await setManifest(films);
  await until(() => films.slice(0, 6).every((film) => held(film) === 6), "the first six are held");
  const { chunks, chunksMax, objectsKept, objectsCut, bytesCut } = lastCut()!;
  assert.deepEqual(
    { chunks, chunksMax, objectsKept, objectsCut, bytesCut },
    { chunks: 36, chunksMax: 36, objectsKept: 6, objectsCut: 2, bytesCut: 12 * chunkBytes },
  );
  assert.equal(origin.fetched.length, 36);
  // Again and again: the same manifest, another order of its end.
  await setManifest(films);
  await setManifest([...films.slice(0, 6), films[7]!, films[6]!]);
  await service.store.flush();
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(origin.fetched.length, 36);
  assert.equal(count("chunksEvicted"), 0);
});

test("what a manifest does not name any more gives way to what it names now", async (context) => {
  const films = filmsOf(9, 6);
  const { disks, held, setManifest } = openKeeper(context, films);
  await setManifest(films.slice(0, 6));
  await until(() => films.slice(0, 6).every((film) => held(film) === 6), "the first manifest is held");
  await setManifest(films.slice(3, 9));
  await until(() => films.slice(3, 9).every((film) => held(film) === 6), "the second manifest is held");
  await until(() => disks.keptBytesOf(0) + disks.keptBytesOf(1) === 36 * 8192);
  assert.ok(films.slice(0, 3).reduce((sum, film) => sum + held(film), 0) <= 4, "the rest of the slots is all that they can have");
});

test("a disk that is lost is filled again elsewhere within seconds, by rank as far as there is room, and the cut is taken back when it returns", async (context) => {
  const films = filmsOf(5, 6);
  const { disks, held, index, lastCut, setManifest } = openKeeper(context, films);
  await setManifest(films);
  await until(() => films.every((film) => held(film) === 6), "the manifest is held");
  disks.setState(1, "offline");
  await index.setDisksAway([1]);
  await until(() => lastCut()!.chunksMax === 18, "the loss is seen");
  assert.equal(lastCut()!.objectsKept, 3);
  await until(() => films.slice(0, 3).every((film) => held(film) === 6), "the best three are held by the other disk");
  index.seeLatest();
  for (const film of films.slice(0, 3)) assert.equal(index.chunksHeldOf(objectKeyOf(film)), 6);
  disks.setState(1, "online");
  await index.setDisksAway([]);
  await until(() => lastCut()!.objectsKept === 5 && films.every((film) => held(film) === 6), "all of it is held again");
});
