// Starts a server program of the bench, waits until it answers, and stops it again.
import { spawn, type ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { connect, createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { OperatingError } from "../../runtime/operating-error.js";
import { packageRoot } from "../../runtime/package-root.js";

const readyTimeoutMs = 20_000;
const readyPollMs = 25;
const stopTimeoutMs = 5000;
/** Kept of what the program prints, to show when it fails. */
const outputMaxCharacters = 4000;

export interface ServerProcess {
  pid: number;
  stop(): Promise<void>;
}

export interface StartOptions {
  name: string;
  command: string;
  arguments: readonly string[];
  environment?: Record<string, string>;
  /** Processor list for taskset; null leaves the program unpinned. */
  cores: string | null;
  ready: () => Promise<boolean>;
  /** Gets all that it prints. */
  onOutput?: (text: string) => void;
}

const running = new Set<ChildProcess>();
// A server must not outlive the bench, however that ends.
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** @throws OperatingError "peer-failed" with what the program printed. */
export async function startServer(options: StartOptions): Promise<ServerProcess> {
  const [command, ...args] = [
    // Also where the bench is killed without a chance to clean up. util-linux has both programs.
    ...(process.platform === "linux" ? ["setpriv", "--pdeathsig", "TERM"] : []),
    ...(options.cores === null ? [] : ["taskset", "-c", options.cores]),
    options.command,
    ...options.arguments,
  ] as [string, ...string[]];
  // A group of its own: a Ctrl-C at the terminal is for the bench, which stops its servers after the last reading.
  const child = spawn(command, args, {
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
    env: { ...process.env, ...options.environment },
  });
  running.add(child);
  let output = "";
  const keep = (chunk: Buffer) => {
    const text = chunk.toString();
    output = (output + text).slice(-outputMaxCharacters);
    options.onOutput?.(text);
  };
  child.stdout.on("data", keep);
  child.stderr.on("data", keep);
  let ended: string | null = null;
  const end = new Promise<void>((resolve) => {
    const onEnd = (why: string) => {
      ended ??= why;
      running.delete(child);
      resolve();
    };
    child.once("error", (error) => onEnd(error.message));
    child.once("exit", (code, signal) => onEnd(`it ended with ${signal ?? `code ${code}`}`));
  });
  const stop = async () => {
    if (ended !== null) return;
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), stopTimeoutMs);
    await end;
    clearTimeout(timer);
  };
  const deadlineMs = performance.now() + readyTimeoutMs;
  while (ended === null && !(await options.ready())) {
    if (performance.now() > deadlineMs) {
      await stop();
      ended = `it was not ready after ${readyTimeoutMs / 1000} s`;
    } else await new Promise((resolve) => setTimeout(resolve, readyPollMs));
  }
  if (ended !== null) throw new OperatingError("peer-failed", `Cannot start ${options.name}: ${ended as string}\n${output.trimEnd()}`);
  return { pid: child.pid!, stop };
}

/** Whether a TCP connection to 127.0.0.1:`port` is accepted. */
export function portAnswers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    const answer = (accepted: boolean) => {
      socket.destroy();
      resolve(accepted);
    };
    socket.once("connect", () => answer(true));
    socket.once("error", () => answer(false));
  });
}

/** A port of 127.0.0.1 that was free a moment ago, for servers that can't choose one themselves. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

/** The text of bench/peers/`name` with each @KEY@ replaced. */
export function fillTemplate(name: string, values: Record<string, string | number>): string {
  return readFileSync(join(packageRoot, "bench/peers", name), "utf8").replaceAll(/@([A-Z_]+)@/g, (_, key: string) => {
    const value = values[key];
    if (value === undefined) throw new Error(`bench/peers/${name} has the placeholder @${key}@, which nobody fills`);
    return String(value);
  });
}
