// `millrace bench players`: simulated viewers with real sockets.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { SingleBar } from "cli-progress";
import { Command, InvalidArgumentError, Option } from "commander";
import { aggregatePlayers } from "../bench/players/aggregate-players.js";
import { type BandwidthTrace, meanBitsPerSecond, parseBandwidthTrace } from "../bench/players/bandwidth-trace.js";
import { parseLadder } from "../bench/players/ladder-presentation.js";
import type { PlayersResult } from "../bench/players/players-result.js";
import { formatPlayers } from "../bench/players/players-table.js";
import { type RuleName, ruleNames } from "../bench/players/rule-table.js";
import { runPlayers } from "../bench/players/run-players.js";
import { benchResultSchema, sumOfErrors } from "../bench/report/bench-result.js";
import { renderHtmlReport } from "../bench/report/html-report.js";
import { readCommit, readMachineFacts } from "../bench/report/machine-facts.js";
import { parseDurationMs } from "../runtime/duration.js";
import { messageOf, OperatingError } from "../runtime/operating-error.js";
import { packageRoot } from "../runtime/package-root.js";

interface Options {
  url: string[];
  count: number;
  rule: RuleName;
  trace?: string[];
  ladder?: string;
  segment: string;
  watch: string;
  arrive: string;
  buffer: string;
  startBuffer: string;
  speed: number;
  timeout: string;
  workers: number;
  seed: number;
  insecure?: boolean;
  ca?: string;
  json?: boolean;
  out?: string;
  html?: string;
}

/** A worker that is later than this for its own work blurs what its players saw. Playback milliseconds. */
const lateMs = 100;

const tracesFolder = join(packageRoot, "bench/players/traces");

const examples = `
Without --trace the lines are those of bench/players/traces: ${listTraces().join(", ")}.
The exit code is 0 when every player saw all, 1 when one gave up.

Examples:
  millrace bench players --url http://127.0.0.1:8080/film/master.m3u8 --count 100
  millrace bench players --url http://edge-1/film/master.m3u8 --url http://edge-2/film/master.m3u8 --count 500 --speed 4
  millrace bench players --url http://cache/big.bin --ladder 800k,2M,5M --trace lte.txt --rule throughput --json`;

/** `millrace bench players`. */
export function benchPlayersCommand(): Command {
  return new Command("players")
    .description("Let simulated players watch: start-up time, stalls, bitrate and switches, over real sockets and recorded lines.")
    .requiredOption("--url <url...>", "HLS playlist, or any file with --ladder; further URLs are turned to when one fails", collect)
    .option("--count <n>", "how many players", whole(1, 100_000), 100)
    .addOption(new Option("--rule <name>", "how a player chooses the bitrate").choices(ruleNames).default("bola"))
    .option("--trace <file...>", 'lines, as files of "seconds Mbps"; players take them in turn')
    .option("--ladder <rungs>", "bitrates instead of a playlist, of ranges of the URL's file or of others: 800k,2M or 800k=a.mp4,2M=b.mp4")
    .option("--segment <time>", "with --ladder: length of a segment", "4s")
    .option("--watch <time>", "what each viewer watches at most, of the film's time", "5m")
    .option("--arrive <time>", "players come evenly over this time, of the playback's", "10s")
    .option("--buffer <time>", "most media that a player holds", "25s")
    .option("--start-buffer <time>", "media that must be there before the first picture and after a stall", "2s")
    .option("--speed <n>", "how much faster than real time lines and playback run", positive, 1)
    .option("--timeout <time>", "a server that sends nothing for so long, of real time, has failed", "10s")
    .option("--workers <n>", "threads that share the players", whole(1, 64), 1)
    .option("--seed <n>", "where in its line each player begins", whole(0, 2 ** 32 - 1), 1)
    .option("--insecure", "accept any certificate")
    .option("--ca <file>", "certificates to trust, PEM")
    .option("--json", "print the result as JSON")
    .option("--out <file>", "also write the JSON to a file")
    .option("--html <file>", "also write a page with charts")
    .addHelpText("after", examples)
    .action(async (options: Options) => run(options));
}

