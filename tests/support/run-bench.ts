// Runs `millrace bench` as a person would and takes its JSON.
import { spawn } from "node:child_process";
import { join } from "node:path";
import type { BenchResult } from "../../bench/report/bench-result.js";
import { packageRoot } from "../../runtime/package-root.js";

const timeLimitMs = 120_000;

export interface BenchEnd {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface BenchProcess {
  pid: number;
  end: Promise<BenchEnd>;
}

export function startBench(args: readonly string[], env: NodeJS.ProcessEnv = {}): BenchProcess {
  const child = spawn(process.execPath, [join(packageRoot, "cli/millrace.cjs"), "bench", ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...env },
    timeout: timeLimitMs,
    killSignal: "SIGKILL",
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const end = new Promise<BenchEnd>((resolve) => child.once("close", (code) => resolve({ code, stdout, stderr })));
  return { pid: child.pid!, end };
}

/** Runs to the end with --json. */
export async function runBench(args: readonly string[]): Promise<BenchEnd & { result: BenchResult }> {
  const end = await startBench([...args, "--json"]).end;
  try {
    return { ...end, result: JSON.parse(end.stdout) as BenchResult };
  } catch {
    throw new Error(`bench ${args.join(" ")} ended with ${end.code} and no JSON:\n${end.stdout}\n${end.stderr}`);
  }
}
