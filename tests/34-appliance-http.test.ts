// HTTP/1.1 beyond the single range: several parts, conditions over a socket, and what docs/http.md says of odd clients.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import fc from "fast-check";
import { request } from "undici";
import { makePlaybackToken } from "../fill-protocol/playback-token.js";
import { sendRaw } from "./support/send-raw.js";
import { readMetric, readStatus, startAppliance, type ApplianceFixture } from "./support/start-appliance.js";
import { temporaryFolder } from "./support/temporary-folder.js";
import { waitUntil } from "./support/wait-until.js";

const folder = temporaryFolder();
const content = randomBytes(3000);
let appliance: ApplianceFixture;

before(async () => {
  mkdirSync(join(folder, "origin"));
  writeFileSync(join(folder, "origin", "film.mp4"), content);
  // 64 frames of chunks of 13 bytes: parts cross chunks, and frames are replaced all the time.
  appliance = await startAppliance({ folder, upstreams: [`file://${folder}/origin/`], chunk: 13, settings: { ram: 4096 } });
});
after(async () => {
  const { code, stderr } = await appliance.stop();
  assert.equal(code, 0, stderr);
});

async function get(headers: Record<string, string>, method: "GET" | "HEAD" = "GET") {
  const response = await request(`${appliance.url}film.mp4`, { method, headers });
  return { status: response.statusCode, headers: response.headers, body: Buffer.from(await response.body.arrayBuffer()) };
}

/** The parts of a multipart/byteranges body, read as RFC 9110 14.6 and RFC 2046 5.1 have it. */
function parseMultipart(body: Buffer, contentType: string): { first: number; last: number; bytes: Buffer }[] {
  const boundary = /^multipart\/byteranges; boundary=([0-9a-f]{32})$/.exec(contentType)?.[1];
  assert.ok(boundary, contentType);
  const text = body.toString("latin1");
  assert.ok(text.startsWith(`--${boundary}\r\n`) && text.endsWith(`\r\n--${boundary}--\r\n`));
  const inner = text.slice(boundary.length + 4, -(boundary.length + 8));
  return inner.split(`\r\n--${boundary}\r\n`).map((part) => {
    const [head, ...rest] = part.split("\r\n\r\n");
    const range = /^Content-Type: video\/mp4\r\nContent-Range: bytes (\d+)-(\d+)\/3000$/.exec(head!);
    assert.ok(range, head);
    return { first: Number(range[1]), last: Number(range[2]), bytes: Buffer.from(rest.join("\r\n\r\n"), "latin1") };
  });
}

test("several parts come as multipart/byteranges, in the order of the request", async () => {
  const answer = await get({ range: "bytes=2000-2100,0-0,-5" });
  assert.equal(answer.status, 206);
  assert.equal(answer.headers["content-range"], undefined);
  assert.equal(answer.headers["content-length"], String(answer.body.length));
  assert.deepEqual(
    parseMultipart(answer.body, String(answer.headers["content-type"])).map(({ first, last }) => [first, last]),
    [
      [2000, 2100],
      [0, 0],
      [2995, 2999],
    ],
  );
});

test("parts that overlap or touch become one, and one part is no multipart", async () => {
  const answer = await get({ range: "bytes=0-9,10-19,15-29" });
  assert.equal(answer.status, 206);
  assert.equal(answer.headers["content-range"], "bytes 0-29/3000");
  assert.ok(answer.body.equals(content.subarray(0, 30)));
  assert.equal((await get({ range: "bytes=5-5,4000-" })).headers["content-range"], "bytes 5-5/3000");
});

test("several parts: none that the object has is 416, too many are the whole, and HEAD and a failed If-Range have no parts", async () => {
  assert.equal((await get({ range: "bytes=3000-,4000-4001" })).status, 416);
  assert.equal((await get({ range: "bytes=0-1,nonsense" })).status, 416);
  const many = Array.from({ length: 33 }, (_, at) => `${at * 3}-${at * 3}`);
  assert.equal((await get({ range: `bytes=${many.join(",")}` })).status, 200);
  assert.equal((await get({ range: `bytes=${many.slice(1).join(",")}` })).status, 206);
  assert.equal((await get({ range: "bytes=0-1,5-6" }, "HEAD")).status, 200);
  assert.equal((await get({ range: "bytes=0-1,5-6", "if-range": '"other"' })).status, 200);
});

