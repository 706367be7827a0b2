// What an appliance does with wrong settings, and with clients that are wrong or hostile.
import assert from "node:assert/strict";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer, connect, type AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { runMillrace, startMillrace } from "./support/run-millrace.js";
import { readStatus, startAppliance, writeApplianceSettings, type ApplianceFixture } from "./support/start-appliance.js";
import { temporaryFolder } from "./support/temporary-folder.js";
import { waitUntil } from "./support/wait-until.js";

const folder = temporaryFolder();
const origin = join(folder, "origin");
const film = Buffer.alloc(300_000, "film");
let appliance: ApplianceFixture;

before(async () => {
  mkdirSync(origin);
  writeFileSync(join(origin, "film.mp4"), film);
  writeFileSync(join(folder, "secret.txt"), "secret");
  appliance = await startAppliance({ folder: join(folder, "running"), upstreams: [`file://${origin}/`] });
});
after(async () => {
  const { code, stderr } = await appliance.stop();
  assert.equal(code, 0, stderr);
});

async function failureOf(settings: Record<string, unknown>, change: (text: string) => void = () => {}) {
  const file = writeApplianceSettings({ folder: join(folder, "failing"), upstreams: [`file://${origin}/`], settings });
  change(file);
  const { code, stderr } = await runMillrace(["appliance", "--config", file]);
  assert.equal(code, 1, stderr);
  assert.doesNotMatch(stderr, /\n\s+at /, "a stack trace is no message for a person");
  return stderr;
}

test("settings: an unknown key is named with its line, and so is a bad value", async () => {
  assert.match(await failureOf({ lissten: {} }), /appliance\.yaml:\d+:\d+: Unknown key "lissten"/);
  assert.match(await failureOf({ chunk: "lots" }), /appliance\.yaml:\d+:\d+: chunk: Expected an amount of bytes/);
  assert.match(await failureOf({ miss: "guess" }), /appliance\.yaml:\d+:\d+: miss/);
  assert.match(await failureOf({ upstreams: [{ url: "gopher://x" }] }), /Cannot use upstream gopher:\/\/x/);
  assert.match(await failureOf({ controlPlane: { url: "http://x" } }), /expected grpc:\/\/host:port/);
});

test("settings: no file, and no option, are told apart", async () => {
  const missing = await runMillrace(["appliance", "--config", join(folder, "none.yaml")]);
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, /Cannot read settings file .*none\.yaml/);
  const mistyped = await runMillrace(["appliance", "--config", "x", "--confg", "y"]);
  assert.equal(mistyped.code, 2);
  assert.match(mistyped.stderr, /unknown option '--confg'/);
});

test("disks: a path that is not there, and one that holds something else, are refused by name", async () => {
  const missing = join(folder, "not-mounted");
  assert.match(await failureOf({ disks: [{ path: missing, size: "1GiB" }] }), new RegExp(`Cannot use disk ${missing}: ENOENT`));
  assert.match(await failureOf({ disks: [{ path: origin, size: "1GiB" }] }), /has no disk\.json but holds film\.mp4/);
});

test("an index made for another chunk size is refused, and so is a second appliance on one index", async () => {
  const other = join(folder, "other");
  await (await startAppliance({ folder: other, upstreams: [`file://${origin}/`], chunk: 4096 })).stop();
  const wrongChunk = writeApplianceSettings({ folder: other, upstreams: [`file://${origin}/`], chunk: 8192 });
  assert.match((await runMillrace(["appliance", "--config", wrongChunk])).stderr, /chunks of 4096 bytes, and this appliance has .* 8192/);
  const twin = writeApplianceSettings({ folder: join(folder, "running"), upstreams: [`file://${origin}/`] });
  assert.match((await runMillrace(["appliance", "--config", twin])).stderr, /another appliance is running on it/);
});

test("a port that somebody has is named, for data and for admin", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  assert.match(await failureOf({ listen: { port } }), new RegExp(`Cannot listen on 127\\.0\\.0\\.1:${port}: the port is taken`));
  assert.match(await failureOf({ admin: { port } }), new RegExp(`Cannot listen on 127\\.0\\.0\\.1:${port}: the port is taken`));
  server.close();
});

