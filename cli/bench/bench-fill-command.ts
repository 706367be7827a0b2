// `millrace bench fill`: how fast an appliance fills, and what that costs those it serves.
import { writeFileSync } from "node:fs";
import { Command } from "commander";
import { formatByteSize } from "../../runtime/byte-size.js";
import { integer } from "./option-values.js";

interface FillFlags {
  objects: number;
  clients: number;
  crowds: number;
  delay: number;
  fetches: number;
  seconds: number;
  json?: boolean;
  out?: string;
}

/** `millrace bench fill`. */
export function benchFillCommand(): Command {
  return new Command("fill")
    .summary("measure how fast an appliance fills")
    .description(
      "Measure the fill of an appliance that the bench starts, on one core: a manifest from one source on this machine to disk, verified; a crowd before one cold object of a source far away; and the p99 of what is served meanwhile.",
    )
    .option("--objects <n>", "objects of 64 MiB to fill; twice as many are written", integer, 32)
    .option("--clients <n>", "of a crowd", integer, 100)
    .option("--crowds <n>", "cold objects that a crowd comes to", integer, 5)
    .option("--delay <ms>", "how far away the source of cold objects is", integer, 20)
    .option("--fetches <n>", "chunks of the manifest under way at once", integer, 8)
    .option("--seconds <n>", "for which requests are served, with and without fill", integer, 5)
    .option("--json", "print the result as JSON")
    .option("--out <file>", "write the result as JSON to a file, too")
    .addHelpText("after", "\nExample:\n  millrace bench fill --out bench/results/fill.json")
    .action(async (flags: FillFlags) => {
      const [{ runFillBench }, { readCommit, readMachineFacts }, { defaultCores }] = await Promise.all([
        import("../../bench/fill/run-fill.js"),
        import("../../bench/report/machine-facts.js"),
        import("../../bench/peers/processor-cores.js"),
      ]);
      const machine = readMachineFacts();
      const options = {
        objects: flags.objects,
        objectBytes: 64 * 2 ** 20,
        pieceBytes: 64 * 2 ** 10,
        clients: flags.clients,
        crowds: flags.crowds,
        delayMs: flags.delay,
        bytesPerSecond: 50 * 2 ** 20,
        servedPerSecond: 200,
        servedSeconds: flags.seconds,
        manifestFetches: flags.fetches,
        cores: defaultCores().server,
      };
      const result = await runFillBench(options, (text) => process.stderr.write(`${text} ...\n`));
      const whole = { command: process.argv.slice(2), commit: readCommit(), machine, options, ...result };
      if (flags.out !== undefined) writeFileSync(flags.out, `${JSON.stringify(whole, null, 2)}\n`);
      if (flags.json) return void process.stdout.write(`${JSON.stringify(whole)}\n`);
      const { fill, crowd, served } = result;
      process.stdout.write(
        [
          `fill     ${formatByteSize(fill.bytes)} in ${fill.seconds} s: ${Math.round(fill.bytesPerSecond / 1e6)} MB/s verified to disk, ${fill.processorSecondsPerGigabyte} CPU s per GB`,
          `crowd    ${crowd.clients} clients, fetches per chunk ${crowd.fetchesPerChunk.join(", ")}; first byte ${crowd.firstByteMedianMs} ms (p99 ${crowd.firstByteP99Ms} ms), upstream's own ${crowd.upstreamFirstByteMs} ms: ${crowd.ratio} x`,
          `served   p99 ${served.idleP99Ms} ms without fill, ${served.fillingP99Ms} ms with: ${served.ratioP99} x`,
          "",
        ].join("\n"),
      );
    });
}
