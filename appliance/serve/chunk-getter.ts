// Gets a chunk into a pinned frame: from memory at once, else from its disk, else through the fill worker.
import { counterPlace } from "../counters.js";
import type { ChunkHits } from "../disk/chunk-hits.js";
import type { DiskSet } from "../disk/disk-set.js";
import { slotShapeOf, type SlabGeometry } from "../disk/slab-geometry.js";
import type { SlotReader } from "../disk/slot-reader.js";
import type { FillFailure } from "../fill-messages.js";
import type { ChunkIndex, SlotPlace } from "../index/chunk-index.js";
import type { FrameArena } from "../memory/frame-arena.js";
import { chunkLengthOf } from "../object.js";
import { ChunkArrival } from "./chunk-arrival.js";
import type { FillClient } from "./fill-client.js";
import type { ServedObject } from "./object-finder.js";

/** Where a chunk came from. */
export type ChunkOrigin = "memory" | "disk" | "upstream";

/**
 * `frame` is pinned once for the one who asked. With `arrival` it is still being filled: see there how much of it is right, and say `leave` when
 * done with it. "missing": it is not here, and this appliance does not fill on request.
 */
export type ChunkOutcome = { frame: number; from: ChunkOrigin; arrival?: ChunkArrival } | { failure: ChunkFailure };
export type ChunkFailure = FillFailure | "missing";

/** As `firstByte`: only the whole chunk is of use. */
export const wholeChunk = Infinity;

export interface ChunkWish {
  via: readonly string[];
  /** From the chunk's start. The frame may be given as soon as this byte is there. */
  firstByte: number;
}

export interface ChunkGetterOptions {
  arena: FrameArena;
  chunkBytes: number;
  counters: Float64Array;
  disks: DiskSet;
  fill: FillClient;
  /** What happens to a chunk that no disk holds. */
  geometry: SlabGeometry;
  miss: "fill" | "redirect" | "reject";
  /** Told of every chunk that a request used: what disks evict goes by it. */
  hits: ChunkHits;
  index: ChunkIndex;
  reader: SlotReader;
}

interface Waiter {
  firstByte: number;
  done: (outcome: ChunkOutcome) => void;
}

/** A chunk that is on its way from a disk or from upstream. */
interface Pending {
  waiters: Waiter[];
  arrival?: ChunkArrival;
  /** Tells the fill worker that nobody waits any more; undefined while it is not asked. */
  leave?: () => void;
}

interface ChunkRead {
  object: ServedObject;
  chunk: number;
  place: SlotPlace;
  evenSuspect?: boolean;
}

interface ChunkFill {
  object: ServedObject;
  chunk: number;
  via: readonly string[];
  name: string;
  pending: Pending;
}

export class ChunkGetter {
  readonly #options: ChunkGetterOptions;
  readonly #pending = new Map<string, Pending>();

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

  /** Whether somebody waits for the chunk already. */
  isPending(object: ServedObject, chunk: number, via: readonly string[]): boolean {
    return this.#pending.has(nameOf(object, chunk, via));
  }

  /**
   * Calls `done` once, later, unless the answer, `leave`, is called before. All that wait for one chunk share one read, or one fetch; a fetch that
   * nobody waits for any more may be given up.
   */
  get(object: ServedObject, chunk: number, { via, firstByte }: ChunkWish, done: Waiter["done"]): () => void {
    const name = nameOf(object, chunk, via);
    const waiter = { firstByte, done };
    let pending = this.#pending.get(name);
    if (!pending) {
      this.#pending.set(name, (pending = { waiters: [waiter] }));
      this.#begin(object, chunk, via, name, pending);
    } else {
      pending.waiters.push(waiter);
      const { arrival } = pending;
      if (arrival && firstByte < arrival.validBytes) queueMicrotask(() => this.#serveArriving(pending!));
    }
    return () => this.#leave(name, pending, waiter);
  }

  /** Brings a chunk into memory for a response that will come to it, unless it is there or on its way. */
  readAhead(object: ServedObject, chunk: number, via: readonly string[]): void {
    const { arena } = this.#options;
    if (this.#pending.has(nameOf(object, chunk, via))) return;
    const frame = arena.pinChunk(object.keyWords, chunk);
    if (frame >= 0) return arena.unpin(frame);
    this.get(object, chunk, { via, firstByte: wholeChunk }, (outcome) => {
      if ("frame" in outcome) arena.unpin(outcome.frame);
    });
  }

  #begin(object: ServedObject, chunk: number, via: readonly string[], name: string, pending: Pending): void {
    const finish = (outcome: ChunkOutcome) => {
      const { arena, hits } = this.#options;
      if (this.#pending.get(name) === pending) this.#pending.delete(name);
      const { waiters, arrival } = pending;
      pending.waiters = [];
      if (arrival) {
        arrival.end("whole");
        arena.unpin(arrival.frame);
      }
      if ("frame" in outcome && outcome.from === "disk") hits.note(object.keyWords[0]!, chunk);
      for (const waiter of waiters) {
        if ("frame" in outcome) {
          arena.pinAgain(outcome.frame);
          this.#count(outcome.from);
        }
        waiter.done(outcome);
      }
      if ("frame" in outcome) arena.unpin(outcome.frame);
    };
    const fill = (fail: (failure: ChunkFailure) => void) => this.#fill({ object, chunk, via, name, pending }, finish, fail);
    const place = this.#options.index.findChunk(object.key, chunk);
    const fail = (failure: ChunkFailure) => finish({ failure });
    if (!place || !this.#isThere(place)) return fill(fail);
    const fillInstead = () =>
      fill((failure) => {
        // Players are sent elsewhere for it. Without an elsewhere the sick disk is asked: it may still give it, and what is there is never "not found".
        if (this.#options.miss === "redirect") return fail(failure);
        this.#read({ object, chunk, place, evenSuspect: true }, finish, (why) => {
          fail(failure !== "missing" || why === "wrong" ? failure : "busy");
        });
      });
    if (!this.#options.disks.isOnline(place.diskNumber)) return fillInstead();
    this.#read({ object, chunk, place }, finish, (why) => {
      if (why === "wrong") fill(fail);
      else fillInstead();
    });
  }

  /** Whether the chunk may still be had from its disk, now or some day. */
  #isThere({ diskNumber }: SlotPlace): boolean {
    const { disks } = this.#options;
    return disks.find(diskNumber) !== undefined && disks.stateOf(diskNumber) !== "retired";
  }

