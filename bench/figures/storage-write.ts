// The write path: how fast chunks are fetched, checked against their digests, written, synced and indexed, against what the disk itself does.
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { OperatingError } from "../../runtime/operating-error.js";
import { procObserver } from "../observe/proc-observer.js";
import { generatedObjects, writeObjectFiles } from "../workloads/object-files.js";
import { ApplianceUnderTest } from "./appliance-under-test.js";
import type { FigureMaker } from "./figure-maker.js";
import { rawWriteRate } from "./raw-disk.js";
import { touchObjects } from "./touch-objects.js";

const chunkBytes = 2 ** 20;
const slotBytes = chunkBytes + 4096;
/** Chunks in memory that are not on the disk yet: less than the appliance lets wait (a quarter of its frames). */
const aheadMax = 200;
const lookEveryMs = 20;
const roundTimeoutMs = 120_000;

export const storageWrite: FigureMaker = {
  name: "storage-write",
  title: "write path: verified fill to disk against the disk's raw writes",
  measure: async (run, figure) => {
    const count = run.quick ? 96 : 1536;
    const objects = generatedObjects(count, chunkBytes);
    const files = join(run.scratch, "files");
    figure.method(
      `${count} chunks of 1 MiB with digests (SHA-256) in the page cache of a file:// upstream; one disk; clients ask for one byte of each. From the first request until the last chunk is ` +
        "written, synced and in the index. All is purged between rounds.",
    );
    figure.method(
      "Raw: 1 MiB buffered writes one after another into a new file on the same disk, fdatasync after every 64, in turns with the appliance.",
    );
    run.say("writing the set");
    await writeObjectFiles(files, objects);
    await run.inside.writeDigests(
      files,
      objects.map(({ name }) => name),
    );
    const appliance = await ApplianceUnderTest.start({
      folder: run.scratch,
      ramBytes: 2 ** 30,
      disks: [{ path: join(run.scratch, "disk"), bytes: count * slotBytes * 2 }],
      upstreamUrl: `file://${files}/`,
      cores: null,
    });
    const observer = procObserver(() => [appliance.pid]);
    try {
      for (let round = 0; round < run.rounds; round++) {
        run.say(`round ${round + 1} of ${run.rounds}`);
        const raw = await rawWriteRate(join(run.scratch, "raw"), { pieceBytes: chunkBytes, count, depth: 1, piecesPerSync: 64 });
        figure.add("raw writes", "bytes/s", raw);
        const stored = async () => (await appliance.metrics()).sum("millrace_fill_stored_chunks_total");
        const lost = async () => (await appliance.metrics()).sum("millrace_fill_not_stored_chunks_total");
        const [storedBefore, lostBefore, before] = [await stored(), await lost(), await observer.read()];
        let storedNow = 0;
        let asked = 0;
        let done = false;
        const startedAtMs = performance.now();
        const watching = (async () => {
          while (!done && performance.now() - startedAtMs < roundTimeoutMs) {
            storedNow = (await stored()) - storedBefore;
            if (storedNow >= count) break;
            await wait(lookEveryMs);
          }
        })();
        const mayGoOn = () => asked - storedNow < aheadMax && ++asked > 0;
        const failed = await touchObjects(appliance.baseUrl, objects, { connections: 64, mayGoOn, signal: run.signal });
        if (failed > 0) figure.fault(`${failed} of ${count} requests failed`);
        if (run.signal.aborted) done = true;
        await watching;
        const seconds = (performance.now() - startedAtMs) / 1000;
        const after = await observer.read();
        const notStored = (await lost()) - lostBefore;
        if (notStored > 0) figure.note(`${notStored} chunks were not stored in a round: more came than could wait for the disk`);
        if (storedNow < count - notStored)
          throw new OperatingError("not-filled", `Cannot measure: ${storedNow} of ${count} chunks were stored`);
        const rate = (storedNow * chunkBytes) / seconds;
        figure.add("verified fill to disk", "bytes/s", rate);
        figure.add("fill ÷ raw", "share", rate / raw, { atLeast: 0.6 });
        if (before.cpuSeconds !== null && after.cpuSeconds !== null)
          figure.add("processor seconds per GB", "s", (after.cpuSeconds - before.cpuSeconds) / ((storedNow * chunkBytes) / 1e9));
        await appliance.command("/purge", { all: true });
        await appliance.until(async (one) => (await one.status()).disks[0]!.chunks === 0, "sweeping what was purged");
      }
    } finally {
      await appliance.stop();
    }
  },
};
