// The options that say what load to make: shared by `millrace bench` and those of its commands that load a server.
import { availableParallelism } from "node:os";
import { Option, type Command } from "commander";
import { defaultFlags, flagName, type WorkloadFlags } from "../../bench/workloads/workload-flags.js";
import { byteSize, integer, number } from "./option-values.js";

const flagTexts: Readonly<Record<keyof WorkloadFlags, string>> = {
  range: 'bytes per request, or "whole" for whole objects without a Range header',
  walk: 'which range is next: "random", or "sequential" as a player asks',
  pick: 'which object is next: "uniform", "zipf", or "once" for each in turn',
  alpha: "exponent of the Zipf choice",
  objects: "how many objects are asked for",
  objectSize: "size of each generated object",
  connections: "connections of all worker threads together",
  rate: "requests per second (open loop); 0 keeps one request under way on each connection (closed loop)",
  arrivals: 'open loop: "poisson" or "constant" gaps',
  curve: 'open loop: "flat", or "diurnal" for one day of demand in one run',
  crowdAt: "fraction of the run at which a crowd comes for one object; 1 is never",
  crowdShare: "share of the requests that are the crowd's",
  crowdFactor: "what the crowd multiplies the rate by",
  trace: 'request trace to replay: CSV "time,id,size" or oracleGeneral binary, also gzip or zstd',
  traceSpeed: "what the trace's clock is multiplied by",
  traceRequests: "requests of the trace that are replayed at most",
  traceObjectMax: "larger objects of the trace are cut to this",
  fillConnections: "connections that read objects no one read before, beside the load; 0 is none",
  fillObjects: "how many such objects there are, after the others",
  fillRate: "requests per second for such objects; 0 is as fast as they are answered",
  pageCache: 'the server\'s files in this machine\'s memory: "kept", or "dropped" before each round and all through it',
  verify: 'bodies that are compared with what they should be: "all", "sample" (1 of 16), "none"',
  timeout: "a request that takes longer has failed",
  warmup: "before each round, not measured",
  duration: "measured part of each round",
  rounds: "rounds; figures are medians over them",
  seed: "the same seed asks for the same things",
};

/** What `addLoadOptions()` adds beside the workload's own flags. */
export interface LoadOptions {
  generator: "millrace" | "wrk";
  workers: number;
  memory?: number;
  keepFiles?: string;
  serverCores?: string;
  generatorCores?: string;
}

export function addLoadOptions(command: Command): void {
  for (const key of Object.keys(flagTexts) as (keyof WorkloadFlags)[]) command.addOption(flagOption(key));
  command
    .addOption(new Option("--generator <program>", "who sends the requests").choices(["millrace", "wrk"]).default("millrace"))
    .option(
      "--workers <n>",
      "worker threads of the generator (default: half the cores)",
      integer,
      Math.max(1, Math.floor(availableParallelism() / 2)),
    )
    .option("--memory <size>", "memory that a server which the bench starts may use for files (default: enough for all)", byteSize)
    .option("--keep-files <folder>", "make the objects here and keep them, instead of in a temporary folder")
    .option("--server-cores <list>", "processors for a server which the bench starts, as taskset takes them (default: 0)")
    .option("--generator-cores <list>", "processors for the generator then (default: 1)");
}

/** Without a default of its own: what was typed must be told from what was not. */
export function flagOption(key: keyof WorkloadFlags): Option {
  const fallback = defaultFlags[key];
  const text = fallback === "" ? flagTexts[key] : `${flagTexts[key]} (default: ${fallback})`;
  const option = new Option(`${flagName(key)} <${typeof fallback === "number" ? "n" : "value"}>`, text);
  return typeof fallback === "number" ? option.argParser(number) : option;
}

/** The workload flags that the person typed, without defaults. */
export function typedFlags(command: Command): Partial<WorkloadFlags> {
  const values = command.opts<Record<string, unknown>>();
  return Object.fromEntries(Object.keys(flagTexts).flatMap((key) => (values[key] === undefined ? [] : [[key, values[key]]])));
}
