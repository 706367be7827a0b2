// A disk that hangs for good: it takes only its own threads with it, its readers are answered from upstream, and the appliance stops all the same.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { request } from "undici";
import { startCheckedLoad } from "./support/checked-load.js";
import { openRandom } from "./support/random.js";
import { readMetric, startAppliance } from "./support/start-appliance.js";
import { temporaryFolder } from "./support/temporary-folder.js";
import { waitUntil } from "./support/wait-until.js";

const noticedWithinMs = 10_000;

test("a disk that hangs is suspect within ten seconds, no request fails meanwhile, and the other disk serves on", async () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, "origin"));
  const files = new Map<string, Buffer>();
  for (let number = 0; number < 6; number++) {
    files.set(`film-${number}.mp4`, randomBytes(1_000_000));
    writeFileSync(join(folder, "origin", `film-${number}.mp4`), files.get(`film-${number}.mp4`)!);
  }
  const options = { folder, upstreams: [`file://${folder}/origin/`], settings: { ram: "3MiB", revalidateAfter: "1h" } };
  const first = await startAppliance(options);
  for (const name of files.keys()) await (await request(first.url + name)).body.dump({ limit: 1e9 });
  const p99Line = `millrace_disk_read_p99_seconds{disk="${join(folder, "disk1")}"}`;
  const wellLoad = startCheckedLoad({ url: first.url, files, random: openRandom(1) });
  const p99Before = await waitUntil("disk1 is read", async () => wellLoad.requests > 300 && (await readMetric(first, p99Line)));
  await wellLoad.stop();
  assert.equal((await first.stop()).code, 0);

  // Opening a named pipe hangs until somebody opens its other end: to the appliance it is a disk that does not answer.
  const slab = join(folder, "disk2", "slab-00000.bin");
  renameSync(slab, `${slab}.away`);
  execFileSync("mkfifo", [slab]);
  const appliance = await startAppliance(options);
  const load = startCheckedLoad({ url: appliance.url, files, random: openRandom(1) });
  const stateOf = async (name: string) => {
    const { disks } = (await (await fetch(`${appliance.adminUrl}status`)).json()) as {
      disks: { path: string; state: string; reason: string }[];
    };
    return disks.find(({ path }) => path.endsWith(name))!;
  };
  await waitUntil("the disk is suspect", async () => (await stateOf("disk2")).state === "suspect", noticedWithinMs);
  const before = load.requests;
  await waitUntil("requests are served from the other", () => load.requests > before + 300);
  assert.equal((await stateOf("disk1")).state, "online");
  // Under 100 ms no disk is slow: what a busy machine adds to reads from its page cache must not fail this.
  const p99Now = await readMetric(appliance, p99Line);
  assert.ok(p99Now <= Math.max(2 * p99Before, 0.1), `reads of the other disk: p99 ${p99Before} s before, ${p99Now} s meanwhile`);
  const refused = await readMetric(appliance, 'millrace_responses_total{status="503"}');
  assert.equal(refused, 0, "requests that found no frame, or no place in a queue");
  await load.stop();
  const startedAtMs = performance.now();
  await appliance.stop();
  const tookMs = performance.now() - startedAtMs;
  assert.ok(tookMs < 10_000, `it took ${tookMs} ms to stop`);
  rmSync(slab);
});
