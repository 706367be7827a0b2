// The services over a real gRPC connection, with the clock in the test's hand.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { credentials, status, type ServiceError } from "@grpc/grpc-js";
import { FillServiceClient, type FetchManifestResponse, type Holding } from "../fill-protocol/generated/millrace/fill/v1/fill.js";
import {
  ApplianceRole,
  ApplianceState,
  FleetServiceClient,
  type ApplianceIdentity,
  type HeartbeatRequest,
  type RegisterRequest,
  type RegisterResponse,
} from "../fill-protocol/generated/millrace/fleet/v1/fleet.js";
import { openLog } from "../runtime/log.js";
import { ManualClock } from "../runtime/manual-clock.js";
import { OperatingError } from "../runtime/operating-error.js";
import { parseSettings } from "../runtime/settings-file.js";
import { operatingErrorOf } from "./call-errors.js";
import { ControlPlaneClient } from "./control-plane-client.js";
import { openControlPlane } from "./main.js";
import { Holds, RejectionLetter } from "./protocol/generated/millrace/steering/v1/steering.js";
import { controlPlaneSettings } from "./settings.js";

async function open(database: string) {
  const clock = new ManualClock();
  const settings = parseSettings(
    `
listen: { port: 0 }
admin: { port: 0 }
database: "${database}"
sites: [{ id: near, prefixes: [10.0.0.0/8] }, { id: far, rank: 1 }]
`,
    "test.yaml",
    controlPlaneSettings,
  );
  const controlPlane = await openControlPlane(settings, { log: openLog("control-plane", "silent"), clock });
  const address = `127.0.0.1:${controlPlane.grpcPort}`;
  const fleetClient = new FleetServiceClient(address, credentials.createInsecure());
  const fillClient = new FillServiceClient(address, credentials.createInsecure());
  const client = new ControlPlaneClient(`grpc://${address}`, { deadlineMs: 10_000 });
  const call = {
    register: (request: RegisterRequest) =>
      new Promise<RegisterResponse>((resolve, reject) =>
        fleetClient.register(request, (error, response) => (error ? reject(error) : resolve(response))),
      ),
    heartbeat: (request: HeartbeatRequest) =>
      new Promise<{ registerAgain: boolean; reportAllHoldings: boolean; manifestVersion: bigint }>((resolve, reject) =>
        fleetClient.heartbeat(request, (error, response) => (error ? reject(error) : resolve(response))),
      ),
    renewLease: (applianceId: string, leaseId: string) =>
      new Promise<{ leaseId: string; expiresAtUnixMs: bigint }>((resolve, reject) =>
        fleetClient.renewLease({ applianceId, leaseId }, (error, response) => (error ? reject(error) : resolve(response.lease!))),
      ),
    report: (applianceId: string, bootId: string, sequence: number, holdings: Holding[], replaceAll = false) =>
      new Promise<bigint>((resolve, reject) =>
        fillClient.reportHoldings({ applianceId, bootId, sequence: BigInt(sequence), replaceAll, holdings }, (error, response) =>
          error ? reject(error) : resolve(response.acknowledgedSequence),
        ),
      ),
    sources: (applianceId: string, path: string) =>
      new Promise<string[]>((resolve, reject) =>
        fillClient.rankSources({ applianceId, path }, (error, response) =>
          error ? reject(error) : resolve(response.sources.map(({ dataUrl }) => dataUrl)),
        ),
      ),
    manifest: async (applianceId: string, knownVersion = 0n) => {
      const parts: FetchManifestResponse[] = [];
      for await (const part of fillClient.fetchManifest({
        applianceId,
        knownVersion,
        resumeVersion: 0n,
        resumeBaseVersion: 0n,
        resumeEntries: 0n,
      }))
        parts.push(part as FetchManifestResponse);
      return parts;
    },
  };
  const close = async () => {
    fleetClient.close();
    fillClient.close();
    client.close();
    await controlPlane.close();
  };
  return { clock, client, call, close };
}

async function withControlPlane(use: (parts: Awaited<ReturnType<typeof open>> & { database: string }) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "millrace-services-"));
  const database = `sqlite:${join(folder, "a.db")}`;
  const parts = await open(database);
  try {
    await use({ ...parts, database });
  } finally {
    await parts.close();
    rmSync(folder, { recursive: true });
  }
}

