// kill -9 of any one process of the network: nothing that was acknowledged is lost, and what is left goes on.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { request } from "undici";
import { packageRoot } from "../runtime/package-root.js";
import { isAlive, startDemo, type RunningDemo } from "./support/start-demo.js";
import { readMetric, readStatus } from "./support/start-appliance.js";
import { temporaryFolder } from "./support/temporary-folder.js";
import { waitUntil } from "./support/wait-until.js";

const folder = temporaryFolder();
const filmFolder = join(packageRoot, "film/clock");
const digests = new Map(readdirSync(filmFolder).map((name) => [name, sha256(readFileSync(join(filmFolder, name)))]));
let demo: RunningDemo;

before(async () => {
  demo = await startDemo(folder);
});
after(async () => {
  const { code, stderr } = await demo.interrupt();
  assert.equal(code, 0, stderr);
});

function sha256(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

async function assertFilmFrom(base: string): Promise<void> {
  for (const [name, digest] of digests) {
    const answer = await request(`${base}clock/${name}`);
    assert.equal(answer.statusCode, 200, name);
    assert.equal(sha256(Buffer.from(await answer.body.arrayBuffer())), digest, name);
  }
}

function applianceOf(name: string) {
  const { data, admin } = demo.appliances.find((appliance) => appliance.name === name)!;
  return { data, adminUrl: admin };
}

/** Ends a process of the demo with SIGKILL; the demo starts it again three seconds later. */
async function kill(name: string): Promise<void> {
  const pid = demo.processes[name]!;
  process.kill(pid, "SIGKILL");
  await waitUntil(`${name} is gone`, () => !isAlive(pid));
}

async function playback(): Promise<{ status: number; stale: boolean; bases: string[] }> {
  const answer = await request(`${demo.gateway}api/playback`, { method: "POST", body: JSON.stringify({ titleId: "clock" }) });
  const body = (await answer.body.json()) as { urls?: { hls: string }[]; stale?: boolean };
  return { status: answer.statusCode, stale: body.stale ?? false, bases: (body.urls ?? []).map(({ hls }) => new URL(hls).origin) };
}

async function waitForFleet(live: number): Promise<void> {
  await waitUntil(`${live} appliances are live`, async () => {
    const answer = await request(`${demo.gateway}api/fleet`);
    const { appliances } = (await answer.body.json()) as { appliances: { state: string }[] };
    return appliances.filter(({ state }) => state === "live").length === live;
  });
}

async function waitUntilFilled(name: string): Promise<void> {
  await waitUntil(`${name} holds its manifest`, async () => {
    const { fill } = await readStatus(applianceOf(name));
    return fill !== null && fill.objects === digests.size && fill.objectsHeld === fill.objects;
  });
}

test("the edges fill themselves from the storage by their manifest, before anyone asks", async () => {
  for (const name of ["storage", "edge-1", "edge-2"]) await waitUntilFilled(name);
  await waitForFleet(3);
  const { status, bases } = await playback();
  assert.equal(status, 200);
  assert.equal(bases[0], new URL(applianceOf("edge-1").data).origin);
});

test("the control plane: edges serve while it is down, and it comes back with every title and the whole fleet", async () => {
  await kill("control-plane");
  for (const edge of ["edge-1", "edge-2"]) await assertFilmFrom(applianceOf(edge).data);
  // The gateway says what the control plane said last, and that it is that.
  const away = await playback();
  assert.deepEqual([away.status, away.stale, away.bases.length], [200, true, 3]);
  await waitUntil("the control plane answers again", async () => {
    const { stale, bases } = await playback();
    return !stale && bases.length === 3;
  });
  const titles = await request(`${demo.gateway}api/titles`);
  assert.match(await titles.body.text(), /"id":"clock"/);
});

test("an edge: it comes back with everything that it held, without a fetch", async () => {
  await kill("edge-1");
  // The other site serves meanwhile.
  await assertFilmFrom(applianceOf("edge-2").data);
  await waitUntil("edge-1 serves again", async () => (await readStatus(applianceOf("edge-1"))).state === "live");
  await assertFilmFrom(applianceOf("edge-1").data);
  assert.equal(await readMetric(applianceOf("edge-1"), "millrace_fill_fetches_total"), 0);
  assert.equal(await readMetric(applianceOf("edge-1"), "millrace_slots_bad_total"), 0);
  await waitForFleet(3);
});

test("storage, origin and gateway: players of the edges notice nothing, and all come back", async () => {
  await kill("storage");
  await kill("origin");
  await kill("gateway");
  await assertFilmFrom(applianceOf("edge-1").data);
  await waitUntil("the gateway answers again", async () => (await playback()).status === 200);
  await waitUntil("the origin answers again", async () => (await request(`${demo.origin}clock/master.m3u8`)).statusCode === 200);
  await waitUntil("the storage serves again", async () => (await readStatus(applianceOf("storage"))).state === "live");
  await assertFilmFrom(applianceOf("storage").data);
  await waitForFleet(3);
});