async function run(options: Options): Promise<void> {
  const watchSeconds = secondsOf("--watch", options.watch);
  const bufferMaxSeconds = secondsOf("--buffer", options.buffer);
  const startLevelSeconds = secondsOf("--start-buffer", options.startBuffer);
  if (startLevelSeconds > bufferMaxSeconds) {
    throw new OperatingError("bad-flag", "Cannot use --start-buffer: it is more than --buffer, playback would never begin");
  }
  const ladder =
    options.ladder === undefined
      ? null
      : { rungs: parseLadder(options.ladder), segmentSeconds: secondsOf("--segment", options.segment), durationSeconds: watchSeconds };
  const traces = (options.trace ?? listTraces().map((name) => join(tracesFolder, `${name}.txt`))).map(readTraceFile);
  const result = emptyResult(options);

  const abort = new AbortController();
  const interrupt = () => {
    if (abort.signal.aborted) process.exit(130);
    process.stderr.write("\nStopping: what the players saw until now follows. Ctrl-C again stops at once.\n");
    abort.abort();
  };
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", interrupt);
  const bar = process.stderr.isTTY
    ? new SingleBar({
        format: "{bar} {value} of {total} players are done | {watching} watch",
        hideCursor: true,
        clearOnComplete: true,
        stream: process.stderr,
      })
    : undefined;
  bar?.start(options.count, 0, { watching: 0 });
  const ran = await runPlayers(
    {
      urls: options.url.map(checkUrl),
      ladder,
      rule: options.rule,
      traces,
      playerCount: options.count,
      arriveSeconds: secondsOf("--arrive", options.arrive),
      bufferMaxSeconds,
      startLevelSeconds,
      watchSeconds,
      speed: options.speed,
      serverTimeoutMs: secondsOf("--timeout", options.timeout) * 1000,
      seed: options.seed,
      tls: { caPem: options.ca === undefined ? null : readText("--ca", options.ca), insecure: options.insecure === true },
      workers: options.workers,
    },
    abort.signal,
    ({ started, ended }) => bar?.update(ended, { watching: started - ended }),
  );
  bar?.stop();
  process.off("SIGINT", interrupt);
  process.off("SIGTERM", interrupt);

  result.finishedAt = new Date().toISOString();
  result.complete = !abort.signal.aborted;
  result.players = ran.players;
  result.bitsPerSecond = ran.bitsPerSecond;
  result.aggregate = aggregatePlayers(ran.players, ran.seconds);
  const lateness = ran.latenessMs * options.speed;
  if (lateness > lateMs) {
    result.notes.push(
      `the players' own thread was late by ${lateness.toFixed(0)} ms of playback in 1 of 100 cases: stalls and start-up hold that too; ` +
        `fewer players, less --speed or more --workers help`,
    );
  }
  for (const trace of traces) result.notes.push(`line ${trace.name}: ${(meanBitsPerSecond(trace) / 1e6).toFixed(2)} Mb/s on average`);
  result.verdict = verdictOf(result);
  const json = `${JSON.stringify(result, null, 2)}\n`;
  if (options.out !== undefined) writeFileSync(options.out, json);
  if (options.html !== undefined) writeFileSync(options.html, renderHtmlReport([result]));
  process.stdout.write(options.json === true ? json : formatPlayers(result));
  process.exitCode = abort.signal.aborted ? 130 : result.verdict.ok ? 0 : 1;
}

function emptyResult({ url, rule, speed }: Options): PlayersResult {
  return {
    schema: benchResultSchema,
    tool: "millrace bench",
    kind: "players",
    startedAt: new Date().toISOString(),
    finishedAt: "",
    complete: false,
    machine: readMachineFacts(),
    commit: readCommit(),
    arguments: process.argv.slice(2),
    notes: [],
    verdict: { ok: false, text: "" },
    urls: url,
    rule,
    speed,
    bitsPerSecond: [],
    aggregate: aggregatePlayers([], 0),
    players: [],
  };
}

function verdictOf({ complete, players, aggregate }: PlayersResult): PlayersResult["verdict"] {
  const interrupted = complete ? "" : "INTERRUPTED, this is what the players saw until then. ";
  if (aggregate.gaveUp > 0) {
    const reason = players.find(({ end }) => end === "gave-up")?.reason;
    return { ok: false, text: `${interrupted}FAILED: ${aggregate.gaveUp} of ${aggregate.players} players gave up. The first: ${reason}` };
  }
  const failed = sumOfErrors(aggregate.errors);
  const seen = failed === 0 ? "no request failed" : `${failed} requests failed and were made good by another`;
  return { ok: complete, text: `${interrupted}${complete ? "OK: " : ""}${aggregate.finished} players saw all, ${seen}` };
}

function listTraces(): string[] {
  return readdirSync(tracesFolder)
    .filter((name) => name.endsWith(".txt"))
    .map((name) => basename(name, ".txt"))
    .sort();
}

function readTraceFile(path: string): BandwidthTrace {
  return parseBandwidthTrace(basename(path, ".txt"), readText("--trace", path));
}

function readText(flag: string, path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new OperatingError("bad-flag", `Cannot use ${flag}: ${messageOf(error)}`, { source: path, cause: error });
  }
}

function checkUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== "http:" && url?.protocol !== "https:") {
    throw new OperatingError("bad-flag", `Cannot use --url: "${text}" is not an http:// or https:// address`);
  }
  return url.href;
}

function secondsOf(flag: string, text: string): number {
  const ms = parseDurationMs(text);
  if (ms === undefined) throw new OperatingError("bad-flag", `Cannot use ${flag}: "${text}" is not a length of time such as 10s`);
  return ms / 1000;
}

function collect(value: string, before: string[] | undefined): string[] {
  return [...(before ?? []), value];
}

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0) || value > 1000) throw new InvalidArgumentError("expected a number above 0, at most 1000");
  return value;
}

function whole(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < least || value > most) {
      throw new InvalidArgumentError(`expected a whole number from ${least} to ${most}`);
    }
    return value;
  };
}
