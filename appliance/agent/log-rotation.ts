// Moves a log file away when it is large or old enough, keeps so many old ones, and has those who write go on in a new one.
import { rename, rm, stat } from "node:fs/promises";
import type { Log } from "../../runtime/log.js";
import { errnoOf, messageOf } from "../../runtime/operating-error.js";

const lookEveryMs = 1000;

export interface LogRotationOptions {
  path: string;
  /** Undefined: its size does not matter. A file may pass it by what is written within a second. */
  bytesMax: number | undefined;
  /** Undefined: its age does not matter. */
  everyMs: number | undefined;
  /** Old files, PATH.1 the newest. */
  filesKept: number;
  onMoved: () => void;
  log: Log;
}

/** Looks until `stop`. */
export class LogRotation {
  readonly #options: LogRotationOptions;
  readonly #startedUnixMs = Date.now();
  readonly #timer: NodeJS.Timeout;
  #busy = false;
  #failing = false;

  constructor(options: LogRotationOptions) {
    this.#options = options;
    this.#timer = setInterval(() => void this.look(), lookEveryMs).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Rotates when it is time. Never throws: what cannot be moved goes on being written to. */
  async look(nowUnixMs = Date.now()): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    const { log, onMoved, path } = this.#options;
    try {
      if (await this.#isDue(nowUnixMs)) {
        await this.#move();
        onMoved();
      }
      this.#failing = false;
    } catch (error) {
      if (!this.#failing) log.error({ file: path, error: messageOf(error) }, "a log file cannot be rotated; it goes on growing");
      this.#failing = true;
    } finally {
      this.#busy = false;
    }
  }

  async #isDue(nowUnixMs: number): Promise<boolean> {
    const { bytesMax, everyMs, path } = this.#options;
    const file = await stat(path).catch((error: unknown) => {
      if (errnoOf(error) === "ENOENT") return undefined;
      throw error;
    });
    if (!file || file.size === 0) return false;
    // A file system that keeps no times of birth says 0.
    const bornUnixMs = file.birthtimeMs > 0 ? file.birthtimeMs : this.#startedUnixMs;
    return (bytesMax !== undefined && file.size >= bytesMax) || (everyMs !== undefined && nowUnixMs - bornUnixMs >= everyMs);
  }

  /** From the oldest on, so that a kill in between loses none but the one that was to go. */
  async #move(): Promise<void> {
    const { filesKept, path } = this.#options;
    await rm(`${path}.${filesKept}`, { force: true });
    for (let number = filesKept - 1; number >= 1; number--) {
      await rename(`${path}.${number}`, `${path}.${number + 1}`).catch((error: unknown) => {
        if (errnoOf(error) !== "ENOENT") throw error;
      });
    }
    if (filesKept === 0) await rm(path, { force: true });
    else await rename(path, `${path}.1`);
  }
}
