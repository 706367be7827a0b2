// What `millrace bench` does when it is run: lists, compares, or measures one server.
import { readFileSync } from "node:fs";
import { appliancePeer } from "../../bench/peers/appliance-peer.js";
import { findPeer } from "../../bench/peers/peer-table.js";
import { runOnPeers } from "../../bench/peers/run-on-peers.js";
import { compareResults, formatComparison, readResultFile } from "../../bench/report/compare-results.js";
import { ResultBuilder } from "../../bench/report/result-builder.js";
import { runOnUrl } from "../../bench/workloads/run-on-url.js";
import type { MidRunCommand } from "../../bench/workloads/run-workload.js";
import { defaultFlags, type WorkloadFlags } from "../../bench/workloads/workload-flags.js";
import { canonicalWorkloads, findWorkload, flagsText, workloads, type Workload } from "../../bench/workloads/workload-table.js";
import { messageOf, OperatingError } from "../../runtime/operating-error.js";
import type { LoadOptions } from "./load-options.js";
import { coresOf, measure } from "./measure.js";
import type { OutputOptions } from "./output-options.js";

export interface BenchOptions extends OutputOptions, LoadOptions {
  list?: boolean;
  compare?: string;
  workload?: string[];
  server?: string;
  https?: boolean;
  ca?: string;
  insecure?: boolean;
  header?: string[];
  catalog?: string;
  pid?: number;
  metrics?: string;
  serverFiles?: string[];
  at?: number;
  run?: string;
  typed: Partial<WorkloadFlags>;
}

export async function runBench(url: string | undefined, options: BenchOptions): Promise<void> {
  if (options.list === true) return list(options.json === true);
  if (options.compare !== undefined) {
    if (url === undefined) throw new OperatingError("bad-flag", "Cannot compare: --compare takes two files: --compare a.json b.json");
    const comparison = compareResults(readResultFile(options.compare), readResultFile(url));
    process.stdout.write(options.json === true ? `${JSON.stringify(comparison, null, 2)}\n` : formatComparison(comparison));
    return;
  }
  const midRun = midRunOf(options);
  const named = options.workload?.map(findWorkload);
  if (named?.some(({ name }) => name === "disk-loss") && midRun === null) {
    throw new OperatingError("bad-flag", "Cannot run disk-loss: give the command that takes the disk away: --at 50% --run 'CMD'");
  }
  if (named?.some(({ name }) => name === "replay") && options.typed.trace === undefined) {
    throw new OperatingError("bad-flag", "Cannot run replay: give the trace: --trace FILE");
  }
  const chosen: readonly Workload[] = named ?? canonicalWorkloads;
  const result = new ResultBuilder("workload", process.argv.slice(2));
  await measure(result, options, async (signal) => {
    const common = { typed: options.typed, generator: options.generator, workers: options.workers, midRun, signal };
    if (url === undefined) {
      const server = await localServer(options.server, result);
      const steps = chosen.map(
        (workload) => ({ workload, scheme: options.https === true ? "https" : (workload.scheme ?? "http") }) as const,
      );
      const { memory, keepFiles } = options;
      return runOnPeers(
        { ...common, peers: [server], steps, cores: coresOf(options), files: keepFiles ?? null, memoryBytes: memory ?? null, workers: 1 },
        result,
      );
    }
    const { pid, metrics } = options;
    return runOnUrl(
      {
        ...common,
        url,
        // A server given by its URL has one scheme: the same workload is not run twice.
        workloads: chosen.filter((workload) => workload.scheme === undefined),
        observe: { ...(pid === undefined ? {} : { pid }), ...(metrics === undefined ? {} : { metricsUrl: metrics }) },
        caPem: options.ca === undefined ? null : readText(options.ca),
        insecure: options.insecure === true,
        headers: headersOf(options.header ?? []),
        serverFolders: options.serverFiles ?? [],
        catalog: options.catalog ?? null,
      },
      result,
    );
  });
}

/** The appliance, or the floor in its place where it is not built. */
async function localServer(name: string | undefined, result: ResultBuilder) {
  if (name !== undefined) return findPeer(name);
  const found = await appliancePeer.find();
  if ("version" in found) return appliancePeer;
  result.note(`${found.missing}: the bare floor is measured in its place`);
  return findPeer("floor");
}

function list(json: boolean): void {
  const groups = { "canonical (no argument)": canonicalWorkloads, named: workloads };
  if (json) {
    process.stdout.write(`${JSON.stringify({ defaults: defaultFlags, canonical: canonicalWorkloads, workloads }, null, 2)}\n`);
    return;
  }
  for (const [title, group] of Object.entries(groups)) {
    process.stdout.write(`${title}\n`);
    for (const workload of group) {
      const scheme = workload.scheme === undefined ? "" : ` (${workload.scheme})`;
      process.stdout.write(`  ${workload.name.padEnd(12)} ${workload.title}${scheme}\n  ${"".padEnd(12)} ${flagsText(workload.flags)}\n`);
    }
  }
  process.stdout.write(`defaults\n  ${flagsText(defaultFlags)}\n`);
}

function midRunOf({ at, run: command }: BenchOptions): MidRunCommand | null {
  if (at === undefined && command === undefined) return null;
  if (at === undefined || command === undefined) throw new OperatingError("bad-flag", "Cannot use one of --at and --run without the other");
  return { atFraction: at, command };
}

function headersOf(lines: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    lines.map((line) => {
      const match = /^([\w!#$%&'*+.^`|~-]+):[ \t]*([\t\x20-\x7e]*)$/.exec(line);
      if (match === null)
        throw new OperatingError("bad-flag", `Cannot use --header: expected "Name: value": received ${JSON.stringify(line)}`);
      return [match[1]!, match[2]!];
    }),
  );
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new OperatingError("unreadable", `Cannot read ${path}: ${messageOf(error)}`, { source: path, cause: error });
  }
}
