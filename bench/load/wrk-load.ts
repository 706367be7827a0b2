// Drives wrk (Debian package wrk) instead of our own generator: closed loop only, nothing verified, no time to first byte.
import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OperatingError } from "../../runtime/operating-error.js";
import { serverFiguresBetween } from "../observe/server-observer.js";
import type { ErrorCounts, Latency, Round } from "../report/bench-result.js";
import type { LoadPlan } from "./load-plan.js";
import { RequestChooser } from "./request-chooser.js";
import type { RunLoadOptions } from "./run-load.js";

/** Requests made ahead; wrk goes round them. */
const preparedRequests = 8192;

interface WrkSummary {
  microseconds: number;
  requests: number;
  errors: Record<"connect" | "read" | "write" | "status" | "timeout", number>;
  latency: Record<"mean" | "p50" | "p90" | "p99" | "p999" | "max", number>;
}

/** @throws OperatingError "wrk-failed" or, for a plan that wrk can't follow, "wrk-unable". */
export async function runWrk(plan: LoadPlan, options: RunLoadOptions): Promise<{ round: Round | null; whole: boolean }> {
  if (plan.loop.kind !== "closed" || plan.requests.crowd !== null || plan.requests.walk !== "random" || options.event !== undefined) {
    throw new OperatingError("wrk-unable", "Cannot use wrk: it has only a closed loop over random ranges; use the built-in generator");
  }
  const folder = await mkdtemp(join(tmpdir(), "millrace-wrk-"));
  try {
    const script = join(folder, "bench.lua");
    const { text, meanBytes } = luaScript(plan);
    await writeFile(script, text);
    if (plan.warmupSeconds > 0) await wrk(plan, { script, seconds: plan.warmupSeconds, signal: options.signal });
    const startedAt = new Date().toISOString();
    const before = await options.observer.read();
    const summary = await wrk(plan, { script, seconds: plan.seconds, signal: options.signal });
    if (summary === null) return { round: null, whole: false };
    const after = await options.observer.read();
    const seconds = summary.microseconds / 1e6;
    const requests = summary.requests - summary.errors.status;
    const bodyBytes = Math.round(requests * meanBytes);
    const response = latencyOf(summary);
    return {
      round: {
        startedAt,
        total: {
          seconds,
          requests,
          bodyBytes,
          requestsPerSecond: requests / seconds,
          bytesPerSecond: bodyBytes / seconds,
          ttfb: null,
          response: requests > 0 ? response : null,
          errors: errorsOf(summary),
          verified: null,
          server: serverFiguresBetween(options.observer.source, { before, after }, { requests, bodyBytes }),
          otherCpuShare: null,
          generator: { cpuSeconds: null, sendLag: null },
        },
        phases: [],
        timeline: [],
        background: null,
      },
      whole: true,
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** wrk does not tell one status from another: what it calls status errors is counted as "status-400", that is 400 or above. */
function errorsOf({ errors }: WrkSummary): ErrorCounts {
  const counts: ErrorCounts = {};
  if (errors.connect > 0) counts.refused = errors.connect;
  if (errors.read + errors.write > 0) counts.reset = errors.read + errors.write;
  if (errors.timeout > 0) counts.timeout = errors.timeout;
  if (errors.status > 0) counts["status-400"] = errors.status;
  return counts;
}

function latencyOf({ latency, requests }: WrkSummary): Latency {
  const ms = (name: keyof WrkSummary["latency"]) => Math.round(latency[name]) / 1000;
  return { count: requests, mean: ms("mean"), p50: ms("p50"), p90: ms("p90"), p99: ms("p99"), p999: ms("p999"), max: ms("max") };
}

function luaScript(plan: LoadPlan): { text: string; meanBytes: number } {
  const url = new URL(plan.baseUrl);
  const chooser = new RequestChooser({ ...plan, workers: 1 }, 0);
  const viewer = { object: null, offset: 0 };
  const lines: string[] = [];
  let bytes = 0;
  for (let i = 0; i < preparedRequests; i++) {
    const choice = chooser.next(viewer);
    if (choice === null) break;
    bytes += choice.bytes;
    const range = plan.requests.rangeBytes === "whole" ? "nil" : `"bytes=${choice.first}-${choice.first + choice.bytes - 1}"`;
    lines.push(`add(${JSON.stringify(`${url.pathname}${choice.object.name}`)}, ${range})`);
  }
  const headers = Object.entries(plan.headers).map(([name, value]) => `wrk.headers[${JSON.stringify(name)}] = ${JSON.stringify(value)}`);
  return { meanBytes: bytes / lines.length, text: `${headers.join("\n")}\n${luaTop}${lines.join("\n")}\n${luaBottom}` };
}

const luaTop = `
local texts, n, at = {}, 0, 0
local specs = {}
local function add(path, range) specs[#specs + 1] = { path, range } end
`;
const luaBottom = `
function init()
  for _, spec in ipairs(specs) do
    n = n + 1
    wrk.headers["Range"] = spec[2]
    texts[n] = wrk.format("GET", spec[1])
  end
end
function request()
  at = at % n + 1
  return texts[at]
end
function done(summary, latency)
  local e = summary.errors
  io.write(string.format('\\nMILLRACE {"microseconds":%d,"requests":%d,', summary.duration, summary.requests))
  io.write(string.format('"errors":{"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d},', e.connect, e.read, e.write, e.status, e.timeout))
  io.write(string.format('"latency":{"mean":%f,"p50":%f,"p90":%f,"p99":%f,"p999":%f,"max":%f}}\\n', latency.mean,
    latency:percentile(50), latency:percentile(90), latency:percentile(99), latency:percentile(99.9), latency.max))
end
`;

function wrk(plan: LoadPlan, run: { script: string; seconds: number; signal: AbortSignal | undefined }): Promise<WrkSummary | null> {
  const args = [
    "-t",
    String(plan.workers),
    "-c",
    String(Math.max(plan.connections, plan.workers)),
    "-d",
    `${Math.ceil(run.seconds)}s`,
    "--timeout",
    `${Math.ceil(plan.requestTimeoutMs / 1e3)}s`,
    "-s",
    run.script,
    plan.baseUrl,
  ];
  return new Promise((resolve, reject) => {
    const child = spawn("wrk", args, { stdio: ["ignore", "pipe", "pipe"], ...(run.signal === undefined ? {} : { signal: run.signal }) });
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (output += chunk.toString()));
    child.once("error", (error) => {
      if (run.signal?.aborted === true) resolve(null);
      else reject(new OperatingError("wrk-failed", `Cannot run wrk: ${error.message} (Debian package: wrk)`, { cause: error }));
    });
    child.once("close", () => {
      const line = /^MILLRACE (.*)$/m.exec(output);
      if (run.signal?.aborted === true) resolve(null);
      else if (line === null) reject(new OperatingError("wrk-failed", `Cannot use wrk: it said\n${output.slice(-1000)}`));
      else resolve(JSON.parse(line[1]!) as WrkSummary);
    });
  });
}
