// Sends the bytes of one response from frames, chunk by chunk, never holding more than one frame.
import type { HttpResponse } from "uWebSockets.js";
import { counterPlace } from "../counters.js";
import type { FrameArena } from "../memory/frame-arena.js";
import type { ChunkGetter } from "../serve/chunk-getter.js";
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
  hops: number;
  /** Undefined: as fast as the socket takes it. */
  pace?: PaceOptions | undefined;
}

/** A chunk in mid-body that finds all frames or queues taken is asked for again so often, with so much time between: others finish meanwhile. */
const busyTriesMax = 50;
const busyPauseMs = 100;

export const noBytes = new Uint8Array(0);

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

  /** Begins with the first chunk's frame, whose pin is now ours; status and headers are written. Call it corked. True when all is sent. */
  send(frame: number, fromUpstream: boolean): boolean {
    this.#frame = frame;
    this.#fromUpstream = fromUpstream;
    if (this.#body.before.length > 0) this.#takeText(this.#body.before);
    else this.#take(frame);
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
    this.#dropFrame();
  }

  #take(frame: number): void {
    const { arena, chunkBytes } = this.#options;
    const start = this.#chunk * chunkBytes;
    const bytes = arena.bytesOf(frame);
    const from = Math.max(0, this.#first - start);
    const to = Math.min(bytes.length, this.#last - start + 1);
    this.#frame = frame;
    this.#atText = false;
    this.#view = from === 0 && to === bytes.length ? bytes : bytes.subarray(from, to);
    if (this.#fromUpstream) this.#readThroughBytes += to - from;
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
        if (allowed === 0) return false;
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
      if (!ok) {
        this.#listen();
        return false;
      }
      if (rest > 0) {
        view = this.#view.subarray(this.#view.length - rest);
        continue;
      }
      this.#sentBefore += this.#view.length;
      if (!this.#takeNext()) {
        this.#waitForChunk();
        return false;
      }
      view = this.#view;
    }
  }

  /** Bytes of the `leftBytes` of the view that may be sent now; with 0 we are woken when there may be more. */
  #allow(pacer: Pacer, leftBytes: number): number {
    const skipBytes = this.#view.length - leftBytes;
    const offsetBytes = this.#sentBefore + skipBytes;
    const left = this.#body.totalBytes - offsetBytes;
    const allowed = pacer.allow(performance.now(), { offsetBytes, leftBytes: left });
    if (allowed > 0) return Math.min(allowed, leftBytes);
    this.#waiting = true;
    this.#dropFrame();
    this.#options.wheel.wait(pacer.waitMs(left), () => {
      this.#waiting = false;
      if (!this.#ended) this.#resumePaced(skipBytes);
    });
    return 0;
  }

  /** Goes on in the middle of the chunk, which may have left memory meanwhile. */
  #resumePaced(skipBytes: number): void {
    const frame = this.#options.arena.pinChunkSurely(this.#body.object.keyWords, this.#chunk);
    if (frame < 0) return this.#waitForChunk(skipBytes);
    // Its bytes are counted already.
    this.#fromUpstream = false;
    this.#take(frame);
    this.#response.cork(() => this.#push(skipBytes));
  }

  /** Goes on to what follows the view that is sent. False when that is a chunk that is not in memory. */
  #takeNext(): boolean {
    if (this.#atText) {
      // The first part's frame is here already.
      if (this.#frame >= 0) {
        this.#take(this.#frame);
        return true;
      }
    } else {
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
    this.#take(frame);
    return true;
  }

  #listen(): void {
    if (this.#listening) return;
    this.#listening = true;
    this.#response.onWritable((offset) => {
      // While a chunk, or its turn, is waited for there is nothing to write.
      if (this.#ended || this.#waiting) return true;
      return this.#push(offset - this.#sentBefore);
    });
  }

  #waitForChunk(skipBytes = 0, busyTries = 0): void {
    const { arena, counters, getter } = this.#options;
    this.#waiting = true;
    getter.get(this.#body.object, this.#chunk, this.#body.hops, (outcome) => {
      this.#waiting = false;
      if ("frame" in outcome) {
        if (this.#ended) return arena.unpin(outcome.frame);
        this.#fromUpstream = outcome.from === "upstream" && skipBytes === 0;
        this.#take(outcome.frame);
        this.#response.cork(() => this.#push(skipBytes));
        return;
      }
      if (this.#ended) return;
      if ("failure" in outcome && outcome.failure === "busy" && busyTries < busyTriesMax) {
        this.#waiting = true;
        return this.#options.wheel.wait(busyPauseMs, () => {
          if (!this.#ended) this.#waitForChunk(skipBytes, busyTries + 1);
        });
      }
      // The length was promised: the client can only learn by the connection's end that the rest does not come.
      counters[counterPlace.responsesBroken]!++;
      this.#broken = true;
      this.#response.close();
    });
  }

  #dropFrame(): void {
    if (this.#frame < 0) return;
    this.#options.arena.unpin(this.#frame);
    this.#frame = -1;
    this.#view = noBytes;
  }
}
