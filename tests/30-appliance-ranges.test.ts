// One appliance before a folder: every range a player may ask for gives the file's own bytes.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import fc from "fast-check";
import { request } from "undici";
import { readMetric, readStatus, startAppliance, type ApplianceFixture } from "./support/start-appliance.js";
import { temporaryFolder } from "./support/temporary-folder.js";
import { waitUntil } from "./support/wait-until.js";

/** Small and odd, so that every request crosses chunks. */
const chunkBytes = 7;
/** Sizes around the edges of chunks, none, one byte, and one that is larger than memory. */
const files = Object.fromEntries([0, 1, 6, 7, 8, 13, 14, 15, 700, 2000].map((size) => [`of-${size}.bin`, randomBytes(size)]));
const bytes = files["of-2000.bin"]!;
const folder = temporaryFolder();
let appliance: ApplianceFixture;

before(async () => {
  mkdirSync(join(folder, "origin"));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, "origin", name), content);
  writeFileSync(join(folder, "origin", "master.m3u8"), "#EXTM3U\n");
  writeFileSync(join(folder, "origin", "with space & ü.mp4"), "film");
  appliance = await startAppliance({
    folder,
    upstreams: [`file://${folder}/origin/`],
    chunk: chunkBytes,
    // 128 frames of 64 bytes: the largest file does not fit, so frames are replaced all the time.
    settings: { ram: 8192 },
  });
});
after(async () => {
  const { code, stderr } = await appliance.stop();
  assert.equal(code, 0, stderr);
});

async function get(path: string, headers: Record<string, string> = {}, method: "GET" | "HEAD" | "OPTIONS" | "POST" = "GET") {
  const response = await request(appliance.url + path, { method, headers });
  return { status: response.statusCode, headers: response.headers, body: Buffer.from(await response.body.arrayBuffer()) };
}

test("every object comes whole, cold and warm, whatever its size beside the chunk's", async () => {
  for (const round of ["cold", "warm"]) {
    for (const [name, content] of Object.entries(files)) {
      const answer = await get(name);
      assert.equal(answer.status, 200, `${name} ${round}`);
      assert.ok(answer.body.equals(content), `${name} ${round}`);
      assert.equal(answer.headers["content-length"], String(content.length));
    }
  }
});

test("every [first, last] around every chunk edge gives the file's own bytes", async () => {
  const content = files["of-15.bin"]!;
  for (let first = 0; first < content.length; first++) {
    for (let last = first; last < content.length; last++) {
      const answer = await get("of-15.bin", { range: `bytes=${first}-${last}` });
      assert.equal(answer.status, 206);
      assert.equal(answer.headers["content-range"], `bytes ${first}-${last}/15`);
      assert.ok(answer.body.equals(content.subarray(first, last + 1)), `${first}-${last}`);
    }
  }
});

test("random ranges, many at once, give the file's own bytes while frames are replaced", async () => {
  const range = fc.tuple(fc.nat(bytes.length - 1), fc.nat(bytes.length - 1)).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const);
  await fc.assert(
    fc.asyncProperty(fc.array(range, { minLength: 8, maxLength: 16 }), async (ranges) => {
      await Promise.all(
        ranges.map(async ([first, last]) => {
          const answer = await get("of-2000.bin", { range: `bytes=${first}-${last}` });
          assert.equal(answer.status, 206);
          assert.ok(answer.body.equals(bytes.subarray(first, last + 1)), `${first}-${last}`);
        }),
      );
    }),
    { numRuns: 60 },
  );
});

