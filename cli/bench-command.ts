// `millrace bench`: measures a server, or several beside each other, and compares results.
import { readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { Command, InvalidArgumentError, Option } from "commander";
import { measureGenerator } from "../bench/peers/measure-generator.js";
import { appliancePeer } from "../bench/peers/appliance-peer.js";
import { findPeer, peers } from "../bench/peers/peer-table.js";
import { defaultCores, type Cores } from "../bench/peers/processor-cores.js";
import { runOnPeers } from "../bench/peers/run-on-peers.js";
import { compareResults, formatComparison, readResultFile } from "../bench/report/compare-results.js";
import { renderHtmlReport } from "../bench/report/html-report.js";
import { ResultBuilder } from "../bench/report/result-builder.js";
import { formatResult } from "../bench/report/result-table.js";
import { generatedObjects, writeObjectFiles } from "../bench/workloads/object-files.js";
import { runOnUrl } from "../bench/workloads/run-on-url.js";
import type { MidRunCommand } from "../bench/workloads/run-workload.js";
import { bytesOf, defaultFlags, flagName, readReplayOf, type WorkloadFlags } from "../bench/workloads/workload-flags.js";
import { canonicalWorkloads, findWorkload, flagsText, workloads, type Workload } from "../bench/workloads/workload-table.js";
import { formatByteSize, parseByteSize } from "../runtime/byte-size.js";
import { messageOf, OperatingError } from "../runtime/operating-error.js";
import { benchPlayersCommand } from "./bench-players-command.js";
import { benchPoliciesCommand } from "./bench-policies-command.js";
import { benchReportCommand } from "./bench-report-command.js";

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
  verify: 'bodies that are compared with what they should be: "all", "sample" (1 of 16), "none"',
  timeout: "a request that takes longer has failed",
  warmup: "before each round, not measured",
  duration: "measured part of each round",
  rounds: "rounds; figures are medians over them",
  seed: "the same seed asks for the same things",
};

interface OutputOptions {
  json?: boolean;
  out?: string;
  html?: string;
  histograms: boolean;
}

/** `millrace bench` and what is below it. */
export function benchCommand(): Command {
  const command = new Command("bench")
    .description("Measure a video server: throughput, latency, errors, wrong bytes, and what the server spent.")
    .argument("[url]", "base URL of the objects; without it the bench starts a server on this machine")
    .option("--list", "show the named workloads and the flags they stand for")
    .option("--compare <a> <b>", "compare two results: ratios with the spread over their rounds")
    .option("-w, --workload <name...>", "named workloads to run instead of the canonical ones")
    .option("--server <name>", `server to start where no URL is given: ${peers.map((peer) => peer.name).join(", ")}`)
    .option("--https", "with a server that the bench starts: measure over HTTPS (TLS 1.3)")
    .option("--ca <file>", "certificates to trust, PEM")
    .option("--insecure", "accept any certificate")
    .option("-H, --header <line...>", 'header to send with each request: "Name: value"')
    .option("--catalogue <file>", "JSON catalogue of the server's objects (default: the server's catalogue.json)")
    .option("--pid <pid>", "process of the local server, with its children (default: found by the port)", integer)
    .option("--metrics <url>", "the server's Prometheus metrics, for a server on another machine")
    .option("--at <percent>", "when in the run --run is started, such as 50%", percent)
    .option("--run <command>", "shell command to start in mid-run; figures are given for before and after");
  addLoadOptions(command);
  addOutputOptions(command);
  command
    .addHelpText("after", examples)
    .action(async (url: string | undefined, options: Options, self: Command) => run(url, { ...options, typed: typedFlags(self) }));
  command.addCommand(peersCommand());
  command.addCommand(filesCommand());
  command.addCommand(generatorCommand());
  command.addCommand(benchPoliciesCommand());
  command.addCommand(benchPlayersCommand());
  command.addCommand(benchReportCommand());
  return command;
}

