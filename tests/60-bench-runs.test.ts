// The run itself: the open loop's clock, Ctrl-C, a command in mid-run, comparing, and servers that the bench starts.
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { BenchResult } from "../bench/report/bench-result.js";
import type { Comparison } from "../bench/report/compare-results.js";
import { nginxPeer } from "../bench/peers/nginx-peer.js";
import { openObjectServer, type ObjectServer } from "./support/object-server.js";
import { runBench, startBench } from "./support/run-bench.js";

const small = ["--rounds", "1", "--objects", "4", "--object-size", "1MiB", "--range", "4KiB"];

async function openServer(t: TestContext): Promise<ObjectServer> {
  const server = await openObjectServer();
  t.after(() => server.close());
  return server;
}

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "millrace-bench-test-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const deadlineMs = performance.now() + 30_000;
  while (!condition()) {
    assert.ok(performance.now() < deadlineMs, `${what} did not happen in 30 s`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test("the open loop counts from the intended time: a stall of one second shows in p99, though few requests were under way", async (t) => {
  const server = await openServer(t);
  const flags = ["--rate", "200", "--arrivals", "constant", "--connections", "4", "--duration", "5s", "--warmup", "0s"];
  const running = startBench([server.url, ...small, ...flags, "-w", "ranges-4k", "--json"]);
  await until(() => server.requests > 300, "300 requests");
  server.stall(1000);
  const { stdout, code } = await running.end;
  const result = JSON.parse(stdout) as BenchResult;
  const { total } = result.runs[0]!.rounds[0]!;
  assert.equal(code, 0, result.verdict.text);
  // 200 of the 1000 requests were due in the stall; those due in its first tenth waited 900 ms or more: 2 % of all.
  assert.ok(total.response!.p99 >= 850, `p99 is ${total.response!.p99} ms`);
  assert.ok(total.response!.p50 < 500, `p50 is ${total.response!.p50} ms`);
  // What was due was sent, late or not.
  const due = total.seconds * 200;
  assert.ok(Math.abs(total.response!.count - due) <= 20, `${total.response!.count} responses, ${due} were due`);
});

test("the closed loop has one request under way on each connection, and few of them see the stall", async (t) => {
  const server = await openServer(t);
  const running = startBench([
    server.url,
    ...small,
    "--connections",
    "4",
    "--duration",
    "3s",
    "--warmup",
    "0s",
    "-w",
    "ranges-4k",
    "--json",
  ]);
  await until(() => server.requests > 300, "300 requests");
  server.stall(1000);
  const { total } = (JSON.parse((await running.end).stdout) as BenchResult).runs[0]!.rounds[0]!;
  assert.ok(total.response!.max >= 950 && total.response!.max < 2000, `max is ${total.response!.max} ms`);
  assert.ok(total.response!.p99 < 500, `p99 is ${total.response!.p99} ms`);
});

test("requests that were due and never sent are counted, not forgotten", async (t) => {
  const server = await openServer(t);
  server.fault = "silent";
  const flags = [
    "--rate",
    "100",
    "--arrivals",
    "constant",
    "--connections",
    "1",
    "--duration",
    "1s",
    "--warmup",
    "0s",
    "--timeout",
    "400ms",
  ];
  const { code, result } = await runBench([server.url, ...small, ...flags, "-w", "ranges-4k"]);
  const { errors, seconds } = result.runs[0]!.rounds[0]!.total;
  assert.equal(code, 1);
  assert.ok(errors.timeout! >= 2 && errors.unsent! > 50, JSON.stringify(errors));
  assert.ok(Math.abs(errors.timeout! + errors.unsent! - seconds * 100) <= 10, `${JSON.stringify(errors)} in ${seconds} s`);
});

test("Ctrl-C prints what was measured until then", async (t) => {
  const server = await openServer(t);
  const running = startBench([server.url, ...small, "--duration", "60s", "--warmup", "0s", "-w", "ranges-4k"]);
  await until(() => server.requests > 200, "200 requests");
  process.kill(running.pid, "SIGINT");
  const { code, stdout, stderr } = await running.end;
  assert.equal(code, 130);
  assert.match(stderr, /Stopping/);
  assert.match(stdout, /ranges-4k/);
  const counted = Number(/INTERRUPTED, .* OK: (\d+) requests/.exec(stdout)?.[1]);
  assert.ok(counted > 100, stdout);
});

test("a command in mid-run divides the figures into before and after", async (t) => {
  const server = await openServer(t);
  const door = createServer((socket) => {
    server.fault = "503";
    socket.end();
  });
  t.after(() => door.close());
  await new Promise<void>((resolve) => door.listen(0, "127.0.0.1", resolve));
  const { port } = door.address() as AddressInfo;
  const command = `${process.execPath} -e "require('net').connect(${port},'127.0.0.1').resume()"`;
  const flags = ["--rate", "200", "--connections", "4", "--duration", "2s", "--warmup", "0s", "--at", "50%", "--run", command];
  const { code, result } = await runBench([server.url, ...small, ...flags, "-w", "disk-loss"]);
  const [before, after] = result.runs[0]!.rounds[0]!.phases;
  assert.equal(code, 1);
  assert.deepEqual([before!.name, after!.name], ["before", "after"]);
  assert.deepEqual(before!.errors, {});
  assert.ok(before!.requests > 150 && before!.seconds > 0.9 && before!.seconds < 1.6, `${before!.requests} in ${before!.seconds} s`);
  assert.ok(after!.errors["status-503"]! > 10);
});

test("--compare prints ratios of two results", async (t) => {
  const server = await openServer(t);
  const folder = temporaryFolder(t);
  const flags = ["--duration", "500ms", "--warmup", "0s", "--connections", "4", "-w", "ranges-4k"];
  for (const name of ["a.json", "b.json"]) {
    const { stdout, code } = await startBench([server.url, ...small, ...flags, "--out", join(folder, name)]).end;
    assert.equal(code, 0, stdout);
  }
  const end = await startBench(["--compare", join(folder, "a.json"), join(folder, "b.json"), "--json"]).end;
  const comparison = JSON.parse(end.stdout) as Comparison;
  const rate = comparison.figures.find(({ figure }) => figure === "requestsPerSecond")!;
  const medianIn = (name: string) =>
    (JSON.parse(readFileSync(join(folder, name), "utf8")) as BenchResult).runs[0]!.medians.requestsPerSecond!.median;
  assert.equal(rate.ratio, medianIn("b.json") / medianIn("a.json"));
  assert.deepEqual(comparison.unmatched, []);
});

test("bench asks a server for its catalog, and takes another one from a file", async (t) => {
  const server = await openServer(t);
  const path = join(temporaryFolder(t), "catalog.json");
  writeFileSync(path, JSON.stringify({ content: "none", objects: [{ name: "object-000003.bin", bytes: 2 ** 20 }] }));
  const flags = ["--duration", "300ms", "--warmup", "0s", "--verify", "all", "-w", "ranges-4k", "--catalog", path];
  const { code, result } = await runBench([server.url, ...small, ...flags]);
  assert.equal(code, 0, result.verdict.text);
  assert.equal(result.runs[0]!.rounds[0]!.total.verified, null);
  assert.match(result.verdict.text, /no body was checked/);
});

test("bench peers measures the bare floor beside nginx on the same files, and names what is missing", async (t) => {
  const nginx = await nginxPeer.find();
  if ("missing" in nginx) {
    if (process.env["MILLRACE_TESTS_STRICT"] === "1") assert.fail(nginx.missing);
    t.skip(nginx.missing);
    return;
  }
  const flags = [
    "--duration",
    "500ms",
    "--warmup",
    "100ms",
    "--objects",
    "4",
    "--object-size",
    "1MiB",
    "--connections",
    "4",
    "--rounds",
    "2",
  ];
  const { code, result } = await runBench(["peers", "-p", "nginx", "floor", "-w", "ranges-64k", ...flags, "--verify", "all"]);
  assert.equal(code, 0, result.verdict.text);
  assert.deepEqual(
    result.runs.map(({ subject, scheme, rounds }) => [subject, scheme, rounds.length]),
    [
      ["nginx", "http", 2],
      ["floor", "http", 2],
      ["nginx", "https", 2],
      ["floor", "https", 2],
    ],
  );
  for (const { medians, subject } of result.runs) {
    assert.ok(medians.cpuSecondsPerGigabyte!.median > 0, subject);
    assert.equal(medians.wrongBytes, 0, subject);
  }
  const roundsInTime = result.runs.slice(0, 2).flatMap(({ subject, rounds }) => rounds.map(({ startedAt }) => ({ subject, startedAt })));
  roundsInTime.sort((a, b) => (a.startedAt < b.startedAt ? -1 : 1));
  assert.deepEqual(
    roundsInTime.map(({ subject }) => subject),
    ["nginx", "floor", "nginx", "floor"],
  );
});

test("bench fills objects beside the load that it reports", async () => {
  const flags = [
    "--objects",
    "4",
    "--object-size",
    "1MiB",
    "--fill-objects",
    "8",
    "--duration",
    "1s",
    "--rate",
    "100",
    "--connections",
    "8",
  ];
  const { code, result } = await runBench(["--server", "floor", "-w", "fill", ...flags, "--verify", "all"]);
  assert.equal(code, 0, result.verdict.text);
  const { background, total } = result.runs[0]!.rounds[0]!;
  assert.equal(background!.bodyBytes, 8 * 2 ** 20);
  assert.equal(background!.verified!.wrongBytes, 0);
  assert.ok(total.requests > 50);
});

test("bench replays a trace at its own times, each request of it once, over objects of its sizes", async (t) => {
  const path = join(temporaryFolder(t), "trace.csv");
  const lines = Array.from({ length: 200 }, (_, index) => `${100 + Math.floor(index / 50)},movie-${index % 7},${1000 * (1 + (index % 7))}`);
  writeFileSync(path, `${lines.join("\n")}\n`);
  const flags = ["-w", "replay", "--trace", path, "--trace-speed", "2", "--connections", "16", "--verify", "all"];
  const { code, result } = await runBench(["--server", "floor", ...flags]);
  assert.equal(code, 0, result.verdict.text);
  const { total } = result.runs[0]!.rounds[0]!;
  assert.equal(total.response!.count, 200);
  assert.equal(
    total.bodyBytes,
    lines.reduce((sum, line) => sum + Number(line.split(",")[2]), 0),
  );
  // The last requests are due 3 s after the first, at twice the speed.
  assert.ok(total.seconds >= 1.5 && total.seconds < 5, `${total.seconds} s`);
});

test("a server that the bench started ends with it, even when the bench is killed", async (t) => {
  const folder = temporaryFolder(t);
  // What a killed bench leaves behind goes with the test.
  const running = startBench(["--server", "floor", "-w", "ranges-4k", ...small, "--duration", "60s", "--keep-files", folder], {
    TMPDIR: folder,
  });
  const servers = () =>
    readdirSync("/proc").filter((pid) => {
      try {
        const line = readFileSync(`/proc/${pid}/cmdline`, "utf8");
        return line.includes("bare-floor") && line.includes(folder);
      } catch {
        return false;
      }
    });
  await until(() => servers().length > 0, "the start of the server");
  process.kill(running.pid, "SIGKILL");
  await running.end;
  await until(() => servers().length === 0, "the end of the server");
});
