// The OpenAPI document against the routes, and the routes that no other contract test holds against it.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Registry } from "prom-client";
import { systemClock } from "../../runtime/clock.js";
import { packageRoot } from "../../runtime/package-root.js";
import { openLoginControlPlane, openLoginGateway, type LoginControlPlane } from "../../tests/support/login-client.js";
import { openDelayingProxy, type DelayingProxy } from "../../tests/support/delaying-proxy.js";
import { readOpenApi, type OpenApiCheck } from "../../tests/support/open-api-check.js";
import { joinFleet } from "../../tests/support/talking-appliance.js";
import { temporaryFolder } from "../../tests/support/temporary-folder.js";
import { makeApiRoutes } from "./api-routes.js";
import { makeBillingRoutes } from "./billing-routes.js";
import { makeCatalogRoutes } from "./catalog-routes.js";
import { makeContentSteeringRoutes } from "./content-steering-routes.js";
import type { Route } from "./http-app.js";
import { KeptPlaybacks } from "./kept-playbacks.js";
import { makeLoginRoutes } from "./login-routes.js";
import { openGatewayMetrics } from "./metrics.js";
import { makeOwnRoutes } from "./own-routes.js";
import { readPageRoutes } from "./page-routes.js";
import type { ControlPlaneCalls } from "./services/call-table.js";

let controlPlane: LoginControlPlane;
let proxy: DelayingProxy;
let gateway: { url: string; close(): Promise<void> };
let openApi: OpenApiCheck;

before(async () => {
  controlPlane = await openLoginControlPlane({ database: `sqlite:${temporaryFolder()}/control-plane.db` });
  proxy = await openDelayingProxy(Number(new URL(controlPlane.url.replace("grpc:", "http:")).port));
  const guard = "{ timeout: 300ms, breaker: { openFor: 100ms } }";
  gateway = await openLoginGateway(proxy.url, `services: { catalog: ${guard}, playback: ${guard}, fleet: ${guard} }`);
  openApi = await readOpenApi(gateway.url);
});
after(async () => {
  await gateway.close();
  await proxy.close();
  await controlPlane.close();
});

async function ask(route: string, { query = "", body, authorization }: { query?: string; body?: string; authorization?: string } = {}) {
  const [method = "", path = ""] = route.split(" ");
  const response = await fetch(gateway.url + path + query, {
    method,
    ...(authorization !== undefined && { headers: { Authorization: authorization } }),
    ...(body !== undefined && { body }),
  });
  const text = await response.text();
  const contentType = response.headers.get("content-type");
  const json = (contentType?.includes("json") ? JSON.parse(text) : text) as { error?: { code: string } } & Record<string, unknown>;
  openApi.check(method, path, { status: response.status, contentType, body: json });
  return { status: response.status, code: json.error?.code, json };
}

test("every route of the API is in the document, and nothing else is", () => {
  const metrics = openGatewayMetrics({ isConnected: () => true, services: () => [], copies: () => [] });
  const calls = {} as ControlPlaneCalls;
  const keptPlaybacks = new KeptPlaybacks({ clock: systemClock, maxAgeMs: 1 });
  const pages = readPageRoutes(packageRoot);
  const routes = new Map<string, Route>([
    ...pages,
    ...makeApiRoutes({ calls, metrics, keptPlaybacks, services: () => [], copies: () => [] }),
    ...makeContentSteeringRoutes(calls),
    ...makeLoginRoutes(calls),
    ...makeBillingRoutes(calls),
    ...makeCatalogRoutes(calls),
  ]);
  const own = makeOwnRoutes({ routes, registry: new Registry(), whyNotReady: () => undefined, isConnected: () => true });
  for (const [path, route] of own) routes.set(path, route);
  const inTable = [...routes]
    .filter(([path]) => !pages.has(path))
    .flatMap(([path, { methods }]) => methods.map((method) => `${method} ${path}`));
  const inDocument = Object.entries(openApi.document.paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
  );
  assert.deepEqual(inDocument.sort(), inTable.sort());
  assert.ok(inTable.length > 40);
  assert.match(openApi.document.openapi, /^3\.1\./);
});