const examples = `
Examples:
  millrace bench                                       the canonical workloads on a server it starts (under 3 minutes)
  millrace bench --list                                what there is
  millrace bench files ./objects                       make the objects, then let your server serve ./objects and
  millrace bench http://cache.example/objects/         measure it
  millrace bench https://10.0.0.7/o/ -w zipf --alpha 0.8 --rate 2000 --json > today.json
  millrace bench http://127.0.0.1:8080/ -w disk-loss --at 50% --run 'millrace disk retire ./var/disk2'
  millrace bench --compare yesterday.json today.json
  millrace bench peers                                 nginx, Varnish, the bare floor and the appliance side by side`;

interface Options extends OutputOptions {
  list?: boolean;
  compare?: string;
  workload?: string[];
  server?: string;
  https?: boolean;
  ca?: string;
  insecure?: boolean;
  header?: string[];
  catalogue?: string;
  pid?: number;
  metrics?: string;
  at?: number;
  run?: string;
  generator: "millrace" | "wrk";
  workers: number;
  memory?: number;
  keepFiles?: string;
  serverCores?: string;
  generatorCores?: string;
  typed: Partial<WorkloadFlags>;
}

async function run(url: string | undefined, options: Options): Promise<void> {
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
        catalogue: options.catalogue ?? null,
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

function peersCommand(): Command {
  const command = new Command("peers")
    .description("Measure servers side by side on this machine: same files, same certificate, one core each, in turns.")
    .option("-p, --peer <name...>", `servers to run: ${peers.map((peer) => peer.name).join(", ")} (default: all that are installed)`)
    .option("-w, --workload <name...>", "workloads to run", ["ranges-64k", "ranges-512k", "ranges-2m"])
    .addOption(new Option("--scheme <scheme...>", "protocols to run").choices(["http", "https"]).default(["http", "https"]));
  addLoadOptions(command);
  addOutputOptions(command);
  command.addHelpText(
    "after",
    `
Examples:
  millrace bench peers
  millrace bench peers -p nginx floor --scheme https -w ranges-512k --rounds 5 --json > https.json`,
  );
  return command.action(async (_options: unknown, self: Command) => {
    const options = self.opts<Options & { peer?: string[]; workload: string[]; scheme: ("http" | "https")[] }>();
    const chosen = (options.peer ?? peers.map((peer) => peer.name)).map(findPeer);
    const steps = options.scheme.flatMap((scheme) => options.workload.map((name) => ({ workload: findWorkload(name), scheme })));
    const result = new ResultBuilder("peers", process.argv.slice(2));
    await measure(result, options, (signal) =>
      runOnPeers(
        {
          peers: chosen,
          steps,
          signal,
          workers: options.workers,
          generator: options.generator,
          typed: {
            duration: "5s",
            ...typedFlags(self),
          },
          cores: coresOf(options),
          files: options.keepFiles ?? null,
          memoryBytes: options.memory ?? null,
          midRun: null,
        },
        result,
      ),
    );
  });
}

function filesCommand(): Command {
  const command = new Command("files")
    .description("Make the objects of a workload in a folder, for a server to serve, with the catalogue that a run asks for.")
    .argument("<folder>", "where to make them");
  for (const key of ["objects", "objectSize", "trace", "traceRequests", "traceObjectMax"] as const) command.addOption(flagOption(key));
  return command.action(async (folder: string, _options: unknown, self: Command) => {
    const flags = { ...defaultFlags, ...typedFlags(self) };
    const replay = await readReplayOf(flags);
    const objects = replay?.objects ?? generatedObjects(flags.objects, bytesOf("objectSize", flags.objectSize));
    await writeObjectFiles(folder, objects);
    const bytes = objects.reduce((sum, object) => sum + object.bytes, 0);
    process.stdout.write(`${objects.length} objects (${formatByteSize(bytes)}) and catalogue.json are in ${folder}\n`);
  });
}

function generatorCommand(): Command {
  const command = new Command("generator").description(
    "Measure the load generator itself against the bare floor: what it can do at most on one core, and what that costs it.",
  );
  command.option("--duration <time>", "of each measurement", "5s").option("--rounds <n>", "rounds", integer, 3);
  addOutputOptions(command);
  return command.action(async (_options: unknown, self: Command) => {
    const options = self.opts<OutputOptions & { duration: string; rounds: number }>();
    const result = new ResultBuilder("generator", process.argv.slice(2));
    await measure(result, options, (signal) =>
      measureGenerator({ duration: options.duration, rounds: options.rounds, cores: defaultCores(), signal }, result),
    );
  });
}

/** Runs `work`; prints what there is when it ends or at Ctrl-C. Exits with 1 when the verdict is bad, with 130 when it was interrupted. */
async function measure(result: ResultBuilder, output: OutputOptions, work: (signal: AbortSignal) => Promise<boolean>): Promise<void> {
  const abort = new AbortController();
  const interrupt = () => {
    if (abort.signal.aborted) process.exit(130);
    process.stderr.write("\nStopping: what was measured follows. Ctrl-C again stops at once.\n");
    abort.abort();
  };
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", interrupt);
  let complete = false;
  try {
    complete = await work(abort.signal);
  } catch (error) {
    if (!abort.signal.aborted) throw error;
    result.note(`while stopping: ${messageOf(error)}`);
  }
  const finished = result.finish(complete);
  const json = `${JSON.stringify(finished, (key, value: unknown) => (key === "histogram" && !output.histograms ? undefined : value), 2)}\n`;
  if (output.out !== undefined) writeFileSync(output.out, json);
  if (output.html !== undefined) writeFileSync(output.html, renderHtmlReport([finished]));
  process.stdout.write(output.json === true ? json : formatResult(finished));
  process.exitCode = abort.signal.aborted ? 130 : finished.verdict.ok ? 0 : 1;
  process.off("SIGINT", interrupt);
  process.off("SIGTERM", interrupt);
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

function addLoadOptions(command: Command): void {
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
function flagOption(key: keyof WorkloadFlags): Option {
  const fallback = defaultFlags[key];
  const text = fallback === "" ? flagTexts[key] : `${flagTexts[key]} (default: ${fallback})`;
  const option = new Option(`${flagName(key)} <${typeof fallback === "number" ? "n" : "value"}>`, text);
  return typeof fallback === "number" ? option.argParser(number) : option;
}

function addOutputOptions(command: Command): void {
  command
    .option("--json", "print the result as JSON")
    .option("--out <file>", "write the result as JSON to a file, too")
    .option("--no-histograms", "leave the HDR histograms out of the JSON, which makes it a tenth as long")
    .option("--html <file>", "write the result as a page with charts to a file, too");
}

/** The workload flags that the person typed, without defaults. */
function typedFlags(command: Command): Partial<WorkloadFlags> {
  const values = command.opts<Record<string, unknown>>();
  return Object.fromEntries(Object.keys(flagTexts).flatMap((key) => (values[key] === undefined ? [] : [[key, values[key]]])));
}

function coresOf(options: { serverCores?: string; generatorCores?: string }): Cores {
  const fallback = defaultCores();
  return { server: options.serverCores ?? fallback.server, generator: options.generatorCores ?? fallback.generator };
}

function midRunOf({ at, run: command }: Options): MidRunCommand | null {
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

function number(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw new InvalidArgumentError("Expected a number.");
  return value;
}

function integer(text: string): number {
  if (!/^\d{1,9}$/.test(text) || Number(text) < 1) throw new InvalidArgumentError("Expected a whole number from 1 on.");
  return Number(text);
}

function byteSize(text: string): number {
  const bytes = parseByteSize(text);
  if (bytes === undefined || bytes < 1) throw new InvalidArgumentError("Expected an amount of bytes such as 2GiB.");
  return bytes;
}

function percent(text: string): number {
  const match = /^(\d{1,2}(?:\.\d+)?)%$/.exec(text);
  if (match === null) throw new InvalidArgumentError("Expected a percentage below 100, such as 50%.");
  return Number(match[1]) / 100;
}