test("random sets of parts give the object's own bytes, while frames are replaced", async () => {
  const part = fc.tuple(fc.nat(2999), fc.nat(200)).map(([first, more]) => `${first}-${first + more}`);
  await fc.assert(
    fc.asyncProperty(fc.array(part, { minLength: 2, maxLength: 12 }), async (parts) => {
      const answer = await get({ range: `bytes=${parts.join(",")}` });
      assert.equal(answer.status, 206);
      const single = /^bytes (\d+)-(\d+)\//.exec(String(answer.headers["content-range"]));
      const got = single
        ? [{ first: Number(single[1]), last: Number(single[2]), bytes: answer.body }]
        : parseMultipart(answer.body, String(answer.headers["content-type"]));
      for (const { first, last, bytes } of got) assert.ok(bytes.equals(content.subarray(first, last + 1)), `${first}-${last}`);
    }),
    { numRuns: 200 },
  );
});

const rows: [name: string, lines: string[], expected: RegExp][] = [
  ["a tag that is ours", ["If-None-Match: $ETAG"], /^HTTP\/1\.1 304 /],
  ["a weak form of our tag", ["If-None-Match: W/$ETAG"], /^HTTP\/1\.1 304 /],
  ["a list with our tag", ['If-None-Match: "a", $ETAG , "b"'], /^HTTP\/1\.1 304 /],
  ["any tag", ["If-None-Match: *"], /^HTTP\/1\.1 304 /],
  ["another tag", ['If-None-Match: "a"'], /^HTTP\/1\.1 200 /],
  ["a tag goes before a date", ['If-None-Match: "a"', "If-Modified-Since: $DATE"], /^HTTP\/1\.1 200 /],
  ["our date", ["If-Modified-Since: $DATE"], /^HTTP\/1\.1 304 /],
  ["a date that is none", ["If-Modified-Since: yesterday"], /^HTTP\/1\.1 200 /],
  ["a match that fails", ['If-Match: "a"'], /^HTTP\/1\.1 412 /],
  ["a match by a weak tag", ["If-Match: W/$ETAG"], /^HTTP\/1\.1 412 /],
  ["a match, then no match", ["If-Match: $ETAG", "If-None-Match: $ETAG"], /^HTTP\/1\.1 304 /],
  ["too old", ["If-Unmodified-Since: Thu, 01 Jan 1970 00:00:01 GMT"], /^HTTP\/1\.1 412 /],
  ["a match goes before a date", ["If-Match: $ETAG", "If-Unmodified-Since: Thu, 01 Jan 1970 00:00:01 GMT"], /^HTTP\/1\.1 200 /],
  ["a condition goes before a range", ["If-None-Match: $ETAG", "Range: bytes=9999-"], /^HTTP\/1\.1 304 /],
  ["a range on our tag", ["Range: bytes=0-1", "If-Range: $ETAG"], /^HTTP\/1\.1 206 /],
  ["a range on our date", ["Range: bytes=0-1", "If-Range: $DATE"], /^HTTP\/1\.1 206 /],
  ["a range on a weak tag", ["Range: bytes=0-1", "If-Range: W/$ETAG"], /^HTTP\/1\.1 200 /],
  ["a range that no byte satisfies, on another tag", ["Range: bytes=9999-", 'If-Range: "a"'], /^HTTP\/1\.1 200 /],
  ["a range that no byte satisfies", ["Range: bytes=9999-"], /^HTTP\/1\.1 416 [^]*Content-Range: bytes \*\/3000\r\n/],
  ["Expect", ["Expect: 100-continue"], /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 /],
  ["a body that nobody asked for", ["Content-Length: 5"], /^HTTP\/1\.1 200 /],
];
for (const [name, lines, expected] of rows) {
  test(`over a socket: ${name}`, async () => {
    const { headers } = await get({}, "HEAD");
    const head = lines.join("\r\n").replaceAll("$ETAG", String(headers["etag"])).replaceAll("$DATE", String(headers["last-modified"]));
    const { text } = await sendRaw(
      appliance.url,
      `GET /film.mp4 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${head}\r\n\r\n${head.includes("Content-Length") ? "hello" : ""}`,
    );
    // Not the body: nobody could read it in a report.
    assert.match(text.slice(0, 700), expected);
  });
}

