// Fills what the manifest names, best first, while requests go before it.
import { setTimeout as wait } from "node:timers/promises";
import type { Clock } from "../../runtime/clock.js";
import { messageOf } from "../../runtime/operating-error.js";
import type { FillProgress, FetchOutcome } from "../fill-messages.js";
import type { ChunkIndex } from "../index/chunk-index.js";
import type { FrameArena } from "../memory/frame-arena.js";
import type { ManifestItem } from "../manifest-file.js";
import { chunkCountOf, isRebuilt, objectKeyOf, type ObjectRecord } from "../object.js";
import type { ChunkFetcher } from "./chunk-fetcher.js";
import type { ChunkStore } from "./chunk-store.js";
import type { ObjectDescriber } from "./object-describer.js";
import type { Upstream } from "./upstream.js";

/** Rounds that find nothing to do, or fail, follow each other ever more slowly. */
const pauseMinMs = 1000;
const pauseMaxMs = 60_000;
const failuresShown = 20;
/** So many chunks of one object may fail in a round; then the round goes on with the next object. */
const chunkFailuresMax = 8;
/** Counting how far the fill is looks at every object of the manifest. */
const progressEveryMs = 1000;

export interface ManifestFillerOptions {
  arena: FrameArena;
  chunkBytes: number;
  clock: Clock;
  describer: ObjectDescriber;
  fetcher: ChunkFetcher;
  index: ChunkIndex;
  /** Chunks under way at once. */
  parallelMax: number;
  /** Where else an object may be had, best first. */
  askSources: (path: string) => Promise<readonly Upstream[]>;
  onProgress: (progress: FillProgress) => void;
  store: ChunkStore;
}

export class ManifestFiller {
  readonly #options: ManifestFillerOptions;
  #manifest: { version: string; items: readonly ManifestItem[] } = { version: "", items: [] };
  #stopped = false;
  #wake: AbortController | undefined;
  #running: Promise<void> | undefined;

  constructor(options: ManifestFillerOptions) {
    this.#options = options;
  }

  /** Takes over a manifest; a round over the one before ends at its next object. */
  setManifest(version: string, items: readonly ManifestItem[]): void {
    this.#manifest = { version, items };
    this.#wake?.abort();
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#wake?.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    let pauseMs = pauseMinMs;
    let bytesHeld = 0;
    while (!this.#stopped) {
      const manifest = this.#manifest;
      const bytesHeldBefore = bytesHeld;
      bytesHeld = await this.#fillRound(manifest);
      if (this.#stopped) return;
      if (manifest !== this.#manifest) {
        pauseMs = pauseMinMs;
        continue;
      }
      // What was fetched but could not be kept is no progress: a full disk must not become a storm of fetches.
      pauseMs = bytesHeld > bytesHeldBefore ? pauseMinMs : Math.min(pauseMs * 2, pauseMaxMs);
      this.#wake = new AbortController();
      await wait(pauseMs, undefined, { signal: this.#wake.signal }).catch(() => {});
    }
  }

  /** Goes over the manifest once. Resolves to how many bytes of it are held then. */
  async #fillRound(manifest: { version: string; items: readonly ManifestItem[] }): Promise<number> {
    const { clock, onProgress, store } = this.#options;
    const failed: FillProgress["failed"] = [];
    let shownMs = clock.monotonicMs();
    for (const item of manifest.items) {
      if (this.#stopped || manifest !== this.#manifest) return 0;
      try {
        await this.#fillObject(item);
      } catch (error) {
        if (failed.length < failuresShown) failed.push({ path: item.path, reason: messageOf(error) });
      }
      if (clock.monotonicMs() - shownMs < progressEveryMs) continue;
      onProgress({ ...this.#progressOf(manifest), failed });
      shownMs = clock.monotonicMs();
    }
    await store.flush();
    const progress = this.#progressOf(manifest);
    onProgress({ ...progress, failed });
    return progress.bytesHeld;
  }

  async #fillObject(item: ManifestItem): Promise<void> {
    const { describer, index, chunkBytes, store } = this.#options;
    const known = index.findObject(item.path);
    const outcome =
      known?.etag === item.etag && !isRebuilt(known) ? { object: known } : await describer.describe(item.path, { hops: 0, refresh: true });
    if ("failure" in outcome) throw new Error(outcome.failure);
    const { object } = outcome;
    const key = objectKeyOf(object);
    const chunkCount = chunkCountOf(object.sizeBytes, chunkBytes);
    let next = 0;
    const takeMissing = () => {
      while (next < chunkCount && store.holds(key, next)) next++;
      return next < chunkCount ? next++ : undefined;
    };
    const first = takeMissing();
    if (first === undefined) return;
    next = first;
    const sources = await this.#options.askSources(item.path);
    const failures: unknown[] = [];
    // Lines never outlive the object: one that fails goes on with the next chunk, or ends when too much has failed.
    const fetchLine = async () => {
      for (let chunk = takeMissing(); chunk !== undefined; chunk = takeMissing()) {
        while (!store.hasRoom) await store.flush();
        if (this.#stopped || failures.length >= chunkFailuresMax) return;
        if (!store.hasWritableDisk) {
          failures.push(new Error("no disk takes chunks"));
          return;
        }
        await this.#fetchAndStore(object, chunk, sources).catch((error: unknown) => failures.push(error));
      }
    };
    await Promise.all(Array.from({ length: this.#options.parallelMax }, fetchLine));
    if (failures.length > 0) throw failures[0];
  }

  async #fetchAndStore(object: ObjectRecord, chunk: number, sources: readonly Upstream[]): Promise<void> {
    const { arena, fetcher, store } = this.#options;
    const outcome = await new Promise<FetchOutcome>((resolve) => fetcher.fetch({ object, chunk, hops: 0, sources }, resolve));
    if ("failure" in outcome) throw new Error(outcome.failure);
    // One that was in memory already may not be on a disk, and one that has come may have met a store without room.
    const key = objectKeyOf(object);
    while (!store.hasRoom && !store.holds(key, chunk)) await store.flush();
    if (!store.holds(key, chunk)) store.store(object, chunk, outcome.frame);
    arena.unpin(outcome.frame);
  }

  #progressOf(manifest: { version: string; items: readonly ManifestItem[] }): Omit<FillProgress, "failed"> {
    const { index, chunkBytes } = this.#options;
    const progress = { manifestVersion: manifest.version, objects: manifest.items.length, objectsHeld: 0, bytes: 0, bytesHeld: 0 };
    for (const item of manifest.items) {
      progress.bytes += item.sizeBytes;
      const object = index.findObject(item.path);
      if (!object || object.etag !== item.etag) continue;
      const chunksHeld = index.chunksHeldOf(objectKeyOf(object));
      progress.bytesHeld += Math.min(object.sizeBytes, chunksHeld * chunkBytes);
      if (chunksHeld === chunkCountOf(object.sizeBytes, chunkBytes)) progress.objectsHeld++;
    }
    return progress;
  }
}