  /** Calls `fail` when the disk does not give the chunk, and somebody else might; "wrong": what lies there is something else. */
  #read(
    { object, chunk, place, evenSuspect = false }: ChunkRead,
    finish: (outcome: ChunkOutcome) => void,
    fail: (why: "wrong" | "sick") => void,
  ): void {
    const { arena, chunkBytes, counters, fill, geometry, reader } = this.#options;
    const lengthBytes = chunkLengthOf(object.record.sizeBytes, chunkBytes, chunk);
    const { headerBytes } = slotShapeOf(geometry, lengthBytes, object.record);
    let frame = -1;
    // Taken when the read begins: reads that wait for a slow disk must not hold the frames that the reads of others need.
    const into = () => {
      frame = arena.allocate(lengthBytes);
      return frame < 0 ? undefined : arena.wholeFrame(frame);
    };
    const giveBack = () => {
      if (frame >= 0) arena.giveBack(frame);
    };
    // A late read may still write into its frame, so nobody gets that frame until the read has ended.
    reader.read({ ...place, objectKey: object.key, chunk, lengthBytes, headerBytes, into, evenSuspect, onLateEnd: giveBack }, (outcome) => {
      if (outcome === "ok") {
        counters[counterPlace.diskReadBytes]! += headerBytes + lengthBytes;
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

  #fill(
    { object, chunk, via, name, pending }: ChunkFill,
    finish: (outcome: ChunkOutcome) => void,
    fail: (failure: ChunkFailure) => void,
  ): void {
    const { arena, fill, miss } = this.#options;
    if (miss !== "fill") return queueMicrotask(() => fail("missing"));
    pending.leave = fill.fetch(object.record, chunk, via, {
      onArriving: (frame) => {
        pending.arrival = new ChunkArrival(frame, arena, () => this.#leaveIfAlone(name, pending));
        this.#serveArriving(pending);
      },
      onMore: () => {
        this.#serveArriving(pending);
        pending.arrival?.tellMore();
      },
      onDone: (outcome) => {
        delete pending.leave;
        if ("frame" in outcome) return finish({ frame: outcome.frame, from: "upstream" });
        const { arrival } = pending;
        delete pending.arrival;
        if (arrival) {
          arrival.end(outcome.failure);
          arena.unpin(arrival.frame);
        }
        fail(outcome.failure);
      },
    });
  }

  /** Gives the arriving frame to those whose first byte is there. */
  #serveArriving(pending: Pending): void {
    const { arrival } = pending;
    if (!arrival || arrival.ended !== undefined) return;
    const { validBytes, frame } = arrival;
    const ready = pending.waiters.filter(({ firstByte }) => firstByte < validBytes);
    if (ready.length === 0) return;
    pending.waiters = pending.waiters.filter(({ firstByte }) => firstByte >= validBytes);
    // All of them first: one that is done at once would be the last to leave, and end the fetch of the others.
    for (const _ of ready) {
      this.#options.arena.pinAgain(frame);
      arrival.join();
    }
    for (const waiter of ready) {
      this.#count("upstream");
      waiter.done({ frame, from: "upstream", arrival });
    }
  }

  #leave(name: string, pending: Pending, waiter: Waiter): void {
    const at = pending.waiters.indexOf(waiter);
    if (at < 0) return;
    pending.waiters.splice(at, 1);
    this.#leaveIfAlone(name, pending);
  }

  #leaveIfAlone(name: string, pending: Pending): void {
    if (!pending.leave || pending.waiters.length > 0 || pending.arrival?.isWanted) return;
    // Who comes now asks anew: this fetch may be given up.
    if (this.#pending.get(name) === pending) this.#pending.delete(name);
    pending.leave();
  }

  #count(from: ChunkOrigin): void {
    this.#options.counters[from === "disk" ? counterPlace.chunksFromDisk : counterPlace.chunksFromUpstream]!++;
  }
}

/** Requests of other appliances wait with their like only: the fill worker has to know of each appliance that waits, or two could wait for each other. */
function nameOf(object: ServedObject, chunk: number, via: readonly string[]): string {
  return `${object.key.toString("latin1")}${chunk} ${via.join()}`;
}
