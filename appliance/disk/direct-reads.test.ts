import assert from "node:assert/strict";
import { constants, mkdtempSync, openSync, rmSync, symlinkSync, truncateSync, closeSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { allocateFrameArena, FrameArena } from "../memory/frame-arena.js";
import { objectKeyOf, type ObjectRecord } from "../object.js";
import { DiskSet } from "./disk-set.js";
import { SlabFiles } from "./slab-files.js";
import { slabGeometryOf, slabPathOf, slotAt, slotShapeOf } from "./slab-geometry.js";
import { SlotReader, type SlotReadOutcome } from "./slot-reader.js";
import { SlotWriter } from "./slot-writer.js";

const chunkBytes = 16_384;
const geometry = slabGeometryOf(chunkBytes);
const object: ObjectRecord = { path: "a", sizeBytes: 1e6, etag: '"1"', lastModifiedUnixMs: 0, digested: false, checkedUnixMs: 0 };
const objectKey = objectKeyOf(object);

function openStage(context: TestContext) {
  const path = mkdtempSync(join(tmpdir(), "millrace-direct-"));
  const disk = { diskNumber: 0, uuid: "0b5b3b0e-7a5b-4c39-9d4e-9f1d5f0c1a2b", path, capacityBytes: 1e6, extentCount: 8 };
  const files = new SlabFiles(geometry, "read-direct");
  const buffered = new SlabFiles(geometry, "read");
  const written = new SlabFiles(geometry, "write");
  context.after(() => {
    files.closeAll();
    buffered.closeAll();
    written.closeAll();
    rmSync(path, { recursive: true, force: true });
  });
  writeFileSync(join(path, "disk.json"), "{}");
  const limits = { readsPerDiskMax: 4, waitingPerDiskMax: 10 };
  const reader = new SlotReader({
    disks: new DiskSet([disk]),
    geometry,
    files: buffered,
    directFiles: files,
    ...limits,
    onDiskLost: () => {},
  });
  const arena = new FrameArena(allocateFrameArena({ ramBytes: 8 * chunkBytes, chunkBytes }));
  const frame = arena.wholeFrame(arena.allocate(chunkBytes));
  const slotOf = (chunk: number) => slotAt(geometry, Math.floor(chunk / 4), geometry.fullSlotPages, chunk % 4);
  const write = (chunk: number, bytes: Uint8Array) =>
    new SlotWriter(geometry, written).write({ disk, slot: slotOf(chunk), epoch: 1, object, chunk, bytes, stampUnixMs: 1 });
  const read = (chunk: number, lengthBytes: number) =>
    new Promise<SlotReadOutcome>((resolve) => {
      const { headerBytes } = slotShapeOf(geometry, lengthBytes, object);
      reader.read({ diskNumber: 0, slot: slotOf(chunk), objectKey, chunk, lengthBytes, headerBytes, into: frame }, resolve);
    });
  return { disk, files, frame, write, read };
}

test("frames of whole pages begin at pages, and others say that they do not", () => {
  assert.equal(allocateFrameArena({ ramBytes: 1e6, chunkBytes: 4096 }).atPages, true);
  assert.equal(allocateFrameArena({ ramBytes: 1e6, chunkBytes: 4095 }).atPages, false);
});

test("direct reads bring whole and short chunks, also such as were written a moment ago", async (context) => {
  const { disk, files, frame, write, read } = openStage(context);
  const cases = [chunkBytes, chunkBytes - 1, 5000, 4096, 1];
  for (const [slot, lengthBytes] of cases.entries()) {
    await write(slot, new Uint8Array(lengthBytes).fill(slot + 1));
    assert.equal(await read(slot, lengthBytes), "ok");
    assert.ok(
      frame.subarray(0, lengthBytes).every((byte) => byte === slot + 1),
      `chunk of ${lengthBytes} bytes`,
    );
  }
  const file = await files.acquire(disk, 0);
  files.release(file);
  assert.equal(file.direct, canReadDirectly(slabPathOf(disk.path, 0)));
});

test("direct reads call a slot torn that its slab ends in, and one that was never written", async (context) => {
  const { disk, write, read } = openStage(context);
  await write(0, new Uint8Array(chunkBytes).fill(1));
  assert.equal(await read(3, chunkBytes), "torn");
  truncateSync(slabPathOf(disk.path, 0), 4096 + 100);
  assert.equal(await read(0, chunkBytes), "torn");
});

test(
  "a slab on a file system without direct reads is read through the page cache",
  { skip: process.platform !== "linux" },
  async (context) => {
    const { disk, files } = openStage(context);
    symlinkSync("/proc/self/maps", slabPathOf(disk.path, 0));
    const file = await files.acquire(disk, 0);
    files.release(file);
    assert.equal(file.direct, false);
  },
);

function canReadDirectly(path: string): boolean {
  try {
    closeSync(openSync(path, constants.O_RDONLY | constants.O_DIRECT));
    return true;
  } catch {
    return false;
  }
}
