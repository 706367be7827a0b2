// The report page: what it shows, and that it asks nobody for anything.
import assert from "node:assert/strict";
import { test } from "node:test";
import { build, encodeIntoCompressedBase64 } from "hdr-histogram-js";
import { aggregatePlayers } from "../players/aggregate-players.js";
import type { PlayerOutcome, PlayersResult } from "../players/players-result.js";
import type { PoliciesResult } from "../policies/policies-result.js";
import type { BenchResult, Latency, Round } from "./bench-result.js";
import { type Chart, cumulativePoints, escapeHtml, renderCharts, renderTable } from "./html-fragments.js";
import { renderHtmlReport } from "./html-report.js";
import { mediansOf } from "./medians.js";

const head = {
  schema: 1,
  tool: "millrace bench",
  startedAt: "2026-01-02T03:04:05.000Z",
  finishedAt: "2026-01-02T03:04:35.000Z",
  complete: true,
  machine: { cpuModel: "Abacus & Sons", cores: 2, memoryBytes: 2 ** 34, kernel: "Linux 6", node: "v20", loadAverageAtStart: 0.5 },
  commit: { hash: "0123456789abcdef", dirty: false },
  arguments: ["bench", "</script><script>alert(1)</script>"],
  notes: ["<b>bold</b> claims"],
} as const;

/** Latencies of 1 to `count` microseconds times `factor`. */
function latency(count: number, factor: number): Latency {
  const histogram = build({ lowestDiscernibleValue: 1, highestTrackableValue: 2 ** 31, numberOfSignificantValueDigits: 3 });
  for (let value = 1; value <= count; value++) histogram.recordValue(value * factor);
  return { count, mean: 1, p50: 1, p90: 1, p99: 1, p999: 1, max: 1, histogram: encodeIntoCompressedBase64(histogram) };
}

function round(bytesPerSecond: number, factor: number): Round {
  return {
    startedAt: head.startedAt,
    total: {
      seconds: 10,
      requests: 1000,
      bodyBytes: bytesPerSecond * 10,
      requestsPerSecond: 100,
      bytesPerSecond,
      ttfb: latency(1000, factor),
      response: latency(1000, factor),
      errors: {},
      verified: { bytes: 10, wrongBytes: 0 },
      server: {
        source: "proc",
        cpuSeconds: 1,
        cpuSecondsPerGigabyte: 1e9 / bytesPerSecond,
        cpuMicrosecondsPerRequest: 1000,
        rssBytes: 2 ** 20,
        diskReadBytes: 0,
        missing: {},
      },
      generator: { cpuSeconds: 1, sendLag: null },
      otherCpuShare: null,
    },
    phases: [],
    timeline: Array.from({ length: 8 }, (_, second) => ({
      second: second + 1,
      requests: 100,
      bodyBytes: bytesPerSecond,
      errors: 0,
      ttfbP99: 1,
      responseP99: 2,
    })),
    background: null,
  };
}

function serversResult(): BenchResult {
  const workload = { name: "ranges-64k", title: "64 KiB ranges", flags: {} };
  const runOf = (subject: string, rounds: Round[]) =>
    ({ subject, scheme: "http", workload, generator: "millrace", rounds, medians: mediansOf(rounds) }) as const;
  return {
    ...head,
    kind: "peers",
    arguments: [...head.arguments],
    notes: [...head.notes],
    subjects: [
      { name: "nginx", version: "nginx/1", missing: null },
      { name: "floor", version: null, missing: null },
      { name: "varnish", version: null, missing: "varnishd is not installed" },
    ],
    runs: [runOf("nginx", [round(1e9, 1000)]), runOf("floor", [round(1.5e9, 500), round(1.5e9, 500)])],
    verdict: { ok: true, text: "OK: all well" },
  };
}

const policiesResult: PoliciesResult = {
  ...head,
  kind: "policies",
  arguments: [],
  notes: [],
  trace: {
    source: "t.csv",
    requests: 10,
    objects: 4,
    footprintBytes: 4000,
    requestedBytes: 10_000,
    spanSeconds: 9,
    endlessHitRatio: 0.6,
    endlessByteHitRatio: 0.6,
  },
  sizes: [2000, 1000].map((capacityBytes) => ({
    capacityBytes,
    footprintShare: capacityBytes / 4000,
    policies: [
      { name: "lru", title: "LRU", offline: false, hits: 3, hitRatio: capacityBytes / 10_000, byteHitRatio: 0.25, requestsPerSecond: 1 },
    ],
    bound: { hitRatio: 0.5, byteHitRatio: 0.4 },
  })),
};

function playersResult(rule: "bola" | "throughput", startups: (number | null)[]): PlayersResult {
  const players = startups.map((startupSeconds, player): PlayerOutcome => ({
    player,
    trace: "mobile",
    end: startupSeconds === null ? "gave-up" : "finished",
    startupSeconds,
    playedSeconds: 10,
    stallSeconds: 0,
    stalls: 0,
    rebufferRatio: 0,
    averageBitsPerSecond: 1e6 * (player + 1),
    switches: player,
    segments: 5,
    receivedBytes: 1000,
    failovers: 0,
    errors: {},
    reason: null,
  }));
  const ok = startups.every((value) => value !== null);
  return {
    ...head,
    kind: "players",
    arguments: [],
    notes: [],
    verdict: { ok, text: ok ? "OK" : "FAILED: one gave up" },
    urls: [],
    rule,
    speed: 1,
    bitsPerSecond: [1e6],
    aggregate: aggregatePlayers(players, 10),
    players,
  };
}

