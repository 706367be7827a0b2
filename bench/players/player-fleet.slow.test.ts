// Players against real HTTP servers, good and bad ones.
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { sumOfErrors } from "../report/bench-result.js";
import { parseBandwidthTrace } from "./bandwidth-trace.js";
import { type FilmOptions, type FilmServer, type Misbehaviour, openFilmServer } from "./film-server.js";
import { type PlayerFleetOptions, runPlayerFleet } from "./player-fleet.js";

const line = (mbps: number) => [parseBandwidthTrace(`${mbps} Mb/s`, `0 ${mbps}\n1 ${mbps}\n`)];
const smallFilm: FilmOptions = { bitsPerSecond: [100_000, 400_000], segments: 6 };

async function openServer(t: TestContext, film: FilmOptions = smallFilm, misbehave?: Misbehaviour): Promise<FilmServer> {
  const server = await openFilmServer(film, misbehave);
  t.after(() => server.kill());
  return server;
}

/** Fast players who watch everything, on a line that never gets in the way unless another is given. */
function play(servers: readonly FilmServer[], changes: Partial<PlayerFleetOptions> = {}, signal = new AbortController().signal) {
  const options: PlayerFleetOptions = {
    urls: servers.map(({ url }) => url),
    ladder: null,
    rule: "throughput",
    traces: line(100),
    players: [0],
    playerCount: 1,
    arriveSeconds: 0,
    bufferMaxSeconds: 10,
    startLevelSeconds: 2,
    watchSeconds: 600,
    speed: 40,
    serverTimeoutMs: 5000,
    seed: 1,
    tls: { caPem: null, insecure: false },
    ...changes,
  };
  return runPlayerFleet(options, signal, () => {});
}

test("a player fetches every byte range of the film once, in order, sound beside the picture", async (t) => {
  const server = await openServer(t, { bitsPerSecond: [80_000], segments: 5, sound: true });
  const { players } = await play([server]);
  const [player] = players;
  assert.equal(player!.end, "finished");
  assert.equal(player!.playedSeconds, 10);
  assert.equal(player!.segments, 10);
  assert.deepEqual(player!.errors, {});
  const rangesOf = (path: string) => server.requests.filter((request) => request.path === path).map(({ range }) => range);
  const expected = (bytes: number) => [
    "bytes=0-99",
    ...Array.from({ length: 5 }, (_, index) => `bytes=${100 + index * bytes}-${99 + (index + 1) * bytes}`),
  ];
  assert.deepEqual(rangesOf("/film/v0.mp4"), expected(20_000));
  assert.deepEqual(rangesOf("/film/sound.mp4"), expected(16_000));
  assert.ok(player!.receivedBytes > 5 * 36_000 + 200);
});

for (const rule of ["throughput", "bola"] as const) {
  test(`${rule}: on a line much wider than the film a player reaches the highest bitrate and never stalls`, async (t) => {
    const server = await openServer(t, { bitsPerSecond: [100_000, 200_000, 400_000], segments: 15 });
    const { players, bitsPerSecond } = await play([server], { rule, bufferMaxSeconds: 20, startLevelSeconds: 6, speed: 10 });
    assert.deepEqual(bitsPerSecond, [100_000, 200_000, 400_000]);
    const [player] = players;
    assert.equal(player!.stalls, 0);
    assert.ok(player!.averageBitsPerSecond! > 200_000, String(player!.averageBitsPerSecond));
    assert.ok(server.requests.some(({ path }) => path === "/film/v2.mp4"));
    assert.ok(player!.switches >= 1);
  });
}

test("on a line of half the lowest bitrate the film takes twice its length, and the viewer waits for the other half", async (t) => {
  const server = await openServer(t, { bitsPerSecond: [400_000], segments: 10 });
  const { players } = await play([server], { traces: line(0.2), speed: 20 });
  const [player] = players;
  assert.equal(player!.playedSeconds, 20);
  assert.ok(player!.stalls >= 5, `${player!.stalls} stalls`);
  // 1 MB at 25 kB/s is 40 s; the bucket's first 16 kB come at once, whatever is late makes it longer.
  const total = player!.startupSeconds! + player!.playedSeconds + player!.stallSeconds;
  assert.ok(total > 39 && total < 60, `${total} s`);
  assert.ok(player!.rebufferRatio! > 0.3 && player!.rebufferRatio! < 0.6, String(player!.rebufferRatio));
});

test("a player holds no more than its buffer: it asks no faster than it plays", async (t) => {
  const server = await openServer(t, { bitsPerSecond: [100_000], segments: 20 });
  const opened = performance.now();
  const { players } = await play([server], { bufferMaxSeconds: 6, speed: 20 });
  const seconds = ((performance.now() - opened) / 1000) * 20;
  assert.equal(players[0]!.end, "finished");
  // Of 40 s, all but the last 6 were asked for while the others were played.
  assert.ok(seconds > 33, `${seconds} s`);
});

