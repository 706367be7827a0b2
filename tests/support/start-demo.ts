// The demo's whole network for a test, started by the command that people type.
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { DemoAddresses } from "../../cli/demo/demo-network.js";
import { packageRoot } from "../../runtime/package-root.js";
import { waitUntil } from "./wait-until.js";

const readyMs = 60_000;

export interface RunningDemo extends DemoAddresses {
  child: ChildProcess;
  /** Presses Ctrl-C; resolves to the exit code, and how long it took. */
  interrupt(): Promise<{ code: number | null; tookMs: number; stderr: string }>;
}

/** Runs `millrace demo` in `stateFolder` and resolves when all is up. */
export async function startDemo(stateFolder: string): Promise<RunningDemo> {
  const child = spawn(process.execPath, [join(packageRoot, "cli/millrace.cjs"), "demo", "--state", stateFolder, "--json"], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const closed = once(child, "close") as Promise<[number | null]>;
  const ended = closed.then(([code]) => {
    throw new Error(`The demo ended with ${code}: ${stderr}`);
  });
  ended.catch(() => {});
  const line = await Promise.race([ended, waitUntil("the demo is up", () => stdout.includes("\n") && stdout, readyMs)]);
  const addresses = JSON.parse(String(line)) as DemoAddresses;
  return {
    ...addresses,
    child,
    interrupt: async () => {
      const startedAtMs = performance.now();
      child.kill("SIGINT");
      const [code] = await closed;
      return { code, tookMs: performance.now() - startedAtMs, stderr };
    },
  };
}

/** Whether a process of that id is there. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
