// `millrace bench policies`: cache policies over a trace, without a server.
import { Command, InvalidArgumentError, Option } from "commander";
import { policyNames, traceFormats } from "../../bench/policies/policy-names.js";
import type { PoliciesOptions } from "./simulate-policies.js";

const examples = `
A trace is CSV (time,id,size; a header is optional) or libCacheSim's oracleGeneral records, plain or packed with gzip or zstd.
An object's size is that of its first request. First requests count as misses.

Examples:
  millrace bench policies --trace edge.csv.gz --sizes 1GiB,10GiB
  millrace bench policies --trace wiki.oracleGeneral.zst --sizes 0.1%,1%,10% --limit 10000000
  millrace bench policies --zipf alpha=0.8,objects=200000,size=1MiB..64MiB,drift=0.2 --sizes 1%,10% --html policies.html`;

/** `millrace bench policies`. */
export function benchPoliciesCommand(): Command {
  return new Command("policies")
    .summary("replay a request trace through cache policies, without a server")
    .description("Replay a request trace through cache policies: hit ratio and byte-hit ratio, with Belady and an offline bound.")
    .option("--trace <file>", "trace of requests")
    .addOption(new Option("--format <format>", "format of the trace (default: seen from its first bytes)").choices(traceFormats))
    .option("--zipf [recipe]", "make a trace instead: requests=N,objects=N,alpha=X,size=A[..B],drift=X,rate=X")
    .option("--seed <n>", "the same seed makes the same trace", whole, 1)
    .option("--sizes <list>", "cache sizes: amounts of bytes, or shares of all objects' bytes", "0.1%,1%,10%")
    .addOption(new Option("--policy <name...>", "policies to simulate (default: all)").choices(policyNames))
    .option("--limit <n>", "read the first n requests (default: 2^28)", whole)
    .option("--json", "print the result as JSON")
    .option("--out <file>", "also write the JSON to a file")
    .option("--html <file>", "also write a page with charts")
    .addHelpText("after", examples)
    .action(async (options: PoliciesOptions) => {
      const { simulatePolicies } = await import("./simulate-policies.js");
      await simulatePolicies(options);
    });
}

function whole(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) throw new InvalidArgumentError("expected a whole number");
  return value;
}
