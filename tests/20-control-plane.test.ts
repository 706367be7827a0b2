// The real control plane and gateway as processes: what they answer, what they refuse, and what survives kill -9.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { test, type TestContext } from "node:test";
import { credentials, loadPackageDefinition, type Client, type ServiceError } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { protoPath as healthProto } from "grpc-health-check";
import { ControlPlaneClient } from "../control-plane/control-plane-client.js";
import { ApplianceState } from "../fill-protocol/generated/millrace/fleet/v1/fleet.js";
import { runMillrace, startMillrace, type RunningMillrace } from "./support/run-millrace.js";
import { joinFleet } from "./support/talking-appliance.js";
import { temporaryFolder } from "./support/temporary-folder.js";
import { waitUntil } from "./support/wait-until.js";

const deadlineMs = 15_000;
const etag = '"0123"';

/** A folder for the settings and the state of one test. */
function openFolder() {
  const folder = temporaryFolder();
  return {
    write: (name: string, text: string) => {
      const file = join(folder, name);
      writeFileSync(file, text);
      return file;
    },
    database: `sqlite:${join(folder, "var", "control-plane.db")}`,
  };
}

/** A started process is stopped when the test ends, whatever became of it. */
async function start(t: TestContext, args: readonly string[]): Promise<RunningMillrace> {
  const running = await startMillrace(args);
  t.after(() => running.kill());
  return running;
}

async function startControlPlane(t: TestContext, folder: ReturnType<typeof openFolder>, port = 0) {
  const config = folder.write(
    "control-plane.yaml",
    `listen: { port: ${port} }
admin: { port: 0 }
database: "${folder.database}"
fleet: { heartbeatEvery: 200ms, expiresAfter: 800ms }
sites:
  - { id: near, prefixes: [127.0.0.0/8, 10.0.0.0/8] }
  - { id: far }
`,
  );
  const running = await start(t, ["control-plane", "--config", config]);
  const grpcPort = Number(running.ready["grpcPort"]);
  const client = new ControlPlaneClient(`grpc://127.0.0.1:${grpcPort}`, { deadlineMs });
  t.after(() => client.close());
  return { running, client, port: grpcPort, adminUrl: `http://127.0.0.1:${running.ready["adminPort"]}` };
}

async function startGateway(t: TestContext, folder: ReturnType<typeof openFolder>, controlPlanePort: number) {
  const config = folder.write(
    "gateway.yaml",
    `listen: { port: 0 }
controlPlane: { url: "grpc://127.0.0.1:${controlPlanePort}" }
trustForwardedFrom: [127.0.0.0/8]
`,
  );
  const running = await start(t, ["gateway", "--config", config]);
  return { running, url: `http://127.0.0.1:${running.ready["port"]}` };
}

const film = (titleId: string) => ({
  title: {
    titleId,
    name: `The ${titleId}`,
    durationSeconds: 60,
    hlsPath: `${titleId}/master.m3u8`,
    dashPath: `${titleId}/manifest.mpd`,
    sizeBytes: 0n,
    objectCount: 0,
    publishedAtUnixMs: 0n,
  },
  objects: ["master.m3u8", "manifest.mpd", "video.mp4"].map((name) => ({
    path: `${titleId}/${name}`,
    sizeBytes: 1000n,
    etag,
    chunkBytes: 1000,
  })),
});

const json = async (response: Response) => (await response.json()) as Record<string, unknown>;
const codeOf = async (response: Response) => `${response.status} ${((await json(response))["error"] as { code: string }).code}`;
const play = (url: string, body: string, headers: Record<string, string> = {}) =>
  fetch(`${url}/api/playback`, { method: "POST", body, headers });

