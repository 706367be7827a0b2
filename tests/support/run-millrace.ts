// Starts the real command line, for one answer or as a process that stays.
import { fork, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { packageRoot } from "../../runtime/package-root.js";

const program = join(packageRoot, "cli/millrace.cjs");
const readyMs = 20_000;
const answerMs = 120_000;

export interface MillraceAnswer {
  /** Null when a signal ended it. */
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs `millrace ...args` to its end. `onStart` gets the process, to send it signals; `input` is what it reads. */
export async function runMillrace(
  args: readonly string[],
  { env, onStart, input }: { env?: NodeJS.ProcessEnv; onStart?: (child: ChildProcess) => void; input?: string } = {},
): Promise<MillraceAnswer> {
  const child = spawn(process.execPath, [program, ...args], {
    env: { ...process.env, ...env },
    stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
    timeout: answerMs,
    killSignal: "SIGKILL",
  });
  let [stdout, stderr] = ["", ""];
  child.stdout!.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr!.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  child.stdin?.end(input);
  onStart?.(child);
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stdout, stderr };
}

export interface RunningMillrace {
  /** What the process said it listens on. */
  ready: Readonly<Record<string, string | number>>;
  pid: number;
  /** What it has logged until now. */
  log(): string;
  /** Resolves when it is gone, however it ends. */
  ended: Promise<number | null>;
  /** Ends it with SIGKILL, in the middle of whatever it does; resolves when it is gone. */
  kill(): Promise<void>;
  /** Asks it to stop with SIGTERM; resolves when it is gone. */
  stop(): Promise<MillraceAnswer>;
}

/** Starts `millrace ...args` and resolves when it is ready. */
export async function startMillrace(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<RunningMillrace> {
  const child = fork(program, args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe", "ipc"] });
  let [stdout, stderr] = ["", ""];
  child.stdout!.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr!.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const closed = once(child, "close") as Promise<[number | null]>;
  const ready = await new Promise<RunningMillrace["ready"]>((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      reject(new Error(`Not ready after ${readyMs} ms: millrace ${args.join(" ")}\n${stderr}`));
    }, readyMs);
    child.once("message", (message) => {
      clearTimeout(timer);
      resolve((message as { ready: RunningMillrace["ready"] }).ready);
    });
    void closed.then(([code]) => {
      clearTimeout(timer);
      reject(new Error(`Ended with ${code}: millrace ${args.join(" ")}\n${stderr}`));
    });
  });
  return {
    ready,
    pid: child.pid!,
    log: () => stderr,
    ended: closed.then(([code]) => code),
    kill: async () => {
      child.kill("SIGKILL");
      await closed;
    },
    stop: async () => {
      child.kill("SIGTERM");
      const [code] = await closed;
      return { code, stdout, stderr };
    },
  };
}
