// Gets a chunk into a pinned frame: from memory at once, else from its disk, else through the fill worker.
import { counterPlace } from "../counters.js";
import type { ChunkHits } from "../disk/chunk-hits.js";
import type { DiskSet } from "../disk/disk-set.js";
import { slotHeaderBytes } from "../disk/slot-header.js";
import type { SlotReader } from "../disk/slot-reader.js";
import type { FillFailure } from "../fill-messages.js";
import type { ChunkIndex, SlotPlace } from "../index/chunk-index.js";
import type { FrameArena } from "../memory/frame-arena.js";
import { chunkLengthOf } from "../object.js";
import type { FillClient } from "./fill-client.js";
import type { ServedObject } from "./object-finder.js";

/** Where a chunk came from. */
export type ChunkOrigin = "memory" | "disk" | "upstream";

/** `frame` is pinned once for the one who asked. "missing": it is not here, and this appliance does not fill on request. */
export type ChunkOutcome = { frame: number; from: ChunkOrigin } | { failure: ChunkFailure };
export type ChunkFailure = FillFailure | "missing";

export interface ChunkGetterOptions {
  arena: FrameArena;
  chunkBytes: number;
  counters: Float64Array;
  disks: DiskSet;
  fill: FillClient;
  /** What happens to a chunk that no disk holds. */
  miss: "fill" | "redirect" | "reject";
  /** Told of every chunk that a request used: what disks evict goes by it. */
  hits: ChunkHits;
  index: ChunkIndex;
  reader: SlotReader;
}

type Waiter = (outcome: ChunkOutcome) => void;

interface ChunkRead {
  object: ServedObject;
  chunk: number;
  place: SlotPlace;
  evenSuspect?: boolean;
}

export class ChunkGetter {
  readonly #options: ChunkGetterOptions;
  readonly #waiters = new Map<string, Waiter[]>();

  constructor(options: ChunkGetterOptions) {
    this.#options = options;
  }

  /** The chunk's frame, pinned for the caller, when it is in memory; -1 otherwise. */
  pinAtHand(object: ServedObject, chunk: number): number {
    const frame = this.#options.arena.pinChunk(object.keyWords, chunk);
    if (frame >= 0) {
      this.#options.counters[counterPlace.chunksFromMemory]!++;
      this.#options.hits.note(object.keyWords[0]!, chunk);
    }
    return frame;
  }

  /** Calls `done` once, later. All that wait for one chunk share one read, or one fetch. */
  get(object: ServedObject, chunk: number, hops: number, done: Waiter): void {
    const name = `${object.key.toString("latin1")}${chunk}`;
    const waiters = this.#waiters.get(name);
    if (waiters) {
      waiters.push(done);
      return;
    }
    this.#waiters.set(name, [done]);
    const finish = (outcome: ChunkOutcome) => {
      const { arena, counters, hits } = this.#options;
      const all = this.#waiters.get(name) ?? [];
      this.#waiters.delete(name);
      if ("frame" in outcome && outcome.from === "disk") hits.note(object.keyWords[0]!, chunk);
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
    const fail = (failure: ChunkFailure) => finish({ failure });
    if (!place || !this.#options.disks.find(place.diskNumber)) return this.#fill(object, chunk, hops, finish, fail);
    const fillInstead = () =>
      this.#fill(object, chunk, hops, finish, (failure) => {
        // Players are sent elsewhere for it. Without an elsewhere the sick disk is asked: it may still give it, and what is there is never "not found".
        if (this.#options.miss === "redirect") return fail(failure);
        this.#read({ object, chunk, place, evenSuspect: true }, finish, (why) => {
          fail(failure !== "missing" || why === "wrong" ? failure : "busy");
        });
      });
    if (!this.#options.disks.isOnline(place.diskNumber)) return fillInstead();
    this.#read({ object, chunk, place }, finish, (why) => {
      if (why === "wrong") this.#fill(object, chunk, hops, finish, fail);
      else fillInstead();
    });
  }

  /** Calls `fail` when the disk does not give the chunk, and somebody else might; "wrong": what lies there is something else. */
  #read({ object, chunk, place, evenSuspect = false }: ChunkRead, finish: Waiter, fail: (why: "wrong" | "sick") => void): void {
    const { arena, chunkBytes, counters, fill, reader } = this.#options;
    const lengthBytes = chunkLengthOf(object.record.sizeBytes, chunkBytes, chunk);
    let frame = -1;
    // Taken when the read begins: reads that wait for a slow disk must not hold the frames that the reads of others need.
    const into = () => {
      frame = arena.allocate();
      return frame < 0 ? undefined : arena.wholeFrame(frame);
    };
    const giveBack = () => {
      if (frame >= 0) arena.giveBack(frame);
    };
    // A late read may still write into its frame, so nobody gets that frame until the read has ended.
    reader.read({ ...place, objectKey: object.key, chunk, lengthBytes, into, evenSuspect, onLateEnd: giveBack }, (outcome) => {
      if (outcome === "ok") {
        counters[counterPlace.diskReadBytes]! += slotHeaderBytes + lengthBytes;
        return finish({ frame: arena.publish(frame, object.keyWords, chunk, lengthBytes), from: "disk" });
      }
      if (outcome === "late") return fail("sick");
      giveBack();
      if (outcome === "no-frame") counters[counterPlace.framesShort]!++;
      if (outcome === "no-frame" || outcome === "queue-full") return finish({ failure: "busy" });
      const isWrong = outcome === "torn" || outcome === "wrong-bytes" || outcome === "other-chunk";
      // Our snapshot of the index may be older than the slot: the fill worker, who wrote both, says whether the slot is bad.
      if (isWrong) fill.reportBadSlot({ ...place, objectKey: object.key, chunk });
      fail(isWrong ? "wrong" : "sick");
    });
  }

  #fill(object: ServedObject, chunk: number, hops: number, finish: Waiter, fail: (failure: ChunkFailure) => void): void {
    if (this.#options.miss !== "fill") return queueMicrotask(() => fail("missing"));
    this.#options.fill.fetch(object.record, chunk, hops, (outcome) => {
      if ("frame" in outcome) finish({ frame: outcome.frame, from: "upstream" });
      else fail(outcome.failure);
    });
  }
}
