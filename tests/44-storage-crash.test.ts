// kill -9 of the storage at any instant: whatever the index says afterwards is true, and nothing is lost sight of.
import assert from "node:assert/strict";
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, mkdtempSync, openSync, readdirSync, readSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { test, type TestContext } from "node:test";
import { pageBytes, slabGeometryOf, slabOf, slabPathOf, slotOffsetOf, slotShapeOf } from "../appliance/disk/slab-geometry.js";
import { chunkLengthOf, objectKeyOf } from "../appliance/object.js";
import { openRandom } from "./support/random.js";
import { bytesOf, chunksOf, defaultChunkBytes, objectOf, openStorage, rebuildStorage, type Storage } from "./support/storage.js";
import { temporaryFolder } from "./support/temporary-folder.js";

/** MILLRACE_CRASH_ROUNDS for long runs. */
const rounds = Number(process.env["MILLRACE_CRASH_ROUNDS"] ?? 200);
/** MILLRACE_CRASH_SEED repeats a run. */
const seed = Number(process.env["MILLRACE_CRASH_SEED"] ?? Date.now() % 2 ** 31);
/** A process that was killed later than this has been through every step of a batch many times. */
const killAfterMsMax = 60;
/** One in so many is killed while it still opens its files. */
const killAtStartOneIn = 10;

function forkChurn(folder: string, churnSeed: number): ChildProcess {
  const script = new URL("support/storage-churn.js", import.meta.url);
  return fork(script, [folder, String(churnSeed)], { stdio: ["ignore", "ignore", "inherit", "ipc"] });
}

