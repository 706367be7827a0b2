// Each workload that does more than read ranges from memory, as a person runs it against a real appliance.
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import type { PlayersResult } from "../bench/players/players-result.js";
import type { Round } from "../bench/report/bench-result.js";
import { runBench, startBench } from "./support/run-bench.js";
import { requireProgram } from "./support/require-program.js";
import { runMillrace } from "./support/run-millrace.js";
import { readMetric, readStatus, startAppliance, type ApplianceFixture } from "./support/start-appliance.js";
import { startDemo } from "./support/start-demo.js";
import { temporaryFolder } from "./support/temporary-folder.js";

const folder = temporaryFolder();
const files = join(folder, "files");
const mebibyte = 2 ** 20;
/** As statfs(2) says it. */
const tmpfsType = 0x01021994;

/** 300 requests for 20 objects in 3 s, as both formats have them. */
const trace = Array.from({ length: 300 }, (_, index) => ({ second: Math.floor(index / 100), id: (index * 7) % 20, bytes: 0 })).map(
  (row) => ({
    ...row,
    bytes: 10_000 * (row.id + 1),
  }),
);
const traceBytes = trace.reduce((sum, { bytes }) => sum + bytes, 0);

let appliance: ApplianceFixture;

before(async () => {
  writeFileSync(
    join(folder, "trace.csv"),
    `time,id,size\n${trace.map(({ second, id, bytes }) => `${second},${id},${bytes}`).join("\n")}\n`,
  );
  const records = trace.map(({ second, id, bytes }) => {
    const record = Buffer.alloc(24);
    record.writeUInt32LE(second, 0);
    record.writeBigUInt64LE(BigInt(id), 4);
    record.writeUInt32LE(bytes, 12);
    record.writeBigInt64LE(-1n, 16);
    return record;
  });
  writeFileSync(join(folder, "trace.bin"), Buffer.concat(records));
  for (const args of [
    [files, "--objects", "48", "--object-size", "1MiB"],
    [join(files, "traced"), "--trace", join(folder, "trace.bin")],
  ]) {
    const { code, stderr } = await runMillrace(["bench", "files", ...args]);
    assert.equal(code, 0, stderr);
  }
  const own = join(folder, "appliance");
  mkdirSync(own);
  appliance = await startAppliance({ folder: own, upstreams: [pathToFileURL(`${files}/`).href], settings: { workers: 1 } });
});

after(() => appliance?.stop());

const set = ["--objects", "32", "--object-size", "1MiB", "--range", "64KiB", "--connections", "16", "--warmup", "0s", "--verify", "all"];

/** The only round of a run that went well. */
async function runGoodRound(args: readonly string[]): Promise<{ round: Round; notes: string[] }> {
  const { code, result, stderr } = await runBench([...args, "--rounds", "1"]);
  assert.equal(code, 0, result.verdict.text);
  assert.equal(stderr, "");
  const round = result.runs[0]!.rounds[0]!;
  assert.equal(round.total.verified?.wrongBytes ?? 0, 0);
  return { round, notes: result.notes };
}

test("crowd: the requests multiply at the moment that --crowd-at says", async () => {
  const { round } = await runGoodRound([appliance.url, "-w", "crowd", ...set, "--rate", "150", "--crowd-at", "0.5", "--duration", "2s"]);
  const counts = round.timeline.map(({ requests }) => requests);
  assert.equal(counts.length, 2);
  assert.ok(counts[1]! > 2.5 * counts[0]!, counts.join(" "));
});

test("zipf: a day of demand passes in one run, and what the server spent is from its metrics where they are given", async () => {
  const metrics = `${appliance.adminUrl}metrics`;
  const flags = ["--rate", "300", "--duration", "2s", "--metrics", metrics];
  const { round, notes } = await runGoodRound([appliance.url, "-w", "zipf", ...set, ...flags]);
  // Two points of twelve hours: the second half of the day has 2.2 times the demand of the first.
  const counts = round.timeline.map(({ requests }) => requests);
  assert.ok(counts[1]! > 1.6 * counts[0]!, counts.join(" "));
  const { server, otherCpuShare } = round.total;
  assert.equal(server.source, "metrics");
  assert.ok(server.cpuSeconds! > 0 && server.rssBytes! > 16 * mebibyte, JSON.stringify(server));
  // All three come from the appliance's own counters; which of its chunks were in memory is its own affair.
  assert.equal(typeof server.diskReadBytes, "number");
  assert.deepEqual(server.missing, {});
  assert.equal(otherCpuShare, null);
  assert.ok(notes.includes(`what the server spent is from its metrics, ${metrics}`), notes.join("\n"));
});

test("fill: the server fetches what no one read before, at its rate, while the load goes on", async () => {
  const fetched = () => readMetric(appliance, "millrace_fill_fetches_total");
  const before = await fetched();
  const flags = ["--rate", "100", "--fill-objects", "8", "--fill-rate", "100", "--fill-connections", "2", "--duration", "2s"];
  const { round } = await runGoodRound([appliance.url, "-w", "fill", ...set, ...flags]);
  const { background, total } = round;
  // Every range of all 8 objects, each once: 128 requests at 100 per second.
  assert.equal(background!.bodyBytes, 8 * mebibyte);
  assert.equal(background!.requests, 128);
  assert.ok(background!.seconds > 1.1 && background!.seconds < 3, `${background!.seconds} s`);
  assert.ok(total.requests > 150);
  assert.ok((await fetched()) - before >= 128);
  const hurried = await runGoodRound([appliance.url, "-w", "fill", ...set, ...flags, "--fill-rate", "0", "--duration", "1s"]);
  assert.match(hurried.notes.join("\n"), /the fill beside the load was over after 0\.\d of 1\.\d s/);
});

