import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { BenchResult, Figures, Round } from "./bench-result.js";
import { compareResults, formatComparison, readResultFile } from "./compare-results.js";
import { mediansOf, spreadOf } from "./medians.js";
import { ResultBuilder } from "./result-builder.js";
import { formatResult } from "./result-table.js";

function roundOf(bytesPerSecond: number, more: Partial<Figures> = {}): Round {
  const latency = { count: 10, mean: 2, p50: 2, p90: 3, p99: 4, p999: 5, max: 6 };
  const total: Figures = {
    seconds: 1,
    requests: 10,
    bodyBytes: bytesPerSecond,
    requestsPerSecond: 10,
    bytesPerSecond,
    ttfb: latency,
    response: latency,
    errors: {},
    verified: { bytes: 1000, wrongBytes: 0 },
    server: {
      source: "none",
      cpuSeconds: null,
      cpuSecondsPerGigabyte: null,
      cpuMicrosecondsPerRequest: null,
      rssBytes: null,
      diskReadBytes: null,
      missing: { cpuSeconds: "it is far away" },
    },
    otherCpuShare: null,
    generator: { cpuSeconds: 0.5, sendLag: null },
    ...more,
  };
  return { startedAt: "", total, phases: [], timeline: [], background: null };
}

function resultOf(rounds: readonly Round[], subject = "nginx"): BenchResult {
  const builder = new ResultBuilder("workload", []);
  builder.addSubject({ name: subject, version: null, missing: null });
  const workload = { name: "w", title: "W", flags: { rate: 0 } };
  for (const round of rounds) builder.addRound(round, { subject, scheme: "http", workload, generator: "millrace", workers: 1 });
  return builder.finish(true);
}

test("a result says how much of a cold run came from disk, and that a run was not cold", () => {
  const noteOf = (diskReadBytes: number | null) => {
    const builder = new ResultBuilder("workload", []);
    const workload = { name: "cold", title: "", flags: { rate: 0, pageCache: "dropped" } };
    const round = roundOf(1000);
    round.total.server.diskReadBytes = diskReadBytes;
    builder.addRound(round, { subject: "nginx", scheme: "http", workload, generator: "millrace", workers: 1 });
    return builder.finish(true).notes.find((note) => note.startsWith("cold on nginx (http)"));
  };
  assert.equal(noteOf(1280), "cold on nginx (http): read from disk: 128 % of the bytes sent");
  assert.equal(noteOf(780), "cold on nginx (http): NOT COLD: only 78 % of the bytes sent were read from disk");
  assert.equal(noteOf(0), "cold on nginx (http): NOT COLD: only 0 % of the bytes sent were read from disk");
  assert.equal(noteOf(null), "cold on nginx (http): how much came from disk is not known");
});

test("a replay and an open loop are not taken for a generator without time to spare", () => {
  const notesWith = (flags: Record<string, string | number>) => {
    const builder = new ResultBuilder("workload", []);
    const round = roundOf(1000, { generator: { cpuSeconds: 1, sendLag: null } });
    const workload = { name: "w", title: "", flags };
    builder.addRound(round, { subject: "nginx", scheme: "http", workload, generator: "millrace", workers: 1 });
    return builder.finish(true).notes.join("\n");
  };
  assert.match(notesWith({ rate: 0, trace: "" }), /the generator had no processor time to spare/);
  assert.equal(notesWith({ rate: 0, trace: "t.csv" }), "");
  assert.equal(notesWith({ rate: 10, trace: "" }), "");
});

test("spreadOf() gives the middle of odd and even counts, and null for nothing known", () => {
  assert.deepEqual(spreadOf([3, null, 1, 2]), { median: 2, min: 1, max: 3 });
  assert.deepEqual(spreadOf([4, 1]), { median: 2.5, min: 1, max: 4 });
  assert.equal(spreadOf([null, undefined]), null);
});

