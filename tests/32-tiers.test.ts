// Edge before storage before origin: the film comes through unchanged, and each chunk crosses each road once.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { request } from "undici";
import { packageRoot } from "../runtime/package-root.js";
import { runMillrace, startMillrace, type RunningMillrace } from "./support/run-millrace.js";
import { readMetric, readStatus, startAppliance, type ApplianceFixture } from "./support/start-appliance.js";
import { temporaryFolder } from "./support/temporary-folder.js";
import { waitUntil } from "./support/wait-until.js";

const chunkBytes = 65_536;
const folder = temporaryFolder();
const originFolder = join(folder, "origin");
const accessLog = join(folder, "origin.jsonl");
const filmFolder = join(packageRoot, "film/clock");
let origin: RunningMillrace;
let storage: ApplianceFixture;
let edge: ApplianceFixture;

before(async () => {
  const ingested = await runMillrace([
    "ingest",
    filmFolder,
    "--origin",
    originFolder,
    "--title-id",
    "clock",
    "--chunk",
    String(chunkBytes),
  ]);
  assert.equal(ingested.code, 0, ingested.stderr);
  copyFileSync(join(filmFolder, "audio.mp4"), join(originFolder, "plain.mp4"));
  copyFileSync(join(filmFolder, "video-180p.mp4"), join(originFolder, "changing.mp4"));
  origin = await startMillrace(["origin", originFolder, "--port", "0", "--access-log", accessLog]);
  const originUrl = `http://127.0.0.1:${origin.ready["port"]}/`;
  storage = await startAppliance({ folder: join(folder, "storage"), upstreams: [originUrl], chunk: chunkBytes });
  edge = await startAppliance({
    folder: join(folder, "edge"),
    upstreams: [storage.url.replace("http:", "appliance:"), originUrl],
    chunk: chunkBytes,
    settings: { revalidateAfter: "300ms" },
  });
});
after(async () => {
  for (const each of [edge, storage, origin]) assert.equal((await each.stop()).code, 0);
});

function requestsAtOrigin(): { method: string; path: string; range?: string; status: number }[] {
  return readFileSync(accessLog, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { method: string; path: string; range?: string; status: number });
}

async function read(url: string): Promise<Buffer> {
  const response = await request(url);
  assert.equal(response.statusCode, 200, url);
  return Buffer.from(await response.body.arrayBuffer());
}

function sha256(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

test("a hundred clients of one cold object cost one fetch per chunk, at the edge, at the storage and at the origin", async () => {
  const name = "video-540p.mp4";
  const bytes = readFileSync(join(filmFolder, name));
  const answers = await Promise.all(Array.from({ length: 100 }, () => read(`${edge.url}clock/${name}`)));
  for (const answer of answers) assert.ok(answer.equals(bytes));
  const chunks = Math.ceil(bytes.length / chunkBytes);
  assert.equal(await readMetric(edge, "millrace_fill_fetches_total"), chunks);
  assert.equal(await readMetric(storage, "millrace_fill_fetches_total"), chunks);
  const ranges = requestsAtOrigin().filter(({ method, path }) => method === "GET" && path === `/clock/${name}`);
  assert.equal(ranges.length, chunks);
  assert.equal(new Set(ranges.map(({ range }) => range)).size, chunks);
});

test("the SHA-256 of every file of the film is the same through edge and storage as at the origin", async () => {
  for (const name of readdirSync(filmFolder)) {
    assert.equal(sha256(await read(`${edge.url}clock/${name}`)), sha256(readFileSync(join(originFolder, "clock", name))), name);
  }
  assert.equal(await readMetric(edge, "millrace_fill_wrong_chunks_total"), 0);
});

test("the digests that the origin published come through every tier", async () => {
  const path = ".millrace/digests/clock/video-540p.mp4";
  assert.ok((await read(edge.url + path)).equals(readFileSync(join(originFolder, path))));
  const { headers } = await request(`${edge.url}clock/video-540p.mp4`, { method: "HEAD" });
  const atStorage = await request(`${storage.url}clock/video-540p.mp4`, { method: "HEAD" });
  assert.equal(headers["etag"], atStorage.headers["etag"]);
});

test("an object without digests is served by its tag and length", async () => {
  assert.equal(sha256(await read(`${edge.url}plain.mp4`)), sha256(readFileSync(join(filmFolder, "audio.mp4"))));
});

test("a chunk that was altered at the storage is found out and fetched from the origin", async () => {
  // The storage holds the 180p file under a name whose bytes then change on its disks.
  const name = "clock/video-360p.mp4";
  const bytes = readFileSync(join(filmFolder, "video-360p.mp4"));
  await waitUntil("nothing that was fetched waits for the storage's disks", async () => {
    const [stored = 0, notStored = 0, fetched] = await Promise.all(
      ["stored_chunks", "not_stored_chunks", "fetches"].map((what) => readMetric(storage, `millrace_fill_${what}_total`)),
    );
    return stored + notStored === fetched;
  });
  for (const disk of ["disk1", "disk2"]) {
    for (const slab of readdirSync(join(folder, "storage", disk)).filter((file) => file.startsWith("slab-"))) {
      const path = join(folder, "storage", disk, slab);
      const content = readFileSync(path);
      // One bit of every page of every slot: nothing that this storage has on disk is right any more.
      for (let at = 0; at < content.length; at += 4096) content[at + 1000]! ^= 1;
      writeFileSync(path, content);
    }
  }
  const before = await readMetric(storage, "millrace_slots_bad_total");
  const status = await storage.stop();
  assert.equal(status.code, 0);
  storage = await startAppliance({
    folder: join(folder, "storage"),
    upstreams: [`http://127.0.0.1:${origin.ready["port"]}/`],
    chunk: chunkBytes,
  });
  assert.ok((await read(storage.url + name)).equals(bytes));
  assert.ok((await readMetric(storage, "millrace_slots_bad_total")) > before);
});

test("new bytes under an old path are a new version: nobody gets a mix of the two", async () => {
  const url = `${edge.url}changing.mp4`;
  const [first, second] = ["video-180p.mp4", "video-360p.mp4"].map((name) => readFileSync(join(filmFolder, name)));
  assert.ok((await read(url)).equals(first!));
  copyFileSync(join(filmFolder, "video-360p.mp4"), join(originFolder, "changing.mp4"));
  // The storage asks again only after a minute: the edge has to learn it from there or from the origin.
  await waitUntil(
    "the new version is served",
    async () => {
      const answer = await request(url);
      const body = await answer.body.arrayBuffer().then(
        (bytes) => Buffer.from(bytes),
        () => undefined,
      );
      if (body === undefined || answer.statusCode !== 200) return false;
      assert.ok(body.equals(first!) || body.equals(second!), "a body is one version or the other");
      return body.equals(second!);
    },
    90_000,
  );
});

test("with storage and origin gone, the edge serves what it holds, and says 502 for the rest", async () => {
  await storage.stop();
  await origin.stop();
  assert.equal(sha256(await read(`${edge.url}clock/video-540p.mp4`)), sha256(readFileSync(join(filmFolder, "video-540p.mp4"))));
  assert.equal((await request(`${edge.url}never-asked.mp4`)).statusCode, 502);
  await edge.kill();
  edge = await startAppliance({ folder: join(folder, "edge"), upstreams: ["http://127.0.0.1:1/"], chunk: chunkBytes });
  assert.equal(sha256(await read(`${edge.url}clock/video-540p.mp4`)), sha256(readFileSync(join(filmFolder, "video-540p.mp4"))));
  assert.equal((await readStatus(edge)).memory.pinned, 0);
});
