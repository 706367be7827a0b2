// `millrace bench generator`: what the load generator itself can do.
import { Command } from "commander";
import { integer } from "./option-values.js";
import { addOutputOptions, type OutputOptions } from "./output-options.js";

/** `millrace bench generator`. */
export function benchGeneratorCommand(): Command {
  const command = new Command("generator")
    .summary("measure the load generator itself")
    .description("Measure the load generator itself against the bare floor: what it can do at most on one core, and what that costs it.");
  command.option("--duration <time>", "of each measurement", "5s").option("--rounds <n>", "rounds", integer, 3);
  addOutputOptions(command);
  return command.action(async (_options: unknown, self: Command) => {
    const [{ measureGenerator }, { ResultBuilder }, { defaultCores }, { measure }] = await Promise.all([
      import("../../bench/peers/measure-generator.js"),
      import("../../bench/report/result-builder.js"),
      import("../../bench/peers/processor-cores.js"),
      import("./measure.js"),
    ]);
    const options = self.opts<OutputOptions & { duration: string; rounds: number }>();
    const result = new ResultBuilder("generator", process.argv.slice(2));
    await measure(result, options, (signal) =>
      measureGenerator({ duration: options.duration, rounds: options.rounds, cores: defaultCores(), signal }, result),
    );
  });
}
