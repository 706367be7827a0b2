// What the fill worker does for the serving workers and for the agent: describe, fetch, store, follow the manifest.
import type { MessagePort } from "node:worker_threads";
import { LRUCache } from "lru-cache";
import { parseObjectDigests } from "../../fill-protocol/object-digests.js";
import { systemClock } from "../../runtime/clock.js";
import type { Log } from "../../runtime/log.js";
import { messageOf } from "../../runtime/operating-error.js";
import type { DiskSet } from "../disk/disk-set.js";
import type { SlotWriter } from "../disk/slot-writer.js";
import type { FetchOutcome, FillToMain, FillToServe, MainToFill, ServeToFill } from "../fill-messages.js";
import type { ChunkIndex } from "../index/chunk-index.js";
import type { FrameArena } from "../memory/frame-arena.js";
import { isRebuilt, objectKeyOf, type ObjectRecord } from "../object.js";
import { ChunkFetcher, type FetchRequest } from "./chunk-fetcher.js";
import { ChunkStore, type ChunkStoreOptions } from "./chunk-store.js";
import { KeptObjects, type KeptList } from "./kept-objects.js";
import { readManifestFile } from "../manifest-file.js";
import { ManifestFiller } from "./manifest-filler.js";
import { keptName, ManifestKeeper } from "./manifest-keeper.js";
import { ObjectDescriber } from "./object-describer.js";
import type { Upstream } from "./upstream.js";

/** Appliances that the control plane named as sources are kept open, this many. */
const sourcesOpenMax = 64;
/** How soon the loss of a disk is noticed here, and what it held of the manifest is fetched again. */
const lookAtDisksEveryMs = 1000;
/** The control plane's answer on sources is waited for so long; then the settings' upstreams have to do. */
const sourcesTimeoutMs = 3000;

export interface FillServiceOptions extends Pick<ChunkStoreOptions, "demandShare" | "hits" | "sync"> {
  arena: FrameArena;
  chunkBytes: number;
  counters: Float64Array;
  disks: DiskSet;
  index: ChunkIndex;
  log: Log;
  fetchesMax: number;
  waitingFetchesMax: number;
  manifestFetchesMax: number;
  openSource: (url: string) => Upstream;
  toMain: (message: FillToMain) => void;
  upstreams: readonly Upstream[];
  writer: SlotWriter;
}

export class FillService {
  readonly #options: FillServiceOptions;
  readonly #describer: ObjectDescriber;
  readonly #fetcher: ChunkFetcher;
  readonly #filler: ManifestFiller;
  readonly #keeper: ManifestKeeper;
  readonly #lookTimer: NodeJS.Timeout;
  readonly #store: ChunkStore;
  readonly #ports = new Set<MessagePort>();
  readonly #sources: LRUCache<string, Upstream>;
  readonly #sourceQuestions = new Map<number, (urls: readonly string[]) => void>();
  #nextQuestion = 1;

