// Sends the bytes of one response from frames, chunk by chunk, never holding more than one frame; of a chunk that is still arriving, what is there.
import type { HttpResponse } from "uWebSockets.js";
import { counterPlace } from "../counters.js";
import type { FrameArena } from "../memory/frame-arena.js";
import { chunkLengthOf } from "../object.js";
import type { ChunkArrival } from "../serve/chunk-arrival.js";
import type { ChunkGetter, ChunkOutcome } from "../serve/chunk-getter.js";
import type { ServedObject } from "../serve/object-finder.js";
import type { PaceWheel } from "../serve/pace-wheel.js";
import { Pacer, type PaceOptions } from "../serve/pacer.js";

export interface BodySenderOptions {
  arena: FrameArena;
  chunkBytes: number;
  counters: Float64Array;
  getter: ChunkGetter;
  /** Wakes the responses that are paced. */
  wheel: PaceWheel;
  /** Chunks of the response that are asked for before their turn, when they come from upstream. */
  readAheadChunks: number;
}

/** A run of bytes of the object, both ends included, with text before it. With `last` < `first` it is the text alone. */
export interface BodyPart {
  before: Uint8Array;
  first: number;
  last: number;
}

/** What is to be sent: bytes `first` to `last` of the object, both included, then `parts` in their order. */
export interface Body {
  object: ServedObject;
  first: number;
  last: number;
  /** Goes before the first byte; empty but for several parts. */
  before: Uint8Array;
  parts: readonly BodyPart[];
  totalBytes: number;
  via: readonly string[];
  /** Undefined: as fast as the socket takes it. */
  pace?: PaceOptions | undefined;
}

/** A chunk in mid-body that finds all frames or queues taken is asked for again so often, with so much time between: others finish meanwhile. */
const busyTriesMax = 50;
const busyPauseMs = 100;

export const noBytes: Uint8Array<ArrayBuffer> = new Uint8Array(0);

/**
 * One response under way. Its life: `send` with the first chunk's frame; then, until the last byte, the socket takes what it can
 * (`onWritable` resumes at the offset that it names), and each next chunk is taken from memory at once or waited for. It ends in
 * `onDone`, called once, or in `abort`.
 *
 * A paced response gives the socket what its pacer allows, and waits on the worker's wheel for more; its frame is not pinned meanwhile, so that
 * thousands of them need no memory of their own.
 */
export class BodySender {
  readonly #options: BodySenderOptions;
  readonly #response: HttpResponse;
  readonly #body: Body;
  readonly #onDone: () => void;
  readonly #pacer: Pacer | undefined;
  /** The part that is being sent: from `#first` to `#last`; the next one is `#body.parts[#nextPart]`. */
  #first: number;
  #last: number;
  #nextPart = 0;
  #chunk: number;
  /** Pinned by us; -1 while the next chunk is waited for, or text alone is sent. */
  #frame = -1;
  /** Of a frame that is still being filled. */
  #arrival: ChunkArrival | undefined;
  /** Where the view ends in the chunk. */
  #viewEnd = 0;
  /** Ends the wait for the next chunk. */
  #leave: (() => void) | undefined;
  /** What is being sent, and how many bytes of the response came before it. */
  #view: Uint8Array = noBytes;
  /** The view is the text before a part. */
  #atText = false;
  #sentBefore = 0;
  #listening = false;
  #waiting = false;
  /** The frame that is being sent came from upstream for this response. */
  #fromUpstream = false;
  #readThroughBytes = 0;
  #ended = false;
  #broken = false;

  constructor(options: BodySenderOptions, response: HttpResponse, body: Body, onDone: () => void) {
    this.#options = options;
    this.#response = response;
    this.#body = body;
    this.#onDone = onDone;
    this.#first = body.first;
    this.#last = body.last;
    this.#chunk = Math.floor(body.first / options.chunkBytes);
    this.#pacer = body.pace && new Pacer(body.pace, performance.now());
  }

