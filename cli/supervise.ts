// Keeps a command running: starts it again at once when it dies, and passes on what it is told.
import { fork, type ChildProcess } from "node:child_process";
import { join } from "node:path";
import { OperatingError } from "../runtime/operating-error.js";
import { packageRoot } from "../runtime/package-root.js";

/** More deaths than this in `deathWindowMs` are no accident: whoever started us decides. */
const deathsMax = 5;
const deathWindowMs = 60_000;
const passedOn = ["SIGTERM", "SIGINT", "SIGHUP"] as const;

/**
 * Runs `millrace ...args` in a process of its own until it ends in order, with 0 or by a mistake that it has said (1 before it was ready). Killed, or
 * ended by a fault of native code or a full heap, it is started again.
 *
 * @throws OperatingError "process-failed" when it dies again and again.
 */
export async function supervise(args: readonly string[]): Promise<void> {
  const diedAtMs: number[] = [];
  let child: ChildProcess | undefined;
  let stopping = false;
  for (const signal of passedOn) {
    process.on(signal, () => {
      stopping ||= signal !== "SIGHUP";
      child?.kill(signal);
    });
  }
  // A parent that waits for us is told, and its end is ours.
  process.on("disconnect", () => {
    stopping = true;
    child?.kill("SIGTERM");
  });
  process.channel?.unref();
  for (;;) {
    child = fork(join(packageRoot, "cli/millrace.cjs"), [...args], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
    let wasReady = false;
    child.on("message", (message: { ready?: object }) => {
      wasReady ||= message.ready !== undefined;
      process.send?.(message);
    });
    const { code, signal } = await new Promise<{ code: number | null; signal: string | null }>((resolve) =>
      child!.once("exit", (exitCode, exitSignal) => resolve({ code: exitCode, signal: exitSignal })),
    );
    if (stopping || code === 0 || (code === 1 && !wasReady)) {
      process.exitCode = code ?? 1;
      return;
    }
    const now = performance.now();
    diedAtMs.push(now);
    const lately = diedAtMs.filter((at) => now - at < deathWindowMs).length;
    const how = signal ?? `code ${code}`;
    if (lately > deathsMax) {
      throw new OperatingError(
        "process-failed",
        `Cannot keep it running: it died ${lately} times within ${deathWindowMs / 1000} s, last with ${how}`,
      );
    }
    process.stderr.write(`${JSON.stringify({ level: "error", msg: "the process has died; it is started again", how, deaths: lately })}\n`);
  }
}
