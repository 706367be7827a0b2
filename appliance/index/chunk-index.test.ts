import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import fc from "fast-check";
import { OperatingError } from "../../runtime/operating-error.js";
import { objectKeyOf, objectPathBytesMax, type ObjectRecord } from "../object.js";
import { ChunkIndex, type SlotPlace } from "./chunk-index.js";

function temporaryFolder(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "millrace-index-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function openIndex(context: TestContext): ChunkIndex {
  const index = new ChunkIndex(temporaryFolder(context), 10);
  context.after(() => index.close());
  return index;
}

function versionOf(path: string, version: number): ObjectRecord {
  return { path, sizeBytes: 100, etag: `"${version}"`, lastModifiedUnixMs: 5, digested: false, checkedUnixMs: 7 };
}

function placed(object: ObjectRecord, chunk: number, diskNumber: number, slot: number) {
  return { path: object.path, objectKey: objectKeyOf(object), chunk, diskNumber, slot, stampUnixMs: 0 };
}

/** Every chunk's slot names the chunk, every slot's chunk names the slot, and each version holds as many as it says. */
function assertAgrees(index: ChunkIndex, disks: readonly number[], chunksMax: number): void {
  let fromSlots = 0;
  for (const diskNumber of disks) {
    for (const slot of index.usedSlots(diskNumber)) {
      const content = index.findSlot({ diskNumber, slot })!;
      assert.deepEqual(index.findChunk(content.objectKey, content.chunk), { diskNumber, slot });
      fromSlots++;
    }
  }
  let fromVersions = 0;
  for (const { objectKey, chunksHeld } of index.heldVersions()) {
    let found = 0;
    for (let chunk = 0; chunk < chunksMax; chunk++) {
      const place = index.findChunk(objectKey, chunk);
      if (!place) continue;
      found++;
      assert.deepEqual(index.findSlot(place), { objectKey, chunk });
    }
    assert.equal(found, chunksHeld);
    fromVersions += found;
  }
  assert.equal(fromVersions, fromSlots);
}

test("ChunkIndex gives back objects, digests, disks and meta values, also when it is opened again", async (context) => {
  const folder = temporaryFolder(context);
  const object = versionOf("a/ü b.mp4", 1);
  const first = new ChunkIndex(folder, 10);
  assert.equal(first.findObject(object.path), undefined);
  assert.deepEqual(await first.putObject(object, Buffer.from("digests")), []);
  await first.putMeta("applianceId", "x");
  assert.equal(await first.enrolDisk("u-1", "/a"), 0);
  assert.equal(await first.enrolDisk("u-2", "/b"), 1);
  assert.equal(await first.enrolDisk("u-1", "/c"), 0, "a disk keeps its number wherever it is mounted");
  assert.deepEqual(await first.commitChunks([placed(object, 3, 1, 9)]), []);
  await first.close();

  const index = new ChunkIndex(folder, 10);
  context.after(() => index.close());
  assert.deepEqual(index.findObject(object.path), object);
  assert.equal(index.findDigests(objectKeyOf(object))?.toString(), "digests");
  assert.equal(index.getMeta("applianceId"), "x");
  assert.deepEqual(index.knownDisks(), [
    { diskNumber: 0, uuid: "u-1", path: "/c" },
    { diskNumber: 1, uuid: "u-2", path: "/b" },
  ]);
  assert.deepEqual(index.findChunk(objectKeyOf(object), 3), { diskNumber: 1, slot: 9 });
  assert.deepEqual([...index.heldVersions()], [{ objectKey: objectKeyOf(object), path: object.path, chunksHeld: 1 }]);
});

