// Brings into memory what a player says that it will ask for next, so that its next request waits for no disk.
import { noVia } from "../../fill-protocol/via-header.js";
import { counterPlace } from "../counters.js";
import type { FrameArena } from "../memory/frame-arena.js";
import { isObjectPath } from "../object.js";
import { wholeChunk, type ChunkGetter } from "./chunk-getter.js";
import type { ObjectFinder } from "./object-finder.js";
import { parseByteRange } from "./parse-byte-range.js";
import { resolveNextPath, type Cmcd } from "./parse-cmcd.js";

/** Of one next request, this many chunks: enough for a start while the rest is read in its turn. */
const chunksPerRequestMax = 4;
/** Chunks that are being warmed in one worker; beyond it hints are let go: they must not push real requests out of the queues. */
const warmingMax = 32;

export interface RangeWarmerOptions {
  arena: FrameArena;
  chunkBytes: number;
  counters: Float64Array;
  finder: ObjectFinder;
  getter: ChunkGetter;
}

export class RangeWarmer {
  readonly #options: RangeWarmerOptions;
  #warming = 0;

  constructor(options: RangeWarmerOptions) {
    this.#options = options;
  }

  /** Does what the player's nor and nrr ask for. `isAllowed`: whether this client may have that path. Chunks that are here, or under way, cost nothing. */
  warm(next: Cmcd, path: string, isAllowed: (path: string) => boolean): void {
    if ((next.nextObject ?? next.nextRange) === undefined || this.#warming >= warmingMax) return;
    const nextPath = resolveNextPath(path, next.nextObject);
    if (nextPath === undefined || !isObjectPath(nextPath) || !isAllowed(nextPath)) return;
    const { arena, chunkBytes, counters, finder, getter } = this.#options;
    // What no one has asked for yet is not asked for upstream on a hint.
    const object = finder.findKnown(nextPath);
    if (!object) return;
    const { sizeBytes } = object.record;
    const range = next.nextRange === undefined ? { first: 0, last: sizeBytes - 1 } : parseByteRange(`bytes=${next.nextRange}`, sizeBytes);
    if (typeof range === "string" || range.last < range.first) return;
    const first = Math.floor(range.first / chunkBytes);
    const last = Math.min(Math.floor(range.last / chunkBytes), first + chunksPerRequestMax - 1);
    for (let chunk = first; chunk <= last && this.#warming < warmingMax; chunk++) {
      const atHand = arena.pinChunk(object.keyWords, chunk);
      if (atHand >= 0) {
        arena.unpin(atHand);
        continue;
      }
      this.#warming++;
      counters[counterPlace.chunksWarmed]!++;
      getter.get(object, chunk, { via: noVia, firstByte: wholeChunk }, (outcome) => {
        this.#warming--;
        if ("frame" in outcome) arena.unpin(outcome.frame);
      });
    }
  }
}
