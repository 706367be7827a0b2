// Twenty thousand small objects and some large ones on small disks and in little memory: they share space, and a kill in the middle costs nothing.
import assert from "node:assert/strict";
import { mkdirSync, statSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Agent, request } from "undici";
import { openRandom } from "./support/random.js";
import { runMillrace } from "./support/run-millrace.js";
import { readMetric, startAppliance, type ApplianceFixture } from "./support/start-appliance.js";
import { temporaryFolder } from "./support/temporary-folder.js";
import { waitUntil } from "./support/wait-until.js";

const smallCount = 20_000;
const perFolder = 500;
const largeBytes = 5 * 2 ** 20 + 12_345;
const largeCount = 4;
const requestsAtOnce = 24;
/** MILLRACE_SMALL_SEED repeats a run. */
const seed = Number(process.env["MILLRACE_SMALL_SEED"] ?? Date.now() % 2 ** 31);

interface TestObject {
  path: string;
  bytes: Buffer;
}

interface Status {
  memory: { frames: number; free: number; usedBytes: number; sizes: { frameBytes: number; frames: number }[] };
  disks: { path: string; chunks: number; usedBytes: number; capacityBytes: number }[];
}

/** From 1 byte to 64 KiB, as many of each magnitude; every fortieth is a byte. */
function makeObjects(origin: string): TestObject[] {
  const random = openRandom(seed);
  const objects: TestObject[] = [];
  const add = (path: string, sizeBytes: number) => {
    const bytes = Buffer.alloc(sizeBytes, `${path} ${seed} `);
    objects.push({ path, bytes });
    writeFileSync(join(origin, path), bytes);
  };
  for (let at = 0; at < smallCount; at++) {
    if (at % perFolder === 0) mkdirSync(join(origin, `small-${at / perFolder}`), { recursive: true });
    const sizeBytes = at % 40 === 0 ? 1 : Math.max(1, Math.floor(2 ** (random.below(16_000) / 1000)));
    add(`small-${Math.floor(at / perFolder)}/object-${at}`, sizeBytes);
  }
  for (let at = 0; at < largeCount; at++) add(`large-${at}`, largeBytes);
  // In any order, so that large and small come together.
  for (let at = objects.length - 1; at > 0; at--) {
    const other = random.below(at + 1);
    [objects[at], objects[other]] = [objects[other]!, objects[at]!];
  }
  return objects;
}

test(`20,000 objects of 1 byte to 64 KiB share disks and memory, through kill -9, and every byte is right (seed ${seed})`, async (t) => {
  const folder = temporaryFolder();
  const origin = join(folder, "origin");
  const objects = makeObjects(origin);
  const objectBytes = objects.reduce((sum, { bytes }) => sum + bytes.length, 0);
  const options = {
    folder,
    upstreams: [`file://${origin}/`],
    chunk: "1MiB",
    settings: {
      ram: "32MiB",
      revalidateAfter: "1h",
      // In whole slots, a hundred and sixty objects would fill them.
      disks: ["disk1", "disk2"].map((name) => ({ path: join(folder, name), size: "164MiB" })),
    },
  };
  for (const { path } of options.settings.disks) mkdirSync(path, { recursive: true });
  let appliance: ApplianceFixture = await startAppliance(options);
  t.after(() => appliance.kill());
  const agent = new Agent({ connections: requestsAtOnce });
  t.after(() => agent.close());
  const get = async ({ path, bytes }: TestObject) => {
    const answer = await request(`${appliance.url}${path}`, { dispatcher: agent });
    const body = Buffer.from(await answer.body.arrayBuffer());
    assert.equal(answer.statusCode, 200, `${path}: ${body.toString()}`);
    assert.ok(body.equals(bytes), `${path} has wrong bytes`);
  };
  const getAll = async (wanted: readonly TestObject[]) => {
    let next = 0;
    const line = async () => {
      for (let at = next++; at < wanted.length; at = next++) await get(wanted[at]!);
    };
    await Promise.all(Array.from({ length: requestsAtOnce }, line));
  };
  const status = async () => (await (await request(`${appliance.adminUrl}status`)).body.json()) as Status;

  const half = Math.floor(objects.length / 2);
  await getAll(objects.slice(0, half));
  // In the middle of its writes.
  const broken = getAll(objects.slice(half)).catch(() => {});
  await waitUntil(
    "some more are stored",
    async () => (await readMetric(appliance, "millrace_fill_stored_chunks_total")) > half * 0.9 + 500,
  );
  await appliance.kill();
  await broken;
  appliance = await startAppliance(options);
  await getAll(objects.slice(half));
  await getAll(objects.slice(0, 1000));

  const chunks = smallCount + largeCount * 6;
  // What was fetched while a quarter of the memory waited for the disks was served and not stored: how much depends on the disks.
  const after = await waitUntil("most is stored", async () => {
    const now = await status();
    const stored = now.disks.reduce((sum, disk) => sum + disk.chunks, 0);
    return stored >= chunks * 0.6 && now;
  });
  const stored = after.disks.reduce((sum, disk) => sum + disk.chunks, 0);
  const usedBytes = after.disks.reduce((sum, disk) => sum + disk.usedBytes, 0);
  const slabBytes = options.settings.disks
    .flatMap(({ path }) => readdirSync(path).map((name) => join(path, name)))
    .reduce((sum, file) => sum + statSync(file).blocks * 512, 0);
  const { memory } = after;
  t.diagnostic(
    JSON.stringify({
      objects: objects.length,
      objectBytes,
      stored,
      usedBytes,
      slabBytes,
      framesInUse: memory.frames - memory.free,
      frameBytes: memory.usedBytes,
    }),
  );
  for (const disk of after.disks) assert.ok(disk.usedBytes <= disk.capacityBytes && disk.chunks > chunks / 5);
  // Half a page each is what rounding to pages costs, and a header of an eighth of a page; then the sizes of slots.
  assert.ok(usedBytes < 1.25 * objectBytes + chunks * 4096, `${usedBytes} bytes of slots for ${objectBytes} bytes of objects`);
  assert.ok(slabBytes < usedBytes * 1.25, "slabs take much more than the slots that are used");
  assert.ok(memory.frames - memory.free > 32 * 20, `32 MiB of memory hold ${memory.frames - memory.free} chunks`);
  assert.ok(memory.usedBytes <= 32 * 2 ** 20);

  assert.equal(await readMetric(appliance, "millrace_slots_bad_total"), 0);
  const fetchedBefore = await readMetric(appliance, "millrace_fill_fetches_total");
  await getAll(objects.slice(0, 2000));
  const fetched = (await readMetric(appliance, "millrace_fill_fetches_total")) - fetchedBefore;
  const missing = 1 - stored / chunks;
  assert.ok(fetched < 2000 * missing * 1.3 + 200, `${fetched} of 2000 objects were fetched again: they were not read from the disks`);
  assert.equal((await appliance.stop()).code, 0);

  const check = await runMillrace(["index", "check", "--config", join(folder, "appliance.yaml"), "--bytes", "--json"]);
  assert.equal(check.code, 0, check.stdout + check.stderr);
  const report = JSON.parse(check.stdout) as { findings: unknown[]; chunks: number };
  assert.deepEqual(report.findings, []);
  assert.ok(report.chunks >= stored);
});
