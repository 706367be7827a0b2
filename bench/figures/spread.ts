// How evenly chunks and reads lie on disks of mixed sizes, and what moves when a disk is lost or comes.
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { generatedObjects, writeObjectFiles } from "../workloads/object-files.js";
import { ApplianceUnderTest } from "./appliance-under-test.js";
import type { FigureMaker } from "./figure-maker.js";
import { fillDisks } from "./fill-disks.js";
import { loadPlan, measureLoad } from "./measure-load.js";

const chunkBytes = 4096;
const slotBytes = 2 * 4096;
/** Sizes of the twelve disks. */
const weights = [2, 2, 2, 3, 3, 3, 4, 4, 4, 6, 6, 8];
const addedWeight = 5;
const lost = 9;

export const spread: FigureMaker = {
  name: "spread",
  title: "spread of chunks and reads over twelve disks of mixed size, and what a lost or new disk moves",
  measure: async (run, figure) => {
    const objectCount = run.quick ? 12 : 50;
    const chunksPerObject = run.quick ? 100 : 2000;
    const chunks = objectCount * chunksPerObject;
    const objects = generatedObjects(objectCount, chunksPerObject * chunkBytes);
    const files = join(run.scratch, "files");
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    // Two thirds full: rendezvous shows, not what is left over. A few chunks need more room: chance fills one disk and not another.
    const unitSlots = Math.ceil((chunks * (run.quick ? 3 : 1.5)) / total);
    const diskOf = (weight: number, number: number) => ({
      path: join(run.scratch, `disk${String(number).padStart(2, "0")}`),
      bytes: weight * unitSlots * slotBytes,
    });
    const disks = weights.map(diskOf);
    const added = diskOf(addedWeight, weights.length);
    figure.method(
      `${objectCount} objects of ${chunksPerObject} chunks (${chunkBytes / 1024} KiB each, so that the set is small; where a chunk goes depends on its name alone) on twelve disks with sizes ${weights.join(", ")}, ` +
        `${run.quick ? "a third" : "two thirds"} full. Reads: random chunks of objects chosen by Zipf (exponent 1), counted per disk by the appliance.`,
    );
    figure.method(
      `Lost: the appliance starts without one disk of size ${weights[lost]}, and everything is asked for again. Added: the disks are emptied, and filled again with a thirteenth of size ${addedWeight}. ` +
        "The places of all chunks are compared in the index.",
    );
    run.say("writing the set");
    await writeObjectFiles(files, objects);
    const start = (those: typeof disks) =>
      ApplianceUnderTest.start({
        folder: run.scratch,
        ramBytes: run.quick ? 2 ** 20 : 16 * 2 ** 20,
        chunkBytes,
        disks: those,
        upstreamUrl: `file://${files}/`,
        cores: run.cores.server,
        // Batches of a moment: chunks that find no place to wait are served, stay in memory, and are not stored.
        more: ["limits: { diskReadTimeout: 10s }", "disk: { syncEvery: 10ms }"],
      });
    const places = () => run.inside.readPlaces(join(run.scratch, "index"), chunkBytes);

    let appliance = await start(disks);
    try {
      run.say("filling twelve disks");
      await fillDisks(objects, chunks, { appliance, figure, run, connections: 1 });
      const used = (await appliance.status()).disks.map(({ usedBytes }) => usedBytes);
      figure.add("bytes: largest deviation of a disk from its weight", "share", deviation(used, weights), { atMost: 0.1 });
      for (let round = 0; round < run.rounds; round++) {
        run.say(`reads, round ${round + 1} of ${run.rounds}`);
        const plan = loadPlan(
          { pick: "zipf", alpha: 1, range: "4KiB", connections: 64, warmup: "0s", duration: run.quick ? "1s" : "8s", seed: round + 1 },
          { baseUrl: appliance.baseUrl, objects },
        );
        const { from, to } = await measureLoad(plan, { appliance, figure, run });
        const before = from.by("millrace_disk_reads", "disk");
        const reads = [...to.by("millrace_disk_reads", "disk")].map(([disk, count]) => count - (before.get(disk) ?? 0));
        figure.add(
          "reads counted",
          "count",
          reads.reduce((sum, count) => sum + count, 0),
        );
        figure.add("reads: largest deviation of a disk from its weight", "share", deviation(reads, weights), { atMost: 0.1 });
      }
    } finally {
      await appliance.stop();
    }
    const whole = await places();

    run.say("losing a disk");
    appliance = await start(disks.filter((_, number) => number !== lost));
    try {
      await fillDisks(objects, [...whole.values()].filter((disk) => disk === lost).length, { appliance, figure, run, connections: 1 });
    } finally {
      await appliance.stop();
    }
    const after = await places();
    const moved = [...whole].filter(([chunk, disk]) => after.get(chunk) !== disk);
    figure.add("lost disk: chunks that lay on others and moved", "count", moved.filter(([, disk]) => disk !== lost).length, { atMost: 0 });
    figure.add("lost disk: share of all chunks that moved", "share", moved.length / whole.size);
    figure.add("lost disk: its share by weight", "share", weights[lost]! / total);
    const takers = weights.map((_, number) => moved.filter(([chunk]) => after.get(chunk) === number).length);
    const others = (values: readonly number[]) => values.filter((_, number) => number !== lost);
    figure.add(
      "lost disk: largest deviation of another's part of its chunks from its weight",
      "share",
      deviation(others(takers), others(weights)),
    );

    run.say("adding a disk");
    await rm(join(run.scratch, "index"), { recursive: true });
    for (const { path } of disks) {
      for (const name of await readdir(path)) if (name.startsWith("slab-")) await rm(join(path, name));
    }
    // Disks keep their numbers in the order in which an index meets them.
    await mkdir(added.path, { recursive: true });
    appliance = await start([...disks, added]);
    try {
      await fillDisks(objects, chunks, { appliance, figure, run, connections: 1 });
    } finally {
      await appliance.stop();
    }
    const grown = await places();
    const changed = [...whole].filter(([chunk, disk]) => grown.get(chunk) !== disk);
    figure.add(
      "added disk: chunks that moved elsewhere than to it",
      "count",
      changed.filter(([chunk]) => grown.get(chunk) !== weights.length).length,
      { atMost: 0 },
    );
    figure.add("added disk: share of all chunks that moved to it", "share", changed.length / whole.size);
    figure.add("added disk: its share by weight", "share", addedWeight / (total + addedWeight));
  },
};

/** The largest deviation of a part from its weight, as a share of what its weight gives it. */
function deviation(parts: readonly number[], weights: readonly number[]): number {
  const total = parts.reduce((sum, part) => sum + part, 0);
  const totalWeight = weights.reduce((sum, weight) => sum + weight, 0);
  return Math.max(...parts.map((part, at) => Math.abs(part / total / (weights[at]! / totalWeight) - 1)));
}
