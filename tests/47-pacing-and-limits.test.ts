// How fast a response may be, how much a client may take, and what an answer says of where it came from.
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { Agent, request } from "undici";
import { makePlaybackToken } from "../fill-protocol/playback-token.js";
import { makeFillToken } from "../fill-protocol/fill-token.js";
import { openObjectServer } from "./support/object-server.js";
import { readMetric, readStatus, startAppliance, type ApplianceFixture } from "./support/start-appliance.js";
import { temporaryFolder } from "./support/temporary-folder.js";
import { waitUntil } from "./support/wait-until.js";

const folder = temporaryFolder();
const film = Buffer.alloc(3_000_000);
for (let at = 0; at < film.length; at += 4) film.writeUInt32LE(at, at);
mkdirSync(join(folder, "origin"));
writeFileSync(join(folder, "origin", "film.mp4"), film);
const key = { id: "k1", secret: "the secret of the test" };

async function start(
  t: TestContext,
  settings: Record<string, unknown>,
  upstreams = [`file://${folder}/origin/`],
): Promise<ApplianceFixture> {
  const home = join(folder, t.name.replace(/\W+/g, "-").slice(0, 60));
  mkdirSync(home);
  const appliance = await startAppliance({ folder: home, upstreams, settings });
  t.after(() => appliance.kill());
  return appliance;
}

/** How long the film takes, by its first and its last byte; its bytes are checked. */
async function timeOf(url: string, { headers = {}, lastByte = film.length - 1 } = {}): Promise<number> {
  const answer = await request(url, { headers: { range: `bytes=0-${lastByte}`, ...headers } });
  const startedMs = performance.now();
  const body = Buffer.from(await answer.body.arrayBuffer());
  const tookMs = performance.now() - startedMs;
  assert.equal(answer.statusCode, 206);
  assert.ok(body.equals(film.subarray(0, lastByte + 1)));
  return tookMs;
}

test("a paced response keeps its rate within 10 %, by token, by CMCD and by the settings, and its bytes are right", async (t) => {
  const rate = 1_000_000;
  const burst = 65_536;
  const appliance = await start(t, {
    tokens: { keys: [key] },
    pacing: { bytesPerSecond: rate, burst, followPlayers: true },
  });
  const token = (bytesPerSecond: number) => makePlaybackToken({ expiresUnixS: 4e9, pathPrefix: "", bytesPerSecond }, key);
  await request(`${appliance.url}~${token(1e9)}/film.mp4`).then(({ body }) => body.dump());
  const rows: [name: string, url: string, headers: Record<string, string>, bytesPerSecond: number][] = [
    ["settings", "film.mp4", {}, rate],
    ["token", `~${token(1_500_000)}/film.mp4`, {}, 1_500_000],
    ["CMCD header", "film.mp4", { "cmcd-status": "rtp=6000" }, 750_000],
    ["CMCD query", `film.mp4?CMCD=${encodeURIComponent("bl=100,rtp=4800")}`, {}, 600_000],
    ["a player that asks for more gets no more", "film.mp4", { "cmcd-status": "rtp=90000" }, rate],
  ];
  await Promise.all(
    rows.map(async ([name, url, headers, bytesPerSecond]) => {
      const lastByte = burst + 2 * bytesPerSecond - 1;
      // A machine that is busy may be late once; never early.
      let tookMs = 0;
      for (let tries = 0; tries < 3; tries++) {
        tookMs = await timeOf(appliance.url + url, { headers, lastByte });
        assert.ok(tookMs >= 1800, `${name}: ${tookMs} ms for two seconds of bytes`);
        if (tookMs <= 2200) return;
      }
      assert.fail(`${name}: ${tookMs} ms for two seconds of bytes`);
    }),
  );
  assert.ok((await timeOf(`${appliance.url}~${token(1e9)}/film.mp4`)) < 1500, "a token may allow more than the settings");
});

test("more paced responses than there are frames are under way at once, and go on when their chunk has left memory", async (t) => {
  const appliance = await start(t, { ram: 16 * 65_536, pacing: { bytesPerSecond: 400_000, burst: 20_000 } });
  const agent = new Agent({ connections: 100 });
  t.after(() => agent.destroy());
  let underWayMost = 0;
  let over = false;
  // Forty of them, each in a place of its own, over sixteen frames: what one brings in drives out another's.
  const bodies = Promise.all(
    Array.from({ length: 40 }, async (_, at) => {
      const first = at * 50_000;
      // More begin at once than there are frames for their first chunks: some have to come again.
      const answer = await waitUntil("it is let in", async () => {
        const each = await request(`${appliance.url}film.mp4`, {
          dispatcher: agent,
          headers: { range: `bytes=${first}-${first + 599_999}` },
        });
        if (each.statusCode === 206) return each;
        await each.body.dump();
        return undefined;
      });
      assert.ok(Buffer.from(await answer.body.arrayBuffer()).equals(film.subarray(first, first + 600_000)), String(first));
    }),
  ).finally(() => (over = true));
  await waitUntil("all are done", async () => {
    underWayMost = Math.max(underWayMost, (await readStatus(appliance)).requests.underWay);
    return over;
  });
  await bodies;
  assert.ok(underWayMost > 16, `${underWayMost} at once over 16 frames`);
  await waitUntil("nothing is pinned", async () => (await readStatus(appliance)).memory.pinned === 0);
});

