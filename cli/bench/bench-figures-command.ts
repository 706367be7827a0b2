// `millrace bench figures`: what one load on one server does not show.
import { Argument, Command } from "commander";
import { figureNames } from "./figure-names.js";
import { integer } from "./option-values.js";
import type { FiguresOptions } from "./measure-figures.js";

const examples = `
Figures:
${Object.entries(figureNames)
  .map(([name, text]) => `  ${name.padEnd(18)} ${text}`)
  .join("\n")}

Examples:
  millrace bench figures storage-cold
  millrace bench figures index --out index.json         10 million chunks: some minutes, 3 GB on disk
  millrace bench figures --quick                        each in some seconds: shows that it works, not what is`;

/** `millrace bench figures`. */
export function benchFiguresCommand(): Command {
  return new Command("figures")
    .summary("measure the appliance's storage, memory, workers and resistance")
    .description("Start appliances on this machine and measure what one load on one server does not show.")
    .addArgument(new Argument("[figure...]", "what to measure (default: all)").choices(Object.keys(figureNames)))
    .option("--quick", "small sets and short runs: that a figure can be had, not what it is")
    .option("--rounds <n>", "rounds; figures are medians over them", integer)
    .option("--folder <folder>", "where sets and disks are made: the disk that is measured (default: the system's temporary folder)")
    .option("--server-cores <list>", "processors for the appliance, as taskset takes them (default: 0)")
    .option("--generator-cores <list>", "processors for the load (default: 1)")
    .option("--json", "print the result as JSON")
    .option("--out <file>", "also write the JSON to a file")
    .option("--html <file>", "also write a page")
    .addHelpText("after", examples)
    .action(async (names: string[], options: FiguresOptions) => {
      const { measureFigures } = await import("./measure-figures.js");
      await measureFigures(names, options);
    });
}
