import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import { gunzipSync, brotliDecompressSync } from "node:zlib";
import { systemClock } from "../../runtime/clock.js";
import { openLog } from "../../runtime/log.js";
import { OperatingError } from "../../runtime/operating-error.js";
import { packageRoot } from "../../runtime/package-root.js";
import { jsonNumber } from "./api-answers.js";
import { TrustedProxies } from "./client-address.js";
import { chooseCoding } from "./filters/compress.js";
import { RateLimit, type Rate } from "./filters/rate-limit.js";
import { openHttpApp, type HttpApp, type Route, type RouteRequest } from "./http-app.js";
import { openGatewayMetrics } from "./metrics.js";
import { readPageRoutes } from "./page-routes.js";

interface Served {
  url: string;
  app: HttpApp;
  metrics: ReturnType<typeof openGatewayMetrics>;
}

const unlimited: Rate = { perSecond: 1, burst: 1000 };
const text = (body: string) => ({ status: 200, headers: { "Content-Type": "text/plain" }, body });

async function withApp(routes: Record<string, Partial<Route>>, use: (served: Served) => Promise<void>, rate = unlimited): Promise<void> {
  const metrics = openGatewayMetrics({ isConnected: () => true, services: () => [], copies: () => [] });
  const all = new Map(
    Object.entries(routes).map(([path, route]) => [
      path,
      { name: path, methods: ["GET"] as const, crossOrigin: false, answer: () => text("here\n"), ...route } satisfies Route,
    ]),
  );
  const app = await openHttpApp({
    host: "127.0.0.1",
    port: 0,
    routeOf: (path) => all.get(path),
    trustedProxies: new TrustedProxies(["127.0.0.0/8"]),
    rateLimit: new RateLimit({ perAddress: rate, perToken: rate, clock: systemClock, onRefusal: () => {} }),
    metrics,
    log: openLog("gateway", "silent"),
  });
  try {
    await use({ url: `http://127.0.0.1:${app.port}`, app, metrics });
  } finally {
    await app.drain();
  }
}

const codeOf = async (response: Response) => {
  const { error } = (await response.json()) as { error: { code: string; message: string } };
  assert.match(error.message, /^Cannot /);
  return `${response.status} ${error.code}`;
};

/** Sends `request` as it is and gives what came back until the other end closed or `until` was there. */
function raw(port: number, request: string, until?: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(request));
    let received = "";
    socket.setTimeout(10_000, () => reject(new Error(`no end after: ${received}`)));
    socket.on("data", (data) => {
      received += data.toString("latin1");
      if (until !== undefined && received.includes(until)) socket.destroy();
    });
    socket.on("error", reject);
    socket.on("close", () => resolve(received));
  });
}

test("openHttpApp() answers 404, 405 with Allow, and HEAD with the length of the GET", async () => {
  await withApp({ "/a": {} }, async ({ url, app }) => {
    assert.equal(await codeOf(await fetch(`${url}/b`)), "404 not-found");
    const refused = await fetch(`${url}/a`, { method: "DELETE" });
    assert.equal(refused.headers.get("allow"), "GET, HEAD");
    assert.equal(await codeOf(refused), "405 method-not-allowed");
    assert.equal(await (await fetch(`${url}/a?x=1`)).text(), "here\n");
    // Two on one connection: the second must not be swallowed by the first.
    const both = await raw(app.port, "HEAD /a HTTP/1.1\r\nHost: x\r\n\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n", "here\n");
    assert.equal(both.match(/HTTP\/1\.1 200 OK/g)?.length, 2);
    assert.equal(both.match(/Content-Length: 5\r\n/gi)?.length, 2);
  });
});

