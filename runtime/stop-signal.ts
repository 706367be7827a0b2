// How a Millrace process is asked to stop: SIGTERM, SIGINT, or the end of the parent that started it.

/** Why a process stops. */
export type StopReason = "SIGTERM" | "SIGINT" | "parent-gone";

/**
 * Calls `drain` once at the first wish to stop and exits with 0 when it has finished, with 1 when it failed.
 * A second signal exits at once with 130. A process with an IPC channel also stops when that channel closes, so that no child outlives its
 * parent.
 */
export function onStop(drain: (reason: StopReason) => Promise<void>): void {
  let stopping = false;
  const stop = (reason: StopReason) => {
    if (stopping) {
      // A terminal's Ctrl-C reaches parent and child together, and the parent then hangs up: that is still one wish.
      if (reason !== "parent-gone") process.exit(130);
      return;
    }
    stopping = true;
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
