// `millrace bench report`: one page of several results.
import { readFileSync, writeFileSync } from "node:fs";
import { Command } from "commander";
import { benchResultSchema } from "../bench/report/bench-result.js";
import { type AnyResult, renderHtmlReport } from "../bench/report/html-report.js";
import { messageOf, OperatingError } from "../runtime/operating-error.js";

/** `millrace bench report`. */
export function benchReportCommand(): Command {
  return new Command("report")
    .description("Make one page with tables and charts of results that `millrace bench … --json` or --out wrote.")
    .argument("<result...>", "files of results; those of players share their charts")
    .option("-o, --html <file>", "the page", "bench-report.html")
    .addHelpText("after", "\nExample:\n  millrace bench report bola.json throughput.json peers.json -o today.html")
    .action((files: string[], options: { html: string }) => {
      writeFileSync(options.html, renderHtmlReport(files.map(readAnyResult)));
      process.stdout.write(`${options.html} has ${files.length} results\n`);
    });
}

function readAnyResult(path: string): AnyResult {
  const fail = (reason: string, cause?: unknown) =>
    new OperatingError("bad-result", `Cannot read result ${path}: ${reason}`, { source: path, cause });
  let value: Partial<AnyResult> | null;
  try {
    value = JSON.parse(readFileSync(path, "utf8")) as Partial<AnyResult> | null;
  } catch (error) {
    throw fail(messageOf(error), error);
  }
  if (value?.tool !== "millrace bench" || value.kind === undefined) throw fail("it is no result of `millrace bench --json`");
  if (value.schema !== benchResultSchema) throw fail(`it has schema ${value.schema}, this program reads ${benchResultSchema}`);
  return value as AnyResult;
}