test("a paced client that leaves is forgotten", async (t) => {
  const appliance = await start(t, { pacing: { bytesPerSecond: 50_000, burst: 1000 } });
  const { hostname, port } = new URL(appliance.url);
  const sockets = Array.from({ length: 20 }, () => connect(Number(port), hostname).on("error", () => {}));
  for (const socket of sockets) socket.write("GET /film.mp4 HTTP/1.1\r\nHost: x\r\n\r\n");
  await waitUntil("they are under way", async () => (await readStatus(appliance)).requests.underWay === 20);
  for (const socket of sockets) socket.destroy();
  await waitUntil("they are gone", async () => {
    const { memory, requests } = await readStatus(appliance);
    return requests.underWay === 0 && memory.pinned === 0;
  });
  const { code, stderr } = await appliance.stop();
  assert.equal(code, 0, stderr);
});

/** Opens `count` connections; each asks for the film and reads nothing when `asks`. */
async function openMany(appliance: ApplianceFixture, count: number, { asks = false, from = "127.0.0.1" } = {}): Promise<Socket[]> {
  const { hostname, port } = new URL(appliance.url);
  return Promise.all(
    Array.from({ length: count }, async () => {
      const socket = connect({ port: Number(port), host: hostname, localAddress: from }).on("error", () => {});
      await new Promise((resolve) => socket.once("connect", resolve));
      if (asks) socket.pause().write("GET /film.mp4 HTTP/1.1\r\nHost: x\r\n\r\n");
      return socket;
    }),
  );
}

const ask = async (appliance: ApplianceFixture, { from = "127.0.0.1", headers = {} } = {}) => {
  const agent = new Agent({ localAddress: from });
  try {
    const answer = await request(`${appliance.url}film.mp4`, { dispatcher: agent, headers: { range: "bytes=0-9", ...headers } });
    await answer.body.dump();
    return answer;
  } finally {
    await agent.destroy();
  }
};

test("a client with too many requests under way gets 429 with Retry-After, at any worker; others are served, and so are appliances", async (t) => {
  const pacing = { bytesPerSecond: 20_000, burst: 1000 };
  const appliance = await start(t, {
    limits: { perClient: { requests: 5 } },
    tokens: { keys: [key] },
    clients: { unlimited: ["127.0.0.9"] },
    pacing,
  });
  const sockets = await openMany(appliance, 5, { asks: true });
  await waitUntil("five are under way", async () => (await readStatus(appliance)).requests.underWay === 5);
  for (let round = 0; round < 8; round++) {
    const answer = await ask(appliance);
    assert.equal(answer.statusCode, 429);
    assert.equal(answer.headers["retry-after"], "1");
    assert.equal(answer.headers["connection"], "close");
  }
  assert.equal(await readMetric(appliance, 'millrace_requests_refused_total{reason="client-requests"}'), 8);
  assert.equal((await ask(appliance, { from: "127.0.0.2" })).statusCode, 206);
  const fillToken = makeFillToken({ expiresUnixS: 4e9, applianceId: "a" }, key);
  assert.equal((await ask(appliance, { headers: { "millrace-fill-token": fillToken } })).statusCode, 206);
  assert.equal((await ask(appliance, { headers: { "millrace-fill-token": "x" } })).statusCode, 429);
  const unlimited = await openMany(appliance, 7, { asks: true, from: "127.0.0.9" });
  await waitUntil("seven more are under way", async () => (await readStatus(appliance)).requests.underWay === 12);
  for (const socket of [...sockets, ...unlimited]) socket.destroy();
  await waitUntil("it is served again", async () => (await ask(appliance)).statusCode === 206);
});

test("a client that asks more often than it may gets 429, and is served again when it has waited as it was told", async (t) => {
  const appliance = await start(t, { limits: { perClient: { requestsPerSecond: 20 } } });
  const statuses = await Promise.all(Array.from({ length: 60 }, async () => (await ask(appliance)).statusCode));
  const served = statuses.filter((status) => status === 206).length;
  assert.ok(served >= 20 && served <= 50, `${served} of 60 within about a second`);
  assert.ok(statuses.includes(429));
  assert.equal((await ask(appliance, { from: "127.0.0.2" })).statusCode, 206);
  await waitUntil("it is served again", async () => (await ask(appliance)).statusCode === 206);
});

test("a client with too many connections gets 429 until it has closed some", async (t) => {
  const appliance = await start(t, { limits: { perClient: { connections: 10 } } });
  assert.equal((await ask(appliance)).statusCode, 206);
  const sockets = await openMany(appliance, 12);
  await waitUntil("it is refused", async () => (await ask(appliance)).statusCode === 429);
  assert.equal((await ask(appliance, { from: "127.0.0.2" })).statusCode, 206);
  for (const socket of sockets) socket.destroy();
  await waitUntil("it is served again", async () => (await ask(appliance)).statusCode === 206);
});