test("suffix, open and clamped ranges, and what no byte satisfies", async () => {
  assert.ok((await get("of-700.bin", { range: "bytes=-10" })).body.equals(files["of-700.bin"]!.subarray(690)));
  assert.ok((await get("of-700.bin", { range: "bytes=693-" })).body.equals(files["of-700.bin"]!.subarray(693)));
  assert.equal((await get("of-700.bin", { range: "bytes=690-99999" })).headers["content-range"], "bytes 690-699/700");
  for (const range of ["bytes=700-", "bytes=5-4", "bytes=-0", "bytes=x-y", "bytes="]) {
    const answer = await get("of-700.bin", { range });
    assert.equal(answer.status, 416, range);
    assert.equal(answer.headers["content-range"], "bytes */700");
  }
  assert.equal((await get("of-0.bin", { range: "bytes=0-" })).status, 416);
  assert.equal((await get("of-700.bin", { range: "lines=1-2" })).status, 200);
});

test("HEAD tells the same as GET, without a body, and keeps the connection", async () => {
  for (const name of Object.keys(files)) {
    const [head, whole] = [await get(name, {}, "HEAD"), await get(name)];
    assert.equal(head.status, 200);
    assert.equal(head.body.length, 0);
    for (const header of ["content-length", "content-type", "etag", "last-modified", "accept-ranges"]) {
      assert.equal(head.headers[header], whole.headers[header], `${name} ${header}`);
    }
  }
});

test("conditional requests are answered by tag and by date", async () => {
  const { headers } = await get("of-15.bin");
  const etag = String(headers["etag"]);
  const date = String(headers["last-modified"]);
  assert.match(etag, /^"[^"]+"$/);
  const notModified = await get("of-15.bin", { "if-none-match": etag });
  assert.equal(notModified.status, 304);
  assert.equal(notModified.headers["etag"], etag);
  assert.equal((await get("of-15.bin", { "if-modified-since": date })).status, 304);
  assert.equal((await get("of-15.bin", { "if-match": '"other"' })).status, 412);
  assert.equal((await get("of-15.bin", { range: "bytes=0-1", "if-range": etag })).status, 206);
  assert.equal((await get("of-15.bin", { range: "bytes=0-1", "if-range": '"other"' })).status, 200);
});

test("answers may be read by pages of other origins, and say where they came from", async () => {
  const answer = await get("of-15.bin");
  assert.equal(answer.headers["access-control-allow-origin"], "*");
  assert.match(String(answer.headers["access-control-expose-headers"]), /Content-Range/);
  assert.equal(answer.headers["timing-allow-origin"], "*");
  assert.equal(answer.headers["x-cache-status"], "HIT");
  assert.match(String(answer.headers["cache-status"]), /^millrace; hit/);
  const preflight = await get("of-15.bin", { origin: "http://page.example", "access-control-request-method": "GET" }, "OPTIONS");
  assert.equal(preflight.status, 204);
  assert.match(String(preflight.headers["access-control-allow-headers"]), /Range/);
});

test("content types are those that players look for, and odd names are found", async () => {
  assert.equal((await get("master.m3u8")).headers["content-type"], "application/vnd.apple.mpegurl");
  const film = await get(encodeURIComponent("with space & ü.mp4"));
  assert.equal(film.headers["content-type"], "video/mp4");
  assert.equal(film.body.toString(), "film");
});

test("an unknown object is 404, another method 405, and neither is remembered as an object", async () => {
  assert.equal((await get("nothing.mp4")).status, 404);
  const post = await get("of-15.bin", {}, "POST");
  assert.equal(post.status, 405);
  assert.equal(post.headers["allow"], "GET, HEAD, OPTIONS");
});

test("every pin is given back, and counters have counted", async () => {
  await waitUntil("no frame is pinned", async () => (await readStatus(appliance)).memory.pinned === 0);
  assert.ok((await readMetric(appliance, 'millrace_responses_total{status="206"}')) > 500);
  assert.ok((await readMetric(appliance, "millrace_fill_stored_chunks_total")) > 400);
  assert.ok((await readMetric(appliance, "millrace_disk_read_bytes_total")) > 4096);
  assert.equal(await readMetric(appliance, "millrace_slots_bad_total"), 0);
});
