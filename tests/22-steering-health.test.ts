// Who is unhealthy is out of steering's answers within ten seconds: real appliances that are killed, lose a disk, or are drained by an operator.
import assert from "node:assert/strict";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { stringify } from "yaml";
import { ControlPlaneClient } from "../control-plane/control-plane-client.js";
import { runMillrace, startMillrace } from "./support/run-millrace.js";
import { startAppliance, readStatus } from "./support/start-appliance.js";
import { joinFleet } from "./support/talking-appliance.js";
import { temporaryFolder } from "./support/temporary-folder.js";
import { waitUntil } from "./support/wait-until.js";

/** The promise, with the settings that an operator gets when nothing is set. */
const outWithinMs = 10_000;

async function openNetwork(t: TestContext, fleet: Record<string, unknown> = {}) {
  const folder = temporaryFolder();
  const config = join(folder, "control-plane.yaml");
  const sites = [{ id: "isp-1", prefixes: ["127.0.0.0/8"] }, { id: "isp-2" }];
  const decisionLog = { file: join(folder, "decisions.jsonl") };
  writeFileSync(
    config,
    stringify({ listen: { port: 0 }, admin: { port: 0 }, database: `sqlite:${folder}/cp.db`, sites, fleet, steering: { decisionLog } }),
  );
  const running = await startMillrace(["control-plane", "--config", config]);
  t.after(() => running.kill());
  const grpcPort = Number(running.ready["grpcPort"]);
  const url = `grpc://127.0.0.1:${grpcPort}`;
  const client = new ControlPlaneClient(url, { deadlineMs: 10_000 });
  t.after(() => client.close());
  const rank = (more = {}) =>
    client.rankAppliances({ clientAddress: "127.0.0.1", paths: ["x"], everyBox: true, sessionId: "", bitsPerSecond: 0n, ...more });
  const sitesNow = async () => (await rank()).ranked.map(({ siteId }) => siteId).join();
  const start = async (name: string, site: string) => {
    const origin = join(folder, "origin");
    mkdirSync(origin, { recursive: true });
    const appliance = await startAppliance({
      folder: join(folder, name),
      upstreams: [`file://${origin}/`],
      settings: { controlPlane: { url }, site: { id: site, cluster: `${site}-a`, role: "edge" }, workers: 1 },
    });
    t.after(() => appliance.kill());
    return { ...appliance, folder: join(folder, name), id: (await readStatus(appliance)).applianceId };
  };
  return { folder, url, grpcPort, client, rank, sitesNow, start, log: () => running.log(), running };
}

test("a killed appliance, and one that has lost half of its disks, are out of the answers within ten seconds", async (t) => {
  const network = await openNetwork(t);
  const [first, second] = [await network.start("first", "isp-1"), await network.start("second", "isp-2")];
  await waitUntil("both are ranked", async () => (await network.sitesNow()) === "isp-1,isp-2", 30_000);
  rmSync(join(first.folder, "disk1"), { recursive: true });
  await waitUntil("the one with a lost disk is out", async () => (await network.sitesNow()) === "isp-2", outWithinMs);
  const { rejected } = await network.rank();
  assert.match(rejected[0]!.reason, /^disks: 1 of 2 are suspect or offline$/);
  await second.kill();
  await waitUntil("the killed one is out", async () => (await network.sitesNow()) === "", outWithinMs);
});