test("ChunkIndex refuses an index of another chunk size, and a file that is not one", (context) => {
  const folder = temporaryFolder(context);
  const index = new ChunkIndex(folder, 10);
  context.after(() => index.close());
  assert.throws(
    () => new ChunkIndex(folder, 11),
    (error) =>
      error instanceof OperatingError && error.code === "index-unusable" && /chunks of 10 bytes.*chunks of 11 bytes/.test(error.message),
  );
  const other = temporaryFolder(context);
  writeFileSync(join(other, "index.mdb"), "This is somebody's letter, and no index. ".repeat(1000));
  assert.throws(
    () => new ChunkIndex(other, 10),
    (error) => error instanceof OperatingError && error.code === "index-unusable",
  );
});

test("ChunkIndex refuses an index.mdb that was cut short by more than LMDB may have left unwritten, and says what to do", async (context) => {
  const folder = temporaryFolder(context);
  const whole = new ChunkIndex(folder, 10);
  const object = versionOf("film", 1);
  await whole.putObject(object, Buffer.alloc(20_000));
  await whole.commitChunks(Array.from({ length: 2000 }, (_, chunk) => placed(object, chunk, 0, chunk)));
  await whole.close();
  const file = join(folder, "index.mdb");
  const { size } = statSync(file);
  for (const bytes of [Math.floor(size * 0.7), Math.floor(size / 2), 8192, 8191, 4096, 4095, 1]) {
    truncateSync(file, bytes);
    assert.throws(() => new ChunkIndex(folder, 10), {
      code: "index-unusable",
      message: /its index\.mdb (was cut short|is damaged).*`millrace index rebuild --config FILE`/,
    });
  }
  // What a kill at the very first start leaves.
  truncateSync(file, 0);
  await new ChunkIndex(folder, 10).close();
});

test("setDisksAway() makes every object count without a disk in one transaction, and with it again when it is back", async (context) => {
  const index = openIndex(context);
  const objects = Array.from({ length: 50 }, (_, at) => versionOf(`film-${at}`, 1));
  // Extents of nine pages: one for their header, then eight slots.
  const extents = (diskNumber: number) => Array.from({ length: 120 }, (_, extent) => ({ diskNumber, extent, slotPages: 1, epoch: 1 }));
  for (const diskNumber of [0, 1, 7]) await index.putExtents(extents(diskNumber));
  const slotOf = (at: number) => Math.floor(at / 8) * 9 + 1 + (at % 8);
  for (const [at, object] of objects.entries()) {
    await index.putObject(object, undefined);
    await index.commitChunks([0, 1, 2, 3].map((chunk) => placed(object, chunk, chunk % 2, slotOf(at * 4 + chunk))));
  }
  await index.commitChunks([placed(objects[0]!, 9, 7, slotOf(0))]);
  const held = () => [...index.heldVersions()].reduce((sum, { chunksHeld }) => sum + chunksHeld, 0);
  assert.equal(held(), 201);
  assert.equal(await index.setDisksAway([1]), true);
  assert.equal(await index.setDisksAway([1]), false);
  assert.equal(held(), 101);
  assert.equal(index.chunksHeldOf(objectKeyOf(objects[0]!)), 3);
  // Refilled elsewhere, it counts, and once.
  await index.commitChunks([placed(objects[1]!, 1, 0, slotOf(900))]);
  assert.equal(index.chunksHeldOf(objectKeyOf(objects[1]!)), 3);
  assert.equal(await index.setDisksAway([0, 1, 7]), true);
  assert.equal(held(), 0);
  assert.equal([...index.heldVersions()].length, 50, "they are known for the day that the disks come back");
  assert.equal(await index.setDisksAway([]), true);
  assert.equal(held(), 201);
  assert.deepEqual([...index.findContradictions()], []);
});

test("findObject() finds nothing under a path that LMDB could not have as a key, and does not throw", async (context) => {
  const index = openIndex(context);
  for (const path of ["€".repeat(2040), "a".repeat(10_000), "a".repeat(objectPathBytesMax + 1), ""]) {
    assert.equal(index.findObject(path), undefined);
  }
  const longest = versionOf("€".repeat(Math.floor(objectPathBytesMax / 3)), 1);
  await index.putObject(longest, undefined);
  assert.deepEqual(index.findObject(longest.path), longest);
});

