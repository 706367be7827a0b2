// Disks that fail under load, on real file systems: no request fails, no byte is wrong, and the state says so within ten seconds.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { closeSync, mkdirSync, openSync, readdirSync, readSync, rmSync, statSync, truncateSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, afterEach, test } from "node:test";
import { request } from "undici";
import { startCheckedLoad, type CheckedLoad } from "./support/checked-load.js";
import { openRandom } from "./support/random.js";
import { runMillrace } from "./support/run-millrace.js";
import { readMetric, startAppliance, writeApplianceSettings, type ApplianceFixture } from "./support/start-appliance.js";
import { temporaryFolder } from "./support/temporary-folder.js";
import { waitUntil } from "./support/wait-until.js";

/** MILLRACE_FAULTS_SEED repeats a run. */
const seed = Number(process.env["MILLRACE_FAULTS_SEED"] ?? Date.now() % 2 ** 31);
const random = openRandom(seed);
/** The promise: from the fault to the state. */
const noticedWithinMs = 10_000;
/** Five good probes, one a second, after the first fall; twice as many after the next. */
const backWithinMs = 60_000;

const folder = temporaryFolder();
const diskNames = ["disk1", "disk2", "disk3", "disk4"];
const diskPath = (name: string) => join(folder, name);
const canMount = tryMount();
const files = new Map<string, Buffer>();
const options = {
  folder,
  upstreams: [`file://${folder}/origin/`],
  settings: {
    // Far less than the files, so that reads go to the disks.
    ram: "3MiB",
    disks: diskNames.map((name) => ({ path: diskPath(name), size: "12MiB" })),
    revalidateAfter: "1h",
    scrub: { every: "20s" },
  },
};
let appliance: ApplianceFixture;
let load: CheckedLoad;

interface DiskRow {
  path: string;
  state: string;
  reason: string;
  full: boolean;
  retiring: boolean;
  usedBytes: number;
  badSlots: number;
  scrubbed: { slots: number; findings: number };
}

function tryMount(): boolean {
  const probe = join(folder, "probe");
  mkdirSync(probe);
  const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", probe]).status === 0;
  if (mounted) execFileSync("umount", [probe]);
  return mounted;
}

function mount(name: string, size: string): void {
  mkdirSync(diskPath(name), { recursive: true });
  if (canMount) execFileSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", diskPath(name)]);
}

async function rowOf(name: string): Promise<DiskRow> {
  const { disks } = (await (await fetch(`${appliance.adminUrl}status`)).json()) as { disks: DiskRow[] };
  return disks.find(({ path }) => path === diskPath(name))!;
}

async function waitForState(name: string, state: string, deadlineMs: number): Promise<DiskRow> {
  return waitUntil(
    `${name} is ${state}`,
    async () => {
      const row = await rowOf(name);
      return row.state === state && row;
    },
    deadlineMs,
  );
}