const identity = (applianceId: string, rest: Partial<ApplianceIdentity> = {}): ApplianceIdentity => ({
  applianceId,
  siteId: "near",
  clusterId: "near-a",
  role: ApplianceRole.APPLIANCE_ROLE_EDGE,
  dataUrl: `http://${applianceId}:80/`,
  adminUrl: "",
  capacityBytes: 1_000_000n,
  chunkBytes: 100,
  softwareVersion: "0",
  ...rest,
});
const beat = (applianceId: string, bootId: string, rest: Partial<HeartbeatRequest> = {}): HeartbeatRequest => ({
  applianceId,
  bootId,
  state: ApplianceState.APPLIANCE_STATE_LIVE,
  totals: { requests: 1n, bytesSent: 2n, bytesFilled: 3n, heldBytes: 4n },
  disks: [],
  requestHeadroom: 10,
  fillHeadroom: 10,
  manifest: undefined,
  holdingsSequence: 0n,
  headroom: undefined,
  sentAtUnixMs: 0n,
  ...rest,
});
const etag = '"e1"';
const film = (titleId: string, objectCount = 2) => ({
  title: {
    titleId,
    name: `The ${titleId}`,
    durationSeconds: 60,
    hlsPath: `${titleId}/0 master.m3u8`,
    dashPath: "",
    sizeBytes: 0n,
    objectCount: 0,
    publishedAtUnixMs: 0n,
  },
  objects: Array.from({ length: objectCount }, (_, number) => ({
    path: number === 0 ? `${titleId}/0 master.m3u8` : `${titleId}/${number}.mp4`,
    sizeBytes: 150n,
    etag,
    chunkBytes: 100,
  })),
});
const wholeFilm = (titleId: string): Holding[] => film(titleId).objects.map(({ path }) => ({ path, etag, chunksHeld: 2, chunksTotal: 2 }));

/** The code of our own error behind a failed call, after its gRPC status. */
async function failureOf(call: Promise<unknown>): Promise<string> {
  const error: unknown = await call.then(
    () => assert.fail("the call was answered"),
    (error: unknown) => error,
  );
  const known = error instanceof OperatingError ? error : operatingErrorOf(error as ServiceError, "");
  return `${status[(known.cause as ServiceError).code]} ${known.code}`;
}

test("FleetService registers, hears, expires, takes back and lists appliances", async () => {
  await withControlPlane(async ({ clock, call, client }) => {
    assert.equal((await call.heartbeat(beat("a", "boot-1"))).registerAgain, true);
    await call.register({ identity: identity("a"), bootId: "boot-1" });
    const answer = await call.heartbeat(beat("a", "boot-1"));
    assert.equal(answer.registerAgain, false);
    assert.equal(answer.reportAllHoldings, true);
    assert.notEqual(answer.manifestVersion, 0n);
    const stateOf = async () => (await client.listAppliances({})).appliances.map(({ state }) => state);
    assert.deepEqual(await stateOf(), [ApplianceState.APPLIANCE_STATE_LIVE]);
    clock.turn(6001);
    assert.deepEqual(await stateOf(), [ApplianceState.APPLIANCE_STATE_OFFLINE]);
    assert.equal((await call.heartbeat(beat("a", "boot-1"))).registerAgain, true);
    await call.register({ identity: identity("a"), bootId: "boot-1" });
    await call.heartbeat(beat("a", "boot-1", { state: ApplianceState.APPLIANCE_STATE_DRAINING }));
    assert.deepEqual(await stateOf(), [ApplianceState.APPLIANCE_STATE_DRAINING]);
  });
});

test("FleetService refuses bad identities, bad heartbeats, and the older of two processes with one id", async () => {
  await withControlPlane(async ({ call }) => {
    assert.equal(await failureOf(call.register({ identity: undefined, bootId: "b" })), "INVALID_ARGUMENT invalid-argument");
    assert.equal(
      await failureOf(call.register({ identity: identity("a", { dataUrl: "x" }), bootId: "b" })),
      "INVALID_ARGUMENT invalid-argument",
    );
    assert.equal(await failureOf(call.register({ identity: identity("a"), bootId: "" })), "INVALID_ARGUMENT invalid-argument");
    await call.register({ identity: identity("a"), bootId: "boot-1" });
    await call.register({ identity: identity("a"), bootId: "boot-2" });
    assert.equal(await failureOf(call.heartbeat(beat("a", "boot-1"))), "FAILED_PRECONDITION boot-superseded");
    assert.equal(await failureOf(call.register({ identity: identity("a"), bootId: "boot-1" })), "FAILED_PRECONDITION boot-superseded");
    assert.equal((await call.heartbeat(beat("a", "boot-2"))).registerAgain, false);
    const offline = beat("a", "boot-2", { state: ApplianceState.APPLIANCE_STATE_OFFLINE });
    assert.equal(await failureOf(call.heartbeat(offline)), "INVALID_ARGUMENT invalid-argument");
    const huge = beat("a", "boot-2", { totals: { requests: 2n ** 63n, bytesSent: 0n, bytesFilled: 0n, heldBytes: 0n } });
    assert.equal(await failureOf(call.heartbeat(huge)), "INVALID_ARGUMENT invalid-argument");
  });
});

