// Fills what the manifest names, best first, while requests go before it.
import { setTimeout as wait } from "node:timers/promises";
import type { Log } from "../../runtime/log.js";
import { messageOf } from "../../runtime/operating-error.js";
import type { FillProgress, FetchOutcome, ManifestItem } from "../fill-messages.js";
import type { ChunkIndex } from "../index/chunk-index.js";
import type { FrameArena } from "../memory/frame-arena.js";
import { chunkCountOf, isRebuilt, objectKeyOf, type ObjectRecord } from "../object.js";
import type { ChunkFetcher } from "./chunk-fetcher.js";
import type { ChunkStore } from "./chunk-store.js";
import type { ObjectDescriber } from "./object-describer.js";
import type { Upstream } from "./upstream.js";

/** Rounds that find nothing to do, or fail, follow each other ever more slowly. */
const pauseMinMs = 1000;
const pauseMaxMs = 60_000;
const failuresShown = 20;

export interface ManifestFillerOptions {
  arena: FrameArena;
  chunkBytes: number;
  describer: ObjectDescriber;
  fetcher: ChunkFetcher;
  index: ChunkIndex;
  /** Chunks under way at once. */
  parallelMax: number;
  /** Where else an object may be had, best first. */
  askSources: (path: string) => Promise<readonly Upstream[]>;
  onProgress: (progress: FillProgress) => void;
  store: ChunkStore;
  log: Log;
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
    while (!this.#stopped) {
      const manifest = this.#manifest;
      const fetched = await this.#fillRound(manifest);
      if (manifest !== this.#manifest) {
        pauseMs = pauseMinMs;
        continue;
      }
      pauseMs = fetched > 0 ? pauseMinMs : Math.min(pauseMs * 2, pauseMaxMs);
      this.#wake = new AbortController();
      await wait(pauseMs, undefined, { signal: this.#wake.signal }).catch(() => {});
    }
  }

  /** Goes over the manifest once. Resolves to how many chunks were stored. */
  async #fillRound(manifest: { version: string; items: readonly ManifestItem[] }): Promise<number> {
    const failed: FillProgress["failed"] = [];
    let fetched = 0;
    for (const item of manifest.items) {
      if (this.#stopped || manifest !== this.#manifest) return fetched;
      try {
        fetched += await this.#fillObject(item);
      } catch (error) {
        if (failed.length < failuresShown) failed.push({ path: item.path, reason: messageOf(error) });
      }
      this.#options.onProgress({ ...this.#progressOf(manifest), failed });
    }
    await this.#options.store.flush();
    this.#options.onProgress({ ...this.#progressOf(manifest), failed });
    return fetched;
  }

  async #fillObject(item: ManifestItem): Promise<number> {
    const { describer, index, chunkBytes } = this.#options;
    const known = index.findObject(item.path);
    const outcome =
      known?.etag === item.etag && !isRebuilt(known) ? { object: known } : await describer.describe(item.path, { hops: 0, refresh: true });
    if ("failure" in outcome) throw new Error(outcome.failure);
    const { object } = outcome;
    const key = objectKeyOf(object);
    const missing: number[] = [];
    for (let chunk = 0; chunk < chunkCountOf(object.sizeBytes, chunkBytes); chunk++) {
      if (!index.findChunk(key, chunk)) missing.push(chunk);
    }
    if (missing.length === 0) return 0;
    const sources = await this.#options.askSources(item.path);
    const fetchLine = async () => {
      for (let chunk = missing.shift(); chunk !== undefined && !this.#stopped; chunk = missing.shift()) {
        while (!this.#options.store.hasRoom) await this.#options.store.flush();
        await this.#fetchAndStore(object, chunk, sources);
      }
    };
    const count = missing.length;
    await Promise.all(Array.from({ length: Math.min(this.#options.parallelMax, count) }, fetchLine));
    return count;
  }

  #fetchAndStore(object: ObjectRecord, chunk: number, sources: readonly Upstream[]): Promise<void> {
    const { arena, fetcher, index, store } = this.#options;
    return new Promise((resolve, reject) => {
      fetcher.fetch({ object, chunk, hops: 0, sources }, (outcome: FetchOutcome) => {
        if ("failure" in outcome) return reject(new Error(outcome.failure));
        // One that was in memory already may not be on a disk.
        if (!index.findChunk(objectKeyOf(object), chunk)) store.store(object, chunk, outcome.frame);
        arena.unpin(outcome.frame);
        resolve();
      });
    });
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
