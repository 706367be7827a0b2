// A cold cluster fills its manifests over a road of two tiers, while its processes are killed at random: the origin is asked as seldom as
// the plan says, and every box ends with exactly its manifest.
//
// CI runs 4 edges and 6 kills; MILLRACE_SOAK=1 (`npm run soak`) 8 edges, 2 storage appliances and 24 kills.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { request } from "undici";
import { stringify } from "yaml";
import { readManifestFile } from "../appliance/manifest-file.js";
import { ControlPlaneClient } from "../control-plane/control-plane-client.js";
import { openCountingOrigin, type CountingOrigin } from "./support/counting-origin.js";
import { freePort } from "./support/free-port.js";
import { startMillrace, type RunningMillrace } from "./support/run-millrace.js";
import { readStatus } from "./support/start-appliance.js";
import { temporaryFolder } from "./support/temporary-folder.js";
import { waitUntil } from "./support/wait-until.js";

const soak = process.env["MILLRACE_SOAK"] === "1";
const edgeCount = soak ? 8 : 4;
const storageCount = soak ? 2 : 1;
const killsWanted = soak ? 24 : 6;
const masters = soak ? 2 : 1;
const deadlineMs = soak ? 240_000 : 90_000;
const chunkBytes = 65_536;
/** What a storage appliance can have fetched and not committed when it is killed: what waits for the disk, and what is under way. */
const chunksAtRisk = 100;
/** Wanted by every edge, and by one each. */
const [headTitles, tailTitles] = soak ? [12, 60] : [6, 20];

interface Box {
  name: string;
  folder: string;
  running: RunningMillrace;
  start(): Promise<RunningMillrace>;
}

/** A process that is killed when the test ends, whichever of its starts it is. */
async function startBox(t: TestContext, name: string, { file, folder }: { file: Record<string, unknown>; folder: string }): Promise<Box> {
  mkdirSync(join(folder, name), { recursive: true });
  const config = join(folder, `${name}.yaml`);
  writeFileSync(config, stringify(file));
  const start = () => startMillrace([name === "control-plane" ? "control-plane" : "appliance", "--config", config]);
  const box = { name, folder: join(folder, name), running: await start(), start };
  t.after(() => box.running.kill());
  return box;
}

function applianceSettings(
  name: string,
  { folder, role, upstream, controlPlanePort }: { folder: string; role: "edge" | "storage"; upstream: string; controlPlanePort: number },
) {
  const disk = join(folder, name, "disk");
  mkdirSync(disk, { recursive: true });
  return {
    listen: { port: 0 },
    admin: { port: 0 },
    workers: 1,
    ram: "8MiB",
    chunk: chunkBytes,
    index: join(folder, name, "index"),
    disks: [{ path: disk, size: role === "edge" ? "8MiB" : "64MiB" }],
    upstreams: [{ url: upstream }],
    controlPlane: { url: `grpc://127.0.0.1:${controlPlanePort}` },
    site: { id: role === "edge" ? "isp" : "exchange", role },
  };
}

async function publish(client: ControlPlaneClient, titleId: string, origin: CountingOrigin): Promise<void> {
  const { path, sizeBytes, etag } = origin.objects.get(`${titleId}/video.mp4`)!;
  const title = {
    titleId,
    name: titleId,
    durationSeconds: 1,
    hlsPath: "",
    dashPath: "",
    sizeBytes: 0n,
    objectCount: 0,
    publishedAtUnixMs: 0n,
  };
  await client.publishTitle({ title, objects: [{ path, sizeBytes: BigInt(sizeBytes), etag, chunkBytes }] });
}