  /** Begins with the first chunk, whose pin is now ours; status and headers are written. Call it corked. True when all is sent. */
  send(chunk: Extract<ChunkOutcome, { frame: number }>): boolean {
    this.#frame = chunk.frame;
    this.#arrival = chunk.arrival;
    this.#fromUpstream = chunk.from === "upstream";
    if (chunk.from === "upstream") this.#readAhead();
    if (this.#body.before.length > 0) this.#takeText(this.#body.before);
    else this.#take();
    return this.#push(0);
  }

  /** We have closed the connection, since a chunk could not be had. */
  get broken(): boolean {
    return this.#broken;
  }

  /** Bytes of the body that the socket has taken, but for those of the view that is being sent. */
  get sentBytes(): number {
    return this.#sentBefore;
  }

  /** Of these: bytes that were not on this appliance when they were asked for. */
  get readThroughBytes(): number {
    return Math.min(this.#readThroughBytes, this.#sentBefore);
  }

  get object(): ServedObject {
    return this.#body.object;
  }

  /** The client has gone, or we have closed the connection. */
  abort(): void {
    this.#ended = true;
    this.#leave?.();
    this.#dropFrame({ hasAll: false });
  }

  /** Begins with the bytes of `#frame` that this response wants of its chunk. */
  #take(): void {
    this.#atText = false;
    this.#viewEnd = Math.max(0, this.#first - this.#chunk * this.#options.chunkBytes);
    this.#takeMore();
  }

  /** Goes on in the same chunk with what is there. False when there is no more of it than was taken before. */
  #takeMore(): boolean {
    const { arena } = this.#options;
    const bytes = arena.bytesOf(this.#frame);
    const from = this.#viewEnd;
    const to = Math.min(bytes.length, this.#chunkEnd());
    if (to <= from) return false;
    this.#view = from === 0 && to === bytes.length ? bytes : bytes.subarray(from, to);
    if (this.#fromUpstream) this.#readThroughBytes += to - from;
    this.#viewEnd = to;
    return true;
  }

  /** Where the bytes that this response wants of its chunk end. */
  #chunkEnd(): number {
    const { chunkBytes } = this.#options;
    const { sizeBytes } = this.#body.object.record;
    return Math.min(chunkLengthOf(sizeBytes, chunkBytes, this.#chunk), this.#last - this.#chunk * chunkBytes + 1);
  }

  #takeText(text: Uint8Array): void {
    this.#atText = true;
    this.#view = text;
  }

  /** Sends from the current view, from `skipBytes` on, and goes on with what follows. True when the last byte is out. */
  #push(skipBytes: number): boolean {
    let view = skipBytes === 0 ? this.#view : this.#view.subarray(skipBytes);
    for (;;) {
      let rest = 0;
      if (this.#pacer !== undefined && !this.#atText) {
        const allowed = this.#allow(this.#pacer, view.length);
        if (allowed === 0) return this.#listen();
        rest = view.length - allowed;
        if (rest > 0) view = view.subarray(0, allowed);
      }
      const [ok, done] = this.#response.tryEnd(view as Uint8Array<ArrayBuffer>, this.#body.totalBytes);
      if (done) {
        this.#ended = true;
        this.#sentBefore = this.#body.totalBytes;
        this.#options.counters[counterPlace.bytesSent]! += this.#body.totalBytes;
        this.#dropFrame();
        this.#onDone();
        return true;
      }
      if (!ok) return this.#listen();
      if (rest > 0) {
        view = this.#view.subarray(this.#view.length - rest);
        continue;
      }
      this.#sentBefore += this.#view.length;
      if (!this.#takeNext()) {
        this.#waitForChunk();
        return this.#listen();
      }
      view = this.#view;
    }
  }

  /** Bytes of the last `leftBytes` of the view that may be sent now; with 0 we are woken when there may be more. */
  #allow(pacer: Pacer, leftBytes: number): number {
    const offsetBytes = this.#sentBefore + this.#view.length - leftBytes;
    const left = this.#body.totalBytes - offsetBytes;
    const allowed = pacer.allow(performance.now(), { offsetBytes, leftBytes: left });
    if (allowed > 0) return Math.min(allowed, leftBytes);
    this.#waiting = true;
    // What is left of the view is taken anew.
    this.#sentBefore = offsetBytes;
    this.#viewEnd -= leftBytes;
    if (this.#fromUpstream) this.#readThroughBytes -= leftBytes;
    // A chunk that is still arriving is held on to: it might be given up when nobody wants it.
    if (this.#arrival === undefined || this.#arrival.ended === "whole") this.#dropFrame();
    this.#options.wheel.wait(pacer.waitMs(left), () => {
      if (!this.#ended) this.#resumePaced();
    });
    return 0;
  }

  /** Goes on in the middle of the chunk, which may have left memory meanwhile. */
  #resumePaced(): void {
    this.#waiting = false;
    if (this.#frame < 0) {
      const frame = this.#options.arena.pinChunkSurely(this.#body.object.keyWords, this.#chunk);
      if (frame < 0) return this.#waitForChunk({ midChunk: true });
      this.#frame = frame;
    }
    this.#takeMore();
    this.#response.cork(() => this.#push(0));
  }

  /** Goes on to what follows the view that is sent. False when that is a chunk that is not in memory. */
  #takeNext(): boolean {
    if (this.#atText) {
      // The first part's frame is here already.
      if (this.#frame >= 0) {
        this.#take();
        return true;
      }
    } else {
      if (this.#arrival && this.#viewEnd < this.#chunkEnd()) return this.#takeMore();
      this.#dropFrame();
      this.#chunk++;
      if (this.#chunk * this.#options.chunkBytes > this.#last) {
        const part = this.#body.parts[this.#nextPart++]!;
        this.#first = part.first;
        this.#last = part.last;
        this.#chunk = Math.floor(part.first / this.#options.chunkBytes);
        this.#takeText(part.before);
        return true;
      }
    }
    const frame = this.#options.getter.pinAtHand(this.#body.object, this.#chunk);
    if (frame < 0) return false;
    this.#fromUpstream = false;
    this.#frame = frame;
    this.#take();
    return true;
  }

  /**
   * For as long as a response is under way: without a listener the engine takes a connection for idle that has just taken its last byte, and closes it
   * after ten seconds, whatever we wait for. False, since not all is sent.
   */
  #listen(): false {
    if (this.#listening) return false;
    this.#listening = true;
    this.#response.onWritable((offset) => {
      if (this.#ended) return true;
      // While a chunk, or its turn, is waited for there is nothing to write but what the engine could not send before: it leaves that to its listener.
      if (this.#waiting) return this.#response.tryEnd(noBytes, this.#body.totalBytes)[0];
      return this.#push(offset - this.#sentBefore);
    });
    return false;
  }

  /** Waits for more of the chunk that is arriving, or for the next one. */
  #waitForChunk({ midChunk = false, busyTries = 0 } = {}): void {
    const { arena, chunkBytes, getter } = this.#options;
    this.#waiting = true;
    if (this.#arrival) return this.#waitForMore(this.#arrival);
    const firstByte = midChunk ? this.#viewEnd : Math.max(0, this.#first - this.#chunk * chunkBytes);
    this.#leave = getter.get(this.#body.object, this.#chunk, { via: this.#body.via, firstByte }, (outcome) => {
      this.#waiting = false;
      this.#leave = undefined;
      if ("frame" in outcome) {
        if (this.#ended) {
          outcome.arrival?.leave();
          return arena.unpin(outcome.frame);
        }
        this.#frame = outcome.frame;
        this.#arrival = outcome.arrival;
        this.#fromUpstream = outcome.from === "upstream";
        if (outcome.from === "upstream") this.#readAhead();
        if (midChunk) this.#takeMore();
        else this.#take();
        this.#response.cork(() => this.#push(0));
      } else if (outcome.failure === "busy" && busyTries < busyTriesMax && !this.#ended) {
        this.#waiting = true;
        this.#options.wheel.wait(busyPauseMs, () => {
          if (!this.#ended) this.#waitForChunk({ midChunk, busyTries: busyTries + 1 });
        });
      } else this.#break();
    });
  }

  #waitForMore(arrival: ChunkArrival): void {
    arrival.whenMore(() => {
      if (this.#ended) return;
      if (this.#takeMore()) {
        this.#waiting = false;
        this.#response.cork(() => this.#push(0));
      } else if (arrival.ended === undefined) this.#waitForMore(arrival);
      else this.#break();
    });
  }

  /** The length was promised: the client can only learn by the connection's end that the rest does not come. */
  #break(): void {
    if (this.#ended) return;
    this.#options.counters[counterPlace.responsesBroken]!++;
    this.#broken = true;
    this.#response.close();
  }

  #readAhead(): void {
    const { chunkBytes, getter, readAheadChunks } = this.#options;
    const last = Math.min(this.#chunk + readAheadChunks, Math.floor(this.#last / chunkBytes));
    for (let chunk = this.#chunk + 1; chunk <= last; chunk++) getter.readAhead(this.#body.object, chunk, this.#body.via);
  }

  #dropFrame({ hasAll = true } = {}): void {
    if (this.#frame < 0) return;
    this.#arrival?.leave({ hasAll });
    this.#arrival = undefined;
    this.#options.arena.unpin(this.#frame);
    this.#frame = -1;
    this.#view = noBytes;
  }
}