test("FleetService renews a lease, keeps it over a restart, and refuses an expired one", async () => {
  await withControlPlane(async ({ clock, call, close, database }) => {
    const { lease } = await call.register({ identity: identity("a"), bootId: "boot-1" });
    assert.ok(lease);
    clock.turn(1000);
    const renewed = await call.renewLease("a", lease.leaseId);
    assert.equal(Number(renewed.expiresAtUnixMs), clock.unixMs() + 7 * 86_400_000);
    assert.equal(await failureOf(call.renewLease("b", lease.leaseId)), "NOT_FOUND appliance-unknown");
    assert.equal(await failureOf(call.renewLease("a", "other")), "FAILED_PRECONDITION lease-unknown");
    await close();
    const restarted = await open(database);
    restarted.clock.turn(2000);
    assert.equal((await restarted.call.renewLease("a", lease.leaseId)).leaseId, lease.leaseId);
    const states = (await restarted.client.listAppliances({})).appliances.map(({ state }) => state);
    assert.deepEqual(states, [ApplianceState.APPLIANCE_STATE_OFFLINE], "known, and not heard of yet");
    restarted.clock.turn(8 * 86_400_000);
    assert.equal(await failureOf(restarted.call.renewLease("a", lease.leaseId)), "FAILED_PRECONDITION lease-unknown");
    await restarted.close();
  });
});

test("FillService takes reports in order, tells of gaps, and the heartbeat then asks for everything", async () => {
  await withControlPlane(async ({ call, client }) => {
    assert.equal(await failureOf(call.report("a", "boot-1", 1, [])), "FAILED_PRECONDITION boot-unknown");
    await call.register({ identity: identity("a"), bootId: "boot-1" });
    const asksForAll = async (holdingsSequence: bigint) =>
      (await call.heartbeat(beat("a", "boot-1", { holdingsSequence }))).reportAllHoldings;
    assert.equal(await asksForAll(0n), true);
    assert.equal(await call.report("a", "boot-1", 1, wholeFilm("one"), true), 1n);
    assert.equal(await asksForAll(1n), false);
    assert.equal(await call.report("a", "boot-1", 2, wholeFilm("two")), 2n);
    assert.equal(await call.report("a", "boot-1", 2, wholeFilm("two")), 2n, "sent again");
    assert.equal((await client.listAppliances({})).appliances[0]?.objectsHeld, 4);
    assert.equal(await failureOf(call.report("a", "boot-1", 4, [])), "FAILED_PRECONDITION holdings-gap");
    assert.equal(await asksForAll(2n), true);
    assert.equal(await call.report("a", "boot-1", 3, [], true), 3n);
    assert.equal(await asksForAll(3n), false);
    assert.equal(await failureOf(call.report("a", "boot-1", 0, [])), "INVALID_ARGUMENT invalid-argument");
    const impossible = [{ path: "x", etag, chunksHeld: 3, chunksTotal: 2 }];
    assert.equal(await failureOf(call.report("a", "boot-1", 4, impossible)), "INVALID_ARGUMENT invalid-argument");
  });
});

