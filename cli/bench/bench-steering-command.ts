// `millrace bench steering`: how fast the control plane decides, in process and over gRPC.
import { Command, InvalidArgumentError } from "commander";
import type { SteeringBenchOptions } from "./measure-steering.js";

/** `millrace bench steering`. */
export function benchSteeringCommand(): Command {
  return new Command("steering")
    .summary("decisions per second in process, and latency over gRPC")
    .description(
      "Measures steering: decisions per second on one core over a fleet that is made up, prefix lookups, and gRPC latency at a fixed rate.",
    )
    .option("--appliances <n>", "appliances of the fleet, at 50 sites", whole, 200)
    .option("--titles <n>", "titles; a fifth is held everywhere, of the rest each appliance holds a quarter", whole, 10_000)
    .option("--prefixes <n>", "prefixes in the table, IPv4 and IPv6", whole, 1_000_000)
    .option("--seconds <n>", "length of each measurement", whole, 5)
    .option("--rate <n>", "gRPC calls per second, open loop", whole, 2000)
    .option("--json", "print the result as JSON")
    .option("--out <file>", "also write the JSON to a file")
    .addHelpText("after", "\nExamples:\n  millrace bench steering\n  millrace bench steering --appliances 1000 --json")
    .action(async (options: SteeringBenchOptions) => {
      // Loaded here, so that other commands don't wait for it.
      const { measureSteering } = await import("./measure-steering.js");
      await measureSteering(options);
    });
}

function whole(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1 || value > 10_000_000) throw new InvalidArgumentError("expected a whole number above 0");
  return value;
}
