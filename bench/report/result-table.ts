// Prints a result for people: one table, the notes, the verdict.
import Table from "cli-table3";
import { formatByteSize } from "../../runtime/byte-size.js";
import { spreadOf } from "./medians.js";
import type { BenchResult, Figures, Spread, WorkloadRun } from "./bench-result.js";

/** Ratios are taken to this subject where it ran. */
const referenceSubject = "nginx";

export function formatResult(result: BenchResult): string {
  const several = result.subjects.length > 1;
  const ofGenerator = result.kind === "generator";
  const table = new Table({
    head: [
      "workload",
      ...(several ? ["server"] : []),
      "req/s",
      "GB/s",
      "TTFB ms\np50 / p99",
      "response ms\np50 / p99 / p99.9",
      "CPU s/GB",
      "CPU µs/req",
      "RSS",
      "disk read",
      "failed",
      "wrong\nbytes",
      ...(several ? [`GB/s, CPU/GB\n× ${referenceSubject}`] : []),
      ...(ofGenerator ? ["generator, per CPU s\nrequests / GB"] : []),
    ],
    style: { head: [], border: [] },
  });
  for (const run of result.runs) table.push(...rowsOf(run, result, several));
  const lines = result.runs.length === 0 ? [] : [table.toString()];
  for (const subject of result.subjects) if (subject.missing !== null) lines.push(`missing: ${subject.name}: ${subject.missing}`);
  for (const [reason, figures] of missingFigures(result)) lines.push(`no ${figures}: ${reason}`);
  for (const note of result.notes) lines.push(`note: ${note}`);
  const { machine } = result;
  const versions = result.subjects.flatMap(({ name, version }) => (version === null ? [] : [`${name} = ${version}`]));
  lines.push(
    `${machine.cores} × ${machine.cpuModel}, ${formatByteSize(machine.memoryBytes)}, ${machine.kernel}, Node ${machine.node}, load ${machine.loadAverageAtStart}` +
      (versions.length > 0 ? `; ${versions.join(", ")}` : ""),
    result.verdict.text,
  );
  return `${lines.join("\n")}\n`;
}

function rowsOf(run: WorkloadRun, result: BenchResult, several: boolean): string[][] {
  const { medians } = run;
  const label = `${run.workload.name}\n${run.scheme}${run.generator.startsWith("wrk") ? ", wrk" : ""}${run.rounds.length > 1 ? `, ${run.rounds.length} rounds` : ""}`;
  const rows = [
    [
      label,
      ...(several ? [run.subject] : []),
      number(medians.requestsPerSecond, (value) => value.toFixed(0)),
      number(medians.bytesPerSecond, (value) => (value / 1e9).toFixed(2)),
      `${ms(medians.ttfbP50)} / ${ms(medians.ttfbP99)}`,
      `${ms(medians.responseP50)} / ${ms(medians.responseP99)} / ${ms(medians.responseP999)}`,
      number(medians.cpuSecondsPerGigabyte, (value) => value.toFixed(3)),
      number(medians.cpuMicrosecondsPerRequest, (value) => value.toFixed(1)),
      number(medians.rssBytes, formatByteSize),
      number(medians.diskReadBytes, formatByteSize),
      String(medians.errors),
      medians.wrongBytes === null ? "not checked" : String(medians.wrongBytes),
      ...(several ? [ratioText(run, result)] : []),
      ...(result.kind === "generator" ? [generatorText(run)] : []),
    ],
  ];
  for (const round of run.rounds) {
    for (const phase of round.phases) rows.push(figuresRow(`  ${phase.name}`, phase, several ? run.subject : null));
    if (round.background !== null) rows.push(figuresRow("  fill beside it", round.background, several ? run.subject : null));
  }
  return rows;
}

function figuresRow(label: string, figures: Figures, subject: string | null): string[] {
  const one = (value: number | null | undefined, format: (value: number) => string) =>
    value === null || value === undefined ? "–" : format(value);
  const { ttfb, response, server } = figures;
  return [
    label,
    ...(subject === null ? [] : [subject]),
    figures.requestsPerSecond.toFixed(0),
    (figures.bytesPerSecond / 1e9).toFixed(2),
    `${one(ttfb?.p50, msText)} / ${one(ttfb?.p99, msText)}`,
    `${one(response?.p50, msText)} / ${one(response?.p99, msText)} / ${one(response?.p999, msText)}`,
    one(server.cpuSecondsPerGigabyte, (value) => value.toFixed(3)),
    one(server.cpuMicrosecondsPerRequest, (value) => value.toFixed(1)),
    one(server.rssBytes, formatByteSize),
    one(server.diskReadBytes, formatByteSize),
    Object.entries(figures.errors)
      .map(([kind, count]) => `${kind} ${count}`)
      .join("\n") || "0",
    figures.verified === null ? "not checked" : String(figures.verified.wrongBytes),
    ...(subject === null ? [] : [""]),
  ];
}

/** What the generator did in one second of its own processor time: what it could do at most on a core of its own. */
function generatorText(run: WorkloadRun): string {
  const per = (amount: (figures: Figures) => number) =>
    spreadOf(run.rounds.map(({ total }) => (total.generator.cpuSeconds === null ? null : amount(total) / total.generator.cpuSeconds)));
  const requests = number(
    per((figures) => figures.requests),
    (value) => value.toFixed(0),
  );
  const gigabytes = number(
    per((figures) => figures.bodyBytes / 1e9),
    (value) => value.toFixed(2),
  );
  return `${requests} / ${gigabytes}`;
}

function ratioText(run: WorkloadRun, result: BenchResult): string {
  const reference = result.runs.find(
    (other) => other.subject === referenceSubject && other.scheme === run.scheme && other.workload.name === run.workload.name,
  );
  if (reference === undefined) return "–";
  const ratio = (of: (run: WorkloadRun) => Spread | null) => {
    const [own, theirs] = [of(run), of(reference)];
    return own === null || theirs === null || theirs.median === 0 ? "–" : (own.median / theirs.median).toFixed(2);
  };
  return `${ratio(({ medians }) => medians.bytesPerSecond)}, ${ratio(({ medians }) => medians.cpuSecondsPerGigabyte)}`;
}

function missingFigures(result: BenchResult): Map<string, string> {
  const reasons = new Map<string, Set<string>>();
  for (const run of result.runs) {
    for (const { total } of run.rounds) {
      for (const [figure, reason] of Object.entries(total.server.missing)) {
        reasons.set(reason, (reasons.get(reason) ?? new Set()).add(figureNames[figure as keyof typeof figureNames]));
      }
    }
  }
  return new Map([...reasons].map(([reason, figures]) => [reason, [...figures].join(", ")]));
}

const figureNames = { cpuSeconds: "CPU time", rssBytes: "RSS", diskReadBytes: "disk reads" } as const;

function number(spread: Spread | null, format: (value: number) => string): string {
  return spread === null ? "–" : format(spread.median);
}

function ms(spread: Spread | null): string {
  return number(spread, msText);
}

function msText(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
