// What the fill worker does for the serving workers and for the agent: describe, fetch, store, follow the manifest.
import type { MessagePort } from "node:worker_threads";
import { LRUCache } from "lru-cache";
import { parseObjectDigests } from "../../fill-protocol/object-digests.js";
import { systemClock } from "../../runtime/clock.js";
import type { Log } from "../../runtime/log.js";
import { messageOf } from "../../runtime/operating-error.js";
import type { DiskSet } from "../disk/disk-set.js";
import type { SlabGeometry } from "../disk/slab-geometry.js";
import type { SlotWriter } from "../disk/slot-writer.js";
import type { FillToMain, FillToServe, MainToFill, ServeToFill } from "../fill-messages.js";
import type { ChunkIndex } from "../index/chunk-index.js";
import type { FrameArena } from "../memory/frame-arena.js";
import type { ObjectDigests } from "../../fill-protocol/generated/millrace/object/v1/object_digests.js";
import { isRebuilt, objectKeyOf, type ObjectRecord } from "../object.js";
import { ChunkFetcher, type FetchRequest, type FetchWaiter } from "./chunk-fetcher.js";
import { ChunkStore, type ChunkStoreOptions } from "./chunk-store.js";
import { KeptObjects, type KeptList } from "./kept-objects.js";
import { readManifestFile } from "../manifest-file.js";
import { ManifestFiller } from "./manifest-filler.js";
import { keptName, ManifestKeeper } from "./manifest-keeper.js";
import { ObjectDescriber } from "./object-describer.js";
import type { RankedSources } from "./escalation.js";
import type { FillPace } from "./fill-pace.js";
import type { FillWindows } from "./fill-window.js";
import { SourceFinder } from "./source-finder.js";
import { SourceHealth } from "./source-health.js";
import type { Upstream } from "./upstream.js";

/** In the index: a pause outlives a restart. */
const pausedName = "fillPaused";
/** Digests of objects that chunks are fetched of, kept decoded: every chunk asks for them. */
const digestsBytesMax = 64 * 2 ** 20;
/** How soon the loss of a disk is noticed here, and what it held of the manifest is fetched again. */
const lookAtDisksEveryMs = 1000;
/** The control plane's answer on sources is waited for so long; then the settings' upstreams have to do. */
const sourcesTimeoutMs = 3000;

export interface FillServiceOptions extends Pick<ChunkStoreOptions, "demandShare" | "hits" | "sync"> {
  /** This appliance's own id. */
  applianceId: string;
  arena: FrameArena;
  chunkBytes: number;
  counters: Float64Array;
  disks: DiskSet;
  geometry: SlabGeometry;
  index: ChunkIndex;
  log: Log;
  fetchesMax: number;
  waitingFetchesMax: number;
  manifestFetchesMax: number;
  /** Hears of a new manifest: its objects, best first. */
  onManifest?: ((paths: readonly string[]) => void) | undefined;
  hedgeAfterMs: number;
  totalTimeoutMs: number;
  openSource: (url: string, applianceId: string) => Upstream;
  pace: FillPace;
  windows: FillWindows;
  toMain: (message: FillToMain) => void;
  upstreams: readonly Upstream[];
  writer: SlotWriter;
}

