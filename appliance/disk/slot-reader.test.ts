import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { objectKeyOf, type ObjectRecord } from "../object.js";
import { DiskSet, type DiskDescription } from "./disk-set.js";
import { SlabFiles } from "./slab-files.js";
import { slabGeometryOf, slabPathOf, slotAt, slotOffsetOf, slotShapeOf } from "./slab-geometry.js";
import { SlotReader, type SlotRead, type SlotReadOutcome } from "./slot-reader.js";
import { SlotWriter } from "./slot-writer.js";

const chunkBytes = 5000;
const geometry = slabGeometryOf(chunkBytes);
const object: ObjectRecord = { path: "a", sizeBytes: 1e6, etag: '"1"', lastModifiedUnixMs: 0, digested: false, checkedUnixMs: 0 };
const objectKey = objectKeyOf(object);
const { slotPages, headerBytes } = slotShapeOf(geometry, chunkBytes, object);
const slotOf = (place: number, extent = 0) => slotAt(geometry, extent, slotPages, place);

interface Bench {
  disks: DiskSet;
  disk: DiskDescription;
  writer: SlotWriter;
  reader: SlotReader;
  lost: string[];
  read(over?: Partial<SlotRead>): Promise<SlotReadOutcome>;
}

/** A disk in a temporary folder with chunk N in slot N of extent 0, for N below 4, and a reader of it. */
async function openBench(context: TestContext, limits = { readsPerDiskMax: 4, waitingPerDiskMax: 100 }): Promise<Bench> {
  const path = mkdtempSync(join(tmpdir(), "millrace-slots-"));
  const disk = { diskNumber: 3, uuid: "0b5b3b0e-7a5b-4c39-9d4e-9f1d5f0c1a2b", path, capacityBytes: 1e6, extentCount: 12 };
  const disks = new DiskSet([disk]);
  const files = { read: new SlabFiles(geometry, "read"), write: new SlabFiles(geometry, "write") };
  context.after(() => {
    files.read.closeAll();
    files.write.closeAll();
    rmSync(path, { recursive: true, force: true });
  });
  writeFileSync(join(path, "disk.json"), "{}");
  const writer = new SlotWriter(geometry, files.write);
  for (let chunk = 0; chunk < 4; chunk++) {
    const bytes = new Uint8Array(chunkBytes).fill(chunk + 1);
    await writer.write({ disk, slot: slotOf(chunk), epoch: 1, object, chunk, bytes, stampUnixMs: 1 });
  }
  await writer.sync(
    disk,
    [0, 1, 2, 3].map((place) => slotOf(place)),
  );
  const lost: string[] = [];
  const reader = new SlotReader({ disks, geometry, files: files.read, ...limits, onDiskLost: ({ path: of }) => lost.push(of) });
  const read = (over: Partial<SlotRead> = {}) =>
    new Promise<SlotReadOutcome>((resolve) => {
      const into = new Uint8Array(new SharedArrayBuffer(chunkBytes));
      reader.read({ diskNumber: 3, slot: slotOf(0), objectKey, chunk: 0, lengthBytes: chunkBytes, headerBytes, into, ...over }, resolve);
    });
  return { disks, disk, writer, reader, lost, read };
}

test("SlotReader reads a chunk into shared memory, whole and right, also into a longer frame", async (context) => {
  const { read } = await openBench(context);
  const into = new Uint8Array(new SharedArrayBuffer(chunkBytes + 100));
  assert.equal(await read({ slot: slotOf(2), chunk: 2, into }), "ok");
  assert.ok(into.subarray(0, chunkBytes).every((byte) => byte === 3));
  assert.ok(
    into.subarray(chunkBytes).every((byte) => byte === 0),
    "it wrote behind the chunk",
  );
});

test("SlotReader tells a slot that holds another chunk, another object, other bytes, or was never written", async (context) => {
  const { read, disk } = await openBench(context);
  assert.equal(await read({ slot: slotOf(1), chunk: 0 }), "other-chunk");
  assert.equal(await read({ objectKey: Buffer.alloc(16) }), "other-chunk");
  assert.equal(await read({ lengthBytes: chunkBytes - 1 }), "other-chunk");
  assert.equal(await read({ slot: slotOf(0, 3), chunk: 10 }), "torn");
  const file = await open(slabPathOf(disk.path, 0), "r+");
  await file.write(Buffer.of(77), 0, 1, slotOffsetOf(geometry, slotOf(1)) + headerBytes + 4999);
  await file.close();
  assert.equal(await read({ slot: slotOf(1), chunk: 1 }), "wrong-bytes");
});

test("SlotReader calls a slot torn when its slab was cut short, and the disk stays online", async (context) => {
  const { read, disk, disks } = await openBench(context);
  const lengths = [slotOffsetOf(geometry, slotOf(1)) + headerBytes + chunkBytes - 1, slotOffsetOf(geometry, slotOf(1)) + 10, 0];
  for (const length of lengths) {
    truncateSync(slabPathOf(disk.path, 0), length);
    assert.equal(await read({ slot: slotOf(1), chunk: 1 }), "torn");
  }
  assert.ok(disks.isOnline(3));
  assert.equal(disks.errorsOf(3), 0);
});

test("SlotReader bounds reads and waiting reads per disk, and answers queue-full beyond", async (context) => {
  const { read } = await openBench(context, { readsPerDiskMax: 2, waitingPerDiskMax: 3 });
  const outcomes = await Promise.all(Array.from({ length: 8 }, () => read()));
  assert.deepEqual(outcomes, ["ok", "ok", "ok", "ok", "ok", "queue-full", "queue-full", "queue-full"]);
  assert.equal(await read(), "ok");
});

