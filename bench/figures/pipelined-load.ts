// A load that costs its generator next to nothing: wrk with several requests in each write. The server works as for any request.
import { spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { messageOf, OperatingError } from "../../runtime/operating-error.js";
import type { CatalogObject } from "../load/load-plan.js";

/** Different requests that it goes round in. */
const preparedRequests = 512;
const rangeAlignBytes = 4096;

export interface PipelinedLoad {
  baseUrl: string;
  objects: readonly CatalogObject[];
  rangeBytes: number;
  /** Requests in one write. */
  depth: number;
  connections: number;
  seconds: number;
  /** For its script. */
  folder: string;
  signal: AbortSignal;
}

export interface PipelinedResult {
  requests: number;
  seconds: number;
  /** Connections that failed, and answers of 400 and above. */
  failed: number;
  generatorCpuSeconds: number;
}

/** @throws OperatingError "wrk-failed". */
export async function runPipelined(load: PipelinedLoad): Promise<PipelinedResult> {
  const { baseUrl, objects, rangeBytes, depth, connections, seconds, folder, signal } = load;
  const host = new URL(baseUrl).host;
  const batches = Array.from({ length: preparedRequests }, () =>
    Array.from({ length: depth }, () => {
      const object = objects[Math.floor(Math.random() * objects.length)]!;
      const places = Math.max(1, Math.floor((object.bytes - rangeBytes) / rangeAlignBytes) + 1);
      const first = Math.floor(Math.random() * places) * rangeAlignBytes;
      return `GET /${object.name} HTTP/1.1\\r\\nHost: ${host}\\r\\nRange: bytes=${first}-${first + rangeBytes - 1}\\r\\n\\r\\n`;
    }).join(""),
  );
  const script = join(folder, "pipelined.lua");
  await writeFile(script, `${top}${batches.map((batch) => `  "${batch}",`).join("\n")}\n${bottom}`);
  // The shell tells what its children spent.
  const line = `wrk -t1 -c${connections} -d${Math.ceil(seconds)}s -s "$1" "$2"; times`;
  const child = spawn("sh", ["-c", line, "sh", script, baseUrl], { stdio: ["ignore", "pipe", "pipe"], signal });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (output += chunk.toString()));
  try {
    await new Promise<void>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", () => resolve());
    });
  } catch (error) {
    throw new OperatingError("wrk-failed", `Cannot run wrk: ${messageOf(error)} (Debian package: wrk)`, { cause: error });
  }
  const summary = /^MILLRACE (\d+) (\d+) (\d+)$/m.exec(output);
  const times = /^(\d+)m([\d.]+)s (\d+)m([\d.]+)s\s*$/m.exec(output.slice(output.lastIndexOf("\n", output.trimEnd().length - 1)));
  if (!summary || !times) throw new OperatingError("wrk-failed", `Cannot use wrk (Debian package: wrk): it said\n${output.slice(-1000)}`);
  const [, microseconds, requests, failed] = summary.map(Number);
  const [, userMinutes, userSeconds, systemMinutes, systemSeconds] = times.map(Number);
  return {
    requests: requests!,
    seconds: microseconds! / 1e6,
    failed: failed!,
    generatorCpuSeconds: (userMinutes! + systemMinutes!) * 60 + userSeconds! + systemSeconds!,
  };
}

const top = `local batches = {\n`;
const bottom = `}
local at = 0
function request()
  at = at % #batches + 1
  return batches[at]
end
function done(summary)
  local e = summary.errors
  io.write(string.format("\\nMILLRACE %d %d %d\\n", summary.duration, summary.requests, e.connect + e.read + e.write + e.status + e.timeout))
end
`;
