// A serving worker that crashes, and an appliance that is drained: what clients see, and what is left behind.
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { runMillrace } from "./support/run-millrace.js";
import { readMetric, readStatus, startAppliance, type ApplianceFixture } from "./support/start-appliance.js";
import { temporaryFolder } from "./support/temporary-folder.js";
import { waitUntil } from "./support/wait-until.js";

const folder = temporaryFolder();
const film = Buffer.alloc(12_000_000, "0123456789abcdef");
mkdirSync(join(folder, "origin"));
writeFileSync(join(folder, "origin", "film.mp4"), film);

async function start(t: TestContext, name: string, settings: Record<string, unknown> = {}): Promise<ApplianceFixture> {
  mkdirSync(join(folder, name));
  const appliance = await startAppliance({
    folder: join(folder, name),
    upstreams: [`file://${folder}/origin/`],
    settings: { ram: "32MiB", ...settings },
    env: { MILLRACE_FAULTS: "crash" },
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

const isWhole = async ({ url }: ApplianceFixture) => {
  const answer = await fetch(`${url}film.mp4`, { headers: { connection: "close" } });
  return Buffer.from(await answer.arrayBuffer()).equals(film);
};

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
  assert.match(stdout, /^draining\n[^]*1 responses left\n[^]*stopped\n$/);
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