test("openHttpApp() gives the route its body, query, client address and request id, and the id back", async () => {
  let seen: RouteRequest | undefined;
  const answer = (request: RouteRequest) => {
    seen = request;
    return text("ok");
  };
  await withApp({ "/a": { methods: ["POST"], answer } }, async ({ url }) => {
    const response = await fetch(`${url}/a?x=%20y`, {
      method: "POST",
      body: "ä".repeat(8192),
      headers: { "X-Forwarded-For": "198.51.100.1", "X-Request-Id": "request-0001" },
    });
    assert.equal(response.headers.get("x-request-id"), "request-0001");
    assert.equal(seen?.body.toString(), "ä".repeat(8192), "16 KiB are not too much");
    assert.equal(seen.query.get("x"), " y");
    assert.equal(seen.clientAddress, "198.51.100.1");
    const other = await fetch(`${url}/a`, { method: "POST", headers: { "X-Request-Id": "a b" } });
    assert.match(other.headers.get("x-request-id") ?? "", /^[0-9a-f-]{36}$/);
    assert.equal(seen.clientAddress, "127.0.0.1");
  });
});

test("openHttpApp() refuses a body above 16 KiB with 413, also one without a length and one of many megabytes", async () => {
  await withApp({ "/a": { methods: ["POST"] } }, async ({ url, app }) => {
    assert.equal(await codeOf(await fetch(`${url}/a`, { method: "POST", body: "x".repeat(16 * 1024 + 1) })), "413 body-too-large");
    const chunk = `4000\r\n${"x".repeat(0x4000)}\r\n`;
    const chunked = await raw(
      app.port,
      `POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${chunk}${chunk}0\r\n\r\n`,
      "body-too-large",
    );
    assert.match(chunked, /^HTTP\/1\.1 413 /);
    // Cut before its end: what comes back is the answer or the end of the connection, and the server lives.
    const huge = `POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 8000000\r\n\r\n${"x".repeat(8_000_000)}`;
    const answer = await raw(app.port, huge, "body-too-large").catch((error: unknown) => String(error));
    assert.match(answer, /413|ECONNRESET|EPIPE/);
    assert.equal((await fetch(`${url}/a`, { method: "POST", body: "x" })).status, 200);
  });
});

test("openHttpApp() answers errors of the world with their status and all else with a bare 500", async () => {
  const failing = (error: Error): Partial<Route> => ({ crossOrigin: true, answer: () => Promise.reject(error) });
  await withApp(
    {
      "/away": failing(new OperatingError("control-plane-away", "Cannot ask: away")),
      "/bug": failing(new TypeError("secret.value is undefined")),
      "/sync": {
        answer: () => {
          throw new OperatingError("title-unknown", "Cannot find it");
        },
      },
    },
    async ({ url }) => {
      const away = await fetch(`${url}/away`);
      assert.equal(away.headers.get("retry-after"), "1");
      assert.equal(away.headers.get("access-control-allow-origin"), "*", "a page must be able to read the error");
      assert.equal(await codeOf(away), "503 control-plane-away");
      assert.equal(await codeOf(await fetch(`${url}/sync`)), "404 title-unknown");
      const bug = await fetch(`${url}/bug`);
      const body = await bug.text();
      assert.equal(bug.status, 500);
      assert.doesNotMatch(body, /secret/);
    },
  );
});

test("openHttpApp() answers a preflight for routes that other origins may call, and for no other", async () => {
  await withApp({ "/api": { methods: ["POST"], crossOrigin: true }, "/page": {} }, async ({ url }) => {
    const preflight = await fetch(`${url}/api`, { method: "OPTIONS" });
    assert.equal(preflight.status, 204);
    assert.equal(preflight.headers.get("access-control-allow-methods"), "POST, OPTIONS");
    assert.equal((await fetch(`${url}/page`, { method: "OPTIONS" })).status, 405);
    assert.equal((await fetch(`${url}/page`)).headers.get("access-control-allow-origin"), null);
  });
});

test("openHttpApp() survives a client that goes away before its answer, and counts it", async () => {
  let release = () => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  let arrived = () => {};
  const started = new Promise<void>((resolve) => (arrived = resolve));
  const answer = async () => {
    arrived();
    await held;
    return text("late");
  };
  await withApp({ "/slow": { answer }, "/a": {} }, async ({ url, metrics }) => {
    const abort = new AbortController();
    const request = fetch(`${url}/slow`, { signal: abort.signal });
    await started;
    abort.abort();
    await assert.rejects(request, /abort/);
    const counted = async () => (await metrics.requestsAborted.get()).values[0]?.value;
    for (const until = Date.now() + 5000; (await counted()) !== 1 && Date.now() < until;) await new Promise(setImmediate);
    assert.equal(await counted(), 1);
    release();
    assert.equal((await fetch(`${url}/a`)).status, 200);
  });
});

