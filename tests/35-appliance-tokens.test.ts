// An appliance that wants tokens: what it takes, what it refuses and counts, and how its keys are changed while it serves.
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { makePlaybackToken } from "../fill-protocol/playback-token.js";
import { runMillrace } from "./support/run-millrace.js";
import { readMetric, startAppliance, writeApplianceSettings, type ApplianceFixture } from "./support/start-appliance.js";
import { temporaryFolder } from "./support/temporary-folder.js";
import { waitUntil } from "./support/wait-until.js";

const folder = temporaryFolder();
const key = { id: "k1", secret: "the first secret of the test" };
const nextKey = { id: "k2", secret: "the second secret of the test" };
const tokens = { required: true, keys: [key] };
let appliance: ApplianceFixture;

before(async () => {
  mkdirSync(join(folder, "origin", "clock"), { recursive: true });
  writeFileSync(join(folder, "origin", "clock", "master.m3u8"), "#EXTM3U\nvideo.m3u8\n");
  writeFileSync(join(folder, "origin", "clock", "video.m3u8"), "#EXTM3U\n");
  writeFileSync(join(folder, "origin", "other.mp4"), "other");
  appliance = await startAppliance({ folder, upstreams: [`file://${folder}/origin/`], settings: { tokens } });
});
after(async () => {
  const { code, stderr } = await appliance.stop();
  assert.equal(code, 0, stderr);
});

const inAnHour = Math.floor(Date.now() / 1000) + 3600;
const token = (more: object = {}, by = key) => makePlaybackToken({ expiresUnixS: inAnHour, pathPrefix: "clock/", ...more }, by);
const statusOf = async (path: string) => (await fetch(appliance.url + path)).status;

test("a token in the path is inherited by the relative URLs of a playlist, and is no part of the object", async () => {
  const master = await fetch(`${appliance.url}~${token()}/clock/master.m3u8`);
  assert.equal(master.status, 200);
  const [, relative] = (await master.text()).split("\n");
  const video = await fetch(new URL(relative!, master.url));
  assert.equal(video.status, 200);
  // Another token, the same object: no second fetch.
  const fetches = await readMetric(appliance, "millrace_fill_fetches_total");
  assert.equal(await statusOf(`clock/master.m3u8?tk=${token({ session: "s1" })}`), 200);
  assert.equal(await readMetric(appliance, "millrace_fill_fetches_total"), fetches);
});

test("every kind of wrong token is 403, and is counted by its kind", async () => {
  const rows: [reason: string, path: string][] = [
    ["token-missing", "clock/master.m3u8"],
    ["token-malformed", "~x/clock/master.m3u8"],
    ["token-malformed", "clock/master.m3u8?tk=k1.x.y"],
    ["token-unknown-key", `~${token({}, nextKey)}/clock/master.m3u8`],
    ["token-bad-signature", `~${token({}, { ...key, secret: "not the secret" })}/clock/master.m3u8`],
    ["token-expired", `~${token({ expiresUnixS: 1 })}/clock/master.m3u8`],
    ["token-other-path", `~${token()}/other.mp4`],
    ["token-other-path", `~${token()}/.millrace/digests/other.mp4`],
    ["token-other-client", `~${token({ clientPrefix: "198.51.100.0/24" })}/clock/master.m3u8`],
  ];
  for (const [reason, path] of rows) {
    const line = `millrace_requests_refused_total{reason="${reason}"}`;
    const before = await readMetric(appliance, line);
    assert.equal(await statusOf(path), 403, reason);
    assert.equal(await readMetric(appliance, line), before + 1, reason);
  }
  assert.equal(await statusOf(`~${token({ clientPrefix: "127.0.0.0/8" })}/clock/master.m3u8`), 200);
  assert.equal(await statusOf(`~${token()}`), 400);
});

test("SIGHUP brings a second key and a revocation; the first key goes on, and a broken file changes nothing", async () => {
  const change = (settings: object) =>
    writeApplianceSettings({ folder, upstreams: [`file://${folder}/origin/`], settings: { ...settings } });
  const revoked = token({ session: "gone" });
  assert.equal(await statusOf(`~${revoked}/clock/master.m3u8`), 200);
  change({ tokens: { required: true, keys: [nextKey, key], revokedSessions: ["gone"] } });
  process.kill(appliance.pid, "SIGHUP");
  // Two workers: a connection of its own for each look, so that both are asked.
  const all = async (path: string, status: number) => {
    const seen = await Promise.all(
      Array.from({ length: 16 }, () => fetch(appliance.url + path, { headers: { connection: "close" } }).then((answer) => answer.status)),
    );
    return seen.every((each) => each === status);
  };
  await waitUntil("the new key counts", () => all(`~${token({}, nextKey)}/clock/master.m3u8`, 200));
  assert.ok(await all(`~${token()}/clock/master.m3u8`, 200));
  assert.ok(await all(`~${revoked}/clock/master.m3u8`, 403));
  writeFileSync(join(folder, "appliance.yaml"), "listen: {\n");
  process.kill(appliance.pid, "SIGHUP");
  await waitUntil("the broken file is reported", () => appliance.log().includes("the settings file cannot be used"));
  assert.ok(await all(`~${token({}, nextKey)}/clock/master.m3u8`, 200));
});

test("millrace token makes what the appliance takes, and says what is wrong with another", async () => {
  const config = writeApplianceSettings({ folder: join(folder, "cli"), upstreams: [], settings: { tokens } });
  const made = await runMillrace(["token", "make", "--config", config, "--path", "clock/", "--expires", "5m", "--session", "s7"]);
  assert.equal(made.code, 0, made.stderr);
  assert.equal(await statusOf(`~${made.stdout.trim()}/clock/master.m3u8`), 200);
  const checked = await runMillrace(["token", "check", "--config", config, "--json", made.stdout.trim()]);
  assert.equal(checked.code, 0, checked.stderr);
  const { accepted, claims } = JSON.parse(checked.stdout) as { accepted: boolean; claims: { pathPrefix: string; session: string } };
  assert.deepEqual([accepted, claims.pathPrefix, claims.session], [true, "clock/", "s7"]);
  const wrong = await runMillrace(["token", "check", "--config", config, `http://x/~${token({ expiresUnixS: 1 })}/clock/a`]);
  assert.equal(wrong.code, 1);
  assert.match(wrong.stdout, /^refused: token-expired\n/);
});
