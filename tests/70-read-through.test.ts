// Read-through and fill between appliances: first bytes early, one fetch for all, no rings, no for the busy, hours and pauses.
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { request } from "undici";
import { openManifestServer } from "../bench/fill/manifest-server.js";
import { freePort } from "./support/free-port.js";
import { runMillrace } from "./support/run-millrace.js";
import { makeObject, openSource, pieceBytes, type ScriptedSource } from "./support/scripted-source.js";
import { readMetric, readStatus, startAppliance, type ApplianceFixture } from "./support/start-appliance.js";
import { temporaryFolder } from "./support/temporary-folder.js";
import { waitUntil } from "./support/wait-until.js";

const chunkBytes = 262_144;
const folder = temporaryFolder();
const objects = Array.from({ length: 8 }, (_, at) => makeObject(`film-${at}.mp4`, 4 * chunkBytes + at));
let origin: ScriptedSource;
let edge: ApplianceFixture;

before(async () => {
  origin = await openSource(objects);
  edge = await startAppliance({
    folder: join(folder, "edge"),
    upstreams: [origin.url],
    chunk: chunkBytes,
    settings: { fill: { hedgeAfter: "60s", silenceTimeout: "60s", totalTimeout: "120s" } },
  });
});
after(async () => {
  origin.open();
  assert.equal((await readStatus(edge)).memory.pinned, 0);
  assert.equal((await edge.stop()).code, 0);
  await origin.close();
});

/** Resolves when `bytes` of the body are here, with those that are; the response goes on. */
async function readSome(url: string, bytes: number) {
  const { body, statusCode } = await request(url);
  const parts: Buffer[] = [];
  let count = 0;
  body.on("data", (part: Buffer) => {
    parts.push(part);
    count += part.length;
  });
  const ended = new Promise<void>((resolve) => body.once("close", resolve));
  body.on("error", () => {});
  await waitUntil(`${bytes} bytes are here`, async () => count >= bytes);
  return { statusCode, body, soFar: () => Buffer.concat(parts), ended };
}

test("clients get what has come of a chunk while the rest is still upstream; one fetch serves all, and those who leave stop nobody", async () => {
  const { path, bytes } = objects[0]!;
  // Two whole pieces and a half: the half is not shown, since nothing says yet that it is right.
  origin.holdAfterBytes = 2.5 * pieceBytes;
  const clients = await Promise.all(Array.from({ length: 40 }, () => readSome(`${edge.url}${path}`, 2 * pieceBytes)));
  for (const { soFar, statusCode } of clients) {
    assert.equal(statusCode, 200);
    assert.ok(soFar().equals(bytes.subarray(0, 2 * pieceBytes)), "what is shown is verified, and no more");
  }
  for (const { body } of clients.slice(0, 20)) body.destroy();
  origin.open();
  for (const { ended, soFar } of clients.slice(20)) {
    await ended;
    assert.ok(soFar().equals(bytes));
  }
  const ranges = origin.ranges.filter((range) => range.startsWith(`${path} `));
  assert.equal(ranges.length, Math.ceil(bytes.length / chunkBytes));
  assert.equal(new Set(ranges).size, ranges.length);
});

test("a fetch that every client has left is given up, and the next client gets the chunk all the same", async () => {
  const { path, bytes } = objects[1]!;
  origin.holdAfterBytes = pieceBytes;
  const clients = await Promise.all(Array.from({ length: 3 }, () => readSome(`${edge.url}${path}`, pieceBytes)));
  for (const { body } of clients) body.destroy();
  await waitUntil("the fetch is given up", async () => (await readMetric(edge, "millrace_fill_fetches_left_total")) >= 1);
  origin.open();
  const answer = await request(`${edge.url}${path}`);
  assert.ok(Buffer.from(await answer.body.arrayBuffer()).equals(bytes));
});

test("a range brings its own chunks and no other", async () => {
  const { path, bytes } = objects[2]!;
  const answer = await request(`${edge.url}${path}`, { headers: { range: `bytes=${chunkBytes + 5}-${chunkBytes * 2 + 5}` } });
  assert.ok(Buffer.from(await answer.body.arrayBuffer()).equals(bytes.subarray(chunkBytes + 5, chunkBytes * 2 + 6)));
  const asked = origin.ranges.filter((range) => range.startsWith(`${path} `)).map((range) => Number(range.split(" ")[1]));
  assert.deepEqual(asked.toSorted(), [chunkBytes, 2 * chunkBytes]);
});

