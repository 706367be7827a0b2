import assert from "node:assert/strict";
import { readv, writeFileSync } from "node:fs";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { pino } from "pino";
import { ManualClock } from "../../runtime/manual-clock.js";
import { objectKeyOf, type ObjectRecord } from "../object.js";
import { DiskMonitor, type DiskChange } from "./disk-monitor.js";
import { DiskSet, quantileMs, type DiskDescription } from "./disk-set.js";
import type { Probe } from "./probe-disk.js";
import { SlabFiles } from "./slab-files.js";
import { slabGeometryOf, slotShapeOf } from "./slab-geometry.js";
import { SlotReader, type ReadVector, type SlotReadOutcome } from "./slot-reader.js";
import { SlotWriter } from "./slot-writer.js";

const chunkBytes = 4096;
const geometry = slabGeometryOf(chunkBytes);
const object: ObjectRecord = { path: "a", sizeBytes: 1e6, etag: '"1"', lastModifiedUnixMs: 0, digested: false, checkedUnixMs: 1 };
const uuids = ["0b5b3b0e-7a5b-4c39-9d4e-9f1d5f0c1a2b", "1b5b3b0e-7a5b-4c39-9d4e-9f1d5f0c1a2b", "2b5b3b0e-7a5b-4c39-9d4e-9f1d5f0c1a2b"];
const { headerBytes } = slotShapeOf(geometry, chunkBytes, object);
const deadlineMs = 1000;

/** Three disks with a chunk each; the middle one reads as `sick` says. */
async function openBench(context: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), "millrace-monitor-"));
  const described: DiskDescription[] = uuids.map((uuid, diskNumber) => {
    const path = join(folder, String(diskNumber));
    mkdirSync(path);
    writeFileSync(join(path, "disk.json"), "{}");
    return { diskNumber, uuid, path, capacityBytes: 1e6, extentCount: 12 };
  });
  const disks = new DiskSet(described);
  const files = { read: new SlabFiles(geometry, "read"), write: new SlabFiles(geometry, "write") };
  context.after(() => {
    files.read.closeAll();
    files.write.closeAll();
    rmSync(folder, { recursive: true, force: true });
  });
  // Deadlines do not keep a process alive, and nothing else does while a read hangs.
  const alive = setInterval(() => {}, 1000);
  context.after(() => clearInterval(alive));
  const writer = new SlotWriter(geometry, files.write);
  for (const disk of described)
    await writer.write({
      disk,
      slot: 1,
      epoch: 1,
      object,
      chunk: 0,
      bytes: new Uint8Array(chunkBytes).fill(disk.diskNumber + 1),
      stampUnixMs: 1,
    });
  const sickDescriptor = { of: -1 };
  const sick: { read: ReadVector | undefined; probe: Probe } = { read: undefined, probe: { verdict: "good", ms: 1 } };
  const opened = files.read.acquire(described[1]!, 0);
  sickDescriptor.of = (await opened).descriptor;
  const reader = new SlotReader({
    disks,
    geometry,
    files: files.read,
    readsPerDiskMax: 4,
    waitingPerDiskMax: 1000,
    deadlineMs,
    onDiskLost: () => {},
    readVector: (descriptor, buffers, position, done) => {
      if (descriptor === sickDescriptor.of && sick.read) sick.read(descriptor, buffers, position, done);
      else readv(descriptor, [...buffers], position, done);
    },
  });
  const clock = new ManualClock();
  const changes: DiskChange[] = [];
  const monitor = new DiskMonitor({
    disks,
    clock,
    log: pino({ level: "silent" }),
    probe: ({ diskNumber }) =>
      Promise.resolve({ ...(diskNumber === 1 ? sick.probe : { verdict: "good" as const, ms: 1 }), ended: Promise.resolve() }),
    onChange: (change) => changes.push(change),
  });
  const frames = { held: 0 };
  const read = (diskNumber: number) =>
    new Promise<{ outcome: SlotReadOutcome; ms: number }>((resolve) => {
      const startedAtMs = performance.now();
      frames.held++;
      const giveBack = () => frames.held--;
      const into = new Uint8Array(chunkBytes);
      const wanted = {
        diskNumber,
        slot: 1,
        objectKey: objectKeyOf(object),
        chunk: 0,
        lengthBytes: chunkBytes,
        headerBytes,
        into,
        onLateEnd: giveBack,
      };
      reader.read(wanted, (outcome) => {
        if (outcome !== "late") giveBack();
        resolve({ outcome, ms: performance.now() - startedAtMs });
      });
    });
  /** A second of the monitor's time, with `count` reads of each disk in it; the healthy disks' times come back. */
  const second = async (count: number) => {
    const times: number[] = [];
    const line = async (diskNumber: number) => {
      for (let at = 0; at < count; at++) {
        const { outcome, ms } = await read(diskNumber);
        assert.equal(outcome, "ok");
        times.push(ms);
      }
    };
    await Promise.all([line(0), line(2), ...Array.from({ length: Math.min(count, 24) }, () => read(1))]);
    clock.turn(1000);
    monitor.tick();
    // Probes answer between the ticks.
    await wait(1);
    return times;
  };
  return { disks, monitor, changes, sick, second, read, frames };
}

