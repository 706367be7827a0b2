// What `millrace bench popularity` does when it is run.
import { writeFileSync } from "node:fs";
import Table from "cli-table3";
import { loadTrace } from "../../bench/policies/load-trace.js";
import { LruPolicy } from "../../bench/policies/lru-policy.js";
import { capacityOf, parseCacheSizes, parseZipfRecipe } from "../../bench/policies/policies-flags.js";
import { factsOfTrace } from "../../bench/policies/run-policies.js";
import { S3FifoPolicy } from "../../bench/policies/s3-fifo-policy.js";
import { zipfTrace } from "../../bench/policies/zipf-trace.js";
import type { FilledWay, PopularityResult } from "../../bench/popularity/popularity-result.js";
import { perfectManifests, simulateDemand, simulateManifest } from "../../bench/popularity/simulate-popularity.js";
import { benchResultSchema } from "../../bench/report/bench-result.js";
import { renderHtmlReport } from "../../bench/report/html-report.js";
import { readCommit, readMachineFacts } from "../../bench/report/machine-facts.js";
import { OperatingError } from "../../runtime/operating-error.js";
import { plannedManifests } from "./planned-manifests.js";

export interface PopularityOptions {
  zipf: string;
  seed: number;
  size: string;
  demandShare: number;
  churn: number;
  warmUp: number;
  json?: boolean;
  out?: string;
  html?: string;
}

const daySeconds = 86_400;

/** @throws OperatingError "bad-flag". */
export async function simulatePopularity(options: PopularityOptions): Promise<void> {
  const startedAt = new Date().toISOString();
  const recipe = parseZipfRecipe(options.zipf);
  const requestsPerDay = Math.round(recipe.requestsPerSecond * daySeconds);
  if (recipe.requests < (options.warmUp + 1) * requestsPerDay) {
    throw new OperatingError(
      "bad-flag",
      `Cannot simulate: ${recipe.requests} requests are less than ${options.warmUp + 1} days of ${requestsPerDay}`,
    );
  }
  const [size] = parseCacheSizes(options.size);
  const trace = await loadTrace(inTurn(zipfTrace({ ...recipe, seed: options.seed })));
  const capacityBytes = capacityOf(size!, trace.footprintBytes);
  const demandBytes = Math.round(capacityBytes * options.demandShare);
  const budgetBytes = capacityBytes - demandBytes;
  const how = { requestsPerDay, warmUpDays: options.warmUp, capacityBytes };
  const maker = plannedManifests({ objectBytes: trace.objectBytes, budgetBytes, churnPerDay: options.churn });
  const s3Fifo = (policy: ConstructorParameters<typeof S3FifoPolicy>[0]) => new S3FifoPolicy(policy);
  const share = `${Math.round(100 - options.demandShare * 100)} % + demand ${Math.round(options.demandShare * 100)} %`;
  const ways: FilledWay[] = [
    simulateManifest(`manifest ${share}`, { maker, demand: s3Fifo, demandBytes }, trace, how),
    simulateManifest(
      "the same, by who knows the day's requests",
      { maker: perfectManifests(trace, requestsPerDay, budgetBytes), demand: s3Fifo, demandBytes },
      trace,
      how,
    ),
    simulateDemand("demand only, S3-FIFO", s3Fifo, trace, how),
    simulateDemand("demand only, LRU", (policy) => new LruPolicy(policy), trace, how),
  ];
  const result: PopularityResult = {
    schema: benchResultSchema,
    tool: "millrace bench",
    kind: "popularity",
    startedAt,
    finishedAt: new Date().toISOString(),
    complete: true,
    machine: readMachineFacts(),
    commit: readCommit(),
    arguments: process.argv.slice(2),
    notes: [],
    trace: factsOfTrace(`Zipf ${options.zipf} seed=${options.seed}`, trace),
    capacityBytes,
    footprintShare: capacityBytes / trace.footprintBytes,
    demandShare: options.demandShare,
    warmUpDays: options.warmUp,
    ways,
  };
  const json = `${JSON.stringify(result, null, 2)}\n`;
  if (options.out !== undefined) writeFileSync(options.out, json);
  if (options.html !== undefined) writeFileSync(options.html, renderHtmlReport([result]));
  process.stdout.write(options.json === true ? json : asTable(ways));
}

function asTable(ways: readonly FilledWay[]): string {
  const percent = (share: number) => `${(share * 100).toFixed(2)} %`;
  const table = new Table({
    head: ["way", "byte hit", "filled per served byte", "churn a day", "worst day"],
    style: { head: [], border: [] },
  });
  for (const way of ways) {
    const churn = [way.churnMeanDay, way.churnWorstDay].map(percent);
    table.push([way.title, percent(way.byteHitRatio), way.fillBytesPerServedByte.toFixed(4), ...churn]);
  }
  return `${table.toString()}\n`;
}

async function* inTurn<Item>(items: Iterable<Item>): AsyncGenerator<Item> {
  yield* items;
}
