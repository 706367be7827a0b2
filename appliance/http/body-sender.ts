// Sends the bytes of one response from frames, chunk by chunk, never holding more than one frame.
import type { HttpResponse } from "uWebSockets.js";
import { counterPlace } from "../counters.js";
import type { FrameArena } from "../memory/frame-arena.js";
import type { ChunkGetter } from "../serve/chunk-getter.js";
import type { ServedObject } from "../serve/object-finder.js";

export interface BodySenderOptions {
  arena: FrameArena;
  chunkBytes: number;
  counters: Float64Array;
  getter: ChunkGetter;
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
}

export const noBytes = new Uint8Array(0);

/**
 * One response under way. Its life: `send` with the first chunk's frame; then, until the last byte, the socket takes what it can
 * (`onWritable` resumes at the offset that it names), and each next chunk is taken from memory at once or waited for. It ends in
 * `onDone`, called once, or in `abort`.
 */
export class BodySender {
  readonly #options: BodySenderOptions;
  readonly #response: HttpResponse;
  readonly #body: Body;
  readonly #onDone: () => void;
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
      this.#sentBefore += this.#view.length;
      if (!this.#takeNext()) {
        this.#waitForChunk();
        return false;
      }
      view = this.#view;
    }
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
      // While a chunk is waited for there is nothing to write.
      if (this.#ended || this.#waiting) return true;
      return this.#push(offset - this.#sentBefore);
    });
  }

  #waitForChunk(): void {
    const { arena, counters, getter } = this.#options;
    this.#waiting = true;
    getter.get(this.#body.object, this.#chunk, this.#body.hops, (outcome) => {
      this.#waiting = false;
      if ("frame" in outcome) {
        if (this.#ended) return arena.unpin(outcome.frame);
        this.#fromUpstream = outcome.from === "upstream";
        this.#take(outcome.frame);
        this.#response.cork(() => this.#push(0));
        return;
      }
      if (this.#ended) return;
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