  constructor(options: FillServiceOptions) {
    this.#options = options;
    const { arena, chunkBytes, counters, index, log, upstreams } = options;
    this.#sources = new LRUCache({ max: sourcesOpenMax, dispose: (upstream) => void upstream.close() });
    const kept = new KeptObjects(index.getMeta<KeptList>(keptName) ?? []);
    this.#store = new ChunkStore({
      ...options,
      kept,
      waitingMax: Math.max(1, Math.floor(arena.frameCount / 4)),
      clock: systemClock,
      onHeldChanged: (paths) => options.toMain({ type: "held-changed", paths: [...paths] }),
    });
    this.#describer = new ObjectDescriber({
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
      parallelMax: options.manifestFetchesMax,
      askSources: (path) => this.#askSources(path),
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

  /** Answers one serving worker's questions. */
  serve(port: MessagePort): void {
    this.#ports.add(port);
    let gone = false;
    port.once("close", () => {
      gone = true;
      this.#ports.delete(port);
    });
    const answer = (message: FillToServe) => {
      // The worker has crashed: the pin that was meant for it is nobody's.
      if (gone && message.type === "fetched" && "frame" in message.outcome) this.#options.arena.unpin(message.outcome.frame);
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
          this.#fetch(message, (outcome) => {
            if ("failure" in outcome && outcome.failure === "version-changed") void this.#lookAgain(message, answer);
            answer({ type: "fetched", id: message.id, outcome });
          });
          return;
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

  /** What the agent says of objects; the storage's own messages are answered elsewhere. */
  handle(message: MainToFill): void {
    switch (message.type) {
      case "manifest":
        void this.#takeManifest(message.file);
        return;
      case "sources":
        this.#sourceQuestions.get(message.id)?.(message.urls);
        this.#sourceQuestions.delete(message.id);
        return;
      case "serve":
        this.serve(message.port);
        return;
    }
  }

  async #takeManifest(file: string): Promise<void> {
    const manifest = await readManifestFile(file);
    if (manifest) this.#keeper.setManifest(manifest.version, manifest.items);
    else this.#options.log.error({ file }, "the manifest cannot be read; it is fetched again");
  }

  /** The origin has something newer than a worker asked for: finds out now, so that the next request gets it. */
  async #lookAgain({ object, hops }: { object: ObjectRecord; hops: number }, answer: (message: FillToServe) => void): Promise<void> {
    try {
      const outcome = await this.#describer.describe(object.path, { hops, refresh: true });
      // The index may have known for long, and the worker have missed it: its own snapshot of the index can be older than the news.
      const isCurrent = "object" in outcome && objectKeyOf(outcome.object).equals(objectKeyOf(object));
      if (!isCurrent) answer({ type: "changed", path: object.path });
    } catch (error) {
      this.#options.log.error({ path: object.path, error: messageOf(error) }, "an object could not be described");
    }
  }

  /** Fetches a chunk. An object whose record was made from slots is described first: its digests are not in the slots. */
  #fetch(request: FetchRequest, done: (outcome: FetchOutcome) => void): void {
    const { index } = this.#options;
    const known = isRebuilt(request.object) ? index.findObject(request.object.path) : undefined;
    const object = known && objectKeyOf(known).equals(objectKeyOf(request.object)) ? known : request.object;
    if (!isRebuilt(object)) return this.#fetcher.fetch({ ...request, object }, done);
    void this.#describer.describe(object.path, { hops: request.hops, refresh: true }).then(
      (outcome) => {
        if ("failure" in outcome) return done(outcome);
        const sameVersion = objectKeyOf(outcome.object).equals(objectKeyOf(object));
        if (!sameVersion) return done({ failure: "version-changed" });
        if (isRebuilt(outcome.object)) return done({ failure: "upstream-failed" });
        this.#fetcher.fetch({ ...request, object: outcome.object }, done);
      },
      (error: unknown) => {
        this.#options.log.error({ path: object.path, error: messageOf(error) }, "an object could not be described");
        done({ failure: "upstream-failed" });
      },
    );
  }

  /** Resolves when all that was fetched is stored. */
  async stop(): Promise<void> {
    for (const port of this.#ports) port.close();
    clearInterval(this.#lookTimer);
    await this.#filler.stop();
    await this.#keeper.settled();
    await this.#store.flush();
  }

  #findDigests(object: ObjectRecord) {
    const encoded = this.#options.index.findDigests(objectKeyOf(object));
    return encoded && parseObjectDigests(encoded, object.path);
  }

  async #askSources(path: string): Promise<readonly Upstream[]> {
    const id = this.#nextQuestion++;
    const urls = await new Promise<readonly string[]>((resolve) => {
      this.#sourceQuestions.set(id, resolve);
      this.#options.toMain({ type: "ask-sources", id, path });
      setTimeout(() => {
        this.#sourceQuestions.delete(id);
        resolve([]);
      }, sourcesTimeoutMs).unref();
    });
    return urls.flatMap((url) => {
      try {
        const open = this.#sources.get(url) ?? this.#options.openSource(url);
        this.#sources.set(url, open);
        return [open];
      } catch (error) {
        this.#options.log.warn({ path, url, error: messageOf(error) }, "a source cannot be used");
        return [];
      }
    });
  }
}
