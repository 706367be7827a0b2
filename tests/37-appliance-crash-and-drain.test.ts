// A serving worker that crashes, and an appliance that is drained: what clients see, and what is left behind.
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { runMillrace, startMillrace } from "./support/run-millrace.js";
import { readMetric, readStatus, startAppliance, writeApplianceSettings, type ApplianceFixture } from "./support/start-appliance.js";
import { temporaryFolder } from "./support/temporary-folder.js";
import { waitUntil } from "./support/wait-until.js";

const folder = temporaryFolder();
const film = Buffer.alloc(12_000_000, "0123456789abcdef");
mkdirSync(join(folder, "origin"));
writeFileSync(join(folder, "origin", "film.mp4"), film);

async function start(
  t: TestContext,
  name: string,
  settings: Record<string, unknown> = {},
  env: NodeJS.ProcessEnv = {},
): Promise<ApplianceFixture> {
  mkdirSync(join(folder, name));
  const appliance = await startAppliance({
    folder: join(folder, name),
    upstreams: [`file://${folder}/origin/`],
    settings: { ram: "32MiB", ...settings },
    env: { MILLRACE_FAULTS: "crash", ...env },
  });
  t.after(() => appliance.kill());
  return appliance;
}

/** A client that asks for the film and reads nothing until it is told to. */
async function openStalled({ url }: ApplianceFixture): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.on("error", () => {});
  socket.pause();
  socket.write("GET /film.mp4 HTTP/1.1\r\nHost: x\r\n\r\n");
  return socket;
}

const isWhole = async ({ url }: Pick<ApplianceFixture, "url">) => {
  const answer = await fetch(`${url}film.mp4`, { headers: { connection: "close" } });
  return Buffer.from(await answer.arrayBuffer()).equals(film);
};

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, "127.0.0.1", resolve));
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

function askToDrain({ adminUrl }: { adminUrl: string }): Promise<Response> {
  return fetch(`${adminUrl}drain`, { method: "POST", headers: { "content-type": "application/json" }, body: "{}" });
}

test("a crash of a serving worker is logged, its pins are taken back, and it serves again", async (t) => {
  const appliance = await start(t, "crash");
  assert.ok(await isWhole(appliance));
  const stalled = await Promise.all(Array.from({ length: 12 }, () => openStalled(appliance)));
  await waitUntil("the stalled responses pin frames", async () => (await readStatus(appliance)).requests.underWay === stalled.length);
  for (let crashes = 1; crashes <= 3; crashes++) {
    await assert.rejects(fetch(`${appliance.url}.millrace/faults/crash`));
    await waitUntil("the worker is up again", () => appliance.log().split("a serving worker is up again").length === crashes + 1);
    assert.equal(await readMetric(appliance, "millrace_worker_crashes_total"), crashes);
    for (let look = 0; look < 8; look++) assert.ok(await isWhole(appliance));
  }
  assert.match(appliance.log(), /Crashed as it was asked to[^\n]*"msg":"a serving worker has crashed"/);
  for (const socket of stalled) socket.destroy();
  await waitUntil("nothing is under way or pinned", async () => {
    const { memory, requests } = await readStatus(appliance);
    return memory.pinned === 0 && requests.underWay === 0;
  });
  const { code, stderr } = await appliance.stop();
  assert.equal(code, 0, stderr);
});

test("a serving worker whose heap fills up ends in order before it is full, and only it", async (t) => {
  const appliance = await start(t, "leak", {}, { NODE_OPTIONS: "--max-old-space-size=256" });
  assert.ok(await isWhole(appliance));
  assert.equal((await fetch(`${appliance.url}.millrace/faults/leak`)).status, 404);
  await waitUntil("the worker is up again", () => appliance.log().includes("a serving worker is up again"), 30_000);
  assert.match(appliance.log(), /The heap of this thread is full: \d+ of \d+ MiB/);
  for (let look = 0; look < 8; look++) assert.ok(await isWhole(appliance));
  assert.equal(await readMetric(appliance, "millrace_worker_crashes_total"), 1);
  assert.equal((await appliance.stop()).code, 0);
});

test("workers that crash again and again end the process, so that its supervisor sees it", async (t) => {
  const appliance = await start(t, "crash-loop");
  let over = false;
  void appliance.ended.then(() => (over = true));
  await waitUntil("the process has ended", async () => {
    await fetch(`${appliance.url}.millrace/faults/crash`).catch(() => {});
    return over;
  });
  assert.match(appliance.log(), /serving workers crash again and again/);
});

