// Gets the space of purged objects back, a few at a time: a purge only makes them unfindable.
import { setImmediate as turn } from "node:timers/promises";
import type { Log } from "../../runtime/log.js";
import { messageOf } from "../../runtime/operating-error.js";
import type { ChunkIndex } from "../index/chunk-index.js";
import type { ChunkStore } from "./chunk-store.js";

/** Paths looked at in one transaction: some milliseconds. */
const pathsAtOnce = 500;

export interface PurgeSweeperOptions {
  index: ChunkIndex;
  store: ChunkStore;
  onHeldChanged: (paths: readonly string[]) => void;
  log: Log;
}

export class PurgeSweeper {
  readonly #options: PurgeSweeperOptions;
  #running: Promise<void> | undefined;
  #stopped = false;

  constructor(options: PurgeSweeperOptions) {
    this.#options = options;
  }

  /** At the start, where a sweep may have been cut short, and after every purge. */
  sweep(): void {
    this.#running ??= this.#run().finally(() => (this.#running = undefined));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    const { index, log, onHeldChanged, store } = this.#options;
    try {
      for (;;) {
        index.seeLatest();
        const { last, swept } = index.purgeProgress;
        if (last <= swept) return;
        let objects = 0;
        let slots = 0;
        for (let after: string | undefined = ""; after !== undefined;) {
          const { paths, freed, next } = await index.sweepPurged(after, pathsAtOnce);
          store.freeSlots(freed);
          if (paths.length > 0) onHeldChanged(paths);
          objects += paths.length;
          slots += freed.length;
          after = next;
          if (this.#stopped) return;
          await turn();
        }
        await index.noteSwept(last);
        log.info({ purge: last, objects, slots }, "the space of purged objects is free");
      }
    } catch (error) {
      log.error({ error: messageOf(error) }, "purged objects could not be swept; it is tried again at the next purge or start");
    }
  }
}