test("the control plane answers health and reflection, has an admin port, and stops in order", async (t) => {
  const folder = openFolder();
  const { running, port, adminUrl } = await startControlPlane(t, folder);
  const address = `127.0.0.1:${port}`;

  type Health = Client & { check(request: object, done: (error: ServiceError | null, answer: { status: string }) => void): void };
  const healthPackage = loadPackageDefinition(loadSync(healthProto, { enums: String })) as never as {
    grpc: { health: { v1: { Health: new (...args: unknown[]) => Health } } };
  };
  const health = new healthPackage.grpc.health.v1.Health(address, credentials.createInsecure());
  t.after(() => health.close());
  for (const service of ["", "millrace.fleet.v1.FleetService", "millrace.playback.v1.PlaybackService"]) {
    const answer = await new Promise<{ status: string }>((resolve, reject) =>
      health.check({ service }, (error, answer) => (error ? reject(error) : resolve(answer))),
    );
    assert.equal(answer.status, "SERVING", service);
  }

  const reflectionProto = join(
    dirname(createRequire(import.meta.url).resolve("@grpc/reflection/package.json")),
    "build/proto/grpc/reflection/v1/reflection.proto",
  );
  type Call = NodeJS.ReadWriteStream & { write(request: object): void };
  const reflectionPackage = loadPackageDefinition(loadSync(reflectionProto, {})) as never as {
    grpc: { reflection: { v1: { ServerReflection: new (...args: unknown[]) => Client & { serverReflectionInfo(): Call } } } };
  };
  const reflection = new reflectionPackage.grpc.reflection.v1.ServerReflection(address, credentials.createInsecure());
  t.after(() => reflection.close());
  const call = reflection.serverReflectionInfo();
  const listed = new Promise<string[]>((resolve, reject) => {
    call.on("error", reject);
    call.on("data", (answer: { listServicesResponse: { service: { name: string }[] } }) =>
      resolve(answer.listServicesResponse.service.map(({ name }) => name)),
    );
  });
  call.write({ listServices: "*" });
  const services = await listed;
  call.end();
  for (const name of ["fleet.v1.FleetService", "fill.v1.FillService", "catalog.v1.CatalogService", "steering.v1.SteeringService"]) {
    assert.ok(services.includes(`millrace.${name}`), `${name} in ${services.join(", ")}`);
  }

  assert.equal((await fetch(`${adminUrl}/readyz`)).status, 200);
  assert.match(await (await fetch(`${adminUrl}/metrics`)).text(), /millrace_control_plane_appliances\{role="edge",state="live"\} 0/);
  const { code } = await running.stop();
  assert.equal(code, 0);
});

test("an appliance joins, is steered to, falls silent, is taken out, and is told to register again", async (t) => {
  const folder = openFolder();
  const { client, port } = await startControlPlane(t, folder);
  const box = await joinFleet(t, port, { id: "box", siteId: "near", holds: [] });
  assert.equal(box.first.registerAgain, false);
  const state = async () => (await client.listAppliances({})).appliances[0]?.state;
  assert.equal(await state(), ApplianceState.APPLIANCE_STATE_LIVE);
  const ranked = async () =>
    (await client.rankAppliances({ clientAddress: "127.0.0.1", paths: ["x"], everyBox: true, sessionId: "", bitsPerSecond: 0n })).ranked
      .length;
  assert.equal(await ranked(), 1);
  box.fallSilent();
  await waitUntil("offline", async () => (await state()) === ApplianceState.APPLIANCE_STATE_OFFLINE);
  assert.equal(await ranked(), 0);
  assert.equal((await box.beat()).registerAgain, true);
});