test("mediansOf() keeps unknown figures null and sums failures", () => {
  const medians = mediansOf([roundOf(5, { errors: { refused: 2, "status-503": 3 } }), roundOf(7)]);
  assert.equal(medians.cpuSecondsPerGigabyte, null);
  assert.equal(medians.errors, 5);
  assert.equal(medians.wrongBytes, 0);
  assert.equal(mediansOf([roundOf(5, { verified: null })]).wrongBytes, null);
});

test("compareResults() calls a change better or worse only where no pair of rounds says otherwise", () => {
  const changeOf = (a: number[], b: number[]) => {
    const { figures } = compareResults(resultOf(a.map((value) => roundOf(value))), resultOf(b.map((value) => roundOf(value))));
    return figures.find(({ figure }) => figure === "bytesPerSecond")!;
  };
  assert.deepEqual(
    [changeOf([10, 11, 12], [20, 22, 24]), changeOf([10, 11, 12], [5, 6, 7]), changeOf([10, 11, 12], [11, 12, 13])].map(
      ({ change }) => change,
    ),
    ["better", "worse", "unclear"],
  );
  const doubled = changeOf([10, 11, 12], [20, 22, 24]);
  assert.deepEqual([doubled.ratio, doubled.lowest, doubled.highest], [2, 20 / 12, 2.4]);
  assert.equal(changeOf([10], [10]).change, "same");
});

test("compareResults() names the runs that only one result has", () => {
  const comparison = compareResults(resultOf([roundOf(1)], "nginx"), resultOf([roundOf(1)], "varnish"));
  assert.deepEqual(comparison.unmatched, ["w on nginx (http, millrace)", "w on varnish (http, millrace)"]);
  assert.match(formatComparison(comparison), /no run in common[^]*only in one of the two: w on nginx/);
});

test("the verdict is bad for failed requests, for wrong bytes and for nothing at all", () => {
  assert.match(resultOf([roundOf(1)]).verdict.text, /^OK: 10 requests, none failed/);
  const failing = resultOf([roundOf(1, { requests: 0, ttfb: null, response: null, errors: { refused: 7 } })]).verdict;
  assert.equal(failing.ok, false);
  assert.match(failing.text, /no request succeeded \(refused 7\)/);
  assert.match(resultOf([roundOf(1, { verified: { bytes: 10, wrongBytes: 4 } })]).verdict.text, /4 wrong bytes/);
  assert.match(resultOf([]).verdict.text, /nothing was measured/);
});

test("a round in which other programs took the processors carries a note", () => {
  assert.deepEqual(resultOf([roundOf(1, { otherCpuShare: 0.05 })]).notes, []);
  const [note] = resultOf([roundOf(1, { otherCpuShare: 0.25 }), roundOf(1, { otherCpuShare: 0.4 })]).notes;
  assert.match(note!, /other programs used up to 40 %/);
});

test("formatResult() shows unknown figures as a dash with the reason, not as zeros", () => {
  const text = formatResult(resultOf([roundOf(1e9, { ttfb: null, response: null, requests: 0, errors: { refused: 3 } })]));
  assert.match(text, /– \/ – /);
  assert.match(text, /no CPU time: it is far away/);
  assert.match(text, /FAILED/);
});

test("readResultFile() refuses other files and other schemas", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "millrace-results-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const write = (text: string) => {
    const path = join(folder, "r.json");
    writeFileSync(path, text);
    return path;
  };
  const good = resultOf([roundOf(1)]);
  assert.deepEqual(readResultFile(write(JSON.stringify(good))), JSON.parse(JSON.stringify(good)));
  assert.throws(() => readResultFile(write("{}")), /it is no result of/);
  assert.throws(() => readResultFile(write(JSON.stringify({ ...good, schema: 99 }))), /it has schema 99/);
  assert.throws(() => readResultFile(join(folder, "none.json")), /ENOENT/);
});