test("two appliances that name each other say so at once, whoever asks whom; with an origin behind them both serve", async () => {
  const ports = [await freePort(), await freePort()] as const;
  for (const scheme of ["appliance", "http"]) {
    const open = (at: 0 | 1, more: string[], name: string) =>
      startAppliance({
        folder: join(folder, `${scheme}-${name}-${at}`),
        upstreams: [`${scheme}://127.0.0.1:${ports[1 - at]}/`, ...more],
        chunk: chunkBytes,
        settings: { listen: { port: ports[at] }, fill: { silenceTimeout: "60s", hedgeAfter: "20s" } },
      });
    const pair = [await open(0, [], "ring"), await open(1, [], "ring")];
    const started = performance.now();
    for (let count = 0; count < 5; count++) {
      const answer = await request(`${pair[count % 2]!.url}film-${count}.mp4`);
      assert.equal(answer.statusCode, 508, await answer.body.text());
    }
    if (scheme === "appliance") {
      // At the same moment for the same thing: each would wait for the other.
      const both = await Promise.all(Array.from({ length: 20 }, (_, at) => request(`${pair[at % 2]!.url}film-7.mp4`)));
      for (const { statusCode, body } of both) assert.equal(statusCode, 508, await body.text());
    }
    // Whoever waits for a time limit waits for twenty seconds.
    assert.ok(performance.now() - started < 15_000);
    for (const each of pair) assert.equal((await each.stop()).code, 0);

    const asked = origin.ranges.length;
    const { path, bytes } = objects[scheme === "appliance" ? 3 : 4]!;
    const served = [await open(0, [origin.url], "origin"), await open(1, [origin.url], "origin")];
    const readers = scheme === "appliance" ? 10 : 1;
    const bodies = await Promise.all(
      Array.from({ length: readers }, async (_, at) => (await request(`${served[at % 2]!.url}${path}`)).body.arrayBuffer()),
    );
    for (const body of bodies) assert.ok(Buffer.from(body).equals(bytes));
    // Each chunk once, or once by each when both wanted it at the same moment.
    assert.ok(origin.ranges.length - asked <= 10, `${origin.ranges.length - asked} fetches for 5 chunks`);
    for (const each of served) assert.equal((await each.stop()).code, 0);
  }
});

test("an appliance that is busy says no to those who fill, who go elsewhere; players are served by it all the same", async () => {
  const { path, bytes } = objects[5]!;
  const busy = await startAppliance({
    folder: join(folder, "busy"),
    upstreams: [origin.url],
    chunk: chunkBytes,
    settings: { limits: { fillRequestsPerWorker: 0 } },
  });
  const asker = await startAppliance({
    folder: join(folder, "asker"),
    upstreams: [busy.url.replace("http:", "appliance:"), origin.url],
    chunk: chunkBytes,
  });
  const read = async (url: string) => Buffer.from(await (await request(`${url}${path}`)).body.arrayBuffer());
  assert.ok((await read(asker.url)).equals(bytes));
  assert.ok((await read(busy.url)).equals(bytes));
  assert.ok((await readMetric(busy, 'millrace_fill_requests_refused_total{reason="busy"}')) > 0);
  for (const each of [asker, busy]) assert.equal((await each.stop()).code, 0);
});

test("outside its hours an appliance fills what is urgent; paused it fills nothing; told to go on it does, and says how far it is", async () => {
  const controlPlane = await openManifestServer();
  const entries = objects.slice(0, 3).map(({ path, etag, bytes }) => ({ path, etag, sizeBytes: bytes.length }));
  controlPlane.setManifest([{ ...entries[0]!, urgent: true }, entries[1]!, entries[2]!]);
  // An hour that begins in six.
  const hour = (new Date().getUTCHours() + 6) % 24;
  const time = (at: number) => `${String(at).padStart(2, "0")}:00`;
  const start = (windows: object[]) =>
    startAppliance({
      folder: join(folder, "polite"),
      upstreams: [origin.url],
      chunk: chunkBytes,
      settings: { controlPlane: { url: controlPlane.url }, fill: { timeZone: "UTC", windows, maxBytesPerSecond: "50MiB" } },
    });
  const stateOf = async ({ adminUrl }: ApplianceFixture) => {
    const { stdout } = await runMillrace(["fill", "status", "--admin", adminUrl, "--json"]);
    return JSON.parse(stdout) as { state: string; objectsHeld: number; opensUnixMs: number } | null;
  };
  let polite = await start([{ from: time(hour), to: time((hour + 1) % 24) }]);
  await waitUntil("the urgent one is held", async () => (await stateOf(polite))?.state === "out-of-hours");
  const status = (await stateOf(polite))!;
  assert.equal(status.objectsHeld, 1);
  assert.ok(status.opensUnixMs > Date.now() + 4 * 3_600_000);
  assert.match((await runMillrace(["fill", "status", "--admin", polite.adminUrl])).stdout, /^out-of-hours: .* 1 of 3 objects/);
  assert.equal((await runMillrace(["fill", "pause", "--admin", polite.adminUrl])).stdout, "paused\n");
  await waitUntil("it is paused", async () => (await stateOf(polite))?.state === "paused");
  assert.equal((await polite.stop()).code, 0);

  polite = await start([]);
  await waitUntil("it is paused after its restart", async () => (await stateOf(polite))?.state === "paused");
  assert.equal(await readMetric(polite, "millrace_fill_fetches_total"), 0);
  assert.equal((await runMillrace(["fill", "resume", "--admin", polite.adminUrl])).stdout, "resumed\n");
  await waitUntil("it is done", async () => (await stateOf(polite))?.state === "done");
  assert.equal(await readMetric(polite, 'millrace_fill_state{state="done"}'), 1);
  assert.equal((await polite.stop()).code, 0);
  controlPlane.close();
});