test("SlotReader does not touch a disk that is not online, or is not there", async (context) => {
  const { read, disks } = await openBench(context);
  assert.equal(await read({ diskNumber: 9 }), "disk-away");
  for (const state of ["suspect", "offline", "retired"] as const) {
    disks.setState(3, state);
    assert.equal(await read(), "disk-away");
  }
  disks.setState(3, "online");
  assert.equal(await read(), "ok");
});

test("SlotReader takes a disk offline after three errors in a row, says so once, and lets no one wait for it", async (context) => {
  const { read, disk, disks, lost } = await openBench(context, { readsPerDiskMax: 1, waitingPerDiskMax: 100 });
  // A folder in a slab's place: it opens, and every read of it is an error (EISDIR).
  mkdirSync(slabPathOf(disk.path, 1));
  const bad = { slot: slotOf(0, geometry.extentsPerSlab) };
  assert.equal(await read(bad), "disk-error");
  assert.equal(await read(bad), "disk-error");
  assert.equal(await read(), "ok");
  assert.ok(disks.isOnline(3), "a good read between them starts the count anew");
  const outcomes = await Promise.all(Array.from({ length: 9 }, () => read(bad)));
  assert.deepEqual(outcomes, [...Array<string>(3).fill("disk-error"), ...Array<string>(6).fill("disk-away")]);
  assert.equal(disks.stateOf(3), "offline");
  assert.deepEqual(lost, [disk.path]);
  assert.equal(await read(), "disk-away");
});

test("SlotReader counts a slab that cannot be opened as an error of the disk", async (context) => {
  const { read, disks } = await openBench(context);
  for (let count = 0; count < 3; count++) assert.equal(await read({ slot: slotOf(0, geometry.extentsPerSlab * 2) }), "disk-error");
  assert.equal(disks.stateOf(3), "offline");
  assert.equal(disks.errorsOf(3), 3);
});

test("SlotWriter makes a slab at its size, the last one no larger than the disk, and writes a chunk anew", async (context) => {
  const { writer, disk, read } = await openBench(context);
  const bytes = new Uint8Array(chunkBytes).fill(9);
  await writer.write({ disk, slot: slotOf(0), epoch: 1, object, chunk: 8, bytes, stampUnixMs: 2 });
  assert.equal(await read({ slot: slotOf(0), chunk: 8 }), "ok");
  assert.equal(await read({ slot: slotOf(0), chunk: 0 }), "other-chunk");
  assert.equal(statSync(slabPathOf(disk.path, 0)).size, disk.extentCount * geometry.extentBytes);
});

test("SlotReader takes the memory for a read when the read begins, and holds none for those that wait", async (context) => {
  const { disks, disk, read } = await openBench(context, { readsPerDiskMax: 2, waitingPerDiskMax: 100 });
  let held = 0;
  let heldMax = 0;
  const reads = Array.from({ length: 50 }, async (_, at) => {
    const into = () => {
      heldMax = Math.max(heldMax, ++held);
      return new Uint8Array(chunkBytes);
    };
    assert.equal(await read({ slot: slotOf(at % 4), chunk: at % 4, into }), "ok");
    held--;
  });
  await Promise.all(reads);
  assert.ok(heldMax <= 3, `${heldMax} reads held memory at once`);
  assert.equal(await read({ into: () => undefined }), "no-frame");
  assert.equal(await read(), "ok");
  assert.ok(disks.isOnline(disk.diskNumber), "no memory is no error of the disk");
});

test("SlotReader reads a suspect disk for those who have no other place, and an offline one for nobody", async (context) => {
  const { disks, disk, read } = await openBench(context);
  disks.setState(disk.diskNumber, "suspect");
  assert.deepEqual(await Promise.all([read(), read({ evenSuspect: true }), read()]), ["disk-away", "ok", "disk-away"]);
  disks.setState(disk.diskNumber, "offline");
  assert.equal(await read({ evenSuspect: true }), "disk-away");
});

test("SlotReader answers those that wait for a disk that turns suspect, and goes on for those who have no other place", async (context) => {
  const { disks, disk, read } = await openBench(context, { readsPerDiskMax: 1, waitingPerDiskMax: 100 });
  const reads = Array.from({ length: 20 }, (_, at) => read({ evenSuspect: at % 2 === 0 }));
  disks.setState(disk.diskNumber, "suspect");
  const outcomes = await Promise.all(reads);
  assert.deepEqual(
    outcomes.filter((_, at) => at % 2 === 0),
    Array(10).fill("ok"),
  );
  assert.deepEqual(
    outcomes.filter((_, at) => at % 2 === 1),
    Array(10).fill("disk-away"),
  );
});

test("SlotWriter makes no slab where a disk was, and is not any more: what is there is the folder that it was mounted on", async (context) => {
  const { disk, writer } = await openBench(context);
  writer.closeDisk(disk);
  rmSync(disk.path, { recursive: true });
  mkdirSync(disk.path);
  await assert.rejects(writer.write({ disk, slot: slotOf(0), epoch: 1, object, chunk: 0, bytes: new Uint8Array(10), stampUnixMs: 1 }), {
    code: "ENOENT",
  });
  assert.deepEqual(readdirSync(disk.path), []);
});
