// One process of the demo: started, waited for, started again when it dies, stopped in order.
import { fork, type ChildProcess } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { OperatingError } from "../../runtime/operating-error.js";
import { packageRoot } from "../../runtime/package-root.js";

/** A process that died is started again after this: long enough to see in the console that it is gone. */
const restartAfterMs = 3000;
const readyTimeoutMs = 60_000;
/** The end of a log that is shown when a process does not start. */
const logTailCharacters = 2000;

export interface SupervisedProcessOptions {
  name: string;
  /** Arguments of `millrace`. */
  command: readonly string[];
  logFolder: string;
  /** It died, and will be started again; or it is back. */
  onEvent: (text: string) => void;
}

export class SupervisedProcess {
  readonly #options: SupervisedProcessOptions;
  #child: ChildProcess | undefined;
  #stopping = false;
  #restart: NodeJS.Timeout | undefined;

  constructor(options: SupervisedProcessOptions) {
    this.#options = options;
  }

  get name(): string {
    return this.#options.name;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Resolves when the process says that it is ready. @throws OperatingError "process-failed" with the end of its log. */
  async start(): Promise<void> {
    const { name, command, logFolder } = this.#options;
    const logFile = join(logFolder, `${name}.log`);
    const log = openSync(logFile, "a");
    // In a group of its own, so that a terminal's Ctrl-C reaches us alone; should we die, the closed channel tells it to stop.
    const child = fork(join(packageRoot, "cli/millrace.cjs"), [...command], { detached: true, stdio: ["ignore", log, log, "ipc"] });
    closeSync(log);
    this.#child = child;
    await new Promise<void>((resolve, reject) => {
      const fail = (why: string) => {
        const tail = readFileSync(logFile, "utf8").slice(-logTailCharacters).trim();
        reject(new OperatingError("process-failed", `Cannot start ${name}: ${why}. The end of ${logFile}:\n${tail}`, { source: name }));
      };
      const tooLate = setTimeout(() => fail(`it is not ready after ${readyTimeoutMs / 1000} s`), readyTimeoutMs);
      child.on("message", (message: { ready?: unknown }) => {
        if (!message.ready) return;
        clearTimeout(tooLate);
        child.off("exit", endedEarly);
        resolve();
      });
      const endedEarly = (code: number | null, signal: string | null) => {
        clearTimeout(tooLate);
        fail(`it ended with ${signal ?? `code ${code}`}`);
      };
      child.once("exit", endedEarly);
    });
    child.once("exit", (code, signal) => this.#onDeath(signal ?? `code ${code}`));
  }

  /** Asks the process to stop; resolves when it is gone. */
  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#restart);
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    child.kill("SIGTERM");
    await gone;
  }

  /** Ends the process at once. */
  kill(): void {
    this.#stopping = true;
    this.#child?.kill("SIGKILL");
  }

  #onDeath(how: string): void {
    if (this.#stopping) return;
    this.#options.onEvent(`${this.name} has ended with ${how}; starting it again in ${restartAfterMs / 1000} s`);
    this.#restart = setTimeout(() => {
      this.start().then(
        () => this.#options.onEvent(`${this.name} is back`),
        (error: unknown) => {
          if (this.#stopping) return;
          this.#options.onEvent(String(error instanceof Error ? error.message : error));
          this.#onDeath("no success");
        },
      );
    }, restartAfterMs);
  }
}
