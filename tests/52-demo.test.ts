// `npm start`: free ports when the usual ones are taken, warm at the second start, and gone within five seconds of Ctrl-C.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { usualPorts } from "../cli/demo/plan-network.js";
import { packageRoot } from "../runtime/package-root.js";
import { readMetric, readStatus } from "./support/start-appliance.js";
import { isAlive, startDemo, type RunningDemo } from "./support/start-demo.js";
import { temporaryFolder } from "./support/temporary-folder.js";
import { waitUntil } from "./support/wait-until.js";

const folder = temporaryFolder();

function pidsOf(demo: RunningDemo): number[] {
  return Object.values(demo.processes).map((pid) => pid!);
}

test("npm start is the demo", () => {
  const { scripts } = JSON.parse(readFileSync(join(packageRoot, "package.json"), "utf8")) as { scripts: Record<string, string> };
  assert.match(scripts["start"]!, /millrace\.cjs demo$/);
});

test("a first start with the usual ports taken, Ctrl-C, and a second start that is warm", async () => {
  // Whoever has a port already leaves it taken: that is all this test needs.
  const squatters = await Promise.all(
    [usualPorts.gateway, usualPorts.edge1, usualPorts.controlPlane].map((port) => {
      const server = createServer();
      return new Promise<typeof server>((resolve) =>
        server.once("error", () => resolve(server)).listen(port, "127.0.0.1", () => resolve(server)),
      );
    }),
  );
  const first = await startDemo(folder);
  assert.notEqual(new URL(first.gateway).port, String(usualPorts.gateway));
  for (const page of [first.player, first.console]) assert.equal((await fetch(page)).status, 200, page);
  for (const { name, data, admin } of first.appliances) {
    assert.equal((await fetch(`${data}clock/master.m3u8`)).status, 200, name);
    assert.equal((await fetch(`${admin}readyz`)).status, 200, name);
    await waitUntil(`${name} holds the film`, async () => (await readStatus({ adminUrl: admin })).fill?.objectsHeld === 10);
  }
  const stopped = await first.interrupt();
  assert.equal(stopped.code, 0);
  assert.ok(stopped.tookMs < 5000, `it took ${stopped.tookMs} ms`);
  assert.deepEqual(pidsOf(first).filter(isAlive), []);
  for (const server of squatters) server.close();

  const second = await startDemo(folder);
  for (const { name, data, admin } of second.appliances) {
    assert.equal((await fetch(`${data}clock/video-540p.mp4`)).status, 200, name);
    assert.equal(await readMetric({ adminUrl: admin }, "millrace_fill_fetches_total"), 0, `${name} is warm`);
  }
  assert.equal((await second.interrupt()).code, 0);
});

test("a demo that is killed leaves no process behind", async () => {
  const demo = await startDemo(folder);
  demo.child.kill("SIGKILL");
  await waitUntil("every process is gone", () => !pidsOf(demo).some(isAlive), 10_000);
});
