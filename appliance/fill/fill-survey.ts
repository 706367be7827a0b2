// How much of a manifest is held, object by object. Looked up once, and again only for what has changed.
import { setImmediate as turn } from "node:timers/promises";
import type { ChunkIndex } from "../index/chunk-index.js";
import type { ManifestItem } from "../manifest-file.js";
import { chunkCountOf, objectKeyOf } from "../object.js";
import type { ChunkStore } from "./chunk-store.js";

/** Objects looked up in one turn of the event loop: about a millisecond. */
const objectsPerTurn = 100;

export interface FillSurveyOptions {
  chunkBytes: number;
  index: ChunkIndex;
  store: Pick<ChunkStore, "holds">;
  /** A disk is away: what the index says to be on it is not held. */
  isDiskLost: () => boolean;
}

export class FillSurvey {
  readonly #options: FillSurveyOptions;
  readonly #heldBytes: Float64Array;
  readonly #whole: Uint8Array;
  readonly #places = new Map<string, number>();
  readonly manifestVersion: string;
  readonly items: readonly ManifestItem[];
  readonly bytes: number;
  #bytesHeld = 0;
  #objectsHeld = 0;

  constructor(manifest: { version: string; items: readonly ManifestItem[] }, options: FillSurveyOptions) {
    this.#options = options;
    this.manifestVersion = manifest.version;
    this.items = manifest.items;
    this.#heldBytes = new Float64Array(manifest.items.length);
    this.#whole = new Uint8Array(manifest.items.length);
    let bytes = 0;
    for (const [place, { path, sizeBytes }] of manifest.items.entries()) {
      this.#places.set(path, place);
      bytes += sizeBytes;
    }
    this.bytes = bytes;
  }

  get bytesHeld(): number {
    return this.#bytesHeld;
  }

  get objectsHeld(): number {
    return this.#objectsHeld;
  }

  isWhole(place: number): boolean {
    return this.#whole[place] === 1;
  }

  heldBytesOf(place: number): number {
    return this.#heldBytes[place]!;
  }

  /** Looks at every object, and lets others have their turn meanwhile; ends early when `isOver`. */
  async lookAtAll(isOver: () => boolean): Promise<void> {
    for (let place = 0; place < this.items.length && !isOver(); place++) {
      this.look(place);
      if (place % objectsPerTurn === objectsPerTurn - 1) await turn();
    }
  }

  lookAt(path: string): void {
    const place = this.#places.get(path);
    if (place !== undefined) this.look(place);
  }

  look(place: number): void {
    const { chunkBytes, index, isDiskLost, store } = this.#options;
    const { path, etag } = this.items[place]!;
    const object = index.findObject(path);
    let held = 0;
    let whole = false;
    if (object && object.etag === etag) {
      const key = objectKeyOf(object);
      const chunkCount = chunkCountOf(object.sizeBytes, chunkBytes);
      let chunks = index.chunksHeldOf(key);
      if (isDiskLost()) {
        chunks = 0;
        for (let chunk = 0; chunk < chunkCount; chunk++) if (store.holds(key, chunk)) chunks++;
      }
      held = Math.min(object.sizeBytes, chunks * chunkBytes);
      whole = chunks >= chunkCount;
    }
    this.#bytesHeld += held - this.#heldBytes[place]!;
    this.#objectsHeld += Number(whole) - this.#whole[place]!;
    this.#heldBytes[place] = held;
    this.#whole[place] = Number(whole);
  }
}
