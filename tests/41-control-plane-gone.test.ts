// The control plane is gone for most of the test: serving, read-through and the manifest in force go on, over a kill of the appliance too;
// when it is back, what was served meanwhile is reported, and counted once.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { request } from "undici";
import { stringify } from "yaml";
import { ControlPlaneClient } from "../control-plane/control-plane-client.js";
import { openStore } from "../control-plane/store/database.js";
import { openCountingOrigin } from "./support/counting-origin.js";
import { freePort } from "./support/free-port.js";
import { startMillrace } from "./support/run-millrace.js";
import { readStatus, startAppliance } from "./support/start-appliance.js";
import { temporaryFolder } from "./support/temporary-folder.js";
import { waitUntil } from "./support/wait-until.js";

const chunkBytes = 65_536;
const planned = Array.from({ length: 12 }, (_, at) => `film-${at}`);

test("an appliance goes on without the control plane, and its reports arrive once", async (t) => {
  const folder = temporaryFolder();
  const paths = [...planned.map((titleId) => `${titleId}/video.mp4`), "unplanned/video.mp4"];
  const origin = await openCountingOrigin(new Map(paths.map((path, at) => [path, 5 * chunkBytes + at])), chunkBytes);
  t.after(() => origin.close());
  const port = await freePort();
  const database = `sqlite:${join(folder, "control-plane.db")}`;
  const config = join(folder, "control-plane.yaml");
  writeFileSync(
    config,
    stringify({ listen: { port }, admin: { port: 0 }, database, fleet: { heartbeatEvery: "200ms", expiresAfter: "1s" } }),
  );
  const startControlPlane = async () => {
    const running = await startMillrace(["control-plane", "--config", config]);
    t.after(() => running.kill());
    return running;
  };
  const startBox = async () => {
    const box = await startAppliance({
      folder: join(folder, "edge"),
      upstreams: [origin.url],
      settings: { workers: 2, controlPlane: { url: `grpc://127.0.0.1:${port}` }, heat: { interval: "500ms" } },
    });
    t.after(() => box.kill());
    return box;
  };
  mkdirSync(join(folder, "edge"));
  let controlPlane = await startControlPlane();
  let box = await startBox();
  const client = new ControlPlaneClient(`grpc://127.0.0.1:${port}`, { deadlineMs: 10_000 });
  t.after(() => client.close());
  await waitUntil("the appliance is in the plan", async () => (await client.summarizePlan({})).appliances.length === 1);
  // Slow enough that the control plane goes while the manifest is being filled.
  origin.delayMs = 300;
  for (const titleId of planned) {
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
  await waitUntil("the appliance has the whole manifest", async () => (await readStatus(box)).fill?.objects === planned.length);
  await controlPlane.kill();
  assert.ok((await readStatus(box)).fill!.objectsHeld < planned.length, "the manifest is not filled yet");

  const served = new Map<string, number>();
  const play = async (path: string) => {
    const answer = await request(`${box.url}${path}`);
    const bytes = Buffer.from(await answer.body.arrayBuffer());
    assert.equal(answer.statusCode, 200, path);
    assert.equal(createHash("sha256").update(bytes).digest("hex"), origin.objects.get(path)!.sha256);
    served.set(path, (served.get(path) ?? 0) + bytes.length);
  };
  const servedBytes = () => [...served.values()].reduce((sum, bytes) => sum + bytes, 0);
  // Held, filled on request, and in no manifest at all.
  for (const path of [...paths, paths[0]!]) await play(path);
  const journalled = () => {
    const heat = join(folder, "edge/index/heat");
    let bytes = 0;
    for (const name of readdirSync(heat)) {
      const text = readFileSync(join(heat, name), "utf8");
      if (name.endsWith(".report")) for (const [, served] of (JSON.parse(text) as { objects: [string, number][] }).objects) bytes += served;
      if (name.endsWith(".open")) {
        for (const line of text.split("\n").filter((one) => one !== "")) {
          for (const [, served] of (JSON.parse(line) as { o: [string, number][] }).o) bytes += served;
        }
      }
    }
    return bytes;
  };
  await waitUntil("what was served is in the journal", () => journalled() === servedBytes());
  await box.kill();
  origin.delayMs = 0;
  box = await startBox();
  await waitUntil("the manifest of before is filled", async () => {
    const { fill } = await readStatus(box);
    return fill !== null && fill.objects === planned.length && fill.objectsHeld === planned.length;
  });
  assert.equal((await readStatus(box)).controlPlane!.connected, false);
  for (const path of paths) await play(path);
  await waitUntil("what was served is in the journal", () => journalled() === servedBytes());

  controlPlane = await startControlPlane();
  const waiting = async () =>
    ((await (await fetch(`${box.adminUrl}status`)).json()) as { heat: { reportsWaiting: number; reportsDropped: number } }).heat;
  await waitUntil("some reports have arrived", async () => (await waiting()).reportsWaiting < 5);
  // In the middle of the reports: what it has acknowledged, and what it has not, is sent again or is not.
  await controlPlane.kill();
  controlPlane = await startControlPlane();
  await waitUntil("all reports have arrived", async () => (await readStatus(box)).controlPlane!.connected && journalled() === 0);
  assert.equal((await waiting()).reportsDropped, 0);
  await controlPlane.stop();
  const store = await openStore(database);
  const rows = await store.selectFrom("miss_hour").selectAll().execute();
  const ofTitle = (titleId: string) => rows.filter(({ title_id }) => title_id === titleId).reduce((sum, row) => sum + row.bytes_served, 0);
  for (const titleId of planned) assert.equal(ofTitle(titleId), served.get(`${titleId}/video.mp4`), titleId);
  assert.equal(ofTitle(""), served.get("unplanned/video.mp4"));
  // The first time that it was asked for, it was not there.
  assert.ok(rows.filter(({ title_id }) => title_id === "").reduce((sum, row) => sum + row.content_bytes, 0) > 0);
  const heat = await store.selectFrom("heat_title").selectAll().execute();
  assert.equal(heat.length, planned.length);
  for (const { title_id, slow_bytes } of heat) assert.ok(Math.abs(slow_bytes / served.get(`${title_id}/video.mp4`)! - 1) < 0.01);
  await store.destroy();
});