test(`a cold cluster of ${edgeCount} fills by its manifests, through ${killsWanted} kills, and asks the origin ${masters} times per chunk at most`, async (t: TestContext) => {
  const seed = Number(process.env["MILLRACE_SEED"] ?? Date.now() % 100_000);
  t.diagnostic(`MILLRACE_SEED=${seed}`);
  let state = seed;
  const random = (below: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const folder = temporaryFolder();
  const titles = [
    ...Array.from({ length: headTitles }, (_, at) => `head-${at}`),
    ...Array.from({ length: tailTitles }, (_, at) => `tail-${at}`),
  ];
  // Not whole chunks, and one shorter than a chunk.
  const sizes = new Map(titles.map((titleId, at) => [`${titleId}/video.mp4`, at === 0 ? 1000 : 3 * chunkBytes + 1000 + at * 7]));
  const origin = await openCountingOrigin(sizes, chunkBytes);
  t.after(() => origin.close());
  origin.delayMs = 100;
  // Nothing is filled by the plans that come before the last.
  origin.refuses = true;

  const controlPlanePort = await freePort();
  const controlPlaneSettings = {
    listen: { port: controlPlanePort },
    admin: { port: 0 },
    database: `sqlite:${join(folder, "control-plane.db")}`,
    fleet: { heartbeatEvery: "250ms", expiresAfter: "1500ms" },
    fillPlan: { masters, escalation: { masterOriginWait: "10m", memberTierWait: "10m", memberOriginWait: "10m" } },
  };
  const controlPlane = await startBox(t, "control-plane", { file: controlPlaneSettings, folder });
  const names = [
    ...Array.from({ length: storageCount }, (_, at) => `storage-${at}`),
    ...Array.from({ length: edgeCount }, (_, at) => `edge-${at}`),
  ];
  // One after the other: on a machine that is busy, nine that start at once are all late.
  const boxes: Box[] = [];
  for (const name of names) {
    const role = name.startsWith("edge") ? ("edge" as const) : ("storage" as const);
    boxes.push(
      await startBox(t, name, { file: applianceSettings(name, { folder, role, upstream: origin.url, controlPlanePort }), folder }),
    );
  }
  const client = new ControlPlaneClient(`grpc://127.0.0.1:${controlPlanePort}`, { deadlineMs: 10_000 });
  t.after(() => client.close());
  const summary = async () => (await client.summarizePlan({})).appliances;
  await waitUntil("the whole fleet is in the plan", async () => (await summary()).length === boxes.length, deadlineMs);

  // Now that everyone is there: no plan changes any more.
  for (const titleId of titles) await publish(client, titleId, origin);
  for (let at = 0; at < headTitles; at++)
    await client.setEditorial({ titleId: `head-${at}`, pinnedCopies: edgeCount, expectedPlaysPerDay: 0 });
  origin.refuses = false;
  const planned = await summary();
  assert.ok(planned.every(({ objects }) => objects >= headTitles));

  let storageKills = 0;
  for (let kill = 0; kill < killsWanted; kill++) {
    await wait(100 + random(soak ? 1500 : 700));
    // Each kind has its turns, whatever the seed says.
    const victim = kill % 4 === 0 ? boxes[random(storageCount)]! : kill % 4 === 2 ? controlPlane : boxes[storageCount + random(edgeCount)]!;
    if (victim.name.startsWith("storage")) storageKills++;
    await victim.running.kill();
    await wait(random(500));
    victim.running = await victim.start();
  }
  origin.delayMs = 5;

  const manifestOf = async ({ folder }: Box) => {
    const manifest = await readManifestFile(join(folder, "index/manifest.jsonl"));
    return new Map((manifest?.items ?? []).map(({ path, etag }) => [path, etag]));
  };
  const beganAtMs = performance.now();
  await waitUntil(
    "every box holds its manifest",
    async () => (await summary()).every(({ objects, objectsHeld }) => objects > 0n && objects === objectsHeld),
    deadlineMs,
  ).catch(async (error: unknown) => {
    for (const box of boxes)
      t.diagnostic(`${box.name}: ${JSON.stringify((await readStatus(adminOf(box))).fill)}\n${box.running.log().slice(-600)}`);
    throw error;
  });
  t.diagnostic(`whole ${Math.round(performance.now() - beganAtMs)} ms after the last kill`);

  const askedFor = origin.askedFor();
  const counts = [...askedFor.values()];
  const extra = counts.reduce((sum, count) => sum + Math.max(0, Math.ceil(count) - masters), 0);
  t.diagnostic(
    `${askedFor.size} chunks, asked ${Math.max(...counts)} times at most, ${extra} times too often in all, after ${storageKills} kills of storage`,
  );
  // Only what a killed storage appliance had fetched and not committed may be asked for again.
  assert.ok(extra <= storageKills * chunksAtRisk);
  assert.ok(counts.every((count) => count <= masters + storageKills));
  const wanted = new Set(
    [...origin.objects.values()].flatMap(({ path, sizeBytes }) =>
      Array.from({ length: Math.ceil(sizeBytes / chunkBytes) }, (_, at) => `${path} ${at}`),
    ),
  );
  for (const key of askedFor.keys()) assert.ok(wanted.has(key));

  // Without storage and origin: what a box gives now it has on its disk.
  for (const box of boxes.slice(0, storageCount)) await box.running.kill();
  await origin.close();
  const { appliances } = await client.listAppliances({});
  for (const box of boxes.slice(storageCount)) {
    const manifest = await manifestOf(box);
    const { applianceId } = await readStatus(adminOf(box));
    assert.equal(
      appliances.find(({ identity }) => identity!.applianceId === applianceId)!.objectsHeld,
      manifest.size,
      `${box.name} holds its manifest and nothing else`,
    );
    for (const [path, etag] of manifest) {
      const object = origin.objects.get(path)!;
      assert.equal(etag, object.etag);
      // A disk that was late on a busy machine is asked again; a chunk that is not on it never comes, since nobody else is left.
      const bytes = await waitUntil(`${box.name} gives ${path} from its disk`, async () => {
        const answer = await request(`${String(box.running.ready["dataUrl"])}${path}`);
        const body = Buffer.from(await answer.body.arrayBuffer());
        return answer.statusCode === 200 && body;
      }).catch((error: unknown) => {
        t.diagnostic(box.running.log().slice(-2000));
        throw error;
      });
      assert.equal(createHash("sha256").update(bytes).digest("hex"), object.sha256);
    }
  }
});

function adminOf({ running }: Box) {
  return { adminUrl: `http://127.0.0.1:${running.ready["adminPort"]}/` };
}
