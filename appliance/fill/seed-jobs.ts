// Runs one export or import of a seed at a time, tells how far it is, and goes on with it after a restart.
import type { Clock } from "../../runtime/clock.js";
import type { Log } from "../../runtime/log.js";
import { errnoOf, messageOf } from "../../runtime/operating-error.js";
import type { SeedOrder, SeedProgress, SeedState } from "../fill-messages.js";
import type { HttpUpstream } from "./http-upstream.js";
import { SeedExporter, type SeedExporterOptions } from "./seed-exporter.js";
import { SeedDamage } from "./seed-folder.js";
import { SeedFolderSource } from "./seed-folder-source.js";
import { SeedImporter, type SeedImporterOptions } from "./seed-importer.js";
import { SeedNeighbour } from "./seed-neighbour.js";
import type { SeedSource } from "./seed-source.js";
import { SeedTally } from "./seed-tally.js";
import { SeedWriter } from "./seed-writer.js";

/** In the index: the order that is under way. */
const orderName = "seedOrder";
const tellEveryMs = 500;

type PerJob = "isOver" | "source" | "tally";

export interface SeedJobsOptions extends Omit<SeedExporterOptions, PerJob>, Omit<SeedImporterOptions, PerJob> {
  applianceId: string;
  clock: Clock;
  log: Log;
  /** Chunks that are asked of a neighbour at once. */
  neighbourReadsMax: number;
  openNeighbour: (url: string) => HttpUpstream;
  onProgress: (progress: SeedProgress) => void;
}

export class SeedJobs {
  readonly #options: SeedJobsOptions;
  #running: Promise<void> | undefined;
  #stopped = false;
  #ending = false;

  constructor(options: SeedJobsOptions) {
    this.#options = options;
  }

  /** Goes on with what a restart has interrupted. */
  resume(): void {
    const order = this.#options.index.getMeta<SeedOrder | null>(orderName);
    if (order) this.start(order);
  }

  /** The caller makes sure that none is running. */
  start(order: SeedOrder): void {
    if (this.#running) return;
    this.#stopped = false;
    this.#running = this.#run(order).finally(() => (this.#running = undefined));
  }

  /** By command: it is not gone on with. */
  stop(): void {
    this.#stopped = true;
  }

  /** The appliance stops; the next start goes on. */
  async end(): Promise<void> {
    this.#ending = true;
    await this.#running;
  }

  async #run(order: SeedOrder): Promise<void> {
    const { clock, index, log, onProgress, store } = this.#options;
    const tally = new SeedTally(order, clock);
    const tell = (state: SeedState, reason: string) => onProgress(tally.tell(state, reason));
    const timer = setInterval(() => tell("running", ""), tellEveryMs);
    let [state, reason]: [SeedState, string] = ["done", ""];
    try {
      await index.putMeta(orderName, order);
      tell("running", "");
      log.info({ ...order }, "a seed is begun, or gone on with");
      await store.loadDisks();
      reason = order.kind === "export" ? await this.#export(order, tally) : await this.#import(order, tally);
      if (this.#stopped) [state, reason] = ["stopped", "it was stopped by command"];
    } catch (error) {
      state = "failed";
      reason =
        errnoOf(error) === "ENOSPC" ? "there is no room left in the folder; what is there already can be imported" : messageOf(error);
      if (!(error instanceof SeedDamage) && errnoOf(error) === undefined)
        log.error({ error: error instanceof Error ? error.stack : reason }, "a seed has failed");
    }
    clearInterval(timer);
    if (this.#ending) return;
    await index.putMeta(orderName, null).catch((error: unknown) => log.error({ error: messageOf(error) }, "the index could not be told"));
    const { chunks, bytes, chunksFailed, objectsRefused } = tally.tell(state, reason);
    log.info({ jobId: order.jobId, state, reason, chunks, bytes, chunksFailed, objectsRefused }, "a seed has ended");
    tell(state, reason);
  }

  async #export(order: Extract<SeedOrder, { kind: "export" }>, tally: SeedTally): Promise<string> {
    const { applianceId, chunkBytes } = this.#options;
    const writer = await SeedWriter.open(order.folder, { chunkBytes, applianceId });
    try {
      const exporter = new SeedExporter({ ...this.#options, tally, isOver: () => this.#isOver });
      const reached = await exporter.run(writer, order.selection, order.bytesMax);
      if (this.#isOver) await writer.sync();
      else await writer.finish();
      return reached ? "that is as much as was asked for" : "";
    } catch (error) {
      await writer.salvage();
      throw error;
    } finally {
      await writer.close();
    }
  }

  async #import(order: Extract<SeedOrder, { kind: "import" }>, tally: SeedTally): Promise<string> {
    const source = "from" in order ? this.#openNeighbour(order.from) : new SeedFolderSource(order.folder, this.#options.chunkBytes);
    try {
      await new SeedImporter({ ...this.#options, source, tally, isOver: () => this.#isOver }).run();
      return "";
    } finally {
      await source.close();
    }
  }

  #openNeighbour(url: string): SeedSource {
    const { applianceId, chunkBytes, neighbourReadsMax, openNeighbour } = this.#options;
    const upstream = openNeighbour(url);
    return new SeedNeighbour({ applianceId, chunkBytes, upstream, readsMax: neighbourReadsMax, isOver: () => this.#isOver });
  }

  get #isOver(): boolean {
    return this.#stopped || this.#ending;
  }
}
