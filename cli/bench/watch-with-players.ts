// What `millrace bench players` does when it is run.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { SingleBar } from "cli-progress";
import { aggregatePlayers } from "../../bench/players/aggregate-players.js";
import { type BandwidthTrace, meanBitsPerSecond, parseBandwidthTrace } from "../../bench/players/bandwidth-trace.js";
import { parseLadder } from "../../bench/players/ladder-presentation.js";
import type { PlayersResult } from "../../bench/players/players-result.js";
import { formatPlayers } from "../../bench/players/players-table.js";
import type { RuleName } from "../../bench/players/rule-names.js";
import { runPlayers } from "../../bench/players/run-players.js";
import { benchResultSchema, sumOfErrors } from "../../bench/report/bench-result.js";
import { renderHtmlReport } from "../../bench/report/html-report.js";
import { readCommit, readMachineFacts } from "../../bench/report/machine-facts.js";
import { parseDurationMs } from "../../runtime/duration.js";
import { messageOf, OperatingError } from "../../runtime/operating-error.js";
import { packageRoot } from "../../runtime/package-root.js";

export interface PlayersOptions {
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

/** Prints what the players saw, until the end or until Ctrl-C. */
export async function watchWithPlayers(options: PlayersOptions): Promise<void> {
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

function emptyResult({ url, rule, speed }: PlayersOptions): PlayersResult {
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