test("FillService streams the manifest by parts of 1,000, nothing when it is known, and a new version after a change", async () => {
  await withControlPlane(async ({ clock, call, client }) => {
    await call.register({ identity: identity("a"), bootId: "boot-1" });
    assert.equal(await failureOf(call.manifest("nobody")), "NOT_FOUND appliance-unknown");
    const empty = await call.manifest("a");
    assert.deepEqual(
      empty.map(({ entries }) => entries.length),
      [0],
    );
    await client.publishTitle(film("big", 2400));
    const parts = await call.manifest("a", empty[0]!.version);
    assert.deepEqual(
      parts.map(({ entries }) => entries.length),
      [1000, 1000, 400],
    );
    assert.deepEqual(parts[0]!.entries[0], {
      path: "big/0 master.m3u8",
      sizeBytes: 150n,
      etag,
      stratum: 0,
      urgent: false,
      removed: false,
    });
    const { version } = parts[0]!;
    assert.ok(parts.every((part) => part.version === version));
    assert.deepEqual(await call.manifest("a", version), []);
    assert.equal((await call.heartbeat(beat("a", "boot-1"))).manifestVersion, version);
    clock.turn(10);
    await client.publishTitle(film("big", 2400));
    assert.equal((await call.heartbeat(beat("a", "boot-1"))).manifestVersion, version, "the same objects again change no plan");
    // 2,100 objects of two slots of 100 bytes fill 420,000 of the 900,000 bytes that are not left to demand: one more title does, two don't.
    for (const titleId of ["more", "most"]) await client.publishTitle(film(titleId, 2100));
    assert.notEqual((await call.heartbeat(beat("a", "boot-1"))).manifestVersion, version);
    assert.equal((await call.manifest("a")).flatMap(({ entries }) => entries).length, 4500);
    const changes = await call.manifest("a", version);
    assert.ok(changes.every((part) => part.baseVersion === version && part.entriesTotal === 2100n));
    assert.deepEqual(
      changes.map(({ firstEntry, entries }) => [firstEntry, entries.length]),
      [
        [0n, 1000],
        [1000n, 1000],
        [2000n, 100],
      ],
    );
  });
});

test("FillService ranks peers that hold the object, then storage", async () => {
  await withControlPlane(async ({ call, client }) => {
    await client.publishTitle(film("one"));
    const role = ApplianceRole.APPLIANCE_ROLE_STORAGE;
    for (const each of [
      identity("a"),
      identity("peer"),
      identity("cold-peer"),
      identity("store", { role, siteId: "far", clusterId: "far-a" }),
    ]) {
      await call.register({ identity: each, bootId: "boot" });
      await call.heartbeat(beat(each.applianceId, "boot"));
    }
    await call.report("peer", "boot", 1, wholeFilm("one"), true);
    assert.deepEqual(await call.sources("a", "one/1.mp4"), ["http://peer:80/", "http://store:80/"]);
    assert.deepEqual(await call.sources("store", "one/1.mp4"), []);
    // An older version is not what is asked for.
    await call.report("peer", "boot", 2, [{ path: "one/1.mp4", etag: '"old"', chunksHeld: 2, chunksTotal: 2 }]);
    assert.deepEqual(await call.sources("a", "one/1.mp4"), ["http://store:80/"]);
    assert.equal(await failureOf(call.sources("a", "../x")), "INVALID_ARGUMENT invalid-argument");
    assert.equal(await failureOf(call.sources("nobody", "x")), "NOT_FOUND appliance-unknown");
  });
});

test("CatalogService publishes, pages and finds titles, and refuses what is not in order", async () => {
  await withControlPlane(async ({ clock, client }) => {
    for (const titleId of ["one", "two", "three"]) {
      await client.publishTitle(film(titleId));
      clock.turn(1);
    }
    const first = await client.listTitles({ pageSize: 2, pageToken: "" });
    assert.deepEqual(
      first.titles.map(({ titleId, sizeBytes, objectCount }) => `${titleId} ${sizeBytes} ${objectCount}`),
      ["three 300 2", "two 300 2"],
    );
    const second = await client.listTitles({ pageSize: 2, pageToken: first.nextPageToken });
    assert.deepEqual(
      second.titles.map(({ titleId }) => titleId),
      ["one"],
    );
    assert.equal(second.nextPageToken, "");
    assert.deepEqual((await client.getTitle({ titleId: "one" })).objects, film("one").objects);
    assert.equal(await failureOf(client.getTitle({ titleId: "none" })), "NOT_FOUND title-unknown");
    assert.equal(await failureOf(client.getTitle({ titleId: "../x" })), "INVALID_ARGUMENT invalid-argument");
    assert.equal(await failureOf(client.listTitles({ pageSize: 501, pageToken: "" })), "INVALID_ARGUMENT invalid-argument");
    assert.equal(await failureOf(client.listTitles({ pageSize: 1, pageToken: "x" })), "INVALID_ARGUMENT page-token-invalid");
    assert.equal(await failureOf(client.publishTitle({ title: undefined, objects: [] })), "INVALID_ARGUMENT invalid-argument");
    assert.equal(await failureOf(client.publishTitle(film("Bad Id"))), "INVALID_ARGUMENT invalid-argument");
  });
});