test("disk-loss: a disk that loses its bytes in mid-run costs no request, and the figures are parted there", async () => {
  const bad = async () => readMetric(appliance, "millrace_slots_bad_total");
  const disk = (await readStatus(appliance)).disks.find(({ usedBytes }) => usedBytes > 0)!.path;
  const slabs = readdirSync(disk).filter((name) => name.startsWith("slab"));
  assert.ok(slabs.length > 0);
  const before = await bad();
  const flags = ["--rate", "150", "--at", "50%", "--run", `cd ${disk} && truncate -s 0 ${slabs.join(" ")}`];
  const { round } = await runGoodRound([appliance.url, "-w", "disk-loss", ...set, ...flags, "--duration", "2s"]);
  assert.deepEqual(
    round.phases.map(({ name }) => name),
    ["before", "after"],
  );
  for (const { requests, errors } of round.phases) {
    assert.ok(requests > 80, String(requests));
    assert.deepEqual(errors, {});
  }
  assert.ok((await bad()) > before, "the appliance read from the lost disk");
});

for (const [format, file] of [
  ["CSV", "trace.csv"],
  ["oracleGeneral", "trace.bin"],
] as const) {
  test(`replay: each request of a trace is asked for at its time (${format})`, async () => {
    const flags = ["--trace", join(folder, file), "--trace-speed", "4", "--verify", "all", "--connections", "32"];
    const { round, notes } = await runGoodRound([`${appliance.url}traced/`, "-w", "replay", ...flags]);
    assert.equal(round.total.response!.count, 300);
    assert.equal(round.total.bodyBytes, traceBytes);
    assert.equal(round.total.verified!.bytes, traceBytes);
    // The last hundred are due after 2 s of the trace.
    assert.ok(round.total.seconds >= 0.5, `${round.total.seconds} s`);
    assert.doesNotMatch(notes.join("\n"), /processor time/);
  });
}

test("cold: what is measured comes from disk, and the result says how much", async () => {
  const flags = ["--objects", "8", "--object-size", "8MiB", "--connections", "2", "--rate", "60", "--duration", "1s", "--warmup", "0s"];
  const { round, notes } = await runGoodRound(["-w", "cold", ...flags]);
  const { diskReadBytes } = round.total.server;
  assert.match(notes.join("\n"), /cold on appliance \(http\): (read from disk: \d+|NOT COLD: only \d+) %/);
  // What lies in memory can't be read from disk.
  if (statfsSync(tmpdir()).type !== tmpfsType) assert.ok(diskReadBytes! > round.total.bodyBytes / 4, `${diskReadBytes} from disk`);
  const unknown = await runGoodRound([appliance.url, "-w", "cold", ...set, "--duration", "500ms"]);
  assert.match(unknown.notes.join("\n"), /the page cache was not dropped: --server-files FOLDER/);
});

test("wrk sends the requests of a closed loop, and the result says that it did and what it can't tell", async (t) => {
  if (!requireProgram(t, "wrk")) return;
  const flags = [appliance.url, "-w", "ranges-64k", ...set, "--generator", "wrk"];
  const { code, result } = await runBench([...flags, "--duration", "1s", "--rounds", "1"]);
  assert.equal(code, 0, result.verdict.text);
  const { generator, rounds } = result.runs[0]!;
  const { total } = rounds[0]!;
  assert.match(generator, /^wrk/);
  assert.ok(total.requests > 100 && total.bodyBytes === total.requests * 65_536);
  assert.ok(total.response!.p50 > 0 && total.server.cpuSeconds! > 0);
  assert.deepEqual([total.ttfb, total.verified], [null, null]);
  assert.match(result.verdict.text, /no body was checked/);
  const open = await startBench([...flags, "--rate", "10"]).end;
  assert.equal(open.code, 1);
  assert.match(open.stderr, /^Cannot use wrk: it has only a closed loop/);
});

test("players watch the demo's film from both edges to its end", async (t) => {
  const demo = await startDemo(join(folder, "demo"));
  t.after(() => demo.interrupt());
  const edges = demo.appliances.filter(({ name }) => name.startsWith("edge"));
  const urls = edges.flatMap(({ data }) => ["--url", `${data}clock/master.m3u8`]);
  const { code, stdout, stderr } = await startBench(["players", ...urls, "--count", "4", "--speed", "40", "--arrive", "1s", "--json"]).end;
  assert.equal(code, 0, stderr);
  const { aggregate, players } = JSON.parse(stdout) as PlayersResult;
  assert.equal(aggregate.finished, 4);
  assert.deepEqual(aggregate.errors, {});
  for (const { playedSeconds } of players) assert.ok(playedSeconds > 30, String(playedSeconds));
});

test("millrace --help loads of the bench only names and defaults", async () => {
  const { stderr, code } = await runMillrace(["--help"], { env: { NODE_DEBUG: "esm" } });
  assert.equal(code, 0);
  const loaded = new Set([...stderr.matchAll(/dist\/((?:bench|cli)\/[\w\-/]+\.js)/g)].map(([, path]) => path!));
  assert.ok(loaded.has("cli/bench/bench-command.js"), [...loaded].join(" "));
  assert.deepEqual([...loaded].filter((path) => path.startsWith("bench/")).sort(), [
    "bench/peers/peer-names.js",
    "bench/players/rule-names.js",
    "bench/policies/policy-names.js",
    "bench/workloads/workload-flags.js",
  ]);
});
