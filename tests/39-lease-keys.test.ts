// Keys that come with the lease: playback signs, appliances check and fill from each other with them, and nobody needs the control plane for it.
import assert from "node:assert/strict";
import { mkdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { stringify } from "yaml";
import { ControlPlaneClient } from "../control-plane/control-plane-client.js";
import { makeFillToken } from "../fill-protocol/fill-token.js";
import { parsePlaybackToken } from "../fill-protocol/playback-token.js";
import { runMillrace, startMillrace, type RunningMillrace } from "./support/run-millrace.js";
import { readMetric, startAppliance, type ApplianceFixture } from "./support/start-appliance.js";
import { temporaryFolder } from "./support/temporary-folder.js";
import { waitUntil } from "./support/wait-until.js";

const folder = temporaryFolder();
const film = Buffer.alloc(200_000, "0123456789abcdef");
let controlPlane: RunningMillrace;
let client: ControlPlaneClient;
let grpcUrl: string;
let storage: ApplianceFixture;
let edge: ApplianceFixture;

async function startControlPlane(port: number): Promise<RunningMillrace> {
  const file = join(folder, "control-plane.yaml");
  const settings = {
    listen: { port },
    admin: { port: 0 },
    database: `sqlite:${join(folder, "control-plane.db")}`,
    fleet: { heartbeatEvery: "200ms", expiresAfter: "5s" },
    lease: { validFor: "2m" },
    tokens: { signUrls: true, rotateEvery: "2s", urlsValidFor: "2m" },
  };
  writeFileSync(file, stringify(settings));
  return startMillrace(["control-plane", "--config", file]);
}

function startMember(name: string, upstreams: string[], role: "edge" | "storage"): Promise<ApplianceFixture> {
  mkdirSync(join(folder, name), { recursive: true });
  return startAppliance({
    folder: join(folder, name),
    upstreams,
    settings: { tokens: { required: true }, controlPlane: { url: grpcUrl }, site: { id: name, role } },
  });
}

before(async () => {
  mkdirSync(join(folder, "origin", "clock"), { recursive: true });
  writeFileSync(join(folder, "origin", "clock", "master.m3u8"), "#EXTM3U\nvideo.mp4\n");
  writeFileSync(join(folder, "origin", "clock", "video.mp4"), film);
  controlPlane = await startControlPlane(0);
  grpcUrl = `grpc://127.0.0.1:${controlPlane.ready["grpcPort"]}`;
  client = new ControlPlaneClient(grpcUrl, { deadlineMs: 10_000 });
  storage = await startMember("storage", [`file://${folder}/origin/`], "storage");
  edge = await startMember("edge", [storage.url.replace("http:", "appliance:")], "edge");
  const object = (path: string, sizeBytes: number) => ({ path, sizeBytes: BigInt(sizeBytes), etag: '"x"', chunkBytes: 65_536 });
  await client.publishTitle({
    title: {
      titleId: "clock",
      name: "Clock",
      durationSeconds: 1,
      hlsPath: "clock/master.m3u8",
      dashPath: "",
      sizeBytes: 0n,
      objectCount: 0,
      publishedAtUnixMs: 0n,
    },
    objects: [object("clock/master.m3u8", 18), object("clock/video.mp4", film.length)],
  });
});
after(async () => {
  client.close();
  await controlPlane.stop();
  for (const appliance of [edge, storage]) assert.equal((await appliance.stop()).code, 0);
});

/** The URL that playback gives out for the edge. */
async function playbackUrl(): Promise<string> {
  return waitUntil("the edge is ranked", async () => {
    const answer = await client.startPlayback({ titleId: "clock", clientAddress: "127.0.0.1" }).catch(() => undefined);
    return answer?.urls.find(({ siteId }) => siteId === "edge")?.hlsUrl;
  });
}

const statusOf = async (url: string) => (await fetch(url, { headers: { connection: "close" } })).status;
const leaseKeysOf = async ({ adminUrl }: ApplianceFixture) => {
  const status = (await (await fetch(`${adminUrl}status`)).json()) as { controlPlane: { lease?: { tokenKeys: { id: string }[] } } };
  return (status.controlPlane.lease?.tokenKeys ?? []).map(({ id }) => id);
};

test("a URL that playback signed opens the title at an edge, which fills from a storage appliance that wants tokens too", async () => {
  const url = await playbackUrl();
  const master = await fetch(url);
  assert.equal(master.status, 200);
  const video = await fetch(new URL("video.mp4", master.url));
  assert.ok(Buffer.from(await video.arrayBuffer()).equals(film));
  assert.ok((await readMetric(storage, 'millrace_responses_total{status="206"}')) > 0, "the bytes came through the storage appliance");
  assert.equal(await statusOf(`${edge.url}clock/master.m3u8`), 403);
  assert.equal(await statusOf(`${storage.url}clock/master.m3u8`), 403);
});

test("a forged, an expired and a playback token are no fill tokens, and each is 403 with its reason", async () => {
  const url = await playbackUrl();
  const playback = /~([^/]+)\//.exec(url)![1]!;
  const [keyId] = playback.split(".");
  const future = Math.floor(Date.now() / 1000) + 600;
  const forged = makeFillToken({ expiresUnixS: future, applianceId: "a" }, { id: keyId!, secret: "not the secret of it" });
  for (const [token, reason] of [
    [forged, "token-bad-signature"],
    [makeFillToken({ expiresUnixS: future, applianceId: "a" }, { id: "nobody", secret: "x" }), "token-unknown-key"],
    [playback, "token-malformed"],
    ["x", "token-malformed"],
  ] as const) {
    const line = `millrace_requests_refused_total{reason="${reason}"}`;
    const before = await readMetric(storage, line);
    const answer = await fetch(`${storage.url}clock/master.m3u8`, { headers: { "millrace-fill-token": token } });
    assert.equal(answer.status, 403);
    assert.equal(await readMetric(storage, line), before + 1, reason);
  }
});

test("keys rotate while URLs that the old one signed go on, and the file of the lease is for its owner alone", async () => {
  const old = await playbackUrl();
  const keyOf = (url: string) => parsePlaybackToken(/~([^/]+)\//.exec(url)![1]!)!.keyId;
  const rotated = await waitUntil("another key signs", async () => {
    const url = await playbackUrl();
    return keyOf(url) !== keyOf(old) && url;
  });
  assert.equal(await statusOf(rotated), 200, "the key was there before it signed");
  assert.equal(await statusOf(old), 200);
  assert.ok((await leaseKeysOf(edge)).includes(keyOf(old)));
  assert.equal(statSync(join(folder, "edge", "index", "lease.json")).mode & 0o777, 0o600);
  assert.ok(!JSON.stringify(await (await fetch(`${edge.adminUrl}status`)).json()).includes("secret"));
});

test("millrace token revoke ends one session within a heartbeat, and no other", async () => {
  const [one, other] = [await playbackUrl(), await playbackUrl()];
  assert.equal(await statusOf(one), 200);
  const { session } = parsePlaybackToken(/~([^/]+)\//.exec(one)![1]!)!.claims;
  const revoked = await runMillrace(["token", "revoke", "--control-plane", grpcUrl, session!]);
  assert.equal(revoked.code, 0, revoked.stderr);
  await waitUntil("the session is refused", async () => (await statusOf(one)) === 403);
  assert.equal(await statusOf(other), 200);
  assert.ok((await readMetric(edge, 'millrace_requests_refused_total{reason="token-revoked"}')) > 0);
});

test("without the control plane, an appliance that starts again has its keys and revocations from the lease", async () => {
  const url = await playbackUrl();
  const revoked = await playbackUrl();
  await client.revokeSession({ session: parsePlaybackToken(/~([^/]+)\//.exec(revoked)![1]!)!.claims.session! });
  await waitUntil("the session is refused", async () => (await statusOf(revoked)) === 403);
  await controlPlane.kill();
  await edge.kill();
  edge = await startMember("edge", [storage.url.replace("http:", "appliance:")], "edge");
  const moved = (text: string) => text.replace(/^http:\/\/[^/]+\//, edge.url);
  assert.equal(await statusOf(moved(url)), 200);
  assert.equal(await statusOf(moved(revoked)), 403);
  controlPlane = await startControlPlane(Number(new URL(grpcUrl.replace("grpc:", "http:")).port));
});