test("Cache-Status and X-Cache-Status say how an answer came about; Server-Timing does where it is asked for", async (t) => {
  const origin = await openObjectServer();
  t.after(() => origin.close());
  const appliance = await start(t, { revalidateAfter: "1s", serverTiming: true, workers: 1 }, [origin.url]);
  const get = async (range: string, method: "GET" | "HEAD" = "GET", path = "object-000001.bin") => {
    const { headers, body } = await request(appliance.url + path, { method, headers: { range } });
    await body.dump();
    return { cache: String(headers["cache-status"]), x: headers["x-cache-status"], timing: String(headers["server-timing"]) };
  };
  const miss = await get("bytes=0-9");
  assert.match(miss.cache, /^millrace; fwd=uri-miss; stored$/);
  assert.equal(miss.x, "MISS");
  assert.match(miss.timing, /^cache;desc=miss, wait;dur=\d+\.\d$/);
  const hit = await get("bytes=0-9");
  assert.match(hit.cache, /^millrace; hit; detail=(?:memory|updating); ttl=-?\d+$/);
  origin.stall(500);
  const [one, other] = await Promise.all([get("bytes=700000-700009"), get("bytes=700010-700019")]);
  assert.deepEqual([one.cache, other.cache].toSorted(), ["millrace; fwd=partial; stored", "millrace; fwd=partial; stored; collapsed"]);
  assert.match((await get("", "HEAD")).cache, /^millrace; hit; (?:detail=updating; )?ttl=-?\d+$/);
  assert.equal((await get("bytes=0-9", "GET", "nothing.mp4")).cache, "millrace; fwd=uri-miss; fwd-status=404");
  await waitUntil("it is time to look for a newer version", async () => (await get("bytes=0-9")).x === "UPDATING");
  await waitUntil("it was looked for", async () => (await get("bytes=0-9")).x === "HIT");
  origin.fault = "503";
  const stale = await waitUntil("the upstream is found to be away", async () => {
    const answer = await get("bytes=0-9");
    return answer.x === "STALE" && answer;
  });
  assert.match(stale.cache, /^millrace; hit; detail=upstream-away; ttl=-\d+$/);
});

test("the access log in the W3C's form says what its fields are, and is rotated by size with no line lost", async (t) => {
  const home = join(folder, "logs");
  mkdirSync(home);
  const path = join(home, "access.log");
  const appliance = await start(t, { accessLog: { path, format: "w3c", rotateAt: 2000, keep: 100 } });
  const total = 120;
  for (let count = 0; count < total; count++) {
    await request(`${appliance.url}film.mp4?CMCD=${encodeURIComponent('sid="s 1",cid="c1"')}`, {
      headers: { range: `bytes=${count}-${count}`, ...(count % 2 === 0 ? { connection: "close" } : {}) },
    }).then(({ body }) => body.dump());
    // So that there is more than one file: it is looked at once a second.
    if (count % 40 === 39) await waitUntil("it was moved away", () => existsSync(`${path}.${Math.ceil(count / 40)}`));
  }
  assert.equal((await appliance.stop()).code, 0);
  const files = readdirSync(home);
  assert.ok(files.length >= 3, files.join(" "));
  const ranges = new Set<string>();
  for (const file of files) {
    const lines = readFileSync(join(home, file), "utf8").trim().split("\n");
    if (lines[0] === "") continue;
    const fields = lines
      .find((line) => line.startsWith("#Fields: "))!
      .slice("#Fields: ".length)
      .split(" ");
    for (const line of lines.filter((each) => !each.startsWith("#"))) {
      const values = line.split(" ");
      assert.equal(values.length, fields.length, line);
      const row = Object.fromEntries(fields.map((field, at) => [field, values[at]!]));
      assert.match(`${row["date"]}T${row["time"]}Z`, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
      assert.deepEqual(
        [row["c-ip"], row["cs-method"], row["cs-uri-stem"], row["sc-status"], row["sc-bytes"], row["x-session"], row["x-content"]],
        ["127.0.0.1", "GET", "/film.mp4", "206", "1", "s%201", "c1"],
      );
      ranges.add(row["cs(Range)"]!);
    }
  }
  assert.equal(ranges.size, total);
});

test("sessions that tokens or CMCD name are counted once, however many requests they make", async (t) => {
  const appliance = await start(t, { tokens: { keys: [key] } });
  for (let round = 0; round < 3; round++) {
    for (const session of ["a", "b", "c"]) {
      const token = makePlaybackToken({ expiresUnixS: 4e9, pathPrefix: "", session }, key);
      await request(`${appliance.url}~${token}/film.mp4`, { method: "HEAD" }).then(({ body }) => body.dump());
    }
    await request(`${appliance.url}film.mp4`, { method: "HEAD", headers: { "cmcd-session": 'sid="d"', "cmcd-status": "bs" } });
  }
  const { sessions } = (await readStatus(appliance)) as unknown as { sessions: number };
  assert.equal(sessions, 4);
  assert.equal(await readMetric(appliance, "millrace_sessions"), 4);
  assert.equal(await readMetric(appliance, "millrace_players_starved_total"), 3);
});