test("putObject() of a newer version forgets the earlier one's chunks and digests, and says which slots are free", async (context) => {
  const index = openIndex(context);
  const [old, next, other] = [versionOf("a", 1), versionOf("a", 2), versionOf("b", 1)];
  await index.putObject(old, Buffer.from("d"));
  await index.putObject(other, undefined);
  await index.commitChunks([placed(old, 0, 0, 5), placed(old, 0xfffffff, 1, 6), placed(other, 0, 0, 7)]);
  assert.deepEqual(await index.putObject({ ...old, checkedUnixMs: 99 }, undefined), [], "the same version again changes nothing");
  assert.ok(index.findDigests(objectKeyOf(old)));
  assert.deepEqual(await index.putObject(next, undefined), [
    { diskNumber: 0, slot: 5 },
    { diskNumber: 1, slot: 6 },
  ]);
  assert.equal(index.findDigests(objectKeyOf(old)), undefined);
  assert.equal(index.findChunk(objectKeyOf(old), 0), undefined);
  assert.deepEqual([...index.usedSlots(0)], [7]);
  assert.deepEqual([...index.usedSlots(1)], []);
  assert.deepEqual(
    [...index.heldVersions()].map(({ path }) => path),
    ["b"],
  );
});

test("removeObject() forgets a path with all its chunks, and nothing of a path that merely begins alike", async (context) => {
  const index = openIndex(context);
  const [object, alike] = [versionOf("a", 1), versionOf("a/b", 1)];
  await index.putObject(object, undefined);
  await index.putObject(alike, undefined);
  await index.commitChunks([placed(object, 0, 0, 0), placed(alike, 0, 0, 1)]);
  assert.deepEqual(await index.removeObject("a"), [{ diskNumber: 0, slot: 0 }]);
  assert.deepEqual(await index.removeObject("a"), []);
  assert.equal(index.findObject("a"), undefined);
  assert.deepEqual(index.findObject("a/b"), alike);
  assert.equal(index.chunksHeldOf(objectKeyOf(alike)), 1);
});

test("forgetChunk() forgets only what still lies at the place that was named", async (context) => {
  const index = openIndex(context);
  const object = versionOf("a", 1);
  const key = objectKeyOf(object);
  await index.putObject(object, undefined);
  await index.commitChunks([placed(object, 0, 0, 3)]);
  assert.equal(await index.forgetChunk(key, 0, { diskNumber: 0, slot: 4 }), undefined);
  assert.equal(await index.forgetChunk(key, 1, { diskNumber: 0, slot: 3 }), undefined);
  assert.ok(index.findChunk(key, 0));
  assert.deepEqual(await index.forgetChunk(key, 0, { diskNumber: 0, slot: 3 }), { objectKey: key, path: "a", chunksHeld: 0 });
  assert.equal(index.findChunk(key, 0), undefined);
  assert.deepEqual([...index.usedSlots(0)], []);
});

test("commitChunks() of a slot that the index still names for another chunk forgets that chunk", async (context) => {
  const index = openIndex(context);
  const [first, second] = [versionOf("a", 1), versionOf("b", 1)];
  for (const object of [first, second]) await index.putObject(object, undefined);
  await index.commitChunks([placed(first, 0, 0, 3)]);
  await index.commitChunks([placed(second, 4, 0, 3)]);
  assert.equal(index.findChunk(objectKeyOf(first), 0), undefined);
  assertAgrees(index, [0], 10);
  // What is said of the old chunk's slot later must not reach the new one.
  await index.forgetChunk(objectKeyOf(first), 0, { diskNumber: 0, slot: 3 });
  assert.deepEqual(index.findChunk(objectKeyOf(second), 4), { diskNumber: 0, slot: 3 });
});

