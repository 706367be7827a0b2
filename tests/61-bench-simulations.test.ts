// Cache policies and simulated players as a person runs them, and the page of their results in a browser.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import send from "send";
import { type FilmServer, openFilmServer } from "../bench/players/film-server.js";
import type { PlayersResult } from "../bench/players/players-result.js";
import type { PoliciesResult } from "../bench/policies/policies-result.js";
import { startBench } from "./support/run-bench.js";
import { openBrowser, openPage } from "./support/browser.js";
import { requireProgram } from "./support/require-program.js";

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "millrace-simulations-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

async function openFilm(t: TestContext, segments: number): Promise<FilmServer> {
  const server = await openFilmServer({ bitsPerSecond: [100_000, 400_000], segments, sound: true });
  t.after(() => server.kill());
  return server;
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const deadlineMs = performance.now() + 30_000;
  while (!condition()) {
    assert.ok(performance.now() < deadlineMs, `${what} did not happen in 30 s`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test("bench policies: hit ratios of a trace worked by hand", async (t) => {
  const trace = join(temporaryFolder(t), "trace.csv");
  // A cache of two objects. LRU holds a when it comes back and has lost b: 2 hits; FIFO loses a to c: 1. Belady keeps a and b: 3.
  writeFileSync(trace, "time,id,size\n0,a,10\n1,b,10\n2,a,10\n3,c,10\n4,a,10\n5,b,10\n");
  const { code, stdout } = await startBench(["policies", "--trace", trace, "--sizes", "20,100%", "--json"]).end;
  assert.equal(code, 0);
  const { trace: facts, sizes } = JSON.parse(stdout) as PoliciesResult;
  assert.deepEqual([facts.requests, facts.objects, facts.footprintBytes, facts.endlessHitRatio], [6, 3, 30, 0.5]);
  const hits = Object.fromEntries(sizes[0]!.policies.map(({ name, hits }) => [name, hits]));
  assert.deepEqual([hits["fifo"], hits["lru"], hits["belady"]], [1, 2, 3]);
  assert.equal(sizes[0]!.bound.hitRatio, 0.5);
  assert.ok(sizes[1]!.policies.every(({ hitRatio }) => hitRatio === 0.5));
});

test("bench policies: prints a table, and says what is wrong with a trace or a flag", async (t) => {
  const trace = join(temporaryFolder(t), "trace.csv");
  writeFileSync(trace, "0,a,10\n1,b,lots\n");
  const wrong = await startBench(["policies", "--trace", trace]).end;
  assert.equal(wrong.code, 1);
  assert.match(wrong.stderr, /^Cannot read trace .*trace\.csv: line 2: size "lots" is not a whole number of bytes\n$/);
  for (const [args, message] of [
    [[], /give either --trace FILE or --zipf RECIPE/],
    [["--zipf", "--sizes", "big"], /Cannot use --sizes: "big"/],
    [["--zipf", "alpha=x"], /Cannot use --zipf: alpha is "x"/],
  ] as const) {
    const end = await startBench(["policies", ...args]).end;
    assert.equal(end.code, 1);
    assert.match(end.stderr, message);
  }
  const table = await startBench(["policies", "--zipf", "requests=20000,objects=500", "--sizes", "5%"]).end;
  assert.equal(table.code, 0);
  for (const title of ["FIFO", "LRU", "SIEVE", "S3-FIFO", "ARC", "Belady (offline)", "no policy is above"]) {
    assert.ok(table.stdout.includes(title), title);
  }
});

const fast = ["players", "--speed", "20", "--arrive", "1s", "--json"];

test("bench players: all go on when the first server dies in mid-film", async (t) => {
  const first = await openFilm(t, 30);
  const second = await openFilm(t, 30);
  const running = startBench([...fast, "--url", first.url, "--url", second.url, "--count", "6"]);
  await until(() => first.requests.length > 60, "60 requests to the first");
  first.kill();
  const { code, stdout, stderr } = await running.end;
  assert.equal(code, 0, stderr);
  const result = JSON.parse(stdout) as PlayersResult;
  assert.equal(result.verdict.ok, true);
  assert.equal(result.aggregate.finished, 6);
  assert.deepEqual(result.bitsPerSecond, [100_000, 400_000]);
  for (const player of result.players) {
    assert.deepEqual([player.end, player.playedSeconds, player.failovers], ["finished", 60, 1]);
    // 30 of picture, 30 of sound.
    assert.equal(player.segments, 60);
  }
  assert.ok(second.requests.length > 0);
});

test("bench players: exits with 1 and says why when nothing can be played", async (t) => {
  const server = await openFilm(t, 2);
  server.kill();
  const dead = await startBench([...fast, "--url", server.url, "--count", "2"]).end;
  assert.equal(dead.code, 1);
  const result = JSON.parse(dead.stdout) as PlayersResult;
  assert.match(result.verdict.text, /^FAILED: 2 of 2 players gave up\. The first: Cannot play: .* refused from/);
  const noList = await startBench([...fast, "--url", `${(await openFilm(t, 2)).url.replace("master.m3u8", "v0.mp4")}`, "--count", "1"]).end;
  assert.equal(noList.code, 1);
  assert.match((JSON.parse(noList.stdout) as PlayersResult).players[0]!.reason!, /is not an HLS playlist/);
  const noUrl = await startBench(["players", "--url", "ftp://x/y"]).end;
  assert.equal(noUrl.code, 1);
  assert.match(noUrl.stderr, /Cannot use --url: "ftp:\/\/x\/y" is not an http/);
});

test("bench players: Ctrl-C prints what the players saw until then", async (t) => {
  const server = await openFilm(t, 150);
  const running = startBench(["players", "--url", server.url, "--count", "4", "--arrive", "1s", "--json"]);
  await until(() => server.requests.length > 20, "20 requests");
  process.kill(running.pid, "SIGINT");
  const { code, stdout } = await running.end;
  assert.equal(code, 130);
  const result = JSON.parse(stdout) as PlayersResult;
  assert.equal(result.complete, false);
  assert.match(result.verdict.text, /^INTERRUPTED/);
  assert.ok(result.players.length > 0 && result.players.every(({ end }) => end === "interrupted"));
});

test("bench players: watches a film that ffmpeg packaged, whole and only once", async (t) => {
  if (!requireProgram(t, "ffmpeg")) return;
  const folder = temporaryFolder(t);
  const video = ["-g", "24", "-keyint_min", "24", "-sc_threshold", "0", "-c:v", "libx264", "-preset", "ultrafast"];
  const hls = ["-f", "hls", "-hls_time", "1", "-hls_playlist_type", "vod", "-hls_segment_type", "fmp4", "-hls_flags", "single_file"];
  const groups = ["-master_pl_name", "master.m3u8", "-var_stream_map", "v:0,agroup:a a:0,agroup:a,default:yes", "stream_%v.m3u8"];
  const sources = ["-f", "lavfi", "-i", "testsrc2=size=160x90:rate=24", "-f", "lavfi", "-i", "sine"];
  await promisify(execFile)("ffmpeg", ["-loglevel", "error", ...sources, "-t", "8", ...video, "-c:a", "aac", ...hls, ...groups], {
    cwd: folder,
  });
  const bytesSent = new Map<string, number>();
  const server = createServer((request, response) => {
    const path = request.url ?? "";
    response.on("finish", () => bytesSent.set(path, (bytesSent.get(path) ?? 0) + Number(response.getHeader("content-length"))));
    send(request, path, { root: folder }).pipe(response);
  });
  t.after(() => server.close().closeAllConnections());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/master.m3u8`;
  const { code, stdout, stderr } = await startBench([...fast, "--url", url, "--count", "1"]).end;
  assert.equal(code, 0, stderr);
  const { players } = JSON.parse(stdout) as PlayersResult;
  assert.ok(Math.abs(players[0]!.playedSeconds - 8) < 0.2, String(players[0]!.playedSeconds));
  // Each file came as its initialization and its segments, which are all of it but the index at its end.
  for (const name of ["stream_0", "stream_1"]) {
    const whole = readFileSync(join(folder, `${name}.m4s`)).length;
    const sent = bytesSent.get(`/${name}.m4s`)!;
    assert.ok(sent <= whole && sent > whole * 0.9, `${name}: ${sent} of ${whole} bytes`);
  }
});

test("bench report: the page draws every chart in Chromium, light and dark, and asks for nothing", async (t) => {
  const browser = await openBrowser(t);
  if (!browser) return;
  const folder = temporaryFolder(t);
  const server = await openFilm(t, 10);
  const [policies, players, page] = ["policies.json", "players.json", "page.html"].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  const runs = [
    ["policies", "--zipf", "requests=20000,objects=500", "--sizes", "1%,5%,20%", "--out", policies],
    [...fast, "--url", server.url, "--count", "5", "--out", players],
    ["report", policies, players, "--html", page],
  ];
  for (const args of runs) {
    const { code, stderr } = await startBench(args).end;
    assert.equal(code, 0, `${args[0]}: ${stderr}`);
  }
  for (const colorScheme of ["light", "dark"] as const) {
    const opened = await openPage(browser, pathToFileURL(page).href, { colorScheme });
    assert.deepEqual(opened.mishaps, []);
    const figures = await opened.page.locator("figure.chart").count();
    assert.equal(figures, 6);
    assert.equal(await opened.page.locator("figure.chart canvas").count(), figures);
    // A canvas that was drawn on has more than one colour.
    const drawn = `[...document.querySelectorAll("canvas")].every((canvas) =>
      new Set(new Uint32Array(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size > 4)`;
    assert.equal(await opened.page.evaluate(drawn), true);
    assert.equal(await opened.page.evaluate(`performance.getEntriesByType("resource").length`), 0);
  }
  const wrong = await startBench(["report", join(folder, "page.html"), "-o", join(folder, "none.html")]).end;
  assert.equal(wrong.code, 1);
  assert.match(wrong.stderr, /Cannot read result .*page\.html: /);
  assert.equal(existsSync(join(folder, "none.html")), false);
});