test("when a server dies in mid-film its players go on from the next, from the segment where they were", async (t) => {
  const dying: FilmServer = await openServer(t, { ...smallFilm, segments: 20 }, (_request, response, count) => {
    if (count < 30) return false;
    // As a killed process: half an answer, then nothing listens any more.
    response.writeHead(206, { "content-length": 1e6 });
    response.write("half", () => dying.kill());
    return true;
  });
  const other = await openServer(t, { ...smallFilm, segments: 20 });
  const { players } = await play([dying, other], { players: [0, 1, 2, 3], playerCount: 4 });
  for (const player of players) {
    assert.equal(player.end, "finished");
    assert.equal(player.playedSeconds, 40);
    assert.equal(player.failovers, 1);
    assert.equal(sumOfErrors(player.errors), 1);
  }
  assert.ok(other.requests.length > 0 && other.requests.length < 4 * 21, `${other.requests.length} requests to the other`);
});

test("when no URL works a player gives up and says why", async (t) => {
  const server = await openServer(t);
  server.kill();
  const { players } = await play([server, server]);
  const [player] = players;
  assert.equal(player!.end, "gave-up");
  assert.equal(player!.startupSeconds, null);
  assert.equal(player!.rebufferRatio, null);
  assert.deepEqual(player!.errors, { refused: 8 });
  assert.match(player!.reason!, /no URL works after 4 rounds, the last failure was refused from 127\.0\.0\.1:\d+/);
});

const failures: { name: string; kind: string; misbehave: Misbehaviour }[] = [
  { name: "answers 503", kind: "status-503", misbehave: (_request, response) => !!response.writeHead(503).end() },
  {
    name: "ignores Range",
    kind: "wrong-range",
    misbehave: (_request, response) => !!response.writeHead(200, { "content-length": 3 }).end("abc"),
  },
  {
    name: "sends another range",
    kind: "wrong-range",
    misbehave: (_request, response) => !!response.writeHead(206, { "content-range": "bytes 5-7/100", "content-length": 3 }).end("abc"),
  },
  {
    name: "announces another length",
    kind: "wrong-length",
    misbehave: (request, response) => {
      const range = request.headers.range!.slice("bytes=".length);
      return !!response.writeHead(206, { "content-range": `bytes ${range}/1000000`, "content-length": 3 }).end("abc");
    },
  },
  {
    name: "breaks off in mid-body",
    kind: "short-body",
    misbehave: (request, response) => {
      const [first, last] = request.headers.range!.slice("bytes=".length).split("-").map(Number);
      response.writeHead(206, { "content-range": `bytes ${first}-${last}/1000000`, "content-length": last! - first! + 1 });
      response.write("half", () => setTimeout(() => request.socket.destroy(), 20));
      return true;
    },
  },
  { name: "says nothing", kind: "timeout", misbehave: () => true },
  {
    name: "is not HTTP",
    kind: "bad-framing",
    misbehave: (request) => {
      request.socket.end("SSH-2.0-OpenSSH_9.2\r\n");
      return true;
    },
  },
];
for (const { name, kind, misbehave } of failures) {
  test(`a server that ${name} is counted as ${kind}, and the next one is used`, async (t) => {
    const bad = await openServer(t, smallFilm, (request, response, count) => count > 2 && misbehave(request, response, count));
    const good = await openServer(t);
    const { players } = await play([bad, good], { serverTimeoutMs: kind === "timeout" ? 300 : 5000 });
    assert.equal(players[0]!.end, "finished");
    assert.deepEqual(players[0]!.errors, { [kind]: 1 });
    assert.equal(players[0]!.failovers, 1);
    assert.ok(good.requests.length > 0);
  });
}

test("a server that closes idle connections makes no failed request", async (t) => {
  const server = await openServer(t, smallFilm, (request, response) => {
    response.once("finish", () => request.socket.end());
    return false;
  });
  const { players } = await play([server], { players: [0, 1, 2, 3, 4], playerCount: 5 });
  for (const player of players) assert.deepEqual([player.end, player.errors], ["finished", {}]);
});

test("a ladder needs no playlist: ranges of one file", async (t) => {
  const server = await openServer(t, { bitsPerSecond: [1_000_000], segments: 4 });
  const ladder = { rungs: [{ bitsPerSecond: 100_000, url: "v0.mp4" }], segmentSeconds: 4, durationSeconds: 20 };
  const { players } = await play([server], { ladder });
  assert.equal(players[0]!.end, "finished");
  assert.deepEqual(
    server.requests.map(({ range }) => range),
    ["bytes=0-0", ...Array.from({ length: 5 }, (_, index) => `bytes=${index * 50_000}-${index * 50_000 + 49_999}`)],
  );
});

test("players come one after the other, and stop at once when told to", async (t) => {
  const server = await openServer(t, { bitsPerSecond: [100_000], segments: 300 });
  const abort = new AbortController();
  const options = { players: [0, 1, 2, 3], playerCount: 4, arriveSeconds: 4000, speed: 1000 };
  const running = play([server], options, abort.signal);
  const deadlineMs = performance.now() + 20_000;
  while (server.requests.length < 20) {
    assert.ok(performance.now() < deadlineMs, "no player came");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  abort.abort();
  const { players } = await running;
  assert.ok(players.length >= 1 && players.length < 4, `${players.length} came`);
  assert.ok(players.some(({ end }) => end === "interrupted"));
});