test("an operator's order drains until the next one; maintenance begins and ends by the clock", async (t) => {
  const network = await openNetwork(t, { heartbeatEvery: "200ms", expiresAfter: "2s", drainedAfter: "1s" });
  await joinFleet(t, network.grpcPort, { id: "a", siteId: "isp-1", holds: [] });
  await joinFleet(t, network.grpcPort, { id: "b", siteId: "isp-2", holds: [] });
  assert.equal(await network.sitesNow(), "isp-1,isp-2");
  const fleet = async (...args: string[]) => {
    const { code, stdout, stderr } = await runMillrace(["fleet", ...args, "--control-plane", network.url]);
    assert.equal(code, 0, stderr);
    return stdout;
  };
  await fleet("drain", "a", "--reason", "new fans");
  assert.equal(await network.sitesNow(), "isp-2");
  assert.equal((await network.rank()).rejected[0]!.reason.replace("drained", "draining"), "draining: new fans");
  const rows = async () =>
    JSON.parse(await fleet("list", "--json")) as { id: string; state: string; safeToPowerOff: boolean; drainedInSeconds: number }[];
  await waitUntil("it is drained", async () => (await rows()).find(({ id, state }) => id === "a" && state === "drained")?.safeToPowerOff);
  assert.match(await fleet("list"), /may go/);
  await fleet("resume", "a");
  assert.equal(await network.sitesNow(), "isp-1,isp-2");
  const time = (inMs: number) => new Date(Date.now() + inMs).toISOString();
  const id = (
    await fleet("maintenance", "add", "--site", "isp-1", "--from", time(-1000), "--until", time(3_600_000), "--reason", "power")
  ).trim();
  assert.equal(await network.sitesNow(), "isp-2");
  assert.match(await fleet("maintenance", "list"), /site isp-1/);
  await fleet("maintenance", "cancel", id);
  assert.equal(await network.sitesNow(), "isp-1,isp-2");
  const soon = Date.now() + 3000;
  const window = {
    maintenanceId: "",
    applianceId: "a",
    siteId: "",
    fromUnixMs: BigInt(soon),
    untilUnixMs: BigInt(soon + 3000),
    reason: "",
  };
  await network.client.scheduleMaintenance({ maintenance: window });
  assert.equal(await network.sitesNow(), "isp-1,isp-2", "not yet");
  await waitUntil("it begins", async () => (await network.sitesNow()) === "isp-2");
  await waitUntil("it ends", async () => (await network.sitesNow()) === "isp-1,isp-2");
  const unknown = await runMillrace(["fleet", "drain", "nobody", "--control-plane", network.url]);
  assert.equal(unknown.code, 1);
  assert.match(unknown.stderr, /Cannot find appliance nobody/);
});

test("a new box gets players when its turn-up checks are green, from the box and from the server", async (t) => {
  const network = await openNetwork(t, { turnUp: "required" });
  const box = await network.start("box", "isp-1");
  const why = async () => (await network.rank()).rejected[0]?.reason ?? "";
  await waitUntil("it is kept away", async () => (await why()).startsWith("not turned up"), 15_000);
  const doctor = (...args: string[]) =>
    runMillrace(["doctor", "--config", join(box.folder, "appliance.yaml"), "--admin", box.adminUrl, ...args]);
  const red = await doctor("--admin", "http://127.0.0.1:1/", "--json");
  assert.equal(red.code, 1);
  assert.match(red.stderr, /1 check is red/);
  assert.equal(await network.sitesNow(), "");
  const green = await waitUntil("all is green", async () => {
    const answer = await doctor("--json");
    return answer.code === 0 && answer;
  });
  const { turnedUp, server } = JSON.parse(green.stdout) as { turnedUp: boolean; server: { name: string }[] };
  assert.ok(turnedUp);
  assert.deepEqual(
    server.map(({ name }) => name),
    ["port", "tls", "heartbeat", "clock", "disks", "headroom", "routes", "box"],
  );
  assert.equal(await network.sitesNow(), "isp-1");
});

test("millrace steer replay tells from the decision log what a site's loss would move", async (t) => {
  const network = await openNetwork(t, { heartbeatEvery: "200ms", expiresAfter: "2s" });
  await joinFleet(t, network.grpcPort, { id: "a", siteId: "isp-1", holds: ["x"] });
  await joinFleet(t, network.grpcPort, { id: "b", siteId: "isp-2", holds: [] });
  for (let session = 0; session < 5; session++) await network.rank({ sessionId: `s${session}`, everyBox: false });
  assert.equal((await network.client.releaseSession({ sessionId: "s0" })).released, true);
  await network.running.stop();
  const log = join(network.folder, "decisions.jsonl");
  const { stdout, stderr, code } = await runMillrace(["steer", "replay", log, "--without", "isp-1", "--json"]);
  assert.equal(code, 0, stderr);
  const { sessions, moved, misses, lost } = JSON.parse(stdout) as Record<string, number>;
  assert.deepEqual({ sessions, moved, misses, lost }, { sessions: 5, moved: 5, misses: 5, lost: 0 });
  assert.match((await runMillrace(["steer", "replay", log, "--without", "isp-1"])).stdout, /of them miss/);
  assert.equal((await runMillrace(["steer", "replay", log, "--without", "nowhere"])).code, 1);
});
