// A manifest of many entries from a real control plane: streamed, cut off and resumed over a kill of the control plane, then changed.
//
// CI runs it with 50,000 entries; MILLRACE_MANIFEST_ENTRIES=1000000 is `npm run soak`'s.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ControlPlaneClient } from "../appliance/agent/control-plane-client.js";
import { ManifestFile, readManifestFile } from "../appliance/manifest-file.js";
import { CatalogStore } from "../control-plane/catalog/catalog-store.js";
import { openStore } from "../control-plane/store/database.js";
import { ApplianceRole } from "../fill-protocol/generated/millrace/fleet/v1/fleet.js";
import { startMillrace } from "./support/run-millrace.js";
import { temporaryFolder } from "./support/temporary-folder.js";
import { waitUntil } from "./support/wait-until.js";

const entries = Number(process.env["MILLRACE_MANIFEST_ENTRIES"] ?? 50_000);
const objectsPerTitle = 10_000;
const applianceId = "box";

const titleOf = (titleId: string, publishedAtUnixMs: number) => ({
  titleId,
  name: titleId,
  durationSeconds: 1,
  hlsPath: "",
  dashPath: "",
  sizeBytes: objectsPerTitle * 1000,
  objectCount: objectsPerTitle,
  publishedAtUnixMs,
});
const objectsOf = (titleId: string) =>
  Array.from({ length: objectsPerTitle }, (_, at) => ({
    path: `${titleId}/segment-${String(at).padStart(5, "0")}.m4s`,
    sizeBytes: 1000,
    etag: `"${titleId}-${at}"`,
    chunkBytes: 1000,
  }));
const peakMiB = (pid: number) => Math.round(Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) / 1024);

test(`a manifest of ${entries} entries is streamed, resumed over a killed control plane, and changed by its difference`, async (t) => {
  const folder = temporaryFolder();
  const database = `sqlite:${join(folder, "control-plane.db")}`;
  const store = await openStore(database);
  const catalog = new CatalogStore(store);
  const titles = Array.from({ length: entries / objectsPerTitle }, (_, at) => `title-${at}`);
  for (const [at, titleId] of titles.entries()) await catalog.replaceTitle(titleOf(titleId, 1_700_000_000_000 + at), objectsOf(titleId));
  const config = join(folder, "control-plane.yaml");
  writeFileSync(config, `listen: { port: 0 }\nadmin: { port: 0 }\ndatabase: "${database}"\n`);
  const start = async () => {
    const running = await startMillrace(["control-plane", "--config", config]);
    t.after(() => running.kill());
    const client = new ControlPlaneClient(`grpc://127.0.0.1:${running.ready["grpcPort"]}`);
    t.after(() => client.close());
    const identity = {
      applianceId,
      siteId: "s",
      clusterId: "c",
      role: ApplianceRole.APPLIANCE_ROLE_EDGE,
      dataUrl: "http://127.0.0.1:1/",
      adminUrl: "",
      capacityBytes: BigInt(entries * 4000),
      chunkBytes: 1000,
      softwareVersion: "0",
    };
    await client.register({ identity, bootId: "boot" });
    return { running, client };
  };
  const request = { applianceId, knownVersion: 0n, resumeVersion: 0n, resumeBaseVersion: 0n, resumeEntries: 0n };

  const first = await start();
  const manifest = new ManifestFile(folder);
  const beganAtMs = performance.now();
  let parts = 0;
  for await (const part of first.client.fetchManifest(request)) {
    await manifest.take(part);
    // Cut off in the middle.
    if (++parts === Math.ceil(entries / 2000)) break;
  }
  const firstPartsMs = performance.now() - beganAtMs;
  const controlPlaneMiB = peakMiB(first.running.pid);
  await first.running.kill();

  const second = await start();
  // What a restarted appliance finds in its folder.
  const restarted = new ManifestFile(folder);
  const partial = (await restarted.readPartial())!;
  assert.equal(partial.entries, parts * 1000);
  const resumedAtMs = performance.now();
  let firstEntry: bigint | undefined;
  let whole = false;
  for await (const part of second.client.fetchManifest({
    ...request,
    resumeVersion: partial.version,
    resumeBaseVersion: partial.baseVersion,
    resumeEntries: BigInt(partial.entries),
  })) {
    firstEntry ??= part.firstEntry;
    whole = await restarted.take(part);
  }
  const resumedMs = performance.now() - resumedAtMs;
  assert.equal(firstEntry, BigInt(parts * 1000), "it goes on where it ended");
  assert.ok(whole);
  const read = (await readManifestFile(restarted.path))!;
  assert.equal(read.items.length, entries);
  assert.equal(new Set(read.items.map(({ path }) => path)).size, entries);

  // One title more, and one that has gone to another version: two titles' entries, not a million.
  await catalog.replaceTitle(titleOf("news", 1_700_000_000_000), objectsOf("news"));
  const changedAtMs = performance.now();
  const changes: number[] = [];
  await waitUntil(
    "the control plane has seen the new title",
    async () => {
      for await (const part of second.client.fetchManifest({ ...request, knownVersion: restarted.version })) {
        assert.equal(part.baseVersion, restarted.version);
        changes.push(part.entries.length);
        await restarted.take(part);
      }
      return changes.length > 0;
    },
    60_000,
  );
  const changedMs = performance.now() - changedAtMs;
  assert.equal(
    changes.reduce((sum, one) => sum + one, 0),
    objectsPerTitle,
  );
  assert.equal((await readManifestFile(restarted.path))!.items.length, entries + objectsPerTitle);
  await store.destroy();
  const figures = {
    entries,
    firstHalfMs: Math.round(firstPartsMs),
    secondHalfAfterRestartMs: Math.round(resumedMs),
    changeMs: Math.round(changedMs),
    controlPlanePeakMiB: Math.max(controlPlaneMiB, peakMiB(second.running.pid)),
    appliancePeakMiB: peakMiB(process.pid),
  };
  t.diagnostic(JSON.stringify(figures));
});
