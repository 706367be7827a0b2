// Runs what a command of the bench measures, to its end or to Ctrl-C, and prints the result.
import { writeFileSync } from "node:fs";
import { defaultCores, type Cores } from "../../bench/peers/processor-cores.js";
import { renderHtmlReport } from "../../bench/report/html-report.js";
import type { ResultBuilder } from "../../bench/report/result-builder.js";
import { formatResult } from "../../bench/report/result-table.js";
import { messageOf } from "../../runtime/operating-error.js";
import type { OutputOptions } from "./output-options.js";

/** Runs `work`; prints what there is when it ends or at Ctrl-C. Exits with 1 when the verdict is bad, with 130 when it was interrupted. */
export async function measure(
  result: ResultBuilder,
  output: OutputOptions,
  work: (signal: AbortSignal) => Promise<boolean>,
): Promise<void> {
  const abort = new AbortController();
  const interrupt = () => {
    if (abort.signal.aborted) process.exit(130);
    process.stderr.write("\nStopping: what was measured follows. Ctrl-C again stops at once.\n");
    abort.abort();
  };
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", interrupt);
  let complete = false;
  try {
    complete = await work(abort.signal);
  } catch (error) {
    if (!abort.signal.aborted) throw error;
    result.note(`while stopping: ${messageOf(error)}`);
  }
  const finished = result.finish(complete);
  const json = `${JSON.stringify(finished, (key, value: unknown) => (key === "histogram" && !output.histograms ? undefined : value), 2)}\n`;
  if (output.out !== undefined) writeFileSync(output.out, json);
  if (output.html !== undefined) writeFileSync(output.html, renderHtmlReport([finished]));
  process.stdout.write(output.json === true ? json : formatResult(finished));
  process.exitCode = abort.signal.aborted ? 130 : finished.verdict.ok ? 0 : 1;
  process.off("SIGINT", interrupt);
  process.off("SIGTERM", interrupt);
}

export function coresOf(options: { serverCores?: string; generatorCores?: string }): Cores {
  const fallback = defaultCores();
  return { server: options.serverCores ?? fallback.server, generator: options.generatorCores ?? fallback.generator };
}
