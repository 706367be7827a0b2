import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { SlotWrite } from "../disk/slot-writer.js";
import { objectKeyOf, type ObjectRecord } from "../object.js";
import { ChunkStore, type ChunkStoreOptions } from "./chunk-store.js";
import { objectOf, openTemporaryStage, type Stage, type StageOptions } from "./temporary-stage.js";

const object = objectOf("a", 1000);

interface StoreStage extends Stage {
  store: ChunkStore;
  heldChanged: string[];
  give(of: ObjectRecord, chunks: readonly number[]): void;
}

function openStoreStage(context: TestContext, options: StageOptions = {}, over: Partial<ChunkStoreOptions> = {}): StoreStage {
  const stage = openTemporaryStage(context, { frames: 64, ...options });
  const heldChanged: string[] = [];
  const store = new ChunkStore({ ...stage, waitingMax: 50, onHeldChanged: (paths) => heldChanged.push(...paths), ...over });
  const give = (of: ObjectRecord, chunks: readonly number[]) => {
    // Only chunks of a version that the index knows are kept; transactions are done in order, so this one is done first.
    void stage.index.putObject(of, undefined);
    for (const chunk of chunks) {
      const frame = stage.publish(of, chunk);
      store.store(of, chunk, frame);
      stage.arena.unpin(frame);
    }
  };
  return { ...stage, store, heldChanged, give };
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, at) => from + at);

test("ChunkStore puts chunks on all disks, and they are read back right; no pin is left", async (context) => {
  const stage = openStoreStage(context);
  stage.give(object, range(0, 20));
  assert.equal(stage.arena.counts().pinned, 20, "chunks that wait are pinned");
  await stage.store.flush();
  assert.equal(stage.arena.counts().pinned, 0);
  for (const chunk of range(0, 20)) assert.equal(await stage.readChunk(object, chunk), "ok");
  assert.equal(stage.count("chunksStored"), 20);
  assert.ok(stage.disks.usedSlotsOf(0) > 0 && stage.disks.usedSlotsOf(1) > 0);
  assert.equal(stage.disks.usedSlotsOf(0) + stage.disks.usedSlotsOf(1), 20);
  assert.equal(stage.index.chunksHeldOf(objectKeyOf(object)), 20);
  assert.ok(stage.heldChanged.includes("a"));
});

test("ChunkStore takes a chunk once that is given many times, and takes none twice that is held", async (context) => {
  const stage = openStoreStage(context);
  stage.give(object, [1, 1, 1]);
  await stage.store.flush();
  stage.give(object, [1]);
  await stage.store.flush();
  assert.equal(stage.count("chunksStored"), 1);
  assert.equal(stage.arena.counts().pinned, 0);
});

test("ChunkStore turns chunks away beyond waitingMax, and lets go of them", async (context) => {
  const stage = openStoreStage(context, {}, { waitingMax: 3 });
  stage.give(object, range(0, 10));
  assert.equal(stage.store.hasRoom, false);
  assert.equal(stage.arena.counts().pinned, 3);
  await stage.store.flush();
  assert.deepEqual([stage.count("chunksStored"), stage.count("chunksNotStored")], [3, 7]);
  assert.ok(stage.store.hasRoom);
});

test("ChunkStore evicts the oldest chunks of full disks, and index, slots and counts stay right", async (context) => {
  const stage = openStoreStage(context, { slots: [8, 8] });
  for (const chunk of range(0, 40)) {
    stage.give(object, [chunk]);
    await stage.store.flush();
  }
  const held = range(0, 40).filter((chunk) => stage.store.holds(objectKeyOf(object), chunk));
  assert.equal(held.length, 16);
  assert.equal(stage.index.chunksHeldOf(objectKeyOf(object)), 16);
  for (const chunk of held) assert.equal(await stage.readChunk(object, chunk), "ok");
  assert.ok(held.includes(39), "the newest is held");
  assert.equal(stage.count("chunksEvicted"), 24);
  assert.deepEqual([[...stage.index.usedSlots(0)], [...stage.index.usedSlots(1)]], [range(1, 9), range(1, 9)]);
});