test("kill -9 loses no title that was acknowledged, and a restart lists known appliances as offline", async (t) => {
  const folder = openFolder();
  const first = await startControlPlane(t, folder);
  await joinFleet(t, first.port, { id: "box", siteId: "near", holds: [] });
  const acknowledged: string[] = [];
  const publishing = (async () => {
    for (let number = 0; number < 100_000; number++) {
      await first.client.publishTitle(film(`title-${number}`));
      acknowledged.push(`title-${number}`);
    }
  })();
  await waitUntil("20 titles", () => acknowledged.length >= 20);
  const ended = assert.rejects(publishing, { code: "control-plane-away" });
  await first.running.kill();
  await ended;

  const second = await startControlPlane(t, folder, first.port);
  for (const titleId of acknowledged) {
    const { objects } = await second.client.getTitle({ titleId });
    assert.deepEqual(objects, film(titleId).objects);
  }
  const { appliances } = await second.client.listAppliances({});
  assert.deepEqual(
    appliances.map(({ identity, state }) => [identity?.applianceId, state]),
    [["box", ApplianceState.APPLIANCE_STATE_OFFLINE]],
  );
});

test("the gateway answers titles, playback, fleet and pages, and refuses bad input with the right status", async (t) => {
  const folder = openFolder();
  const { client, port } = await startControlPlane(t, folder);
  await client.publishTitle(film("one"));
  await client.publishTitle(film("two"));
  const paths = film("one").objects.map(({ path }) => path);
  await joinFleet(t, port, { id: "near-box", siteId: "near", holds: paths });
  await joinFleet(t, port, { id: "far-box", siteId: "far", holds: paths.slice(1) });
  const { url } = await startGateway(t, folder, port);
  await waitUntil("ready", async () => (await fetch(`${url}/readyz`)).status === 200);

  const page = await json(await fetch(`${url}/api/titles?pageSize=1`));
  assert.deepEqual(page["titles"], [
    {
      id: "two",
      name: "The two",
      durationSeconds: 60,
      sizeBytes: 3000,
      objectCount: 3,
      hlsPath: "two/master.m3u8",
      dashPath: "two/manifest.mpd",
    },
  ]);
  const next = await json(await fetch(`${url}/api/titles?pageSize=1&pageToken=${String(page["nextPageToken"])}`));
  assert.equal((next["titles"] as { id: string }[])[0]?.id, "one");
  assert.equal(next["nextPageToken"], "");

  const played = await play(url, '{"titleId":"one"}', { "X-Forwarded-For": "10.9.8.7" });
  assert.equal(played.status, 200);
  assert.equal(played.headers.get("access-control-allow-origin"), "*");
  const { steering, ...answer } = await json(played);
  const { hls, dash } = steering as { hls: string; dash: string };
  assert.match(hls, /^\/api\/steering\/master\.m3u8\?session=[\w.-]+$/);
  assert.match(dash, /^\/api\/steering\/manifest\.mpd\?session=[\w.-]+$/);
  assert.deepEqual(answer, {
    titleId: "one",
    name: "The one",
    durationSeconds: 60,
    // Nobody said how it is encoded.
    encodes: [],
    urls: [
      {
        applianceId: "near-box",
        siteId: "near",
        hls: "http://127.0.0.1:1/near-box/one/master.m3u8",
        dash: "http://127.0.0.1:1/near-box/one/manifest.mpd",
        holds: "all",
      },
      {
        applianceId: "far-box",
        siteId: "far",
        hls: "http://127.0.0.1:1/far-box/one/master.m3u8",
        dash: "http://127.0.0.1:1/far-box/one/manifest.mpd",
        holds: "some",
      },
    ],
    rejected: [{ applianceId: "far-box", siteId: "far", letter: "C", reason: "holds only a part of the title" }],
  });

  const fleet = await json(await fetch(`${url}/api/fleet`));
  const box = (fleet["appliances"] as Record<string, unknown>[]).find(({ id }) => id === "near-box");
  assert.ok(Number(box?.["lastHeartbeatUnixMs"]) > 1_600_000_000_000);
  assert.deepEqual(
    { ...box, lastHeartbeatUnixMs: 0 },
    {
      id: "near-box",
      siteId: "near",
      clusterId: "near-a",
      role: "edge",
      state: "live",
      dataUrl: "http://127.0.0.1:1/near-box/",
      adminUrl: "",
      lastHeartbeatUnixMs: 0,
      requests: 7,
      bytesSent: 8,
      bytesFilled: 9,
      heldBytes: 10,
      capacityBytes: 1_000_000,
      objectsHeld: 3,
      requestHeadroom: 100,
      unhealthy: "",
      safeToPowerOff: false,
      drainedInSeconds: 0,
      disks: [],
    },
  );

  assert.match((await fetch(`${url}/`)).headers.get("content-security-policy") ?? "", /connect-src 'self' http: https:/);
  assert.match(
    await (await fetch(`${url}/metrics`)).text(),
    /millrace_gateway_requests_total\{route="playback",method="POST",status="200"\} 1/,
  );

  assert.equal(await codeOf(await play(url, '{"titleId":"none"}')), "404 title-unknown");
  assert.equal(await codeOf(await play(url, '{"titleId":"../x"}')), "400 invalid-argument");
  assert.equal(await codeOf(await play(url, '{"titleId":7}')), "400 body-malformed");
  assert.equal(await codeOf(await play(url, '{"titleId":"one","x":1}')), "400 body-malformed");
  assert.equal(await codeOf(await play(url, "")), "400 json-malformed");
  assert.equal(await codeOf(await play(url, "x".repeat(20_000))), "413 body-too-large");
  assert.equal(await codeOf(await fetch(`${url}/api/playback`)), "405 method-not-allowed");
  assert.equal(await codeOf(await fetch(`${url}/api/nothing`)), "404 not-found");
  assert.equal(await codeOf(await fetch(`${url}/api/titles?pageSize=0`)), "400 invalid-argument");
  assert.equal(await codeOf(await fetch(`${url}/api/titles?pageToken=x`)), "400 page-token-invalid");
});

