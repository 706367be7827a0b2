// Sources that lie, stall and break off: not one wrong byte is served or stored, whoever the liar is and however it is asked.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { request } from "undici";
import { clusterSource, openManifestServer, type ManifestServer } from "../bench/fill/manifest-server.js";
import { digestsPathOf } from "../fill-protocol/object-digests.js";
import { makeObject, misdeeds, openSource, type ScriptedSource } from "./support/scripted-source.js";
import { readMetric, startAppliance, type ApplianceFixture } from "./support/start-appliance.js";
import { temporaryFolder } from "./support/temporary-folder.js";
import { waitUntil } from "./support/wait-until.js";

const chunkBytes = 65_536;
const folder = temporaryFolder();
const objects = Array.from({ length: 4 }, (_, at) => makeObject(`films/film-${at}.mp4`, 300_000 + at * 10_007));
let honest: ScriptedSource;
let liars: ScriptedSource[];
let controlPlane: ManifestServer;

before(async () => {
  honest = await openSource(objects);
  liars = await Promise.all(misdeeds.map((misdeed) => openSource(objects, misdeed)));
  controlPlane = await openManifestServer();
});
after(async () => {
  controlPlane.close();
  for (const source of [honest, ...liars]) await source.close();
});

/** Impatient, so that stalling sources are not what the test's time goes to. */
const fill = { hedgeAfter: "100ms", silenceTimeout: "500ms", totalTimeout: "60s" };

async function readAll(appliance: ApplianceFixture): Promise<void> {
  await Promise.all(
    objects.flatMap(({ path, bytes }) =>
      Array.from({ length: 3 }, async (_, reader) => {
        const [first, last] = reader === 0 ? [0, bytes.length - 1] : [reader * 40_009, reader * 40_009 + 99_999];
        const answer = await request(`${appliance.url}${path}`, { headers: { range: `bytes=${first}-${last}` } });
        const body = Buffer.from(await answer.body.arrayBuffer());
        assert.equal(answer.statusCode, 206, path);
        assert.ok(body.equals(bytes.subarray(first, last + 1)), `${path} ${first}-${last} has wrong bytes`);
      }),
    ),
  );
}

/** What lies on the disks, without anyone to ask. */
async function assertStored(applianceFolder: string): Promise<void> {
  const alone = await startAppliance({ folder: applianceFolder, upstreams: ["http://127.0.0.1:1/"], chunk: chunkBytes });
  for (const { path, bytes } of objects) {
    const answer = await request(`${alone.url}${path}`);
    assert.equal(answer.statusCode, 200, path);
    assert.equal(sha256(Buffer.from(await answer.body.arrayBuffer())), sha256(bytes), path);
  }
  assert.equal(await readMetric(alone, "millrace_slots_bad_total"), 0);
  assert.equal((await alone.stop()).code, 0);
}

function sha256(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

test("requests get right bytes only, with every kind of liar asked before the origin, over http and as an appliance", async () => {
  for (const scheme of ["http:", "appliance:"]) {
    const applianceFolder = join(folder, `requests-${scheme.slice(0, 4)}`);
    const upstreams = [...liars.map(({ url }) => url.replace("http:", scheme)), honest.url];
    const appliance = await startAppliance({ folder: applianceFolder, upstreams, chunk: chunkBytes, settings: { fill } });
    await readAll(appliance);
    await waitUntil("all is stored", async () => (await readMetric(appliance, "millrace_fill_stored_chunks_total")) >= 4 * 5);
    assert.ok((await readMetric(appliance, "millrace_fill_wrong_chunks_total")) > 0, "the liars were believed to be honest");
    assert.equal((await appliance.stop()).code, 0);
    await assertStored(applianceFolder);
  }
});

test("the manifest is filled with right bytes only from peers that lie, and those are let off", async () => {
  const applianceFolder = join(folder, "manifest");
  controlPlane.setSources({ sources: liars.map(({ url }) => clusterSource(url)) });
  controlPlane.setManifest(objects.map(({ path, etag, bytes }) => ({ path, etag, sizeBytes: bytes.length })));
  const appliance = await startAppliance({
    folder: applianceFolder,
    upstreams: [honest.url],
    chunk: chunkBytes,
    settings: { fill, controlPlane: { url: controlPlane.url } },
  });
  await waitUntil("the manifest is held", async () => (await readFillStatus(appliance))?.state === "done", 60_000);
  const { sources } = (await readFillStatus(appliance))!;
  const liar = sources.find(({ source }) => source === liars[misdeeds.indexOf("flip")]!.url);
  assert.ok(liar && liar.lies >= 1 && liar.lies <= 8 && liar.pausedForMs > 0, JSON.stringify(liar));
  await readAll(appliance);
  assert.equal((await appliance.stop()).code, 0);
  await assertStored(applianceFolder);
});

test("a folder whose files were altered after their digests were made gives nothing wrong", async () => {
  const altered = join(folder, "altered");
  for (const { path, bytes, digests } of objects) {
    const wrong = Buffer.from(bytes);
    wrong[bytes.length >>> 1]! ^= 1;
    for (const [name, content] of [
      [path, wrong],
      [digestsPathOf(path), digests],
    ] as const) {
      mkdirSync(dirname(join(altered, name)), { recursive: true });
      writeFileSync(join(altered, name), content);
    }
  }
  const applianceFolder = join(folder, "from-folder");
  const upstreams = [`file://${altered}/`, honest.url];
  const appliance = await startAppliance({ folder: applianceFolder, upstreams, chunk: chunkBytes, settings: { fill } });
  await readAll(appliance);
  assert.equal((await appliance.stop()).code, 0);
});

async function readFillStatus({ adminUrl }: ApplianceFixture) {
  const { fill: status } = (await (await fetch(`${adminUrl}status`)).json()) as {
    fill: { state: string; sources: { source: string; lies: number; pausedForMs: number }[] } | null;
  };
  return status;
}