test("openHttpApp() finishes a running request when it drains, and takes no new connection", async () => {
  let release = () => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  let arrived = () => {};
  const started = new Promise<void>((resolve) => (arrived = resolve));
  const answer = async () => {
    arrived();
    await held;
    return text("in time");
  };
  await withApp({ "/slow": { answer } }, async ({ url, app }) => {
    const running = fetch(`${url}/slow`);
    await started;
    const drained = app.drain();
    await assert.rejects(fetch(`${url}/slow`));
    release();
    const response = await running;
    assert.equal(await response.text(), "in time");
    await drained;
  });
});

test("openHttpApp() refuses a port that is taken", async () => {
  await withApp({}, async ({ app, metrics }) => {
    const again = openHttpApp({
      host: "127.0.0.1",
      port: app.port,
      routeOf: () => undefined,
      trustedProxies: new TrustedProxies([]),
      rateLimit: new RateLimit({ perAddress: unlimited, perToken: unlimited, clock: systemClock, onRefusal: () => {} }),
      metrics,
      log: openLog("gateway", "silent"),
    });
    await assert.rejects(again, { code: "port-taken" });
  });
});

test("readPageRoutes() serves a fixed table with tags and a policy, and says which page is missing", async () => {
  const routes = readPageRoutes(packageRoot);
  assert.ok(![...routes.keys()].some((path) => path.includes(".test.") || path.includes("..")));
  await withApp(Object.fromEntries(routes), async ({ url }) => {
    const script = await fetch(`${url}/assets/hls.min.js`);
    assert.equal(script.status, 200);
    assert.match(script.headers.get("content-type") ?? "", /^text\/javascript/);
    assert.match(script.headers.get("content-security-policy") ?? "", /worker-src 'self' blob:/);
    const etag = script.headers.get("etag")!;
    assert.equal((await fetch(`${url}/assets/hls.min.js`, { headers: { "If-None-Match": `"x", W/${etag}` } })).status, 304);
    assert.equal((await fetch(`${url}/assets/hls.min.js`, { headers: { "If-None-Match": '"x"' } })).status, 200);
    for (const path of ["/assets/../package.json", "/assets/%2e%2e/package.json", "/assets/", "/package.json"]) {
      assert.equal(await codeOf(await fetch(url + path)), "404 not-found", path);
    }
  });
  const missing = readPageRoutes("/nowhere");
  await withApp(Object.fromEntries(missing), async ({ url }) => {
    assert.equal(await codeOf(await fetch(`${url}/console`)), "404 page-missing");
  });
});

test("jsonNumber() is exact or refuses", () => {
  assert.equal(jsonNumber(2n ** 53n - 1n), 2 ** 53 - 1);
  assert.throws(() => jsonNumber(2n ** 53n), { code: "number-too-large" });
  assert.throws(() => jsonNumber(-(2n ** 53n)), { code: "number-too-large" });
});

test("openHttpApp() compresses JSON for clients that take it, and its HEAD tells the same length", async () => {
  const value = { titles: Array.from({ length: 100 }, (_, index) => ({ id: `title-${index}` })) };
  const answer = () => ({ status: 200, headers: { "Content-Type": "application/json" }, body: JSON.stringify(value) });
  const small = () => ({ status: 200, headers: { "Content-Type": "application/json" }, body: "{}" });
  await withApp({ "/a": { answer }, "/small": { answer: small } }, async ({ url, app }) => {
    const get = (coding: string, path = "/a") =>
      raw(app.port, `GET ${path} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: ${coding}\r\nConnection: close\r\n\r\n`);
    const bodyOf = (text: string) => Buffer.from(text.slice(text.indexOf("\r\n\r\n") + 4), "latin1");
    const zipped = await get("gzip");
    assert.match(zipped, /Content-Encoding: gzip\r\n/i);
    assert.match(zipped, /Vary: Accept-Encoding\r\n/i);
    assert.deepEqual(JSON.parse(gunzipSync(bodyOf(zipped)).toString()), value);
    const brotli = await get("gzip, br");
    assert.deepEqual(JSON.parse(brotliDecompressSync(bodyOf(brotli)).toString()), value);
    const plain = await get("identity");
    assert.doesNotMatch(plain, /Content-Encoding/i);
    assert.match(plain, /Vary: Accept-Encoding\r\n/i);
    assert.deepEqual(JSON.parse(bodyOf(plain).toString()), value);
    assert.doesNotMatch(await get("gzip", "/small"), /Content-Encoding/i);
    assert.deepEqual(await (await fetch(`${url}/a`)).json(), value);
    const head = await raw(app.port, "HEAD /a HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n");
    assert.equal(Number(/Content-Length: (\d+)/i.exec(head)?.[1]), bodyOf(zipped).length, head);
  });
});