test("the gateway outlives the control plane: the last titles, quick 503s, and back again by itself", async (t) => {
  const folder = openFolder();
  const first = await startControlPlane(t, folder);
  await first.client.publishTitle(film("one"));
  const { running, url } = await startGateway(t, folder, first.port);
  assert.equal(await codeOf(await play(url, '{"titleId":"one"}')), "503 no-appliance-live");
  const fresh = await json(await fetch(`${url}/api/titles`));
  assert.equal(fresh["stale"], undefined);
  await first.running.kill();

  const startedMs = performance.now();
  const stale = await json(await fetch(`${url}/api/titles`));
  assert.deepEqual(stale, { ...fresh, stale: true });
  assert.equal(await codeOf(await fetch(`${url}/api/fleet`)), "503 control-plane-away");
  assert.equal(await codeOf(await play(url, '{"titleId":"one"}')), "503 control-plane-away");
  assert.equal(await codeOf(await fetch(`${url}/api/titles?pageSize=3`)), "503 control-plane-away", "a page that it has not seen");
  // Four answers within the 2 s that each may take at most, with room for a busy machine.
  assert.ok(performance.now() - startedMs < 10_000);
  assert.equal(await (await fetch(`${url}/readyz`)).text(), "ready, without the control plane\n");

  await startControlPlane(t, folder, first.port);
  await waitUntil("fresh titles", async () => (await json(await fetch(`${url}/api/titles`)))["stale"] === undefined);
  const { code } = await running.stop();
  assert.equal(code, 0);
});

