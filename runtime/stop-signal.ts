// How a Millrace process is asked to stop: SIGTERM, SIGINT, or the end of the parent that started it.

/** Interrupts that follow each other faster than this are one keystroke. */
const sameInterruptMs = 300;

/** Why a process stops. */
export type StopReason = "SIGTERM" | "SIGINT" | "parent-gone";

/**
 * Calls `drain` once at the first wish to stop and exits with 0 when it has finished, with 1 when it failed.
 * A second signal ends the process at once. A process with an IPC channel also stops when that channel closes, so that no child outlives its
 * parent.
 */
export function onStop(drain: (reason: StopReason) => Promise<void>): void {
  let stoppingSinceMs: number | undefined;
  const stop = (reason: StopReason) => {
    if (stoppingSinceMs !== undefined) {
      // One Ctrl-C under `npm start` arrives twice, from the terminal and from npm; and a parent that stops hangs up too.
      const sameWish = reason === "parent-gone" || (reason === "SIGINT" && performance.now() - stoppingSinceMs < sameInterruptMs);
      if (!sameWish) endNow();
      return;
    }
    stoppingSinceMs = performance.now();
    drain(reason).then(
      () => process.exit(0),
      (error: unknown) => {
        process.stderr.write(`Cannot stop in order: ${error instanceof Error ? error.stack : String(error)}\n`);
        process.exit(1);
      },
    );
  };
  process.on("SIGTERM", () => stop("SIGTERM"));
  process.on("SIGINT", () => stop("SIGINT"));
  if (process.channel) {
    process.channel.unref();
    process.on("disconnect", () => stop("parent-gone"));
  }
}

/** Tells the parent process, where there is one, what this process listens on. */
export function announceReady(addresses: Readonly<Record<string, string | number>>): void {
  process.send?.({ ready: addresses });
}

/** Ends this process at once, whatever its threads do: process.exit() aborts with a stack trace while a thread serves. */
export function endNow(): never {
  process.kill(process.pid, "SIGKILL");
  throw new Error("unreachable");
}