test("ChunkStore stores what fits of a batch that is larger than all disks, and no slot is given twice in it", async (context) => {
  const stage = openStoreStage(context, { slots: [8, 8] });
  stage.give(object, range(0, 30));
  await stage.store.flush();
  const held = range(0, 30).filter((chunk) => stage.store.holds(objectKeyOf(object), chunk));
  assert.equal(held.length, 16);
  for (const chunk of held) assert.equal(await stage.readChunk(object, chunk), "ok");
  assert.deepEqual([stage.count("chunksStored"), stage.count("chunksNotStored")], [16, 14]);
});

test("ChunkStore stores objects whose last chunk is whole, short, or one byte, with chunks of one byte too", async (context) => {
  for (const chunkBytes of [1, 7, 4096]) {
    const stage = openStoreStage(context, { chunkBytes, frames: 16 });
    for (const sizeBytes of [1, chunkBytes, chunkBytes + 1, 3 * chunkBytes]) {
      const each = objectOf(`size-${sizeBytes}`, sizeBytes);
      const chunks = range(0, Math.ceil(sizeBytes / chunkBytes));
      stage.give(each, chunks);
      await stage.store.flush();
      for (const chunk of chunks) assert.equal(await stage.readChunk(each, chunk), "ok", `${sizeBytes} in ${chunkBytes}`);
    }
  }
});

test("ChunkStore does not forget a chunk in the index before it must, nor name a slot before it is synced", async (context) => {
  const steps: string[] = [];
  const stage = openStoreStage(context, { slots: [8] });
  const indexed = () =>
    range(0, 9)
      .filter((chunk) => stage.index.findChunk(objectKeyOf(object), chunk))
      .join("");
  const writer = {
    cut: (...of: Parameters<typeof stage.writer.cut>) => stage.writer.cut(...of),
    write: async (write: SlotWrite) => {
      steps.push(`write ${write.chunk}: index has ${indexed()}`);
      await stage.writer.write(write);
    },
    sync: async (...slots: Parameters<typeof stage.writer.sync>) => {
      await stage.writer.sync(...slots);
      steps.push(`synced: index has ${indexed()}`);
    },
  };
  await stage.index.putObject(object, undefined);
  const store = new ChunkStore({ ...stage, waitingMax: 9, onHeldChanged: () => {}, writer: writer as typeof stage.writer });
  for (const chunk of range(0, 9)) {
    const frame = stage.publish(object, chunk);
    store.store(object, chunk, frame);
    stage.arena.unpin(frame);
    await store.flush();
  }
  assert.deepEqual(steps.slice(0, 4), ["write 0: index has ", "synced: index has ", "write 1: index has 0", "synced: index has 0"]);
  assert.deepEqual(steps.slice(-2), ["write 8: index has 1234567", "synced: index has 1234567"]);
  assert.equal(indexed(), "12345678");
});

test("ChunkStore frees the slots of a batch that could not be written, takes the disk offline after three, and uses the other", async (context) => {
  const stage = openStoreStage(context, { slots: [20, 20] });
  let failing = true;
  const writer = {
    cut: (...of: Parameters<typeof stage.writer.cut>) => stage.writer.cut(...of),
    write: async (write: SlotWrite) => {
      if (failing && write.disk.diskNumber === 0) throw Object.assign(new Error("EIO: i/o error, write"), { code: "EIO" });
      await stage.writer.write(write);
    },
    sync: (...slots: Parameters<typeof stage.writer.sync>) => stage.writer.sync(...slots),
  };
  await stage.index.putObject(object, undefined);
  const store = new ChunkStore({ ...stage, waitingMax: 50, onHeldChanged: () => {}, writer: writer as typeof stage.writer });
  for (let chunk = 0; stage.disks.isOnline(0) && chunk < 60; chunk++) {
    const frame = stage.publish(object, chunk);
    store.store(object, chunk, frame);
    stage.arena.unpin(frame);
    await store.flush();
  }
  assert.equal(stage.disks.stateOf(0), "offline");
  assert.equal(stage.disks.errorsOf(0), 3);
  assert.equal(stage.disks.usedSlotsOf(0), 0, "slots leaked");
  assert.deepEqual([...stage.index.usedSlots(0)], []);
  assert.equal(stage.arena.counts().pinned, 0);
  failing = false;
  const frame = stage.publish(object, 90);
  store.store(object, 90, frame);
  stage.arena.unpin(frame);
  await store.flush();
  assert.equal(stage.index.findChunk(objectKeyOf(object), 90)?.diskNumber, 1);
});