test("millrace steer explain prints ranks, rejections and the matched prefix, and says what is wrong", async (t) => {
  const folder = openFolder();
  const { client, port } = await startControlPlane(t, folder);
  await client.publishTitle(film("one"));
  const paths = film("one").objects.map(({ path }) => path);
  await joinFleet(t, port, { id: "near-box", siteId: "near", holds: paths });
  await joinFleet(t, port, { id: "far-box", siteId: "far", holds: [] });
  const explain = (...args: string[]) => runMillrace(["steer", "explain", "--control-plane", `grpc://127.0.0.1:${port}`, ...args]);

  const table = await explain("--client", "10.1.2.3", "--title", "one");
  assert.equal(table.code, 0, table.stderr);
  assert.match(table.stdout, /Client 10\.1\.2\.3: matched prefix 10\.0\.0\.0\/8\nPlays title one \(3 objects\)/);
  assert.match(table.stdout, /1 .*near .*near-box[^]*2 .*far .*far-box[^]*C .*far-box .*holds nothing of the title/);

  const asJson = JSON.parse((await explain("--client", "2001:db8::1", "--object", "one/video.mp4", "--json")).stdout) as {
    matchedPrefix: unknown;
    ranked: { applianceId: string; rank: number }[];
    rejected: { letter: string }[];
  };
  assert.equal(asJson.matchedPrefix, null);
  assert.deepEqual(
    asJson.ranked.map(({ rank, applianceId }) => `${rank} ${applianceId}`),
    ["1 near-box", "2 far-box"],
  );
  assert.deepEqual(
    asJson.rejected.map(({ letter }) => letter),
    ["C"],
  );

  for (const [args, message] of [
    [["--client", "here", "--title", "one"], /Expected an IPv4 or IPv6 address: received "here"/],
    [["--client", "10.0.0.1", "--title", "none"], /Cannot find title none/],
    [["--client", "10.0.0.1"], /with --title ID or --object PATH/],
  ] as const) {
    const failed = await explain(...args);
    assert.equal(failed.code, 1);
    assert.match(failed.stderr, message);
  }
  const nobody = await runMillrace(["steer", "explain", "--control-plane", "grpc://127.0.0.1:1", "--client", "::1", "--object", "x"]);
  assert.equal(nobody.code, 1);
  assert.match(nobody.stderr, /^Cannot ask the control plane at grpc:\/\/127\.0\.0\.1:1: it cannot be reached\n$/);
  assert.equal((await explain("--title", "one")).code, 2);
});

test("control plane and gateway refuse bad settings, a taken port and an unusable database with one clear line", async (t) => {
  const folder = openFolder();
  const { port } = await startControlPlane(t, folder);
  const { url } = await startGateway(t, folder, port);
  for (const [command, text, message] of [
    ["control-plane", "listen: { prot: 1 }\n", /bad\.yaml:1:\d+: Unknown key "listen\.prot"/],
    ["control-plane", "sites: [{ id: a, prefixes: [10.0.0.0] }]\n", /Expected a prefix such as/],
    [
      "control-plane",
      `listen: { port: ${port} }\ndatabase: "${folder.database}"\n`,
      /Cannot listen on 127\.0\.0\.1:\d+: the port is taken/,
    ],
    ["control-plane", "listen: { port: 0 }\ndatabase: mysql://x\n", /2:1: database: Expected a URL such as sqlite:/],
    ["control-plane", "listen: { port: 0 }\ndatabase: sqlite:/etc/hostname/a.db\n", /Cannot open database \/etc\/hostname\/a\.db/],
    ["gateway", `listen: { port: ${new URL(url).port} }\n`, /Cannot listen on 127\.0\.0\.1:\d+: the port is taken/],
    ["gateway", "controlPlane: { url: 'http://x' }\n", /bad\.yaml:1:\d+: controlPlane\.url: Expected a URL such as grpc:/],
  ] as const) {
    const failed = await runMillrace([command, "--config", folder.write("bad.yaml", text)]);
    assert.equal(failed.code, 1, `${text} ${failed.stderr}`);
    assert.match(failed.stderr, message);
    assert.equal(failed.stderr.trimEnd().split("\n").length, failed.stderr.includes("yaml:") ? 2 : 1, failed.stderr);
  }
  const missing = await runMillrace(["control-plane", "--config", "/nowhere.yaml"]);
  assert.match(missing.stderr, /^Cannot read settings file \/nowhere\.yaml/);
  assert.equal((await fetch(`${url}/healthz`)).status, 200, "the running ones are unharmed");
});