async function post(path: string, body: unknown): Promise<{ status: number; body: Record<string, unknown> }> {
  const answer = await fetch(appliance.adminUrl + path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
}

before(async () => {
  process.stdout.write(`# MILLRACE_FAULTS_SEED=${seed}\n`);
  mkdirSync(join(folder, "origin"));
  for (let number = 0; number < 10; number++) {
    const bytes = randomBytes(1_500_000 + number);
    files.set(`film-${number}.mp4`, bytes);
    writeFileSync(join(folder, "origin", `film-${number}.mp4`), bytes);
  }
  for (const name of diskNames) mount(name, name === "disk4" ? "2m" : "32m");
  appliance = await startAppliance(options);
  for (const name of files.keys()) await (await request(appliance.url + name)).body.dump({ limit: 1e9 });
});
after(async () => {
  const { code, stderr } = await appliance.stop();
  if (canMount) for (const name of diskNames) spawnSync("umount", ["-l", diskPath(name)]);
  assert.equal(code, 0, stderr);
});
beforeEach(() => {
  load = startCheckedLoad({ url: appliance.url, files, random });
});
afterEach(async () => {
  // A load that did not run shows nothing.
  const before = load.requests;
  await waitUntil("the load goes on", () => load.requests > before + 5);
  await load.stop();
});

test("a file system that others have filled: its disk says so, nothing fails, the other disks take the chunks", async (t) => {
  if (!canMount) return t.skip("mounting a tmpfs is not allowed here");
  const row = await waitUntil("disk4 is full", async () => {
    const now = await rowOf("disk4");
    return now.full && now;
  });
  assert.equal(row.state, "online", "a full disk is no sick one");
  for (const name of ["disk1", "disk2", "disk3"]) assert.ok((await rowOf(name)).usedBytes > 1_000_000, name);
});

test("flipped bits: every one is found, dropped and fetched again, and the disk that has so many is suspect for a while", async () => {
  const before = await readMetric(appliance, "millrace_slots_bad_total");
  const slab = join(diskPath("disk2"), "slab-00000.bin");
  const file = openSync(slab, "r+");
  const byte = Buffer.alloc(1);
  const flip = () => {
    for (;;) {
      const at = random.below(statSync(slab).size);
      readSync(file, byte, 0, 1, at);
      if (byte[0] === 0) continue;
      byte[0]! ^= 1 << random.below(8);
      writeSync(file, byte, 0, 1, at);
      return;
    }
  };
  // A few at a time: many of them may lie where nothing is kept any more, and fifty that are found in an hour end a disk.
  const isSuspect = () =>
    waitForState("disk2", "suspect", 2000).then(
      () => true,
      () => false,
    );
  for (let round = 0; round < 20; round++) {
    for (let flips = 0; flips < 10; flips++) flip();
    if (await isSuspect()) break;
  }
  closeSync(file);
  const { reason, badSlots } = await waitForState("disk2", "suspect", backWithinMs);
  assert.match(reason, /bad slots in 10 s/);
  assert.ok(badSlots >= 5 && (await readMetric(appliance, "millrace_slots_bad_total")) >= before + 5);
  const list = await runMillrace(["disk", "list", "--admin", appliance.adminUrl]);
  assert.match(list.stdout, /disk2 +│? *suspect.*bad slots in 10 s/);
});

test("scrub reads every slot, and finds what nobody asks for", async () => {
  const slots = await waitUntil(
    "a round is done",
    async () => {
      const { scrubbed, usedBytes } = await rowOf("disk3");
      return scrubbed.slots + scrubbed.findings > usedBytes / 70_000 && scrubbed;
    },
    40_000,
  );
  assert.ok(slots.slots > 0);
});

test("a truncated slab: what is missing is fetched again, and its disk is out for as long as that goes on", async () => {
  await waitForState("disk2", "online", backWithinMs);
  const before = await readMetric(appliance, "millrace_slots_bad_total");
  truncateSync(join(diskPath("disk2"), "slab-00000.bin"), 500_000);
  await waitUntil("bad slots are found", async () => (await readMetric(appliance, "millrace_slots_bad_total")) > before);
  const row = await waitUntil("disk2 is out", async () => {
    const now = await rowOf("disk2");
    return now.state !== "online" && now;
  });
  assert.match(row.reason, /bad slots in 10 s|of its slots did not hold their chunks/);
});

test("a file system that turns read-only: its disk is offline within ten seconds, and comes back when it may be written to", async (t) => {
  if (!canMount) return t.skip("mounting a tmpfs is not allowed here");
  // Files that are open for writing forbid a remount: the same file system is mounted again on top of itself, and that one read-only.
  execFileSync("mount", ["--bind", diskPath("disk1"), diskPath("disk1")]);
  execFileSync("mount", ["-o", "remount,ro,bind", diskPath("disk1")]);
  const { reason } = await waitForState("disk1", "offline", noticedWithinMs);
  assert.match(reason, /read-only|errors in a row/);
  await waitUntil("its files are closed", () => spawnSync("umount", [diskPath("disk1")]).status === 0);
  await waitForState("disk1", "online", backWithinMs);
});

test("a disk whose folder is emptied is offline within ten seconds", async () => {
  for (const name of readdirSync(diskPath("disk3"))) rmSync(join(diskPath("disk3"), name), { recursive: true });
  const { reason } = await waitForState("disk3", "offline", noticedWithinMs);
  assert.match(reason, /not there any more|errors in a row/);
});

test("disk retire moves every chunk away under load, says so, lets go of the files, and a restart goes on with it", async () => {
  const begun = await runMillrace(["disk", "retire", diskPath("disk1"), "--no-wait", "--admin", appliance.adminUrl]);
  assert.equal(begun.code, 0, begun.stderr);
  await load.stop();
  await appliance.stop();
  appliance = await startAppliance(options);
  load = startCheckedLoad({ url: appliance.url, files, random });
  const done = await runMillrace(["disk", "retire", diskPath("disk1"), "--admin", appliance.adminUrl]);
  assert.equal(done.code, 0, done.stderr);
  assert.match(done.stdout, /safe to pull/);
  const row = await rowOf("disk1");
  assert.deepEqual([row.state, row.usedBytes], ["retired", 0]);
  if (canMount) {
    await waitUntil("it can be unmounted", () => spawnSync("umount", [diskPath("disk1")]).status === 0);
    mount("disk1", "32m");
  }
});

test("disk add takes a new disk into use on a running appliance, and refuses what is no disk", async () => {
  const path = diskPath("disk5");
  mkdirSync(path);
  const refused = await runMillrace(["disk", "add", join(folder, "origin"), "--size", "8MiB", "--admin", appliance.adminUrl]);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /Cannot use disk .*origin: it has no disk.json but holds/);
  const added = await runMillrace(["disk", "add", path, "--size", "8MiB", "--admin", appliance.adminUrl, "--json"]);
  assert.equal(added.code, 0, added.stderr);
  // Everything is fetched again, and a share of it goes to the new disk.
  assert.equal((await post("purge", { all: true })).status, 200);
  await waitUntil("chunks come to it", async () => (await rowOf("disk5")).usedBytes > 0);
  const list = await runMillrace(["disk", "list", "--admin", appliance.adminUrl]);
  assert.match(list.stdout, /disk5 +│? *online|disk5.*online/);
});

