// Compares two results: the ratio of each figure's medians, and the least and the largest ratio that the rounds allow.
import { readFileSync } from "node:fs";
import Table from "cli-table3";
import { messageOf, OperatingError } from "../../runtime/operating-error.js";
import { benchResultSchema, type BenchResult, type Medians, type Spread, type WorkloadRun } from "./bench-result.js";

export interface ComparedFigure {
  subject: string;
  scheme: string;
  workload: string;
  figure: ComparedName;
  a: number;
  b: number;
  /** b ÷ a. */
  ratio: number;
  /** The ratio of b's smallest round to a's largest, and of b's largest to a's smallest. */
  lowest: number;
  highest: number;
  /** "better" or "worse" only where no pair of rounds says otherwise; "unclear" is within the spread. */
  change: "better" | "worse" | "unclear" | "same";
}

const comparedNames = {
  bytesPerSecond: { title: "bytes/s", more: "better" },
  requestsPerSecond: { title: "requests/s", more: "better" },
  ttfbP50: { title: "TTFB p50", more: "worse" },
  ttfbP99: { title: "TTFB p99", more: "worse" },
  responseP99: { title: "response p99", more: "worse" },
  cpuSecondsPerGigabyte: { title: "CPU s/GB", more: "worse" },
  cpuMicrosecondsPerRequest: { title: "CPU µs/request", more: "worse" },
  rssBytes: { title: "RSS", more: "worse" },
} as const satisfies Partial<Record<keyof Medians, { title: string; more: "better" | "worse" }>>;
type ComparedName = keyof typeof comparedNames;

export interface Comparison {
  figures: ComparedFigure[];
  /** Runs that only one of the two has. */
  unmatched: string[];
}

/** Figures of the runs that both have (same subject, scheme, workload and generator). */
export function compareResults(a: BenchResult, b: BenchResult): Comparison {
  const figures: ComparedFigure[] = [];
  for (const run of a.runs) {
    const other = b.runs.find((candidate) => keyOf(candidate) === keyOf(run));
    if (other === undefined) continue;
    for (const figure of Object.keys(comparedNames) as ComparedName[]) {
      const [from, to] = [run.medians[figure], other.medians[figure]];
      if (from === null || to === null || from.min <= 0) continue;
      figures.push({ subject: run.subject, scheme: run.scheme, workload: run.workload.name, figure, ...compared(figure, from, to) });
    }
  }
  const [keysOfA, keysOfB] = [a.runs.map(keyOf), b.runs.map(keyOf)];
  const unmatched = [...keysOfA.filter((key) => !keysOfB.includes(key)), ...keysOfB.filter((key) => !keysOfA.includes(key))];
  return { figures, unmatched };
}

function compared(figure: ComparedName, a: Spread, b: Spread): Pick<ComparedFigure, "a" | "b" | "ratio" | "lowest" | "highest" | "change"> {
  const lowest = b.min / a.max;
  const highest = b.max / a.min;
  const { more } = comparedNames[figure];
  const less = more === "better" ? "worse" : "better";
  const change = lowest === 1 && highest === 1 ? "same" : lowest > 1 ? more : highest < 1 ? less : "unclear";
  return { a: a.median, b: b.median, ratio: b.median / a.median, lowest, highest, change };
}

function keyOf(run: WorkloadRun): string {
  return `${run.workload.name} on ${run.subject} (${run.scheme}, ${run.generator.split(" ", 1)[0]})`;
}

export function formatComparison({ figures, unmatched }: Comparison): string {
  const table = new Table({ head: ["workload", "server", "figure", "a", "b", "b ÷ a", "spread", ""], style: { head: [], border: [] } });
  for (const entry of figures) {
    table.push([
      `${entry.workload} (${entry.scheme})`,
      entry.subject,
      comparedNames[entry.figure].title,
      significant(entry.a),
      significant(entry.b),
      entry.ratio.toFixed(3),
      `${entry.lowest.toFixed(2)} – ${entry.highest.toFixed(2)}`,
      entry.change,
    ]);
  }
  const lines = [figures.length === 0 ? "The two results have no run in common." : table.toString()];
  for (const key of unmatched) lines.push(`only in one of the two: ${key}`);
  return `${lines.join("\n")}\n`;
}

function significant(value: number): string {
  return value >= 1e9
    ? `${(value / 1e9).toFixed(2)} G`
    : value >= 1e6
      ? `${(value / 1e6).toFixed(1)} M`
      : String(Number(value.toPrecision(4)));
}

/** @throws OperatingError "bad-result" when the file is no result of a bench of this version. */
export function readResultFile(path: string): BenchResult {
  const fail = (reason: string) => new OperatingError("bad-result", `Cannot read result ${path}: ${reason}`, { source: path });
  let value: Partial<BenchResult>;
  try {
    value = JSON.parse(readFileSync(path, "utf8")) as Partial<BenchResult>;
  } catch (error) {
    throw fail(messageOf(error));
  }
  if (value?.tool !== "millrace bench" || !Array.isArray(value.runs)) throw fail("it is no result of `millrace bench --json`");
  if (value.schema !== benchResultSchema) throw fail(`it has schema ${value.schema}, this program reads ${benchResultSchema}`);
  return value as BenchResult;
}
