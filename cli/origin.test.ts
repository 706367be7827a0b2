import assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test, type TestContext } from "node:test";
import { digestChunk, encodeObjectDigests, makeObjectDigests } from "../fill-protocol/object-digests.js";
import { OperatingError } from "../runtime/operating-error.js";
import { openOrigin } from "./origin.js";

const bytes = "0123456789";

async function originOf(t: TestContext, options: { accessLog?: string } = {}) {
  const folder = await mkdtemp(join(tmpdir(), "millrace-origin-"));
  await mkdir(join(folder, "a/.git"), { recursive: true });
  await mkdir(join(folder, ".millrace/digests/a"), { recursive: true });
  await writeFile(join(folder, "a/x.mp4"), bytes);
  await writeFile(join(folder, "a/plain.m3u8"), bytes);
  await writeFile(join(folder, "a/.git/config"), "secret");
  await writeFile(join(folder, ".millrace/secret"), "secret");
  const { mtime } = await stat(join(folder, "a/x.mp4"));
  const digests = makeObjectDigests({
    path: "a/x.mp4",
    sizeBytes: bytes.length,
    chunkBytes: 100,
    chunkDigests: [digestChunk(Buffer.from(bytes))],
    lastModifiedUnixMs: mtime.getTime(),
  });
  await writeFile(join(folder, ".millrace/digests/a/x.mp4"), encodeObjectDigests(digests));
  const origin = await openOrigin({ folder, host: "127.0.0.1", port: 0, ...options });
  t.after(async () => {
    await origin.close();
    await rm(folder, { recursive: true });
  });
  return { folder, origin, etag: digests.etag, url: (path: string) => `http://127.0.0.1:${origin.port}/${path}` };
}

/** Sends `target` as it is: fetch() would tidy it up. */
async function statusOf(port: number, target: string, method = "GET"): Promise<number> {
  const socket = connect(port, "127.0.0.1");
  socket.write(`${method} ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
  return Number((await text(socket)).slice(9, 12));
}

test("openOrigin() serves whole files and ranges with the strong tag of the digests", async (t) => {
  const { url, etag } = await originOf(t);
  const whole = await fetch(url("a/x.mp4"));
  assert.equal(whole.status, 200);
  assert.equal(await whole.text(), bytes);
  assert.equal(whole.headers.get("etag"), etag);
  assert.equal(whole.headers.get("content-type"), "video/mp4");
  assert.ok(whole.headers.get("last-modified"));
  const part = await fetch(url("a/x.mp4"), { headers: { Range: "bytes=3-5", "If-Range": etag } });
  assert.equal(part.status, 206);
  assert.equal(part.headers.get("content-range"), "bytes 3-5/10");
  assert.equal(await part.text(), "345");
  assert.equal((await fetch(url("a/x.mp4"), { headers: { Range: "bytes=3-5", "If-Range": '"other"' } })).status, 200);
  assert.equal((await fetch(url("a/x.mp4"), { headers: { Range: "bytes=10-" } })).status, 416);
  assert.equal((await fetch(url("a/x.mp4"), { headers: { "If-None-Match": etag, "Cache-Control": "max-age=0" } })).status, 304);
});

test("openOrigin() answers HEAD without a body", async (t) => {
  const { url } = await originOf(t);
  const head = await fetch(url("a/x.mp4"), { method: "HEAD" });
  assert.equal(head.status, 200);
  assert.equal(head.headers.get("content-length"), "10");
  assert.equal(await head.text(), "");
});

test("openOrigin() gives a file without digests, or newer than its digests, a weak tag", async (t) => {
  const { url, folder, etag } = await originOf(t);
  assert.match((await fetch(url("a/plain.m3u8"))).headers.get("etag") ?? "", /^W\//);
  assert.equal((await fetch(url("a/x.mp4"))).headers.get("etag"), etag);
  await writeFile(join(folder, "a/x.mp4"), "changed without ingest");
  assert.match((await fetch(url("a/x.mp4"))).headers.get("etag") ?? "", /^W\//);
});

test("openOrigin() serves digests and nothing else that is hidden, and no way out of the folder", async (t) => {
  const { url, folder, origin } = await originOf(t);
  const digests = await fetch(url(".millrace/digests/a/x.mp4"));
  assert.deepEqual(Buffer.from(await digests.arrayBuffer()), await readFile(join(folder, ".millrace/digests/a/x.mp4")));
  await symlink("a", join(folder, "linked"));
  assert.equal((await fetch(url("linked/x.mp4"))).status, 200);
  for (const target of [
    "/.millrace/secret",
    "/a/.git/config",
    "/.millrace/digests/../secret",
    "/.millrace/digests/%2e%2e/secret",
    "/missing",
    "/a",
    "/a/",
  ])
    assert.ok([403, 404].includes(await statusOf(origin.port, target)), target);
  for (const target of ["/../../../etc/hostname", "/%2e%2e/%2e%2e/etc/hostname", "/a/..%2f..%2f..%2fetc/hostname"])
    assert.equal(await statusOf(origin.port, target), 403, target);
  assert.equal(await statusOf(origin.port, "/%00"), 400);
  assert.equal(await statusOf(origin.port, "/%zz"), 400);
  assert.equal(await statusOf(origin.port, "/a/x.mp4", "POST"), 405);
  assert.equal(await statusOf(origin.port, "/a/x.mp4", "GARBAGE"), 400);
});

test("openOrigin() logs one line per request and counts what it sent", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "millrace-log-"));
  t.after(() => rm(folder, { recursive: true }));
  const accessLog = join(folder, "access.jsonl");
  const { url, origin } = await originOf(t, { accessLog });
  await (await fetch(url("a/x.mp4"), { headers: { Range: "bytes=1-4" } })).text();
  await (await fetch(url("missing?x=1"))).text();
  await fetch(url("a/x.mp4"), { method: "HEAD" });
  await waitFor(() => origin.requests === 3);
  assert.equal(origin.bodyBytes, 4);
  const lines = (await readFile(accessLog, "utf8")).trimEnd().split("\n");
  assert.deepEqual(
    lines.map((line) => JSON.parse(line) as unknown),
    [
      { method: "GET", path: "/a/x.mp4", range: "bytes=1-4", status: 206, bytes: 4 },
      { method: "GET", path: "/missing?x=1", status: 404, bytes: 0 },
      { method: "HEAD", path: "/a/x.mp4", status: 200, bytes: 0 },
    ],
  );
});

test("openOrigin() refuses a missing folder, a file for a folder, a taken port and a log that can't be written", async (t) => {
  const { folder, origin } = await originOf(t);
  const refuses = (options: Partial<Parameters<typeof openOrigin>[0]>, code: string) =>
    assert.rejects(
      openOrigin({ folder, host: "127.0.0.1", port: 0, ...options }),
      (error) => error instanceof OperatingError && error.code === code,
    );
  await refuses({ folder: join(folder, "missing") }, "folder-missing");
  await refuses({ folder: join(folder, "a/x.mp4") }, "folder-missing");
  await refuses({ port: origin.port }, "port-taken");
  await refuses({ accessLog: join(folder, "missing/log") }, "access-log-unwritable");
});

async function waitFor(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 5_000;
  while (!condition()) {
    assert.ok(Date.now() < deadline, "waited for 5 s");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
