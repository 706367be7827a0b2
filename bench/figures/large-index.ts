// An index of ten million chunks: lookups, a restart, memory, and making it anew from slots.
import { statSync } from "node:fs";
import { join } from "node:path";
import { generatedObjects, writeObjectFiles } from "../workloads/object-files.js";
import { ApplianceUnderTest } from "./appliance-under-test.js";
import type { FigureMaker } from "./figure-maker.js";
import { fillDisks } from "./fill-disks.js";
import { loadPlan, measureLoad } from "./measure-load.js";

const chunkBytes = 2 ** 20;
const slotBytes = chunkBytes + 4096;
const diskCount = 12;
const ramBytes = 512 * 2 ** 20;

export const largeIndex: FigureMaker = {
  name: "index",
  title: "an index of ten million chunks: lookups, restart, memory, rebuild",
  measure: async (run, figure) => {
    const chunks = run.quick ? 100_000 : 10_000_000;
    const indexFolder = join(run.scratch, "index");
    const files = join(run.scratch, "files");
    const objects = generatedObjects(16, 8 * chunkBytes);
    const disks = Array.from({ length: diskCount }, (_, at) => ({
      path: join(run.scratch, `disk${at}`),
      bytes: (Math.ceil(chunks / diskCount) + 1000) * slotBytes,
    }));
    figure.method(
      `${chunks.toLocaleString("en")} chunks of 1 MiB on twelve disks in the index; 128 of them are really there (sparse disks). Restart: from the start of the program until the first ` +
        "byte of a chunk that came from its slot. Memory: after that, and after the free slots of all disks were read and a load was served.",
    );
    figure.method(
      "Lookups: single ones at random, in the bench's process, with the index in the page cache. Rebuild: from headers of slots of 4 KiB chunks.",
    );
    await writeObjectFiles(files, objects);
    const start = () => ApplianceUnderTest.start({ folder: run.scratch, ramBytes, disks, upstreamUrl: `file://${files}/`, cores: null });
    let appliance = await start();
    try {
      await fillDisks(objects, 16 * 8, { appliance, figure, run });
    } finally {
      await appliance.stop();
    }
    const startedAtMs = performance.now();
    await run.inside.growIndex(indexFolder, {
      chunkBytes,
      chunks,
      disks: diskCount,
      onProgress: (done) => {
        run.say(`index: ${done.toLocaleString("en")} chunks`);
        return !run.signal.aborted;
      },
    });
    if (run.signal.aborted) return;
    figure.add("commits of chunks, 20 000 at a time", "per second", chunks / ((performance.now() - startedAtMs) / 1000));
    figure.add("index on disk per chunk", "bytes", statSync(join(indexFolder, "index.mdb")).size / chunks);
    const times = await run.inside.timeLookups(indexFolder, { chunkBytes, lookups: run.quick ? 20_000 : 300_000 });
    figure.add("lookup p50", "µs", times[Math.floor(times.length / 2)]!);
    figure.add("lookup p99", "µs", times[Math.floor(times.length * 0.99)]!, { atMost: 20 });
    for (let round = 0; round < run.rounds; round++) {
      run.say(`restart ${round + 1} of ${run.rounds}`);
      const beganMs = performance.now();
      appliance = await start();
      try {
        const response = await fetch(`${appliance.baseUrl}${objects[round % objects.length]!.name}`, { headers: { range: "bytes=0-99" } });
        await response.arrayBuffer();
        figure.add("restart: program start to first byte from a disk", "s", (performance.now() - beganMs) / 1000, { atMost: 2 });
        if (response.status !== 206) figure.fault(`the first request after a restart got ${response.status}`);
        const fromDisk = (await appliance.metrics()).sum("millrace_chunks_served_total", { from: "disk" });
        if (fromDisk < 1) figure.fault("the first byte after a restart did not come from a disk");
        if (round > 0) continue;
        await appliance.until(
          async (one) => (await one.status()).disks.reduce((sum, disk) => sum + disk.chunks, 0) >= chunks,
          "reading the free slots",
          120_000,
        );
        figure.add("restart: until the free slots of all disks are known", "s", (performance.now() - beganMs) / 1000);
        const plan = loadPlan(
          { range: "64KiB", connections: 32, warmup: "0s", duration: run.quick ? "1s" : "10s" },
          { baseUrl: appliance.baseUrl, objects },
        );
        await measureLoad(plan, { appliance, figure, run });
        const memory = await appliance.memory();
        figure.add(
          "memory: anonymous and shared, without the frames",
          "bytes",
          memory.anonymousBytes + memory.sharedMemoryBytes - framesBytes(await appliance.status()),
          {
            atMost: 300 * 2 ** 20,
          },
        );
        figure.add("memory: anonymous and shared", "bytes", memory.anonymousBytes + memory.sharedMemoryBytes, {
          atMost: ramBytes + 300 * 2 ** 20,
        });
        figure.add("memory: mapped pages of files, which the system can take back", "bytes", memory.fileBytes);
        figure.add("memory: resident in all", "bytes", memory.rssBytes);
      } finally {
        await appliance.stop();
      }
    }
    run.say("rebuild");
    figure.add("rebuild from slots", "per second", await run.inside.timeRebuild(run.scratch, run.quick ? 2000 : 200_000));
  },
};

/** Frames that were written to: the others have no memory yet. */
function framesBytes({ memory }: { memory: { frames: number; free: number } }): number {
  return (memory.frames - memory.free) * chunkBytes;
}