test("ChunkStore stores a chunk again whose disk is lost", async (context) => {
  const stage = openStoreStage(context);
  stage.give(object, range(0, 10));
  await stage.store.flush();
  const lost = range(0, 10).filter((chunk) => stage.index.findChunk(objectKeyOf(object), chunk)!.diskNumber === 0);
  assert.ok(lost.length > 0);
  stage.disks.setState(0, "offline");
  assert.ok(!stage.store.holds(objectKeyOf(object), lost[0]!));
  stage.give(object, range(0, 10));
  await stage.store.flush();
  for (const chunk of range(0, 10)) assert.equal(await stage.readChunk(object, chunk), "ok");
  assert.equal(stage.index.chunksHeldOf(objectKeyOf(object)), 10, "a chunk is counted once");
  assert.deepEqual([...stage.index.usedSlots(0)], []);
});

test("dropChunk() frees the slot of a chunk that is not there, and leaves one alone that was stored anew", async (context) => {
  const stage = openStoreStage(context, { slots: [2] });
  stage.give(object, [0]);
  await stage.store.flush();
  const place = stage.index.findChunk(objectKeyOf(object), 0)!;
  await stage.store.dropChunk(objectKeyOf(object), 0, { ...place, slot: place.slot + 1 });
  assert.ok(stage.index.findChunk(objectKeyOf(object), 0));
  await stage.store.dropChunk(objectKeyOf(object), 0, place);
  await stage.store.dropChunk(objectKeyOf(object), 0, place);
  assert.equal(stage.index.findChunk(objectKeyOf(object), 0), undefined);
  assert.deepEqual([stage.count("slotsBad"), stage.disks.usedSlotsOf(0)], [1, 0]);
});

test("ChunkStore on a file system that is full stores what fits, keeps the disk, pauses, and goes on when there is room", async (context) => {
  const path = mkdtempSync(join(tmpdir(), "millrace-full-"));
  let mounted = false;
  context.after(() => {
    if (mounted) execFileSync("umount", ["--lazy", path]);
    rmSync(path, { recursive: true, force: true });
  });
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", path], { stdio: "ignore" });
  } catch {
    if (process.env["MILLRACE_TESTS_STRICT"]) assert.fail("Cannot mount a small tmpfs: root is needed");
    return context.skip("a small tmpfs needs root");
  }
  mounted = true;
  let nowMs = 1000;
  const clock = { unixMs: () => 5, monotonicMs: () => nowMs };
  // 40 slots of 4 KiB on 64 KiB.
  const stage = openStoreStage(context, { slots: [40], firstDiskPath: path }, { clock });
  for (const chunk of range(0, 20)) {
    stage.give(object, [chunk]);
    await stage.store.flush();
  }
  const held = range(0, 20).filter((chunk) => stage.store.holds(objectKeyOf(object), chunk));
  assert.ok(held.length >= 4 && held.length <= 16, `${held.length} chunks are held`);
  for (const chunk of held) assert.equal(await stage.readChunk(object, chunk), "ok");
  assert.ok(stage.disks.isOnline(0), "a full disk is not a broken one");
  assert.equal(stage.store.hasWritableDisk, false);
  assert.equal(stage.disks.usedSlotsOf(0), held.length);
  execFileSync("mount", ["-o", "remount,size=1m", path]);
  nowMs += 10_001;
  assert.ok(stage.store.hasWritableDisk);
  stage.give(object, [50]);
  await stage.store.flush();
  assert.equal(await stage.readChunk(object, 50), "ok");
});
