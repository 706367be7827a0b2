// The part of the report page on servers: throughput and its ratio to the peer, CPU per GB, latency percentiles, the run over time.
import { decodeFromCompressedBase64, type Histogram } from "hdr-histogram-js";
import { formatByteSize } from "../../runtime/byte-size.js";
import { spreadOf } from "./medians.js";
import type { BenchResult, Latency, Spread, WorkloadRun } from "./bench-result.js";
import { type Chart, type HtmlCell, renderCharts, renderList, renderTable, renderVerdict } from "./html-fragments.js";

/** Ratios are taken to this subject where it ran, else to the first one. */
const preferredReference = "nginx";

export function renderServers(result: BenchResult): string {
  const reference = result.subjects.find(({ name }) => name === preferredReference)?.name ?? result.runs[0]?.subject ?? "";
  const missing = result.subjects.flatMap(({ name, missing }) => (missing === null ? [] : [`missing: ${name}: ${missing}`]));
  const groups = groupsOf(result.runs);
  return [
    renderVerdict(result.verdict),
    renderList([...missing, ...result.notes]),
    renderTable({
      head: [
        "workload",
        "server",
        "GB/s",
        `× ${reference}`,
        "requests/s",
        "CPU s/GB",
        `× ${reference}`,
        "TTFB p50 / p99, ms",
        "response p50 / p99 / p99.9, ms",
        "RSS",
        "disk read",
        "other programs' CPU",
        "failed",
        "wrong bytes",
      ],
      rows: groups.flatMap((group) => group.runs.map((run) => rowOf(run, group, reference))),
    }),
    renderCharts(groups.flatMap((group) => [latencyChart(group, "response"), latencyChart(group, "ttfb"), ...timelineCharts(group)])),
  ].join("\n");
}

interface RunGroup {
  title: string;
  runs: WorkloadRun[];
}

/** Runs that can be compared: the same workload over the same protocol from the same generator. */
function groupsOf(runs: readonly WorkloadRun[]): RunGroup[] {
  const groups = new Map<string, RunGroup>();
  for (const run of runs) {
    const title = `${run.workload.name}, ${run.scheme}${run.generator.startsWith("wrk") ? ", wrk" : ""}`;
    const group = groups.get(title) ?? { title, runs: [] };
    group.runs.push(run);
    groups.set(title, group);
  }
  return [...groups.values()];
}

function rowOf(run: WorkloadRun, { title, runs }: RunGroup, reference: string): HtmlCell[] {
  const { medians } = run;
  const base = runs.find(({ subject }) => subject === reference);
  const largest = (figure: "bytesPerSecond" | "cpuSecondsPerGigabyte") =>
    Math.max(...runs.map(({ medians }) => medians[figure]?.median ?? 0));
  const barOf = (figure: "bytesPerSecond" | "cpuSecondsPerGigabyte", format: (value: number) => string): HtmlCell => {
    const spread = medians[figure];
    if (spread === null) return { text: "–" };
    return { text: format(spread.median), share: spread.median / largest(figure), title: spreadText(spread, format) };
  };
  const ratioOf = (figure: "bytesPerSecond" | "cpuSecondsPerGigabyte"): HtmlCell => {
    const [own, theirs] = [medians[figure], base?.medians[figure]];
    if (!own || !theirs || theirs.median === 0) return { text: "–" };
    return {
      text: (own.median / theirs.median).toFixed(2),
      title: `${(own.min / theirs.max).toFixed(2)} to ${(own.max / theirs.min).toFixed(2)} over the rounds`,
    };
  };
  return [
    { text: title, title: run.workload.title },
    { text: run.subject, name: true },
    barOf("bytesPerSecond", (value) => (value / 1e9).toFixed(2)),
    ratioOf("bytesPerSecond"),
    spreadCell(medians.requestsPerSecond, (value) => value.toFixed(0)),
    barOf("cpuSecondsPerGigabyte", (value) => value.toFixed(3)),
    ratioOf("cpuSecondsPerGigabyte"),
    { text: `${msOf(medians.ttfbP50)} / ${msOf(medians.ttfbP99)}` },
    { text: `${msOf(medians.responseP50)} / ${msOf(medians.responseP99)} / ${msOf(medians.responseP999)}` },
    spreadCell(medians.rssBytes, formatByteSize),
    spreadCell(medians.diskReadBytes, formatByteSize),
    spreadCell(spreadOf(run.rounds.map(({ total }) => total.otherCpuShare)), (share) => `${Math.round(share * 100)} %`),
    { text: String(medians.errors) },
    { text: medians.wrongBytes === null ? "not checked" : String(medians.wrongBytes) },
  ];
}