test("a purged object, prefix, or everything is never served from before again: not at once, not after a restart, not after a rebuild", async () => {
  const names = [...files.keys()];
  const isServed = async (name: string) => {
    // Of its first chunk only: not every chunk of it need be held.
    const answer = await request(appliance.url + name, { headers: { range: "bytes=0-999" } });
    const body = Buffer.from(await answer.body.arrayBuffer());
    if (answer.statusCode !== 206) return false;
    assert.ok(body.equals(files.get(name)!.subarray(0, 1000)), `wrong bytes of ${name}`);
    return true;
  };
  await load.stop();
  for (const name of names) assert.ok(await isServed(name));
  // The origin is away: whatever is served now is from before.
  const origin = join(folder, "origin");
  rmSync(origin, { recursive: true });
  const kept = names[9]!;
  const usedBytes = async () => (await Promise.all(["disk2", "disk3", "disk5"].map(rowOf))).reduce((sum, row) => sum + row.usedBytes, 0);
  const usedBefore = await usedBytes();
  assert.ok(await isServed(kept));
  assert.equal((await post("purge", { path: names[0] })).status, 200);
  assert.equal(await isServed(names[0]!), false);
  assert.equal((await post("purge", { prefix: "film-1" })).status, 200);
  assert.equal(await isServed(names[1]!), false);
  assert.ok(await isServed(kept));
  await waitUntil("the space is free", async () => (await usedBytes()) < usedBefore);
  assert.equal((await post("purge", { path: "/a" })).status, 409);
  assert.equal((await fetch(`${appliance.adminUrl}purge`, { method: "POST", body: '{"all":true}' })).status, 415);
  await appliance.stop();
  appliance = await startAppliance(options);
  for (const name of names.slice(0, 2)) assert.equal(await isServed(name), false, "after a restart");
  assert.ok(await isServed(kept));
  await appliance.stop();

  const settings = writeApplianceSettings(options);
  const checked = await runMillrace(["index", "check", "--config", settings, "--bytes", "--json"]);
  assert.deepEqual((JSON.parse(checked.stdout) as { findings: unknown[] }).findings, [], checked.stderr);
  const rebuilt = await runMillrace(["index", "rebuild", "--config", settings, "--json"]);
  assert.equal(rebuilt.code, 0, rebuilt.stderr);
  appliance = await startAppliance(options);
  const running = await runMillrace(["index", "rebuild", "--config", settings]);
  assert.equal(running.code, 1);
  assert.match(running.stderr, /another appliance is running on it/);
  assert.equal(await isServed(names[0]!), false);
  assert.equal(await isServed(names[1]!), false);
  assert.equal((await runMillrace(["purge", "--all", "--admin", appliance.adminUrl])).code, 0);
  for (const name of names) assert.equal(await isServed(name), false);
  await appliance.stop();
  appliance = await startAppliance(options);
  for (const name of names) assert.equal(await isServed(name), false, "after a restart");
  // The disk that was added by command is not in the settings.
  await waitUntil("all space is free", async () => (await rowOf("disk2")).usedBytes + (await rowOf("disk3")).usedBytes === 0);

  mkdirSync(origin);
  for (const [name, bytes] of files) writeFileSync(join(origin, name), bytes);
  for (const name of names) await waitUntil(`${name} is served anew`, () => isServed(name));
  load = startCheckedLoad({ url: appliance.url, files, random });
});