function p99(times: number[]): number {
  return times.sort((a, b) => a - b)[Math.floor(times.length * 0.99)]!;
}

test("DiskMonitor suspects a disk that has become slow within ten seconds, and the others are as fast as before", async (context) => {
  const { disks, changes, sick, second, monitor } = await openBench(context);
  const before: number[] = [];
  for (let tick = 0; tick < 5; tick++) before.push(...(await second(60)));
  assert.deepEqual(changes, []);
  sick.probe = { verdict: "good", ms: 3000 };
  // In time for its deadline, and above the 100 ms that any disk may take.
  sick.read = (descriptor, buffers, position, done) => setTimeout(() => readv(descriptor, [...buffers], position, done), 130);
  const during: number[] = [];
  let seconds = 0;
  for (; disks.isOnline(1) && seconds < 10; seconds++) during.push(...(await second(30)));
  assert.equal(disks.stateOf(1), "suspect", JSON.stringify(monitor.healthOf(1)));
  // Times of a page cache on a busy machine: what counts is that nobody waited for the slow one.
  assert.ok(p99(during) < Math.max(2 * p99(before), 100), `p99 ${p99(before)} ms before, ${p99(during)} ms meanwhile`);
  assert.deepEqual(
    changes.map(({ from, to }) => `${from} ${to}`),
    ["online suspect"],
  );
});

test("DiskMonitor: reads that hang are answered by their deadline, keep their frames, and their disk comes back when its probes are good", async (context) => {
  const { disks, changes, sick, second, read, frames } = await openBench(context);
  for (let tick = 0; tick < 2; tick++) await second(30);
  const hanging: (() => void)[] = [];
  sick.read = (descriptor, buffers, position, done) => void hanging.push(() => readv(descriptor, [...buffers], position, done));
  sick.probe = { verdict: "late", ms: 5000 };
  const answers = await Promise.all(Array.from({ length: 20 }, () => read(1)));
  assert.ok(
    answers.every(({ outcome }) => outcome === "late" || outcome === "disk-away"),
    JSON.stringify(answers),
  );
  assert.ok(
    answers.every(({ ms }) => ms < deadlineMs * 4),
    "nobody waits for a read that hangs",
  );
  assert.equal(disks.stateOf(1), "suspect", "three in a row are enough, before the second is over");
  assert.equal(frames.held, 4, "the reads that hang may still write into their frames");
  const healthy = await second(30);
  assert.ok(p99(healthy) < deadlineMs / 2, `other disks: ${p99(healthy)} ms`);
  assert.match(changes[0]!.reason, /missed their deadline/);
  assert.equal((await read(1)).outcome, "disk-away");

  sick.read = undefined;
  for (const go of hanging) go();
  sick.probe = { verdict: "good", ms: 1 };
  for (let tick = 0; tick < 8 && !disks.isOnline(1); tick++) await second(1);
  assert.equal(disks.stateOf(1), "online");
  assert.equal(frames.held, 0);
  assert.equal((await read(1)).outcome, "ok");
  assert.deepEqual(
    changes.map(({ from, to }) => `${from} ${to}`),
    ["online suspect", "suspect online"],
  );
});

test("quantileMs() is within a bucket of the true quantile", () => {
  const disks = new DiskSet([{ diskNumber: 0, uuid: uuids[0]!, path: "/", capacityBytes: 1, extentCount: 1 }]);
  assert.equal(quantileMs(disks.readTimesOf(0), 0.99), undefined);
  for (let ms = 1; ms <= 1000; ms++) disks.countRead(0, ms, true);
  for (const quantile of [0.01, 0.5, 0.9, 0.99]) {
    const found = quantileMs(disks.readTimesOf(0), quantile)!;
    assert.ok(found >= quantile * 1000 && found < quantile * 1000 * 1.2, `${quantile}: ${found}`);
  }
  disks.countRead(0, 1e9, false);
  assert.ok(quantileMs(disks.readTimesOf(0), 1)! > 60_000, "the last bucket takes whatever is longer");
});