export class FillService {
  readonly #options: FillServiceOptions;
  readonly #describer: ObjectDescriber;
  readonly #fetcher: ChunkFetcher;
  readonly #filler: ManifestFiller;
  readonly #health: SourceHealth;
  readonly #digests = new LRUCache<string, ObjectDigests>({
    maxSize: digestsBytesMax,
    sizeCalculation: ({ sha256 }) => sha256.length + 256,
  });
  readonly #kept: KeptObjects;
  readonly #keeper: ManifestKeeper;
  readonly #lookTimer: NodeJS.Timeout;
  readonly #store: ChunkStore;
  readonly #ports = new Set<MessagePort>();
  readonly #sourceQuestions = new Map<number, (ranked: RankedSources | undefined) => void>();
  #nextQuestion = 1;
  #manifestTaken: Promise<void> = Promise.resolve();

  constructor(options: FillServiceOptions) {
    this.#options = options;
    const { applianceId, arena, chunkBytes, counters, hedgeAfterMs, index, log, totalTimeoutMs, upstreams } = options;
    this.#health = new SourceHealth({ clock: systemClock, log, random: Math.random });
    const kept = new KeptObjects(index.getMeta<KeptList>(keptName) ?? []);
    this.#kept = kept;
    this.#store = new ChunkStore({
      ...options,
      kept,
      waitingMax: Math.max(1, Math.floor(arena.frameCount / 4)),
      clock: systemClock,
      onHeldChanged: (paths) => {
        options.toMain({ type: "held-changed", paths: [...paths] });
        this.#filler.noteChanged(paths);
      },
    });
    this.#describer = new ObjectDescriber({
      applianceId,
      hedgeAfterMs,
      index,
      upstreams,
      chunkBytes,
      clock: systemClock,
      log,
      onChanged: (path, freed) => {
        this.#store.freeSlots(freed);
        for (const port of this.#ports) port.postMessage({ type: "changed", path } satisfies FillToServe);
        options.toMain({ type: "held-changed", paths: [path] });
      },
    });
    this.#fetcher = new ChunkFetcher({
      applianceId,
      clock: systemClock,
      health: this.#health,
      hedgeAfterMs,
      random: Math.random,
      totalTimeoutMs,
      arena,
      chunkBytes,
      upstreams,
      fetchesMax: options.fetchesMax,
      waitingMax: options.waitingFetchesMax,
      findDigests: (object) => this.#findDigests(object),
      onFetched: (object, chunk, frame) => this.#store.store(object, chunk, frame),
      counters,
      log,
    });
    this.#filler = new ManifestFiller({
      arena,
      chunkBytes,
      clock: systemClock,
      describer: this.#describer,
      fetcher: this.#fetcher,
      index,
      disks: options.disks,
      finder: new SourceFinder({ ask: (path) => this.#askSources(path), clock: systemClock, log, openSource: options.openSource }),
      pace: options.pace,
      parallelMax: options.manifestFetchesMax,
      paused: index.getMeta<boolean>(pausedName) ?? false,
      sourceStatuses: () => this.#health.statuses(),
      upstreams,
      windows: options.windows,
      onProgress: (progress) => options.toMain({ type: "progress", progress }),
      store: this.#store,
    });
    this.#keeper = new ManifestKeeper({
      chunkBytes,
      disks: options.disks,
      index,
      kept,
      store: this.#store,
      onCut: (version, { items, ...kept }) => {
        this.#filler.setManifest(version, items);
        options.toMain({ type: "manifest-cut", version, objectsKept: items.length, ...kept });
      },
      log,
    });
    this.#lookTimer = setInterval(() => this.#keeper.look(), lookAtDisksEveryMs).unref();
  }

  get store(): ChunkStore {
    return this.#store;
  }

  get describer(): ObjectDescriber {
    return this.#describer;
  }

  /** What of the manifest the disks keep. */
  get kept(): KeptObjects {
    return this.#kept;
  }

  /** Answers one serving worker's questions. */
  serve(port: MessagePort): void {
    this.#ports.add(port);
    let gone = false;
    const fetches = new Map<number, () => void>();
    port.once("close", () => {
      gone = true;
      this.#ports.delete(port);
      for (const leave of fetches.values()) leave();
    });
    const answer = (message: FillToServe) => {
      // The worker has crashed: the pin that was meant for it is nobody's.
      if (gone && message.type === "fetched" && "frame" in message.outcome) this.#options.arena.unpin(message.outcome.frame);
      else if (gone && message.type === "arriving") this.#options.arena.unpin(message.frame);
      else port.postMessage(message);
    };
    port.on("message", (message: ServeToFill) => {
      switch (message.type) {
        case "describe":
          void this.#describer.describe(message.path, message).then(
            (outcome) => answer({ type: "described", id: message.id, outcome }),
            (error: unknown) => {
              this.#options.log.error({ path: message.path, error: messageOf(error) }, "an object could not be described");
              answer({ type: "described", id: message.id, outcome: { failure: "upstream-failed" } });
            },
          );
          return;
        case "fetch":
          return this.#answerFetch(message, fetches, answer);
        case "leave": {
          const leave = fetches.get(message.id);
          if (!leave) return;
          fetches.delete(message.id);
          leave();
          return answer({ type: "fetched", id: message.id, outcome: { failure: "busy" } });
        }
        case "digests":
          answer({ type: "digests", id: message.id, digests: this.#options.index.findDigests(objectKeyOf(message.object)) });
          return;
        case "bad-slot":
          this.#store.dropChunk(Buffer.from(message.objectKey), message.chunk, message).catch((error: unknown) => {
            this.#options.log.error({ error: messageOf(error) }, "the index could not forget a bad slot");
          });
          return;
      }
    });
  }

  #answerFetch(
    message: Extract<ServeToFill, { type: "fetch" }>,
    fetches: Map<number, () => void>,
    answer: (message: FillToServe) => void,
  ): void {
    const { id } = message;
    let done = false;
    const leave = this.#fetch(message, {
      onArriving: (frame) => {
        this.#options.arena.pinAgain(frame);
        answer({ type: "arriving", id, frame });
      },
      onMore: () => answer({ type: "arrived", id }),
      onDone: (outcome) => {
        done = true;
        fetches.delete(id);
        if ("failure" in outcome && outcome.failure === "version-changed") void this.#lookAgain(message, answer);
        answer({ type: "fetched", id, outcome });
      },
    });
    if (!done) fetches.set(id, leave);
  }

  /** What the agent says of objects; the storage's own messages are answered elsewhere. */
  handle(message: MainToFill): void {
    switch (message.type) {
      case "manifest":
        // One after another: an earlier one that is larger must not be read to its end after the later one.
        this.#manifestTaken = this.#manifestTaken.then(() => this.#takeManifest(message.file));
        return;
      case "sources":
        this.#sourceQuestions.get(message.id)?.(message.ranked);
        this.#sourceQuestions.delete(message.id);
        return;
      case "pause-fill":
        this.#filler.setPaused(message.paused);
        this.#options.index.putMeta(pausedName, message.paused).catch((error: unknown) => {
          this.#options.log.error(
            { error: messageOf(error) },
            "whether the fill is paused could not be written down: a restart will not know",
          );
        });
        return;
      case "serve":
        this.serve(message.port);
        return;
    }
  }

  async #takeManifest(file: string): Promise<void> {
    const manifest = await readManifestFile(file).catch((error: unknown) => {
      this.#options.log.error({ file, error: messageOf(error) }, "the manifest could not be read");
      return undefined;
    });
    if (manifest) {
      this.#keeper.setManifest(manifest.version, manifest.items);
      this.#options.onManifest?.(manifest.items.map(({ path }) => path));
    } else this.#options.log.error({ file }, "the manifest cannot be read; it is fetched again");
  }

  /** The origin has something newer than a worker asked for: finds out now, so that the next request gets it. */
  async #lookAgain(
    { object, via }: { object: ObjectRecord; via: readonly string[] },
    answer: (message: FillToServe) => void,
  ): Promise<void> {
    try {
      const outcome = await this.#describer.describe(object.path, { via, refresh: true });
      // The index may have known for long, and the worker have missed it: its own snapshot of the index can be older than the news.
      const isCurrent = "object" in outcome && objectKeyOf(outcome.object).equals(objectKeyOf(object));
      if (!isCurrent) answer({ type: "changed", path: object.path });
    } catch (error) {
      this.#options.log.error({ path: object.path, error: messageOf(error) }, "an object could not be described");
    }
  }

  /** Fetches a chunk. An object whose record was made from slots is described first: its digests are not in the slots. */
  #fetch(request: FetchRequest, waiter: FetchWaiter): () => void {
    const { index } = this.#options;
    const known = isRebuilt(request.object) ? index.findObject(request.object.path) : undefined;
    const object = known && objectKeyOf(known).equals(objectKeyOf(request.object)) ? known : request.object;
    if (!isRebuilt(object)) return this.#fetcher.fetch({ ...request, object }, waiter);
    let left = false;
    let leave = () => {
      left = true;
    };
    void this.#describer.describe(object.path, { via: request.via, refresh: true }).then(
      (outcome) => {
        if (left) return;
        if ("failure" in outcome) return waiter.onDone(outcome);
        const sameVersion = objectKeyOf(outcome.object).equals(objectKeyOf(object));
        if (!sameVersion) return waiter.onDone({ failure: "version-changed" });
        if (isRebuilt(outcome.object)) return waiter.onDone({ failure: "upstream-failed" });
        leave = this.#fetcher.fetch({ ...request, object: outcome.object }, waiter);
      },
      (error: unknown) => {
        this.#options.log.error({ path: object.path, error: messageOf(error) }, "an object could not be described");
        if (!left) waiter.onDone({ failure: "upstream-failed" });
      },
    );
    return () => leave();
  }

  /** Resolves when all that was fetched is stored. */
  async stop(): Promise<void> {
    for (const port of this.#ports) port.close();
    clearInterval(this.#lookTimer);
    await this.#filler.stop();
    await this.#keeper.settled();
    await this.#store.flush();
  }

  #findDigests(object: ObjectRecord): ObjectDigests | undefined {
    const objectKey = objectKeyOf(object);
    const name = objectKey.toString("hex");
    let digests = this.#digests.get(name);
    if (!digests) {
      const encoded = this.#options.index.findDigests(objectKey);
      digests = encoded && parseObjectDigests(encoded, object.path);
      if (digests) this.#digests.set(name, digests);
    }
    return digests;
  }

  async #askSources(path: string): Promise<RankedSources | undefined> {
    const id = this.#nextQuestion++;
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#sourceQuestions.delete(id);
        resolve(undefined);
      }, sourcesTimeoutMs);
      this.#sourceQuestions.set(id, (ranked) => {
        clearTimeout(timer);
        resolve(ranked);
      });
      this.#options.toMain({ type: "ask-sources", id, path });
    });
  }
}
