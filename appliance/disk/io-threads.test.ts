import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ioThreadsOf, readsPerDiskOf } from "./io-threads.js";

test("readsPerDiskOf() never lets the reads of all disks need more threads than there are, where it says that there are enough", () => {
  const counts = fc.record({
    frames: fc.integer({ min: 8, max: 10_000 }),
    threads: fc.integer({ min: 1, max: 1024 }),
    disks: fc.integer({ min: 1, max: 100 }),
    workers: fc.integer({ min: 1, max: 64 }),
    wanted: fc.integer({ min: 1, max: 256 }),
  });
  fc.assert(
    fc.property(counts, (options) => {
      const { reads, enough } = readsPerDiskOf(options);
      assert.ok(reads >= 1 && reads <= options.wanted);
      if (reads > 1) assert.ok(reads * options.workers <= options.frames / 4, "one disk that hangs would take the frames of the others");
      if (enough) assert.ok(reads * options.workers * options.disks < options.threads);
    }),
  );
});

test("readsPerDiskOf() gives 12 disks and 2 workers what they want of 256 threads, and says that 4 are not enough for one", () => {
  assert.deepEqual(readsPerDiskOf({ frames: 1024, threads: 256, disks: 12, workers: 2, wanted: 8 }), { reads: 7, enough: true });
  assert.deepEqual(readsPerDiskOf({ frames: 1024, threads: 4, disks: 1, workers: 1, wanted: 8 }), { reads: 1, enough: false });
  assert.equal(readsPerDiskOf({ frames: 8, threads: 256, disks: 1, workers: 1, wanted: 8 }).reads, 2);
});

test("ioThreadsOf() is what libuv makes of the variable", () => {
  assert.deepEqual(
    [{}, { UV_THREADPOOL_SIZE: "64" }, { UV_THREADPOOL_SIZE: "9999" }, { UV_THREADPOOL_SIZE: "x" }].map(ioThreadsOf),
    [4, 64, 1024, 4],
  );
});
