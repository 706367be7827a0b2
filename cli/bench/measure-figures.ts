// What `millrace bench figures` does when it is run.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FigureBuilder } from "../../bench/figures/figure-builder.js";
import type { FigureMaker } from "../../bench/figures/figure-maker.js";
import { figureMakers } from "../../bench/figures/figure-table.js";
import { pinThisProcess } from "../../bench/peers/processor-cores.js";
import { benchResultSchema } from "../../bench/report/bench-result.js";
import type { FiguresResult } from "../../bench/report/figures-result.js";
import { formatFigures } from "../../bench/report/figures-table.js";
import { renderHtmlReport } from "../../bench/report/html-report.js";
import { readCommit, readMachineFacts } from "../../bench/report/machine-facts.js";
import { messageOf, OperatingError } from "../../runtime/operating-error.js";
import { applianceInside } from "./appliance-inside.js";
import { coresOf } from "./measure.js";

export interface FiguresOptions {
  quick?: boolean;
  rounds?: number;
  folder?: string;
  serverCores?: string;
  generatorCores?: string;
  json?: boolean;
  out?: string;
  html?: string;
}

/** Prints what was measured, at Ctrl-C too. Exits with 1 where something happened that must not, with 130 when it was interrupted. */
export async function measureFigures(names: readonly string[], options: FiguresOptions): Promise<void> {
  const quick = options.quick === true;
  const makers = figureMakers.filter(({ name }) => names.length === 0 || names.includes(name));
  const result: FiguresResult = {
    schema: benchResultSchema,
    tool: "millrace bench",
    kind: "figures",
    quick,
    startedAt: new Date().toISOString(),
    finishedAt: "",
    complete: false,
    machine: readMachineFacts(),
    commit: readCommit(),
    arguments: process.argv.slice(2),
    notes: quick ? ["quick: small sets and short runs; these are no figures to go by"] : [],
    figures: [],
    verdict: { ok: false, text: "" },
  };
  const abort = new AbortController();
  const interrupt = () => {
    if (abort.signal.aborted) process.exit(130);
    process.stderr.write("\nStopping: what was measured follows. Ctrl-C again stops at once.\n");
    abort.abort();
  };
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", interrupt);
  const cores = coresOf(options);
  if (cores.generator === null) result.notes.push("nothing is pinned to a core: server and load disturb each other");
  else pinThisProcess(cores.generator);
  for (const maker of makers) {
    if (abort.signal.aborted) break;
    const figure = new FigureBuilder(maker.name, maker.title);
    result.figures.push(figure.figure);
    const scratch = mkdtempSync(join(options.folder ?? tmpdir(), "millrace-figure-"));
    try {
      await maker.measure(
        {
          quick,
          rounds: options.rounds ?? (quick ? 1 : 5),
          inside: applianceInside,
          scratch,
          cores,
          signal: abort.signal,
          say: sayOn(maker),
        },
        figure,
      );
    } catch (error) {
      if (!abort.signal.aborted) {
        // One figure that cannot be had does not take the others with it.
        if (!(error instanceof OperatingError)) throw error;
        figure.fault(messageOf(error));
      }
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  }
  process.off("SIGINT", interrupt);
  process.off("SIGTERM", interrupt);
  result.complete = !abort.signal.aborted;
  result.finishedAt = new Date().toISOString();
  result.verdict = verdictOf(result);
  const json = `${JSON.stringify(result, null, 2)}\n`;
  if (options.out !== undefined) writeFileSync(options.out, json);
  if (options.html !== undefined) writeFileSync(options.html, renderHtmlReport([result]));
  process.stdout.write(options.json === true ? json : formatFigures(result));
  process.exitCode = abort.signal.aborted ? 130 : result.verdict.ok ? 0 : 1;
}

function sayOn({ name }: FigureMaker): (text: string) => void {
  if (!process.stderr.isTTY) return () => {};
  return (text) => void process.stderr.write(`\r\x1b[K${name}: ${text}`);
}

/** A missed aim is no fault: it stands in the table. */
function verdictOf({ complete, figures }: FiguresResult): FiguresResult["verdict"] {
  const interrupted = complete ? "" : "INTERRUPTED, this is what was measured until then. ";
  const faults = figures.flatMap(({ name, faults }) => faults.map((fault) => `${name}: ${fault}`));
  const empty = figures.filter(({ values }) => values.length === 0).map(({ name }) => `${name}: nothing was measured`);
  const problems = [...faults, ...(complete ? empty : [])];
  if (problems.length > 0) return { ok: false, text: `${interrupted}FAILED: ${problems.join("; ")}` };
  const aims = figures.flatMap(({ values }) => values.filter(({ reached }) => reached !== null));
  const missed = aims.filter(({ reached }) => reached === false).length;
  return { ok: true, text: `${interrupted}OK: nothing failed; ${aims.length - missed} of ${aims.length} aims reached` };
}
