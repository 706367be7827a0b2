import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { SlotWrite } from "../disk/slot-writer.js";
import { slotAt } from "../disk/slab-geometry.js";
import { objectKeyOf, type ObjectRecord } from "../object.js";
import { allocateChunkHits, ChunkHits, tickMs } from "../disk/chunk-hits.js";
import { ChunkStore, type ChunkStoreOptions } from "./chunk-store.js";
import { KeptObjects } from "./kept-objects.js";
import { objectOf, openTemporaryStage, until, type Stage, type StageOptions } from "./temporary-stage.js";

/** Its slots are of two pages, as large as slots are at this chunk size: an extent has four. */
const chunkBytes = 4000;
const object = objectOf("a", 100 * chunkBytes);

interface StoreStage extends Stage {
  store: ChunkStore;
  heldChanged: string[];
  give(of: ObjectRecord, chunks: readonly number[]): void;
}

function openStoreStage(context: TestContext, options: StageOptions = {}, over: Partial<ChunkStoreOptions> = {}): StoreStage {
  const stage = openTemporaryStage(context, { chunkBytes, frames: 64, ...options });
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
  const stage = openStoreStage(context, { slots: [40] }, { waitingMax: 3 });
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
  for (const diskNumber of [0, 1]) assert.deepEqual([...stage.index.usedSlots(diskNumber)], [1, 3, 5, 7, 10, 12, 14, 16]);
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

test("ChunkStore gives chunks again to a disk that was away while chunks waited for it", async (context) => {
  const stage = openStoreStage(context, { slots: [40] }, { waitingMax: 4 });
  for (let round = 0; round < 3; round++) {
    stage.give(object, range(4 * round, 4 * round + 4));
    // Before the batch begins.
    stage.disks.setState(0, "offline");
    await stage.store.flush();
    stage.disks.setState(0, "online");
  }
  assert.equal(stage.count("chunksStored"), 0);
  stage.give(object, range(20, 24));
  await stage.store.flush();
  for (const chunk of range(20, 24)) assert.equal(await stage.readChunk(object, chunk), "ok");
  assert.equal(stage.arena.counts().pinned, 0);
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

test("ChunkStore on a file system that is full writes the slots again that have their place, keeps the disk, and grows when there is room", async (context) => {
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
  assert.ok(held.includes(19), "the newest has taken the place of an old one");
  assert.ok(stage.disks.isFull(0));
  for (const chunk of held) assert.equal(await stage.readChunk(object, chunk), "ok");
  assert.ok(stage.disks.isOnline(0), "a full disk is not a broken one");
  assert.ok(stage.store.hasWritableDisk);
  assert.equal(stage.disks.usedSlotsOf(0), held.length);
  assert.equal(stage.count("chunksStored") - stage.count("chunksEvicted"), held.length);
  const full = held.length;
  execFileSync("mount", ["-o", "remount,size=1m", path]);
  nowMs += 10_001;
  stage.give(object, range(50, 70));
  await stage.store.flush();
  for (const chunk of range(50, 70)) assert.equal(await stage.readChunk(object, chunk), "ok");
  assert.ok(stage.disks.usedSlotsOf(0) >= full + 20, "it grows again");
  assert.equal(stage.disks.isFull(0), false);
});

test("ChunkStore stores nothing on a disk that has no room even for slots that were written, and keeps what it holds", async (context) => {
  const stage = openStoreStage(context, { slots: [4] });
  stage.give(object, range(0, 3));
  await stage.store.flush();
  const noRoom = async () => {
    throw Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
  };
  let nowMs = 1000;
  const clock = { unixMs: () => 5, monotonicMs: () => nowMs };
  const writer = { write: noRoom, sync: async () => {} } as unknown as typeof stage.writer;
  const store = new ChunkStore({ ...stage, clock, waitingMax: 9, onHeldChanged: () => {}, writer });
  const give = async (chunk: number) => {
    const frame = stage.publish(object, chunk);
    store.store(object, chunk, frame);
    stage.arena.unpin(frame);
    await store.flush();
  };
  // The first finds that no new place is to be had, and the one it takes instead is not to be had either.
  await give(10);
  assert.ok(stage.disks.isFull(0));
  assert.equal(store.hasWritableDisk, false);
  const evicted = stage.count("chunksEvicted");
  for (const chunk of range(11, 20)) await give(chunk);
  assert.equal(stage.count("chunksEvicted"), evicted, "nothing more is evicted in vain");
  assert.equal(stage.index.chunksHeldOf(objectKeyOf(object)), 3 - evicted);
  assert.equal(stage.arena.counts().pinned, 0);
  nowMs += 10_001;
  assert.ok(store.hasWritableDisk);
});

test("ChunkStore never evicts the manifest's chunks for what requests bring in, and evicts those for the manifest", async (context) => {
  const film = objectOf("film", 16 * chunkBytes);
  const kept = new KeptObjects([[film.path, film.etag]]);
  const stage = openStoreStage(context, { slots: [10, 10] }, { kept });
  for (const chunk of range(0, 40)) {
    stage.give(object, [chunk]);
    await stage.store.flush();
  }
  // Three extents of four slots each, less a tenth.
  assert.equal(stage.store.keptChunksMax, 20);
  stage.give(film, range(0, 16));
  await stage.store.flush();
  assert.equal(stage.index.chunksHeldOf(objectKeyOf(film)), 16);
  for (const chunk of range(40, 100)) {
    stage.give(object, [chunk]);
    await stage.store.flush();
  }
  for (const chunk of range(0, 16)) assert.equal(await stage.readChunk(film, chunk), "ok");
  assert.deepEqual(
    [stage.disks.keptBytesOf(0) + stage.disks.keptBytesOf(1), stage.disks.usedSlotsOf(0) + stage.disks.usedSlotsOf(1)],
    [16 * 8192, 24],
  );
  // A restart knows it from the index and the list.
  const again = new ChunkStore({ ...stage, kept, waitingMax: 9, onHeldChanged: () => {} });
  await again.loadDisks();
  assert.equal(stage.disks.keptBytesOf(0) + stage.disks.keptBytesOf(1), 16 * 8192);
  // Out of the manifest: they go like others.
  kept.replace([]);
  again.setKept(objectKeyOf(film), false);
  assert.equal(stage.disks.keptBytesOf(0) + stage.disks.keptBytesOf(1), 0);
  for (const chunk of range(100, 200)) {
    const frame = stage.publish(object, chunk % 100);
    again.store(object, chunk % 100, frame);
    stage.arena.unpin(frame);
    await again.flush();
  }
  assert.ok(stage.index.chunksHeldOf(objectKeyOf(film)) < 16);
});

test("ChunkStore evicts the chunks that nobody asked for again before those that were asked for", async (context) => {
  let nowMs = 0;
  const clock = { unixMs: () => nowMs, monotonicMs: () => nowMs };
  const hits = new ChunkHits(allocateChunkHits(1), clock);
  const stage = openStoreStage(context, { slots: [20] }, { clock, hits });
  const give = async (chunk: number) => {
    stage.give(object, [chunk]);
    await stage.store.flush();
  };
  for (const chunk of range(0, 20)) await give(chunk);
  for (const _ of range(0, 3)) {
    nowMs += tickMs;
    for (const chunk of range(0, 10)) for (let times = 0; times < 5; times++) hits.note(objectKeyOf(object).readInt32LE(0), chunk);
  }
  for (const chunk of range(20, 60)) await give(chunk);
  for (const chunk of range(0, 10)) assert.ok(stage.store.holds(objectKeyOf(object), chunk), `chunk ${chunk} is gone`);
  for (const chunk of range(20, 50)) assert.ok(!stage.store.holds(objectKeyOf(object), chunk), `chunk ${chunk} is still there`);
});

test("ChunkStore goes on with the other disks when one is stuck in a write, and nobody waits for the stuck one", async (context) => {
  let release: () => void = () => {};
  const released = new Promise<void>((resolve) => (release = resolve));
  const stage = openStoreStage(context, { slots: [100, 100], frames: 128 });
  const writer = {
    cut: (...of: Parameters<typeof stage.writer.cut>) => stage.writer.cut(...of),
    write: async (write: SlotWrite) => {
      if (write.disk.diskNumber === 0) await released;
      await stage.writer.write(write);
    },
    sync: (...slots: Parameters<typeof stage.writer.sync>) => stage.writer.sync(...slots),
  } as typeof stage.writer;
  await stage.index.putObject(object, undefined);
  const store = new ChunkStore({
    ...stage,
    sync: { bytes: 1e6, everyMs: 1, deadlineMs: 500 },
    waitingMax: 40,
    onHeldChanged: () => {},
    writer,
  });
  for (const chunk of range(0, 80)) {
    const frame = stage.publish(object, chunk);
    store.store(object, chunk, frame);
    stage.arena.unpin(frame);
    if (chunk % 10 === 9) await store.flush();
  }
  // More than the other disk's half: what was meant for the stuck one has gone there too.
  await until(() => range(0, 80).filter((chunk) => store.holds(objectKeyOf(object), chunk)).length >= 60, "60 are stored");
  assert.ok(stage.arena.counts().pinned <= 20, "the stuck disk holds no more than its share of the frames");
  release();
  await until(() => stage.arena.counts().pinned === 0, "the stuck batch has ended");
  await store.flush();
  for (const chunk of range(0, 80)) if (store.holds(objectKeyOf(object), chunk)) assert.equal(await stage.readChunk(object, chunk), "ok");
  assert.equal([...stage.index.usedSlots(0)].length, stage.disks.usedSlotsOf(0));
});

test("ChunkStore syncs chunks that come one by one together, and at once what is more than syncBytes", async (context) => {
  const syncs: number[] = [];
  const stage = openStoreStage(context, { slots: [100] });
  const writer = {
    cut: (...of: Parameters<typeof stage.writer.cut>) => stage.writer.cut(...of),
    write: (write: SlotWrite) => stage.writer.write(write),
    sync: async (...[disk, slots]: Parameters<typeof stage.writer.sync>) => {
      syncs.push(slots.length);
      await stage.writer.sync(disk, slots);
    },
  } as typeof stage.writer;
  await stage.index.putObject(object, undefined);
  const give = (store: ChunkStore, chunk: number) => {
    const frame = stage.publish(object, chunk);
    store.store(object, chunk, frame);
    stage.arena.unpin(frame);
  };
  const patient = new ChunkStore({
    ...stage,
    sync: { bytes: 10 * chunkBytes, everyMs: 1e9, deadlineMs: 1e9 },
    waitingMax: 50,
    onHeldChanged: () => {},
    writer,
  });
  await patient.loadDisks();
  for (const chunk of range(0, 10)) {
    assert.deepEqual(syncs, []);
    give(patient, chunk);
    await new Promise((resolve) => setImmediate(resolve));
  }
  // Ten chunks are a batch; nothing else would have ended the wait.
  await until(() => stage.index.chunksHeldOf(objectKeyOf(object)) === 10);
  assert.deepEqual(syncs, [10]);
  const prompt = new ChunkStore({
    ...stage,
    sync: { bytes: 1e9, everyMs: 20, deadlineMs: 1e9 },
    waitingMax: 50,
    onHeldChanged: () => {},
    writer,
  });
  await prompt.loadDisks();
  give(prompt, 20);
  await new Promise((resolve) => setImmediate(resolve));
  give(prompt, 21);
  await until(() => stage.index.chunksHeldOf(objectKeyOf(object)) === 12);
  assert.deepEqual(syncs, [10, 2]);
});

test("ChunkStore keeps the order slot, fdatasync, commit for every chunk, whatever happens beside it", async (context) => {
  // SIGKILL cannot show this: what was written and not synced survives it. So every step is recorded as it ends, as a power cut would find it.
  const stage = openStoreStage(context, { slots: [12, 12], frames: 64 });
  const written = new Set<string>();
  const durable = new Set<string>();
  const nameOf = (diskNumber: number, slot: number) => `${diskNumber}:${slot}`;
  let commits = 0;
  let random = 7;
  const below = (count: number) => (random = (random * 48271) % 2147483647) % count;
  const writer = {
    cut: (...of: Parameters<typeof stage.writer.cut>) => stage.writer.cut(...of),
    write: async (write: SlotWrite) => {
      const name = nameOf(write.disk.diskNumber, write.slot);
      assert.equal(
        stage.index.findSlot({ diskNumber: write.disk.diskNumber, slot: write.slot }),
        undefined,
        "a slot is written that the index names",
      );
      durable.delete(name);
      if (below(40) === 0) throw Object.assign(new Error("ENOSPC: injected"), { code: "ENOSPC" });
      await stage.writer.write(write);
      written.add(name);
    },
    sync: async (...[disk, slots]: Parameters<typeof stage.writer.sync>) => {
      const covered = slots.map((slot) => nameOf(disk.diskNumber, slot)).filter((name) => written.has(name));
      await stage.writer.sync(disk, slots);
      await new Promise((resolve) => setTimeout(resolve, below(3)));
      if (below(30) === 0) throw Object.assign(new Error("EIO: injected"), { code: "EIO" });
      for (const name of covered) durable.add(name);
    },
  } as typeof stage.writer;
  const { commitChunks } = stage.index;
  stage.index.commitChunks = (placed, cut) => {
    for (const { diskNumber, slot } of placed) {
      assert.ok(durable.has(nameOf(diskNumber, slot)), `slot ${slot} of disk ${diskNumber} is committed, and its sync has not returned`);
      commits++;
    }
    return commitChunks.call(stage.index, placed, cut);
  };
  await stage.index.putObject(object, undefined);
  let nowMs = 0;
  const clock = { unixMs: () => nowMs, monotonicMs: () => nowMs };
  const store = new ChunkStore({
    ...stage,
    clock,
    sync: { bytes: 4 * chunkBytes, everyMs: 2, deadlineMs: 1e9 },
    waitingMax: 20,
    onHeldChanged: () => {},
    writer,
  });
  for (const _ of range(0, 600)) {
    nowMs += 500;
    for (const disk of [0, 1]) stage.disks.setState(disk, "online");
    const chunk = below(100);
    const frame = stage.publish(object, chunk);
    store.store(object, chunk, frame);
    stage.arena.unpin(frame);
    if (below(10) === 0) await store.flush();
  }
  await store.flush();
  assert.ok(commits > 200, `only ${commits} commits`);
  for (const disk of [0, 1]) assert.equal([...stage.index.usedSlots(disk)].length, stage.disks.usedSlotsOf(disk), "a slot leaked");
  for (const chunk of range(0, 100)) assert.ok(["ok", "unknown"].includes(await stage.readChunk(object, chunk)));
});

test("ChunkStore reads the used slots of a large disk in slices: this thread does other things meanwhile, and chunks that come wait for it", async (context) => {
  const many = objectOf("many", chunkBytes * 30_000);
  const stage = openStoreStage(context, { slots: [30_010] });
  await stage.index.putObject(many, undefined);
  const objectKey = objectKeyOf(many);
  const slotOf = (nth: number) => slotAt(stage.geometry, Math.floor(nth / 4), 2, nth % 4);
  await stage.index.commitChunks(
    range(0, 30_000).map((chunk) => ({ path: many.path, objectKey, chunk, diskNumber: 0, slot: slotOf(chunk), stampUnixMs: chunk * 1000 })),
    range(0, 7500).map((extent) => ({ diskNumber: 0, extent, slotPages: 2, epoch: extent + 1 })),
  );
  let turns = 0;
  let isLoaded = false;
  const loading = stage.store.loadDisks().then(() => (isLoaded = true));
  const count = () => {
    turns++;
    if (!isLoaded) setImmediate(count);
  };
  setImmediate(count);
  stage.give(object, range(0, 5));
  // Freed while it is read: before or behind the slice that is read now.
  const freed = [10, 29_990].map((nth) => ({ diskNumber: 0, slot: slotOf(nth) }));
  await stage.index.forgetSlots(freed);
  stage.store.freeSlots(freed);
  await loading;
  assert.ok(turns >= 10, `${turns} turns while the slots were read`);
  await stage.store.flush();
  for (const chunk of range(0, 5)) assert.equal(await stage.readChunk(object, chunk), "ok");
  assert.equal(stage.disks.usedSlotsOf(0), 30_003);
  assert.equal([...stage.index.usedSlots(0)].length, 30_003);
});