function spreadCell(spread: Spread | null, format: (value: number) => string): HtmlCell {
  return spread === null ? { text: "–" } : { text: format(spread.median), title: spreadText(spread, format) };
}

function spreadText({ min, max }: Spread, format: (value: number) => string): string {
  return `${format(min)} to ${format(max)} over the rounds`;
}

function msOf(spread: Spread | null): string {
  if (spread === null) return "–";
  return spread.median >= 100 ? spread.median.toFixed(0) : spread.median.toFixed(spread.median >= 10 ? 1 : 2);
}

/** Shares from none to 99.99 %, evenly spread on an axis of 1 ÷ (1 − share). */
const shares = Array.from({ length: 41 }, (_, step) => 1 - 10 ** (-step / 10));

function latencyChart({ title, runs }: RunGroup, which: "ttfb" | "response"): Chart {
  return {
    title: `${which === "ttfb" ? "Time to first byte" : "Whole response"}: ${title}`,
    hint: "All rounds together. Lower is better; the right end is the slowest of ten thousand.",
    x: { label: "percentile", kind: "percentile" },
    y: { label: "ms", kind: "log" },
    series: runs.map((run) => ({ label: run.subject, points: latencyPoints(run.rounds.map(({ total }) => total[which])) })),
  };
}

function latencyPoints(latencies: readonly (Latency | null)[]): [number, number][] {
  let all: Histogram | undefined;
  for (const latency of latencies) {
    if (latency?.histogram === undefined) continue;
    const histogram = decodeFromCompressedBase64(latency.histogram) as Histogram;
    if (all === undefined) all = histogram;
    else all.add(histogram);
  }
  const merged = all;
  if (merged === undefined || merged.totalCount === 0) return [];
  // Beyond one in as many as there were, the curve would only repeat the maximum.
  return shares
    .filter((share) => share === 0 || 1 / (1 - share) <= merged.totalCount)
    .map((share) => [1 / (1 - share), Math.max(1, merged.getValueAtPercentile(share * 100)) / 1000]);
}

/** Of the last round: over the seconds, what it carried and how slow its slowest were. Runs of a few seconds show nothing in it. */
const timelineMinSeconds = 5;

function timelineCharts({ title, runs }: RunGroup): Chart[] {
  const timelines = runs.map(({ subject, rounds }) => ({ label: subject, timeline: rounds.at(-1)?.timeline ?? [] }));
  if (!timelines.some(({ timeline }) => timeline.length >= timelineMinSeconds)) return [];
  const x = { label: "seconds", kind: "linear" } as const;
  return [
    {
      title: `Over the last round: ${title}`,
      x,
      y: { label: "GB/s", kind: "linear" },
      series: timelines.map(({ label, timeline }) => ({
        label,
        points: timeline.map(
          ({ second, bodyBytes }, index) => [second, bodyBytes / 1e9 / (second - (timeline[index - 1]?.second ?? 0))] as const,
        ),
      })),
    },
    {
      title: `Slowest of a hundred, over the last round: ${title}`,
      x,
      y: { label: "response p99, ms", kind: "log" },
      series: timelines.map(({ label, timeline }) => ({
        label,
        points: timeline.flatMap(({ second, responseP99 }) =>
          responseP99 === null ? [] : [[second, Math.max(0.001, responseP99)] as const],
        ),
      })),
    },
  ];
}