test("a disk that was here before and is gone does not keep the appliance from starting", async () => {
  const warm = join(folder, "warm");
  await (await startAppliance({ folder: warm, upstreams: [`file://${origin}/`] })).stop();
  const file = writeApplianceSettings({ folder: warm, upstreams: [`file://${origin}/`] });
  rmSync(join(warm, "disk2"), { recursive: true });
  const again = await startMillrace(["appliance", "--config", file]);
  const adminUrl = `http://127.0.0.1:${again.ready["adminPort"]}/`;
  assert.deepEqual(
    (await readStatus({ adminUrl })).disks.map(({ state }) => state),
    ["online", "offline"],
  );
  const answer = await fetch(`${again.ready["dataUrl"]}film.mp4`);
  assert.ok(Buffer.from(await answer.arrayBuffer()).equals(film));
  assert.equal((await again.stop()).code, 0);
});

/** Sends bytes as they are; resolves to all that comes back until the other side closes, or falls silent. */
function sendRaw(text: string | Buffer, silenceMs = 1500): Promise<string> {
  const { hostname, port } = new URL(appliance.url);
  return new Promise((resolve) => {
    let answer = "";
    const socket = connect(Number(port), hostname, () => socket.write(text));
    socket.setTimeout(silenceMs, () => socket.destroy());
    socket.on("data", (data) => (answer += data.toString("latin1")));
    socket.on("error", () => {});
    socket.on("close", () => resolve(answer));
  });
}

test("paths with dots, encoded or not, never leave the root", async () => {
  for (const path of [
    "/../secret.txt",
    "/a/../../secret.txt",
    "/%2e%2e/secret.txt",
    "/%2e%2e%2fsecret.txt",
    "/..%5csecret.txt",
    "//etc/passwd",
    "/film.mp4/../../secret.txt",
  ]) {
    const answer = await sendRaw(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    assert.match(answer, /^HTTP\/1\.1 400 /, path);
    assert.doesNotMatch(answer, /secret\n?$/);
  }
});

test("malformed requests are refused or dropped, and hurt nobody", async () => {
  const bad = [
    "\r\n\r\n",
    "GET\r\n\r\n",
    "GET /film.mp4\r\n\r\n",
    "GET /film.mp4 HTTP/9.9\r\nHost: x\r\n\r\n",
    "nonsense nonsense nonsense\r\n\r\n",
    "\u0000\u0001\u0002\r\n\r\n",
    `GET /${"a".repeat(5000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
    "GET /film.mp4 HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
    "GET /film.mp4 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
  ];
  for (const text of bad) {
    const answer = await sendRaw(text);
    assert.doesNotMatch(answer, /^HTTP\/1\.1 2/, JSON.stringify(text.slice(0, 60)));
  }
  const answer = await fetch(`${appliance.url}film.mp4`);
  assert.ok(Buffer.from(await answer.arrayBuffer()).equals(film));
});

test("10 MB of headers are cut off early, and hurt nobody", async () => {
  const line = `X-Padding: ${"p".repeat(1000)}\r\n`;
  const answer = await sendRaw(`GET /film.mp4 HTTP/1.1\r\nHost: x\r\n${line.repeat(10_000)}\r\n`);
  assert.ok(answer === "" || answer.startsWith("HTTP/1.1 431 "), answer.slice(0, 100));
  assert.equal((await fetch(`${appliance.url}film.mp4`, { method: "HEAD" })).status, 200);
});

test("clients that leave in mid-body leave nothing pinned", async () => {
  const { hostname, port } = new URL(appliance.url);
  await Promise.all(
    Array.from({ length: 50 }, () => {
      return new Promise<void>((resolve) => {
        const socket = connect(Number(port), hostname, () => socket.write("GET /film.mp4 HTTP/1.1\r\nHost: x\r\n\r\n"));
        socket.once("data", () => socket.destroy());
        socket.on("error", () => {});
        socket.on("close", () => resolve());
      });
    }),
  );
  await waitUntil("nothing is pinned or under way", async () => {
    const { memory, requests } = await readStatus(appliance);
    return memory.pinned === 0 && requests.underWay === 0;
  });
});
