// `millrace bench report`: one page of several results.
import { Command } from "commander";

/** `millrace bench report`. */
export function benchReportCommand(): Command {
  return new Command("report")
    .summary("make one page with charts of several results")
    .description("Make one page with tables and charts of results that `millrace bench … --json` or --out wrote.")
    .argument("<result...>", "files of results; those of players share their charts")
    .option("-o, --html <file>", "the page", "bench-report.html")
    .addHelpText("after", "\nExample:\n  millrace bench report bola.json throughput.json peers.json -o today.html")
    .action(async (files: string[], options: { html: string }) => {
      const [{ writeFileSync }, { renderHtmlReport }, { readAnyResult }] = await Promise.all([
        import("node:fs"),
        import("../../bench/report/html-report.js"),
        import("../../bench/report/read-any-result.js"),
      ]);
      writeFileSync(options.html, renderHtmlReport(files.map(readAnyResult)));
      process.stdout.write(`${options.html} has ${files.length} results\n`);
    });
}
