// Cold reads: how much of what the disk can do the appliance gets out of it, and how its event loops fare meanwhile.
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { keepOutOfPageCache } from "../workloads/page-cache.js";
import { generatedObjects, writeObjectFiles } from "../workloads/object-files.js";
import { ApplianceUnderTest } from "./appliance-under-test.js";
import type { FigureMaker } from "./figure-maker.js";
import { fillDisks } from "./fill-disks.js";
import { loadPlan, measureLoad } from "./measure-load.js";
import { quantileBetween } from "./metric-samples.js";
import { rawReadRate } from "./raw-disk.js";

const chunkBytes = 2 ** 20;
const slotBytes = chunkBytes + 4096;
/** What one worker has under way at one disk; the default of limits.readsPerDisk. */
const readsPerDisk = 8;

export const storageCold: FigureMaker = {
  name: "storage-cold",
  title: "cold reads: share of the disk's raw rate, and event-loop delay",
  measure: async (run, figure) => {
    const objectCount = run.quick ? 128 : 3072;
    const ramBytes = run.quick ? 96 * 2 ** 20 : 256 * 2 ** 20;
    const seconds = run.quick ? 1 : 6;
    const objects = generatedObjects(objectCount, chunkBytes);
    const files = join(run.scratch, "files");
    const disk = join(run.scratch, "disk");
    figure.method(
      `${objectCount} objects of one chunk (1 MiB) on one disk, ${ramBytes / 2 ** 20} MiB of frames, one worker, not pinned, 64 connections over HTTP; the slabs are ` +
        "taken out of the page cache before and during each round.",
    );
    figure.method(
      "Raw: random direct reads (O_DIRECT) of 1 MiB from the appliance's own slab, as many at a time as the worker has under way (8), in turns with the appliance. " +
        "Chunk reads: what the appliance reads from its slots (whole chunks, each checked) while clients ask for 4 KiB of each; bodies: while they ask for all of it.",
    );
    run.say("writing the set");
    await writeObjectFiles(files, objects);
    const appliance = await ApplianceUnderTest.start({
      folder: run.scratch,
      ramBytes,
      disks: [{ path: disk, bytes: objectCount * slotBytes * 2 }],
      upstreamUrl: `file://${files}/`,
      // Nothing is pinned: what the disk does is measured, and the pool that reads has its own threads.
      cores: null,
      // Reads that are as slow as the disk is full are not the fault of the disk here.
      more: ["limits: { diskReadTimeout: 10s }"],
    });
    try {
      run.say("filling the disk");
      await fillDisks(objects, objectCount, { appliance, figure, run });
      const slabs = (await readdir(disk)).filter((name) => name.startsWith("slab-")).map((name) => join(disk, name));
      const cache = await keepOutOfPageCache([disk]);
      try {
        for (let round = 0; round < run.rounds; round++) {
          run.say(`round ${round + 1} of ${run.rounds}`);
          const raw = await rawReadRate(slabs[round % slabs.length]!, {
            pieceBytes: chunkBytes,
            strideBytes: slotBytes,
            depth: readsPerDisk,
            seconds,
          });
          figure.add("raw direct reads of 1 MiB", "bytes/s", raw);
          for (const { name, range, target } of [
            { name: "chunk reads", range: "4KiB", target: { atLeast: 0.9 } },
            { name: "bodies", range: "1MiB", target: null },
          ]) {
            const plan = loadPlan(
              { range, connections: 64, warmup: "500ms", duration: `${seconds}s`, objectSize: "1MiB" },
              { baseUrl: appliance.baseUrl, objects },
            );
            const { figures, from, to } = await measureLoad(plan, { appliance, figure, run });
            const grown = (metric: string) => to.sum(metric) - from.sum(metric);
            // The metrics are read around warm-up and all: what a request costs is the same there.
            const readPerRequest = grown("millrace_disk_read_bytes_total") / grown("millrace_requests_total");
            const readRate = readPerRequest * figures.requestsPerSecond;
            const measured = name === "bodies" ? figures.bytesPerSecond : readRate;
            figure.add(name, "bytes/s", measured);
            figure.add(`${name} ÷ raw`, "share", measured / raw, target);
            const fromDevice = figures.server.diskReadBytes;
            if (fromDevice !== null && readRate > 0)
              figure.add(`${name}: read from the device ÷ what they needed`, "share", fromDevice / figures.seconds / readRate);
            if (figures.server.cpuSeconds !== null)
              figure.add(`${name}: processor of the appliance`, "share", figures.server.cpuSeconds / figures.seconds);
            const delay = quantileBetween("millrace_event_loop_delay_seconds", 0.99, { from, to });
            if (delay !== undefined) figure.add(`${name}: event-loop delay p99`, "ms", delay * 1000, { atMost: 5 });
          }
        }
      } finally {
        await cache.stop();
      }
    } finally {
      await appliance.stop();
    }
  },
};
