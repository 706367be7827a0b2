// `millrace bench popularity`: is a disk better filled ahead of demand?
import { Command, InvalidArgumentError } from "commander";
import { percent } from "./option-values.js";
import type { PopularityOptions } from "./simulate-popularity.js";

const examples = `
A day's manifest is made by the control plane's own forecast and placement from what was asked for on the days before, and is on the disk when
the day begins. Its bytes count as filled, and so do all misses.

Examples:
  millrace bench popularity
  millrace bench popularity --zipf requests=3000000,objects=10000,alpha=1,size=1MiB..64MiB,drift=1,rate=0.58 --size 5%
  millrace bench popularity --html popularity.html`;

/** Sixty days of 50,000 plays of a catalog of 20,000, a fifth of whose ranks change hands in that time. */
const defaultTrace = "requests=3000000,objects=20000,alpha=0.8,size=1MiB..64MiB,drift=0.2,rate=0.5787";

/** `millrace bench popularity`. */
export function benchPopularityCommand(): Command {
  return new Command("popularity")
    .summary("compare a manifest of popular objects with a disk filled by demand alone, without a server")
    .description(
      "Compare a manifest of tomorrow's popular objects, with a share left to demand, with disks of the same size that are filled by demand alone.",
    )
    .option("--zipf <recipe>", "the trace: requests=N,objects=N,alpha=X,size=A[..B],drift=X,rate=requests per second", defaultTrace)
    .option("--seed <n>", "the same seed makes the same trace", whole, 1)
    .option("--size <size>", "the disk: an amount of bytes, or a share of all objects' bytes", "10%")
    .option("--demand-share <percent>", "of the disk, left to what requests bring in", percent, 0.1)
    .option("--churn <percent>", "of the manifest, that may be replaced in a day", percent, 0.05)
    .option("--warm-up <days>", "days that are simulated first and not counted", whole, 14)
    .option("--json", "print the result as JSON")
    .option("--out <file>", "also write the JSON to a file")
    .option("--html <file>", "also write a page with charts")
    .addHelpText("after", examples)
    .action(async (options: PopularityOptions) => {
      const { simulatePopularity } = await import("./simulate-popularity.js");
      await simulatePopularity(options);
    });
}

function whole(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) throw new InvalidArgumentError("expected a whole number");
  return value;
}