/** A kill is no power cut: what was written is in the kernel's hands, and a sync to a real disk would only make the rounds slower. */
function memoryFolder(t: TestContext): string {
  if (!existsSync("/dev/shm")) return temporaryFolder();
  const folder = mkdtempSync("/dev/shm/millrace-test-");
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Reads every chunk that the index names, past the index check and the slot reader, and compares its bytes. Returns how many. */
function assertEveryChunkIsRight({ index, disks }: Storage): number {
  const geometry = slabGeometryOf(defaultChunkBytes);
  let chunks = 0;
  const objects = new Map([...index.heldVersions()].map(({ objectKey, path }) => [objectKey.toString("hex"), path]));
  for (const { objectKey, chunk, diskNumber, slot } of index.chunks()) {
    const object = index.findObject(objects.get(objectKey.toString("hex"))!);
    // Purged, and not swept yet: nobody can ask for it.
    if (!object) {
      assert.ok(index.purgeProgress.last > index.purgeProgress.swept, "a chunk of an object that is not there");
      continue;
    }
    assert.ok(objectKeyOf(object).equals(objectKey), `a chunk of a version of ${object.path} that nobody can ask for`);
    const expected = bytesOf(object, chunk);
    const found = Buffer.alloc(chunkLengthOf(object.sizeBytes, defaultChunkBytes, chunk));
    const file = openSync(slabPathOf(disks.find(diskNumber)!.path, slabOf(geometry, slot)), "r");
    readSync(file, found, 0, found.length, slotOffsetOf(geometry, slot) + slotShapeOf(geometry, found.length, object).headerBytes);
    closeSync(file);
    assert.ok(found.equals(expected), `wrong bytes: ${object.path} ${object.etag} chunk ${chunk} in slot ${slot} of disk ${diskNumber}`);
    chunks++;
  }
  return chunks;
}

function assertNothingLeaks({ index, disks, kept }: Storage): void {
  const geometry = slabGeometryOf(defaultChunkBytes);
  const keptOn = new Map<number, number>();
  for (const [path] of kept.list()) {
    const object = index.findObject(path);
    if (!object || !kept.has(object)) continue;
    for (const { chunk, place } of index.placesOf(objectKeyOf(object))) {
      const { slotPages } = slotShapeOf(geometry, chunkLengthOf(object.sizeBytes, defaultChunkBytes, chunk), object);
      keptOn.set(place.diskNumber, (keptOn.get(place.diskNumber) ?? 0) + slotPages * pageBytes);
    }
  }
  for (const { diskNumber } of disks.disks) {
    assert.equal(disks.keptBytesOf(diskNumber), keptOn.get(diskNumber) ?? 0, "bytes that are kept, and those of what is to be kept");
    assert.equal([...index.usedSlots(diskNumber)].length, disks.usedSlotsOf(diskNumber), "slots in use and slots in the index");
  }
}

test(`${rounds} kills at random moments: every indexed chunk is right, nothing leaks, the check is clean (seed ${seed})`, async (t) => {
  t.diagnostic(`MILLRACE_CRASH_SEED=${seed}`);
  const folder = memoryFolder(t);
  const random = openRandom(seed);
  const seen = { chunks: 0, chunksMax: 0, toTakeBack: 0, keptMax: 0 };
  let next = forkChurn(folder, random.below(2 ** 31));
  t.after(() => next.kill("SIGKILL"));
  for (let round = 0; round < rounds; round++) {
    const child = next;
    next = forkChurn(folder, random.below(2 ** 31));
    const exit = once(child, "exit");
    const atStart = random.below(killAtStartOneIn) === 0;
    const delayMs = random.below(killAfterMsMax);
    child.send("go");
    if (!atStart) await Promise.race([once(child, "message"), exit]);
    await wait(delayMs);
    child.kill("SIGKILL");
    const [code, signal] = (await exit) as [number | null, string | null];
    assert.equal(signal, "SIGKILL", `round ${round}: it ended by itself with ${code}`);

    const storage = await openStorage({ folder });
    try {
      const chunks = assertEveryChunkIsRight(storage);
      assertNothingLeaks(storage);
      const report = await storage.check();
      assert.deepEqual(report.findings, [], `round ${round}`);
      assert.ok(report.chunks >= chunks);
      seen.chunks += chunks;
      seen.chunksMax = Math.max(seen.chunksMax, chunks);
      seen.toTakeBack += report.chunksToTakeBack;
      seen.keptMax = Math.max(seen.keptMax, ...storage.disks.disks.map(({ diskNumber }) => storage.disks.keptBytesOf(diskNumber)));
    } finally {
      await storage.close();
    }
  }
  t.diagnostic(JSON.stringify(seen));
  assert.ok(seen.keptMax > 0, "nothing was kept in any round");
  // The disks have room for 132 whole chunks: a run that never fills them has evicted nothing.
  assert.ok(seen.chunksMax > 50, `at most ${seen.chunksMax} chunks were held: the load was too small to show anything`);
});

test("the index made anew from the slots after a kill holds at least what the killed one held, all of it right", async () => {
  const folder = temporaryFolder();
  for (let round = 0; round < 5; round++) {
    const child = forkChurn(folder, seed + round);
    child.send("go");
    await once(child, "message");
    await wait(300);
    child.kill("SIGKILL");
    await once(child, "exit");
    const before = await openStorage({ folder });
    const held = new Set<string>();
    const served = new Set<string>();
    const pathOf = new Map<string, string>();
    for (const { path, objectKey } of before.index.heldVersions()) {
      pathOf.set(objectKey.toString("hex"), path);
      if (before.index.findObject(path)) served.add(objectKey.toString("hex"));
    }
    for (const { objectKey, chunk } of before.index.chunks())
      if (served.has(objectKey.toString("hex"))) held.add(`${objectKey.toString("hex")}:${chunk}`);
    await before.close();
    rmSync(join(folder, "index"), { recursive: true });
    const report = await rebuildStorage({ folder });
    const storage = await openStorage({ folder });
    const chunks = assertEveryChunkIsRight(storage);
    assert.equal(report.chunks, chunks);
    assert.deepEqual((await storage.check()).findings, []);
    const now = new Set<string>();
    for (const { objectKey, chunk } of storage.index.chunks()) now.add(`${objectKey.toString("hex")}:${chunk}`);
    // The kill may have come between a newer version's first slot and its commit: to a rebuild, which goes by slots, that version is the one.
    const rebuilt = new Map([...storage.index.heldVersions()].map(({ path, objectKey }) => [path, objectKey.toString("hex")]));
    for (const one of held) {
      const key = one.split(":")[0]!;
      const other = rebuilt.get(pathOf.get(key)!);
      assert.ok(
        now.has(one) || (other !== undefined && other !== key),
        `${one} of ${pathOf.get(key)} was held before, and no newer version is`,
      );
    }
    await storage.close();
  }
});

test("a rebuild takes a disk from another appliance over, and of two versions keeps the one that was written last", async () => {
  const [here, there] = [temporaryFolder(), temporaryFolder()];
  const options = { folder: here, extents: [7, 7] };
  const old = objectOf("film.mp4", 1);
  const fresh = objectOf("film.mp4", 2);
  const other = objectOf("other.mp4", 1);
  const elsewhere = await openStorage({ folder: there, extents: [7] });
  for (const object of [old, other]) {
    await elsewhere.index.putObject(object, undefined);
    for (const chunk of chunksOf(object)) elsewhere.put(object, chunk);
  }
  await elsewhere.close();
  await wait(2);
  const first = await openStorage({ ...options, extents: [7] });
  await first.index.putObject(fresh, undefined);
  for (const chunk of chunksOf(fresh).slice(0, 3)) first.put(fresh, chunk);
  await first.index.putMeta("applianceId", "the-same-as-ever");
  await first.index.markDisk(0, "retiring");
  await first.close();

  renameSync(join(there, "disk0"), join(here, "disk1"));
  const report = await rebuildStorage(options);
  assert.deepEqual([report.objects, report.chunks, report.unusable], [2, 8 + 3, 0]);
  const storage = await openStorage(options);
  assert.equal(storage.index.getMeta("applianceId"), "the-same-as-ever");
  const retiring = storage.disks.disks.filter(({ diskNumber }) => storage.disks.isRetiring(diskNumber)).map(({ path }) => path);
  assert.deepEqual(retiring, [join(here, "disk0")], "a retirement goes on after a rebuild");
  const found = storage.index.findObject("film.mp4")!;
  assert.equal(found.etag, fresh.etag);
  assert.equal(found.checkedUnixMs, 0, "nobody has asked upstream for it since");
  assert.equal(storage.index.chunksHeldOf(objectKeyOf(fresh)), 3);
  assert.equal(assertEveryChunkIsRight(storage), 11);
  assert.deepEqual((await storage.check()).findings, []);
  await storage.close();
  assert.deepEqual(readdirSync(join(here, "index")).sort(), ["index.mdb", "index.mdb-lock"]);
});

test("a check names what is wrong with slots, --fix forgets it, and takes back whole chunks that lie in free slots", async () => {
  const folder = temporaryFolder();
  const options = { folder, extents: [5] };
  const object = objectOf("film.mp4", 1);
  const first = await openStorage(options);
  await first.index.putObject(object, undefined);
  for (const chunk of chunksOf(object)) first.put(object, chunk);
  await first.store.flush();
  const disk = first.disks.disks[0]!;
  const placeOf = (chunk: number) => first.index.findChunk(objectKeyOf(object), chunk)!;
  const geometry = slabGeometryOf(defaultChunkBytes);
  const { open } = await import("node:fs/promises");
  const slab = await open(slabPathOf(disk.path, 0), "r+");
  await slab.write(Buffer.from([1, 2, 3]), 0, 3, slotOffsetOf(geometry, placeOf(1).slot) + 1000);
  await slab.write(Buffer.from([255]), 0, 1, slotOffsetOf(geometry, placeOf(2).slot) + 40);
  await slab.write(Buffer.alloc(pageBytes), 0, pageBytes, slotOffsetOf(geometry, placeOf(3).slot));
  const otherSlot = Buffer.alloc(slotShapeOf(geometry, defaultChunkBytes, object).slotPages * pageBytes);
  await slab.read(otherSlot, 0, otherSlot.length, slotOffsetOf(geometry, placeOf(5).slot));
  await slab.write(otherSlot, 0, otherSlot.length, slotOffsetOf(geometry, placeOf(4).slot));
  await slab.close();
  // Whole, and not in the index: what a kill before the commit leaves.
  await first.index.forgetChunk(objectKeyOf(object), 6, placeOf(6));
  const report = await first.check();
  assert.deepEqual(report.findings.map(({ kind, count }) => `${kind} ${count}`).sort(), [
    "empty 1",
    "other-chunk 1",
    "torn 1",
    "wrong-bytes 1",
  ]);
  assert.equal(report.chunksToTakeBack, 1);
  await first.check({ fix: true });
  await first.close();

  const storage = await openStorage(options);
  const after = await storage.check();
  assert.deepEqual([after.findings, after.chunksToTakeBack, after.chunks], [[], 0, 4]);
  assert.equal(assertEveryChunkIsRight(storage), 4);
  assertNothingLeaks(storage);
  await storage.close();
});