test("millrace appliance --supervise starts a killed appliance again at once, warm, and passes on what it is told", async (t) => {
  mkdirSync(join(folder, "supervised"));
  const port = await freePort();
  const adminPort = await freePort();
  const settings = { listen: { port }, admin: { port: adminPort }, drain: { deadline: "5s" } };
  const config = writeApplianceSettings({ folder: join(folder, "supervised"), upstreams: [`file://${folder}/origin/`], settings });
  const supervisor = await startMillrace(["appliance", "--config", config, "--supervise"]);
  t.after(() => supervisor.kill());
  const appliance = { url: `http://127.0.0.1:${port}/`, adminUrl: `http://127.0.0.1:${adminPort}/` };
  const pidOf = async () => ((await (await fetch(`${appliance.adminUrl}status`)).json()) as { pid: number }).pid;
  assert.ok(await isWhole(appliance));
  const first = await pidOf();
  process.kill(first, "SIGKILL");
  const second = await waitUntil("another process answers", async () => {
    const pid = await pidOf().catch(() => first);
    return pid !== first && pid;
  });
  await waitUntil("it is ready", async () => (await fetch(`${appliance.adminUrl}readyz`)).ok);
  assert.ok(await isWhole(appliance));
  assert.match(supervisor.log(), /the process has died; it is started again","how":"SIGKILL","deaths":1/);
  const { code, stderr } = await supervisor.stop();
  assert.equal(code, 0, stderr);
  assert.throws(() => process.kill(second, 0), "it is gone with its supervisor");
});

test("a supervised appliance that cannot start says why, once", async () => {
  const config = writeApplianceSettings({ folder: join(folder, "refused"), upstreams: ["gopher://x/"] });
  const { code, stderr } = await runMillrace(["appliance", "--config", config, "--supervise"]);
  assert.equal(code, 1);
  assert.equal(stderr.split("Cannot use upstream").length, 2, stderr);
});

test("millrace drain: not ready at once, what is under way is finished, what is left is told, and the exit code is 0", async (t) => {
  const appliance = await start(t, "drain", { drain: { deadline: "20s" } });
  assert.ok(await isWhole(appliance));
  const socket = await openStalled(appliance);
  let received = 0;
  await waitUntil("a response is under way", async () => (await readStatus(appliance)).requests.underWay === 1);
  const draining = runMillrace(["drain", "--admin", appliance.adminUrl]);
  await waitUntil("it says that it drains", async () => {
    const { state, drain } = (await (await fetch(`${appliance.adminUrl}status`)).json()) as {
      state: string;
      drain: { responsesLeft: number } | null;
    };
    return state === "draining" && drain?.responsesLeft === 1;
  });
  assert.equal((await fetch(`${appliance.adminUrl}readyz`)).status, 503);
  await assert.rejects(fetch(`${appliance.url}film.mp4`), "no new connection is taken");
  // Asking again is not asking to stop at once.
  assert.equal((await askToDrain(appliance)).status, 200);
  socket.on("data", (data) => (received += data.length));
  socket.resume();
  const { code, stdout } = await draining;
  assert.equal(code, 0);
  assert.match(stdout, /^draining\n[^]*1 responses left, 0 sessions seen within a minute\n[^]*stopped\n$/);
  assert.equal(await appliance.ended, 0);
  assert.ok(received > film.length, `${received} bytes`);
});

test("while an appliance drains, an answer on a kept connection says that it is the last", async (t) => {
  const appliance = await start(t, "keep-alive");
  const stalled = await openStalled(appliance);
  const { hostname, port } = new URL(appliance.url);
  // Both workers may hold either: one kept connection each is enough, since it is its own worker that answers.
  const kept = connect(Number(port), hostname);
  const ask = async () => {
    kept.write("GET /film.mp4 HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1\r\n\r\n");
    return await new Promise<string>((resolve) => kept.once("data", (data) => resolve(data.toString("latin1"))));
  };
  assert.doesNotMatch(await ask(), /Connection: close/);
  await waitUntil("a response is under way", async () => (await readStatus(appliance)).requests.underWay >= 1);
  await askToDrain(appliance);
  await waitUntil("an answer says that it is the last", async () => (await ask()).includes("\r\nConnection: close\r\n"));
  kept.destroy();
  stalled.resume();
  assert.equal(await appliance.ended, 0);
});

test("a response that is not done at the deadline is cut off, and the exit code is still 0", async (t) => {
  const appliance = await start(t, "deadline", { drain: { deadline: "500ms" } });
  const socket = await openStalled(appliance);
  await waitUntil("a response is under way", async () => (await readStatus(appliance)).requests.underWay === 1);
  const { code, stderr } = await appliance.stop();
  assert.equal(code, 0);
  assert.match(stderr, /"cutOff":1/);
  socket.destroy();
});
