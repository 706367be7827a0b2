// Gets a chunk into a pinned frame: from memory at once, else from its disk, else through the fill worker.
import { counterPlace } from "../counters.js";
import type { DiskSet } from "../disk/disk-set.js";
import { slotHeaderBytes } from "../disk/slot-header.js";
import type { SlotReader } from "../disk/slot-reader.js";
import type { FillFailure } from "../fill-messages.js";
import type { ChunkIndex } from "../index/chunk-index.js";
import type { FrameArena } from "../memory/frame-arena.js";
import { chunkLengthOf } from "../object.js";
import type { FillClient } from "./fill-client.js";
import type { ServedObject } from "./object-finder.js";

/** Where a chunk came from. */
export type ChunkOrigin = "memory" | "disk" | "upstream";

/** `frame` is pinned once for the one who asked. "missing": it is not here, and this appliance does not fill on request. */
export type ChunkOutcome = { frame: number; from: ChunkOrigin } | { failure: FillFailure | "missing" };

export interface ChunkGetterOptions {
  arena: FrameArena;
  chunkBytes: number;
  counters: Float64Array;
  disks: DiskSet;
  fill: FillClient;
  /** What happens to a chunk that no disk holds. */
  fillOnMiss: boolean;
  index: ChunkIndex;
  reader: SlotReader;
}

type Waiter = (outcome: ChunkOutcome) => void;

export class ChunkGetter {
  readonly #options: ChunkGetterOptions;
  readonly #waiters = new Map<string, Waiter[]>();

  constructor(options: ChunkGetterOptions) {
    this.#options = options;
  }

  /** The chunk's frame, pinned for the caller, when it is in memory; -1 otherwise. */
  pinAtHand(object: ServedObject, chunk: number): number {
    const frame = this.#options.arena.pinChunk(object.keyWords, chunk);
    if (frame >= 0) this.#options.counters[counterPlace.chunksFromMemory]!++;
    return frame;
  }

  /** Calls `done` once, later. All that wait for one chunk share one read, or one fetch: true when this one shares that of another. */
  get(object: ServedObject, chunk: number, hops: number, done: Waiter): boolean {
    const name = `${object.key.toString("latin1")}${chunk}`;
    const waiters = this.#waiters.get(name);
    if (waiters) {
      waiters.push(done);
      return true;
    }
    this.#waiters.set(name, [done]);
    const finish = (outcome: ChunkOutcome) => {
      const { arena, counters } = this.#options;
      const all = this.#waiters.get(name) ?? [];
      this.#waiters.delete(name);
      for (const waiter of all) {
        if ("frame" in outcome) {
          arena.pinAgain(outcome.frame);
          counters[outcome.from === "disk" ? counterPlace.chunksFromDisk : counterPlace.chunksFromUpstream]!++;
        }
        waiter(outcome);
      }
      if ("frame" in outcome) arena.unpin(outcome.frame);
    };
    const place = this.#options.index.findChunk(object.key, chunk);
    if (place && this.#options.disks.isOnline(place.diskNumber)) this.#read(object, chunk, hops, place, finish);
    else this.#fill(object, chunk, hops, finish);
    return false;
  }

  #read(object: ServedObject, chunk: number, hops: number, place: { diskNumber: number; slot: number }, finish: Waiter): void {
    const { arena, chunkBytes, counters, fill, reader } = this.#options;
    const frame = arena.allocate();
    if (frame < 0) {
      counters[counterPlace.framesShort]!++;
      return queueMicrotask(() => finish({ failure: "busy" }));
    }
    const lengthBytes = chunkLengthOf(object.record.sizeBytes, chunkBytes, chunk);
    // A late read may still write into its frame, so nobody gets that frame until the read has ended.
    const onLateEnd = () => arena.giveBack(frame);
    reader.read({ ...place, objectKey: object.key, chunk, lengthBytes, into: arena.wholeFrame(frame), onLateEnd }, (outcome) => {
      if (outcome === "ok") {
        counters[counterPlace.diskReadBytes]! += slotHeaderBytes + lengthBytes;
        return finish({ frame: arena.publish(frame, object.keyWords, chunk, lengthBytes), from: "disk" });
      }
      if (outcome === "late") return this.#fill(object, chunk, hops, finish);
      arena.giveBack(frame);
      if (outcome === "queue-full") return finish({ failure: "busy" });
      // Our snapshot of the index may be older than the slot: the fill worker, who wrote both, says whether the slot is bad.
      if (outcome === "torn" || outcome === "wrong-bytes" || outcome === "other-chunk")
        fill.reportBadSlot({ ...place, objectKey: object.key, chunk });
      this.#fill(object, chunk, hops, finish);
    });
  }

  #fill(object: ServedObject, chunk: number, hops: number, finish: Waiter): void {
    if (!this.#options.fillOnMiss) return queueMicrotask(() => finish({ failure: "missing" }));
    this.#options.fill.fetch(object.record, chunk, hops, (outcome) => {
      finish("frame" in outcome ? { frame: outcome.frame, from: "upstream" } : outcome);
    });
  }
}
