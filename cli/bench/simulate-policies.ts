// What `millrace bench policies` does when it is run.
import { writeFileSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import { SingleBar } from "cli-progress";
import { loadTrace } from "../../bench/policies/load-trace.js";
import type { PoliciesResult } from "../../bench/policies/policies-result.js";
import { formatPolicies } from "../../bench/policies/policies-table.js";
import { capacityOf, parseCacheSizes, parseZipfRecipe } from "../../bench/policies/policies-flags.js";
import { type PolicyName, policyNames, type TraceFormat } from "../../bench/policies/policy-names.js";
import { readTraceBatches } from "../../bench/policies/read-trace.js";
import { countSteps, factsOfTrace, runPolicies } from "../../bench/policies/run-policies.js";
import { zipfTrace } from "../../bench/policies/zipf-trace.js";
import { benchResultSchema } from "../../bench/report/bench-result.js";
import { renderHtmlReport } from "../../bench/report/html-report.js";
import { readCommit, readMachineFacts } from "../../bench/report/machine-facts.js";
import { OperatingError } from "../../runtime/operating-error.js";

export interface PoliciesOptions {
  trace?: string;
  format?: TraceFormat;
  zipf?: string | true;
  seed: number;
  sizes: string;
  policy?: PolicyName[];
  limit?: number;
  json?: boolean;
  html?: string;
  out?: string;
}

/** Prints the result, or what there is of it at Ctrl-C. */
export async function simulatePolicies(options: PoliciesOptions): Promise<void> {
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
      ...(options.limit === undefined ? {} : { requestsMax: options.limit }),
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

function openTrace({ trace, format, zipf, seed }: PoliciesOptions) {
  if (trace !== undefined) return { source: trace, batches: readTraceBatches(trace, format === undefined ? {} : { format }) };
  const recipe = zipf === true || zipf === undefined ? "default" : zipf;
  return { source: `Zipf ${recipe} seed=${seed}`, batches: inTurn(zipfTrace({ ...parseZipfRecipe(recipe), seed: seed })) };
}

async function* inTurn<Item>(items: Iterable<Item>): AsyncGenerator<Item> {
  yield* items;
}