test("openHttpApp() refuses who asks too often with 429 and Retry-After, and nobody else", async () => {
  await withApp(
    { "/a": {}, "/healthz": { name: "own" } },
    async ({ url }) => {
      const as = (address: string, token = "") =>
        fetch(`${url}/a`, { headers: { "X-Forwarded-For": address, ...(token && { Authorization: `Bearer ${token}` }) } });
      for (let count = 0; count < 3; count++) assert.equal((await as("198.51.100.1")).status, 200);
      const refused = await as("198.51.100.1");
      assert.equal(Number(refused.headers.get("retry-after")) >= 1, true);
      assert.equal(await codeOf(refused), "429 rate-limited");
      assert.equal((await as("198.51.100.2")).status, 200);
      // One household of IPv6 is one client; a token that is used from many addresses is one too.
      for (let count = 0; count < 3; count++) assert.equal((await as(`2001:db8::${count}`)).status, 200);
      assert.equal((await as("2001:db8::99")).status, 429);
      for (let count = 0; count < 3; count++) assert.equal((await as(`203.0.113.${count}`, "stolen")).status, 200);
      assert.equal((await as("203.0.113.9", "stolen")).status, 429);
      assert.equal((await as("203.0.113.9", "other")).status, 200);
      for (let count = 0; count < 10; count++) assert.equal((await fetch(`${url}/healthz`)).status, 200);
    },
    { perSecond: 0.001, burst: 3 },
  );
});

test("openHttpApp() gives every answer its security headers; a page keeps its own policy", async () => {
  const page = () => ({
    status: 200,
    headers: { "Content-Type": "text/html", "Content-Security-Policy": "default-src 'self'" },
    body: "<p>",
  });
  await withApp({ "/a": { crossOrigin: true }, "/page": { answer: page } }, async ({ url }) => {
    const { headers } = await fetch(`${url}/a`);
    assert.equal(headers.get("content-security-policy"), "default-src 'none'; frame-ancestors 'none'");
    assert.equal(headers.get("x-content-type-options"), "nosniff");
    assert.equal(headers.get("referrer-policy"), "no-referrer");
    assert.equal(headers.get("cross-origin-resource-policy"), "cross-origin");
    const ofPage = (await fetch(`${url}/page`)).headers;
    assert.equal(ofPage.get("content-security-policy"), "default-src 'self'");
    assert.equal(ofPage.get("cross-origin-resource-policy"), "same-origin");
    assert.equal((await fetch(`${url}/nothing`)).headers.get("x-content-type-options"), "nosniff");
  });
});

test("chooseCoding() goes by the client's weights", () => {
  const cases: [string, string | undefined][] = [
    ["", undefined],
    ["gzip", "gzip"],
    ["gzip, deflate, br, zstd", "br"],
    ["br;q=0.5, gzip", "gzip"],
    ["br;q=0, gzip;q=0", undefined],
    ["*", "br"],
    ["*;q=0, gzip;q=0.1", "gzip"],
    ["identity, gzip;q=0.5", undefined],
    ["GZIP;Q=1", "gzip"],
    ["gzip;q=x", undefined],
    [";;,,;q=1", undefined],
  ];
  for (const [header, coding] of cases) assert.equal(chooseCoding(header), coding, header);
});