test("commitChunks() does not remember chunks of a version that was replaced while they were written, or of a path that is gone", async (context) => {
  const index = openIndex(context);
  const [old, next, gone] = [versionOf("a", 1), versionOf("a", 2), versionOf("b", 1)];
  for (const object of [old, next, gone]) await index.putObject(object, undefined);
  await index.removeObject("b");
  const late = [placed(old, 0, 0, 1), placed(gone, 0, 0, 2)];
  assert.deepEqual(await index.commitChunks([...late, placed(next, 0, 0, 3)]), late);
  assert.deepEqual([...index.usedSlots(0)], [3]);
  assertAgrees(index, [0], 10);
});

test("ChunkIndex's chunks, slots and counts agree with a model and with each other after any sequence of changes", async (context) => {
  const index = openIndex(context);
  const place = fc.record({ diskNumber: fc.nat({ max: 1 }), slot: fc.integer({ min: 1, max: 6 }) });
  // Slots of a page each.
  await index.putExtents([0, 1].map((diskNumber) => ({ diskNumber, extent: 0, slotPages: 1, epoch: 1 })));
  const change = fc.record({
    what: fc.constantFrom("put", "commit", "commit", "commit", "forget-slots", "forget-chunk", "remove"),
    path: fc.constantFrom("a", "b", "a/b"),
    version: fc.nat({ max: 2 }),
    chunk: fc.nat({ max: 4 }),
    places: fc.array(place, { minLength: 1, maxLength: 3 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(change, { maxLength: 25 }), async (changes) => {
      for (const path of ["a", "b", "a/b"]) await index.removeObject(path);
      for (const disk of [0, 1]) await index.forgetSlots([...index.usedSlots(disk)].map((slot) => ({ diskNumber: disk, slot })));
      /** Slot -> chunk, as text. */
      const slots = new Map<string, string>();
      const newest = new Map<string, ObjectRecord>();
      const nameOfPlace = ({ diskNumber, slot }: SlotPlace) => `${diskNumber}:${slot}`;
      const nameOfChunk = (object: ObjectRecord, chunk: number) => `${objectKeyOf(object).toString("hex")}:${chunk}`;
      const dropWhere = (wanted: (slot: string, chunk: string) => boolean) => {
        for (const [slot, chunk] of slots) if (wanted(slot, chunk)) slots.delete(slot);
      };
      const dropVersion = (object: ObjectRecord) => dropWhere((_, chunk) => chunk.startsWith(`${objectKeyOf(object).toString("hex")}:`));
      for (const { what, path, version, chunk, places } of changes) {
        const object = versionOf(path, version);
        const [first] = places as [SlotPlace];
        if (what === "put") {
          await index.putObject(object, undefined);
          const earlier = newest.get(path);
          if (earlier && earlier.etag !== object.etag) dropVersion(earlier);
          newest.set(path, object);
        } else if (what === "remove") {
          await index.removeObject(path);
          if (newest.has(path)) dropVersion(newest.get(path)!);
          newest.delete(path);
        } else if (what === "commit") {
          await index.commitChunks(places.map((at, more) => placed(object, chunk + more, at.diskNumber, at.slot)));
          for (const [more, at] of places.entries()) {
            // What the slot held is overwritten, whether or not the new chunk is of a version that counts.
            slots.delete(nameOfPlace(at));
            if (newest.get(path)?.etag !== object.etag) continue;
            dropWhere((_, name) => name === nameOfChunk(object, chunk + more));
            slots.set(nameOfPlace(at), nameOfChunk(object, chunk + more));
          }
        } else if (what === "forget-slots") {
          await index.forgetSlots(places);
          for (const at of places) slots.delete(nameOfPlace(at));
        } else {
          await index.forgetChunk(objectKeyOf(object), chunk, first);
          if (slots.get(nameOfPlace(first)) === nameOfChunk(object, chunk)) slots.delete(nameOfPlace(first));
        }
      }
      const found = new Map<string, string>();
      for (const diskNumber of [0, 1]) {
        for (const slot of index.usedSlots(diskNumber)) {
          const content = index.findSlot({ diskNumber, slot })!;
          found.set(`${diskNumber}:${slot}`, `${content.objectKey.toString("hex")}:${content.chunk}`);
        }
      }
      assert.deepEqual(new Map([...found].sort()), new Map([...slots].sort()));
      assertAgrees(index, [0, 1], 10);
      assert.deepEqual([...index.findContradictions()], []);
    }),
    { numRuns: 60 },
  );
});

/** Commits and forgets without end, and says so, until it is killed. */
const writerSource = `
  const [module, objectModule, folder] = process.argv.slice(2);
  const { ChunkIndex } = await import(module);
  const { objectKeyOf } = await import(objectModule);
  const index = new ChunkIndex(folder, 10);
  for (let round = 0; ; round++) {
    const object = { path: "p" + (round % 5), sizeBytes: 100, etag: '"' + (round % 7) + '"', lastModifiedUnixMs: 0, digested: false, checkedUnixMs: 0 };
    const objectKey = objectKeyOf(object);
    const slots = Array.from({ length: 8 }, (_, at) => ({ diskNumber: at % 2, slot: (round * 3 + at * 5) % 64 }));
    await index.putObject(object, undefined);
    await index.forgetSlots(slots);
    await index.commitChunks(slots.map((place, chunk) => ({ ...place, path: object.path, objectKey, chunk })));
    process.send({ round, objectKey: objectKey.toString("hex"), place: slots[0] });
  }
`;

test("ChunkIndex survives kill -9 in mid-commit: what was committed is there, and chunks and slots agree both ways", async (context) => {
  const folder = temporaryFolder(context);
  const script = join(temporaryFolder(context), "writer.mjs");
  writeFileSync(script, writerSource);
  const modules = [new URL("chunk-index.js", import.meta.url).href, new URL("../object.js", import.meta.url).href];
  for (const rounds of [1, 23, 60]) {
    const child = fork(script, [...modules, folder]);
    let last: { round: number; objectKey: string; place: SlotPlace } | undefined;
    await new Promise<void>((resolve, reject) => {
      child.on("message", (message) => {
        last = message as typeof last;
        if (last!.round >= rounds && child.kill("SIGKILL")) resolve();
      });
      child.once("exit", (code) => reject(new Error(`the writer ended with ${code}`)));
    });
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    const index = new ChunkIndex(folder, 10);
    assertAgrees(index, [0, 1], 10);
    const held = [...index.usedSlots(0)].length + [...index.usedSlots(1)].length;
    assert.ok(held >= 8, `only ${held} slots are held after ${last!.round} rounds`);
    await index.close();
  }
});

test("visitUsedSlots() walks the slots of one disk in slices, each once, with stamp and key; also slots beyond 32 bits", async (context) => {
  const index = openIndex(context);
  const object = versionOf("a", 1);
  await index.putObject(object, undefined);
  const slots = [0, 1, 7, 300, 2 ** 32 - 1, 2 ** 32, 2 ** 33 + 5];
  await index.commitChunks(slots.map((slot, chunk) => ({ ...placed(object, chunk, 1, slot), stampUnixMs: 5000 + chunk * 1000 })));
  await index.commitChunks([placed(object, 50, 0, 9), placed(object, 51, 2, 9)]);
  for (const count of [1, 2, 3, 7, 100]) {
    const seen: number[] = [];
    let turns = 0;
    for (let from: number | undefined = 0; from !== undefined; turns++) {
      assert.ok(turns <= slots.length, "the walk does not end");
      from = index.visitUsedSlots({ diskNumber: 1, slot: from }, count, (slot, stampUnixMs, content) => {
        assert.equal(stampUnixMs, 5000 + seen.length * 1000);
        assert.deepEqual(content.subarray(0, 16), objectKeyOf(object));
        seen.push(slot);
      });
    }
    assert.deepEqual(seen, slots);
  }
});