function chartsOf(html: string): Chart[] {
  return [...html.matchAll(/<script type="application\/json">(.*?)<\/script>/gs)].map((match) => JSON.parse(match[1]!) as Chart);
}

test("renderHtmlReport() of servers: throughput, its ratio to the peer, CPU per GB, and percentile curves from the histograms", () => {
  const html = renderHtmlReport([serversResult()]);
  assert.match(html, /<td class="name">floor<\/td><td class="bar" style="--share:100.0%"[^>]*>1.50<\/td><td[^>]*>1.50<\/td>/);
  assert.match(html, />0.667<\/td><td[^>]*>0.67<\/td>/);
  assert.match(html, /missing: varnish: varnishd is not installed/);
  assert.match(html, /class="verdict ok">OK: all well/);
  const charts = chartsOf(html);
  assert.deepEqual(
    charts.map(({ title }) => title.split(":")[0]),
    ["Whole response", "Time to first byte", "Over the last round", "Slowest of a hundred, over the last round"],
  );
  const [nginx, floor] = charts[0]!.series;
  assert.equal(nginx!.label, "nginx");
  // Half of the latencies of 1 to 1000 ms are at most 500 ms; x is 1 ÷ (1 − share), of which the nearest to 2 is 10^0.3.
  const median = nginx!.points.find(([x]) => Math.abs(x - 10 ** 0.3) < 1e-9)![1];
  assert.ok(Math.abs(median - 499) < 3, String(median));
  // 1000 samples: no curve beyond 99.9 %; 2000 of the floor reach a little further.
  assert.ok(Math.abs(nginx!.points.at(-1)![0] - 1000) < 1e-6);
  assert.ok(floor!.points.at(-1)![0] > 1000);
  assert.deepEqual(charts[2]!.series[1]!.points[3], [4, 1.5]);
});

test("renderHtmlReport() of policies: curves over rising sizes, with the bound dashed", () => {
  const html = renderHtmlReport([policiesResult]);
  assert.match(html, /20.0 % \/ 25.0 %/);
  const [hits] = chartsOf(html);
  assert.deepEqual(hits!.series[0], {
    label: "LRU",
    dashed: false,
    points: [
      [1000, 0.1],
      [2000, 0.2],
    ],
  });
  assert.deepEqual(hits!.series[1]!.points, [
    [1000, 0.5],
    [2000, 0.5],
  ]);
  assert.equal(hits!.series[1]!.dashed, true);
});

test("renderHtmlReport() of players: one section, a curve for each run", () => {
  const html = renderHtmlReport([playersResult("bola", [1, 2, 3, 4]), playersResult("throughput", [2, null])]);
  assert.equal(html.match(/<section>/g)!.length, 1);
  const [startup, rebuffer] = chartsOf(html);
  assert.deepEqual(
    startup!.series.map(({ label }) => label),
    ["bola", "throughput"],
  );
  assert.deepEqual(startup!.series[0]!.points, [
    [1, 0],
    [1, 0.25],
    [2, 0.5],
    [3, 0.75],
    [4, 1],
  ]);
  assert.equal(rebuffer!.y.kind, "percent");
  assert.match(html, /class="verdict failed">throughput: FAILED: one gave up/);
});

test("renderHtmlReport() asks nobody for anything and lets no text become markup", () => {
  const html = renderHtmlReport([serversResult(), policiesResult, playersResult("bola", [1, 2])]);
  assert.match(html, /<meta http-equiv="Content-Security-Policy" content="default-src 'none';/);
  assert.doesNotMatch(html, /\b(?:src|href)\s*=\s*["']/);
  assert.doesNotMatch(html, /@import|url\(/);
  assert.doesNotMatch(html, /<script>alert|<b>bold/);
  assert.match(html, /Abacus &#38; Sons/);
  // The chart library and the drawing code are inside.
  assert.match(html, /uPlot=function/);
  assert.match(html, /figure\.chart/);
});

test("renderHtmlReport() of nothing says so", () => {
  assert.match(renderHtmlReport([]), /There is no result/);
});

test("renderCharts() cannot be left by its data", () => {
  const html = renderCharts([
    {
      title: "<i>",
      x: { label: "x", kind: "linear" },
      y: { label: "y", kind: "linear" },
      series: [
        {
          label: "</script>",
          points: [
            [0, 1],
            [1, 2],
          ],
        },
      ],
    },
  ]);
  assert.equal(html.match(/<\/script>/g)!.length, 1);
  assert.equal(chartsOf(html)[0]!.series[0]!.label, "</script>");
  assert.equal(renderCharts([{ title: "t", x: { label: "", kind: "linear" }, y: { label: "", kind: "linear" }, series: [] }]), "");
});

test("renderTable() draws bars within bounds", () => {
  const html = renderTable({ head: ["a"], rows: [["x", { text: "1", share: 1.5 }, { text: "2", share: -1 }]] });
  assert.match(html, /--share:100.0%/);
  assert.match(html, /--share:0.0%/);
});

test("cumulativePoints() counts equal values once, and escapeHtml() escapes", () => {
  assert.deepEqual(cumulativePoints([2, 1, 2, 4]), [
    [1, 0],
    [1, 0.25],
    [2, 0.75],
    [4, 1],
  ]);
  assert.deepEqual(cumulativePoints([]), []);
  assert.equal(escapeHtml(`<a b="c" d='e'>&`), "&#60;a b=&#34;c&#34; d=&#39;e&#39;&#62;&#38;");
});