test("what a player names as its next in CMCD is in memory when it asks", async () => {
  // 64 frames hold 832 bytes: after the whole film its middle is out, all of it or nearly.
  await get({});
  const warmed = await readMetric(appliance, "millrace_warmed_chunks_total");
  const hint = encodeURIComponent('bl=100,nor="film.mp4",nrr="1300-1340"');
  const asked = await request(`${appliance.url}film.mp4?CMCD=${hint}`, { headers: { range: "bytes=2990-2999" } });
  await asked.body.dump();
  await waitUntil("chunks are warmed", async () => (await readMetric(appliance, "millrace_warmed_chunks_total")) > warmed);
  await waitUntil("nothing is read any more", async () => (await readStatus(appliance)).memory.pinned === 0);
  const warmedBy = await readMetric(appliance, "millrace_warmed_chunks_total");
  assert.ok(warmedBy <= warmed + 4);
  const line = 'millrace_chunks_served_total{from="disk"}';
  const fromDisk = await readMetric(appliance, line);
  assert.ok((await get({ range: "bytes=1300-1340" })).body.equals(content.subarray(1300, 1341)));
  assert.equal(await readMetric(appliance, line), fromDisk);
  // A hint on what is here already costs nothing, and one that names another host is not followed.
  for (const cmcd of ['nrr="1300-1340"', 'nor="http://other.example/film.mp4"', 'nor="nothing.mp4"', 'nrr="x"']) {
    assert.equal((await get({ range: "bytes=0-1", "cmcd-request": cmcd })).status, 206);
  }
  assert.equal(await readMetric(appliance, "millrace_warmed_chunks_total"), warmedBy);
});

test("clients that the settings deny, or do not allow, get 403", async () => {
  for (const [name, clients, status] of [
    ["denied", { deny: ["127.0.0.0/8"] }, 403],
    ["not-allowed", { allow: ["198.51.100.0/24"] }, 403],
    ["allowed", { allow: ["127.0.0.1"], deny: ["198.51.100.0/24"] }, 200],
  ] as const) {
    mkdirSync(join(folder, name));
    const other = await startAppliance({ folder: join(folder, name), upstreams: [`file://${folder}/origin/`], settings: { clients } });
    assert.equal((await fetch(`${other.url}film.mp4`)).status, status, name);
    assert.equal(await readMetric(other, 'millrace_requests_refused_total{reason="client-refused"}'), status === 403 ? 1 : 0);
    assert.equal((await other.stop()).code, 0);
  }
});