test("the document's names are unique, and its references lead somewhere", () => {
  const { document } = openApi;
  const operations = Object.values(document.paths).flatMap((path) => Object.values(path)) as unknown as { operationId: string }[];
  assert.equal(new Set(operations.map(({ operationId }) => operationId)).size, operations.length);
  for (const [, pointer] of JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)) {
    let found: unknown = document;
    for (const key of pointer!.split("/")) found = (found as Record<string, unknown> | undefined)?.[key];
    assert.ok(found, pointer);
  }
});

test("catalog, fleet, playback and the gateway's own routes answer as documented: right, wrong, unauthorised, too large, twice", async () => {
  const paths = { hlsPath: "one/master.m3u8", dashPath: "one/manifest.mpd" };
  await controlPlane.client.publishTitle({
    title: { titleId: "one", name: "One", durationSeconds: 60, ...paths, sizeBytes: 0n, objectCount: 0, publishedAtUnixMs: 0n },
    objects: Object.values(paths).map((path) => ({ path, sizeBytes: 1000n, etag: '"0123"', chunkBytes: 1000 })),
  });
  for (const route of ["GET /healthz", "GET /readyz", "GET /metrics", "GET /api/openapi.json", "GET /api/gateway", "GET /api/fleet"]) {
    assert.equal((await ask(route)).status, 200, route);
  }
  const titles = await ask("GET /api/titles", { query: "?pageSize=1" });
  assert.equal((titles.json["titles"] as unknown[]).length, 1);
  assert.deepEqual((await ask("GET /api/titles", { query: "?pageSize=1" })).json, titles.json);
  for (const pageSize of ["0", "501", "x", "1e2", "-1", ""]) {
    assert.equal((await ask("GET /api/titles", { query: `?pageSize=${pageSize}` })).code, "invalid-argument", pageSize);
  }
  assert.equal((await ask("GET /api/titles", { query: "?pageToken=x" })).code, "page-token-invalid");
  const play = (body: string) => ask("POST /api/playback", { body });
  assert.equal((await play('{"titleId":"none"}')).code, "title-unknown");
  assert.equal((await play('{"titleId":"one"}')).code, "no-appliance-live");
  assert.equal((await play("{}")).code, "body-malformed");
  assert.equal((await play("x")).code, "json-malformed");
  assert.equal((await play("x".repeat(20_000))).code, "body-too-large");
  assert.equal((await ask("GET /api/fleet", { authorization: "Bearer x.y.z" })).code, "access-token-invalid");
});

test("a ranked list is given again, marked as stale and without a stream, only to whom it was made, and the catalog's pages too", async (t) => {
  const port = Number(controlPlane.url.split(":").at(-1));
  await joinFleet(t, port, { id: "edge", siteId: "here", holds: ["one/master.m3u8", "one/manifest.mpd"] });
  const right = await ask("POST /api/playback", { body: '{"titleId":"one"}' });
  assert.equal(right.status, 200, JSON.stringify(right.json));
  assert.equal((right.json["urls"] as unknown[]).length, 1);
  await ask("GET /api/titles");
  proxy.delay("/millrace.", 30_000);
  const late = await ask("POST /api/playback", { body: '{"titleId":"one"}' });
  assert.deepEqual(late.json, { ...right.json, stale: true });
  const another = await ask("POST /api/playback", { body: '{"titleId":"one"}', authorization: "Bearer another" });
  assert.deepEqual([another.status, another.code], [503, "control-plane-away"]);
  assert.equal((await ask("POST /api/playback", { body: '{"titleId":"two"}' })).status, 503);
  assert.equal((await ask("GET /api/titles")).json["stale"], true);
  assert.equal((await ask("GET /api/fleet")).code, "control-plane-away");
  proxy.delay("", 0);
});