test("PlaybackService and SteeringService rank the healthy, holders first, over both sites", async () => {
  await withControlPlane(async ({ clock, call, client }) => {
    const play = () => client.startPlayback({ titleId: "one", clientAddress: "10.1.2.3" });
    assert.equal(await failureOf(play()), "NOT_FOUND title-unknown");
    await client.publishTitle(film("one"));
    assert.equal(await failureOf(play()), "UNAVAILABLE no-appliance-live");
    for (const each of [identity("near"), identity("cold"), identity("far", { siteId: "far" }), identity("sick")]) {
      await call.register({ identity: each, bootId: "boot" });
      await call.heartbeat(beat(each.applianceId, "boot", { requestHeadroom: each.applianceId === "sick" ? 0 : 5 }));
    }
    for (const id of ["near", "far"]) await call.report(id, "boot", 1, wholeFilm("one"), true);
    const answer = await play();
    assert.deepEqual(
      answer.urls.map(({ applianceId, holds }) => [applianceId, holds]),
      [
        ["near", Holds.HOLDS_ALL],
        ["far", Holds.HOLDS_ALL],
        ["cold", Holds.HOLDS_NONE],
      ],
    );
    assert.equal(answer.urls[0]?.hlsUrl, "http://near:80/one/0%20master.m3u8");
    assert.equal(answer.urls[0]?.dashUrl, "");
    assert.deepEqual(
      answer.rejected.map(({ applianceId, letter }) => [applianceId, letter]),
      [
        ["sick", RejectionLetter.REJECTION_LETTER_H],
        ["cold", RejectionLetter.REJECTION_LETTER_C],
      ],
    );
    const paths = film("one").objects.map(({ path }) => path);
    const explained = await client.rankAppliances({ clientAddress: "10.1.2.3", paths, everyBox: true, sessionId: "", bitsPerSecond: 0n });
    assert.deepEqual(
      explained.ranked.map(({ applianceId }) => applianceId),
      ["near", "far", "cold"],
    );
    assert.equal(explained.matchedPrefix, "10.0.0.0/8");
    assert.equal(
      await failureOf(client.rankAppliances({ clientAddress: "here", paths, everyBox: true, sessionId: "", bitsPerSecond: 0n })),
      "INVALID_ARGUMENT invalid-argument",
    );
    assert.equal(
      await failureOf(client.rankAppliances({ clientAddress: "::1", paths: [], everyBox: true, sessionId: "", bitsPerSecond: 0n })),
      "INVALID_ARGUMENT invalid-argument",
    );
    // A title that was published anew is held by nobody.
    const renewed = film("one");
    await client.publishTitle({ ...renewed, objects: renewed.objects.map((object) => ({ ...object, etag: '"e2"' })) });
    assert.ok((await play()).urls.every(({ holds }) => holds === Holds.HOLDS_NONE));
    clock.turn(6001);
    assert.equal(await failureOf(play()), "UNAVAILABLE no-appliance-live");
  });
});

test("PlaybackService refuses a title without an entry document", async () => {
  await withControlPlane(async ({ client }) => {
    const { title, objects } = film("bare");
    await client.publishTitle({ title: { ...title, hlsPath: "" }, objects });
    const play = client.startPlayback({ titleId: "bare", clientAddress: "10.1.2.3" });
    assert.equal(await failureOf(play), "FAILED_PRECONDITION title-unplayable");
  });
});

test("ControlPlaneClient gives up at its deadline and says that the control plane is away", async () => {
  const client = new ControlPlaneClient("grpc://127.0.0.1:1", { deadlineMs: 500 });
  const startedMs = performance.now();
  const error: unknown = await client.listAppliances({}).catch((error: unknown) => error);
  assert.ok(error instanceof OperatingError);
  assert.equal(error.code, "control-plane-away");
  assert.ok(performance.now() - startedMs < 3000);
  assert.equal(client.isConnected(), false);
  client.close();
  assert.throws(() => new ControlPlaneClient("http://127.0.0.1:1"), /Expected a URL such as grpc:/);
});