test("the access log has a line of JSON for every answer, without tokens, and goes on in a new file after SIGHUP", async () => {
  mkdirSync(join(folder, "logged"));
  const path = join(folder, "logged", "access.log");
  const secret = "the secret of the test";
  const other = await startAppliance({
    folder: join(folder, "logged"),
    upstreams: [`file://${folder}/origin/`],
    settings: { accessLog: { path }, tokens: { keys: [{ id: "k1", secret }] } },
  });
  const linesOf = (file: string) =>
    readFileSync(file, "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  const token = makePlaybackToken({ expiresUnixS: 4e9, pathPrefix: "" }, { id: "k1", secret });
  await (await fetch(`${other.url}~${token}/film.mp4`, { headers: { range: "bytes=0-99" } })).arrayBuffer();
  await (await fetch(`${other.url}~x/film.mp4`)).arrayBuffer();
  await (await fetch(`${other.url}nothing`, { method: "HEAD" })).arrayBuffer();
  const lines = await waitUntil("the lines are written", () => existsSync(path) && linesOf(path).length === 3 && linesOf(path));
  const sorted = lines.map(({ method, path, status, bytes, client }) => [method, path, status, bytes, client]);
  assert.deepEqual(
    sorted.toSorted((a, b) => Number(a[2]) - Number(b[2])),
    [
      ["GET", "/film.mp4", 206, 100, "127.0.0.1"],
      ["GET", "/film.mp4", 403, 0, "127.0.0.1"],
      ["HEAD", "/nothing", 404, 0, "127.0.0.1"],
    ],
  );
  renameSync(path, `${path}.1`);
  process.kill(other.pid, "SIGHUP");
  await waitUntil("a new file is there", () => existsSync(path));
  await waitUntil("the next line is in it", async () => {
    await (await fetch(`${other.url}film.mp4`, { headers: { connection: "close" } })).arrayBuffer();
    return readFileSync(path, "utf8").includes('"status":200,"bytes":3000');
  });
  assert.equal(linesOf(`${path}.1`).length, 3);
  assert.equal((await other.stop()).code, 0);
});

test("pipelined requests are answered in their order when their chunks are in memory", async () => {
  await get({ range: "bytes=0-3" });
  const requests = [0, 1, 2, 3].map((at) => {
    const last = at === 3 ? "Connection: close\r\n" : "";
    return `GET /film.mp4 HTTP/1.1\r\nHost: x\r\nRange: bytes=${at}-${at}\r\n${last}\r\n`;
  });
  const { text } = await sendRaw(appliance.url, requests.join(""));
  assert.deepEqual(
    [...text.matchAll(/Content-Range: bytes (\d)-/g)].map(([, first]) => first),
    ["0", "1", "2", "3"],
  );
});

test("Connection: close is obeyed, and a connection is kept without it", async () => {
  const close = await sendRaw(appliance.url, "GET /film.mp4 HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1\r\nConnection: close\r\n\r\n");
  assert.equal(close.ended, "server");
  const kept = await sendRaw(appliance.url, "GET /film.mp4 HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1\r\n\r\n", { silenceMs: 500 });
  assert.match(kept.text, /^HTTP\/1\.1 206 /);
  assert.equal(kept.ended, "silence");
});

test("HTTP/1.0 is refused with 505, and so is a request without a Host", async () => {
  assert.match((await sendRaw(appliance.url, "GET /film.mp4 HTTP/1.0\r\n\r\n")).text, /^HTTP\/1\.1 505 /);
  assert.match((await sendRaw(appliance.url, "GET /film.mp4 HTTP/1.1\r\nX: y\r\n\r\n")).text, /^HTTP\/1\.1 400 /);
});

const oddRequests: [name: string, request: string, statuses: string[]][] = [
  ["lines that end in LF alone", "GET /film.mp4 HTTP/1.1\nHost: x\nConnection: close\n\n", ["505"]],
  ["a target in absolute form", "GET http://x/film.mp4 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", ["505"]],
  ["OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", ["505"]],
  ["OPTIONS of a path", "OPTIONS /film.mp4 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", ["204"]],
  ["the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ["505"]],
  ["HTTP/1.2", "GET /film.mp4 HTTP/1.2\r\nHost: x\r\n\r\n", ["505"]],
  ["TRACE", "TRACE /film.mp4 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", ["405"]],
  ["PUT with a body", "PUT /film.mp4 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc", ["405"]],
  ["a method that is none", "BREW /film.mp4 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", ["405"]],
  [
    "a body in chunks",
    "HEAD /film.mp4 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    ["200"],
  ],
  [
    "a length and chunks: a second request that hides in the body is none",
    "HEAD /film.mp4 HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: x\r\n\r\n",
    ["400"],
  ],
  ["a header that is folded", "GET /film.mp4 HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n", []],
  ["a blank before a colon", "GET /film.mp4 HTTP/1.1\r\nHost: x\r\nRange : bytes=0-1\r\n\r\n", []],
  ["a zero byte in a header", "GET /film.mp4 HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n", []],
  ["an expectation that is none", "HEAD /film.mp4 HTTP/1.1\r\nHost: x\r\nExpect: tea\r\nConnection: close\r\n\r\n", ["200"]],
  ["an upgrade to HTTP/2", "HEAD /film.mp4 HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", ["200"]],
];
for (const [name, text, statuses] of oddRequests) {
  test(`odd requests: ${name}: ${statuses.join(", ") || "no answer"}`, async () => {
    await get({}, "HEAD");
    const answer = await sendRaw(appliance.url, text, { silenceMs: 1000 });
    assert.deepEqual(
      [...answer.text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => status),
      statuses,
    );
    assert.equal((await get({ range: "bytes=0-0" })).status, 206, "others are served");
  });
}

test("a client that has sent all and closed its side is not answered, and leaves nothing behind", async () => {
  const { text } = await sendRaw(appliance.url, "GET /film.mp4 HTTP/1.1\r\nHost: x\r\n\r\n", { halfClose: true });
  assert.ok(text === "" || text.startsWith("HTTP/1.1 200 "), text.slice(0, 50));
  await waitUntil("nothing is under way", async () => (await readStatus(appliance)).requests.underWay === 0);
});

test("slow headers: a request that never ends is closed within 20 s", async () => {
  const { ended } = await sendRaw(appliance.url, "GET /film.mp4 HTTP/1.1\r\nHost: x\r\nX-Slow: ", { silenceMs: 20_000 });
  assert.equal(ended, "server");
});
