// `millrace bench policies`: cache policies over a trace, without a server.
import { writeFileSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import { SingleBar } from "cli-progress";
import { Command, InvalidArgumentError, Option } from "commander";
import { loadTrace, loadRequestsMax } from "../bench/policies/load-trace.js";
import type { PoliciesResult } from "../bench/policies/policies-result.js";
import { formatPolicies } from "../bench/policies/policies-table.js";
import { capacityOf, parseCacheSizes, parseZipfRecipe } from "../bench/policies/policies-flags.js";
import { type PolicyName, policyNames } from "../bench/policies/policy-table.js";
import { readTraceBatches, type TraceFormat, traceFormats } from "../bench/policies/read-trace.js";
import { countSteps, factsOfTrace, runPolicies } from "../bench/policies/run-policies.js";
import { zipfTrace } from "../bench/policies/zipf-trace.js";
import { benchResultSchema } from "../bench/report/bench-result.js";
import { renderHtmlReport } from "../bench/report/html-report.js";
import { readCommit, readMachineFacts } from "../bench/report/machine-facts.js";
import { OperatingError } from "../runtime/operating-error.js";

interface Options {
  trace?: string;
  format?: TraceFormat;
  zipf?: string | true;
  seed: number;
  sizes: string;
  policy?: PolicyName[];
  limit: number;
  json?: boolean;
  html?: string;
  out?: string;
}

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
    .description("Replay a request trace through cache policies: hit ratio and byte-hit ratio, with Belady and an offline bound.")
    .option("--trace <file>", "trace of requests")
    .addOption(new Option("--format <format>", "format of the trace (default: seen from its first bytes)").choices(traceFormats))
    .option("--zipf [recipe]", "make a trace instead: requests=N,objects=N,alpha=X,size=A[..B],drift=X,rate=X")
    .option("--seed <n>", "the same seed makes the same trace", whole, 1)
    .option("--sizes <list>", "cache sizes: amounts of bytes, or shares of all objects' bytes", "0.1%,1%,10%")
    .addOption(new Option("--policy <name...>", "policies to simulate (default: all)").choices(policyNames))
    .option("--limit <n>", "read the first n requests", whole, loadRequestsMax)
    .option("--json", "print the result as JSON")
    .option("--out <file>", "also write the JSON to a file")
    .option("--html <file>", "also write a page with charts")
    .addHelpText("after", examples)
    .action(async (options: Options) => run(options));
}

async function run(options: Options): Promise<void> {
  if ((options.trace === undefined) === (options.zipf === undefined)) {
    throw new OperatingError("bad-flag", "Cannot simulate: give either --trace FILE or --zipf RECIPE");
  }
  const sizes = parseCacheSizes(options.sizes);
  const result: PoliciesResult = {
    schema: benchResultSchema,
    tool: "millrace bench",
    kind: "policies",
    startedAt: new Date().toISOString(),
    finishedAt: "",
    complete: false,
    machine: readMachineFacts(),
    commit: readCommit(),
    arguments: process.argv.slice(2),
    notes: [],
    trace: {
      source: "",
      requests: 0,
      objects: 0,
      footprintBytes: 0,
      requestedBytes: 0,
      spanSeconds: 0,
      endlessHitRatio: 0,
      endlessByteHitRatio: 0,
    },
    sizes: [],
  };
  let stopping = false;
  const interrupt = () => {
    if (stopping) process.exit(130);
    stopping = true;
  };
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", interrupt);
  const bar = process.stderr.isTTY
    ? new SingleBar({ format: "{bar} {percentage}% | {label}", hideCursor: true, clearOnComplete: true, stream: process.stderr })
    : undefined;
  try {
    const { source, batches } = openTrace(options);
    const trace = await loadTrace(batches, {
      requestsMax: options.limit,
      ...(process.stderr.isTTY ? { onProgress: (requests: number) => void process.stderr.write(`\r${requests} requests read `) } : {}),
    });
    if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
    result.trace = factsOfTrace(source, trace);
    if (trace.emptyRequests > 0) result.notes.push(`${trace.emptyRequests} requests of size 0 were left out`);
    if (trace.resizedRequests > 0) {
      result.notes.push(`${trace.resizedRequests} requests had another size than their object's first request, whose size was taken`);
    }
    const plan = {
      capacitiesBytes: sizes.map((size) => capacityOf(size, trace.footprintBytes)),
      policies: options.policy ?? policyNames,
    };
    bar?.start(countSteps(plan), 0, { label: "" });
    const onStep = async (done: number, label: string) => {
      bar?.update(done, { label });
      await setImmediate();
      if (stopping) throw new Interrupted();
    };
    for await (const size of runPolicies(trace, { ...plan, onStep })) result.sizes.push(size);
    result.complete = true;
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
  } finally {
    bar?.stop();
    process.off("SIGINT", interrupt);
    process.off("SIGTERM", interrupt);
  }
  result.finishedAt = new Date().toISOString();
  const json = `${JSON.stringify(result, null, 2)}\n`;
  if (options.out !== undefined) writeFileSync(options.out, json);
  if (options.html !== undefined) writeFileSync(options.html, renderHtmlReport([result]));
  process.stdout.write(options.json === true ? json : formatPolicies(result));
  if (!result.complete) process.exitCode = 130;
}

/** A person's wish to stop, seen between two simulations. */
class Interrupted extends Error {}

function openTrace({ trace, format, zipf, seed }: Options) {
  if (trace !== undefined) return { source: trace, batches: readTraceBatches(trace, format === undefined ? {} : { format }) };
  const recipe = zipf === true || zipf === undefined ? "default" : zipf;
  return { source: `Zipf ${recipe} seed=${seed}`, batches: inTurn(zipfTrace({ ...parseZipfRecipe(recipe), seed: seed })) };
}

async function* inTurn<Item>(items: Iterable<Item>): AsyncGenerator<Item> {
  yield* items;
}

function whole(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) throw new InvalidArgumentError("expected a whole number");
  return value;
}
