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

/** What is to be sent: bytes `first` to `last` of the object, both included. */
export interface Body {
  object: ServedObject;
  first: number;
  last: number;
  hops: number;
}

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
  readonly #totalBytes: number;
  #chunk: number;
  /** Pinned by us; -1 while the next chunk is waited for. */
  #frame = -1;
  /** The part of the frame that is being sent, and how many bytes of the response came before it. */
  #view: Uint8Array = empty;
  #sentBefore = 0;
  #listening = false;
  #ended = false;
  #broken = false;

  constructor(options: BodySenderOptions, response: HttpResponse, body: Body, onDone: () => void) {
    this.#options = options;
    this.#response = response;
    this.#body = body;
    this.#onDone = onDone;
    this.#totalBytes = body.last - body.first + 1;
    this.#chunk = Math.floor(body.first / options.chunkBytes);
  }

  /** Begins with the first chunk's frame, whose pin is now ours; status and headers are written. Call it corked. True when all is sent. */
  send(frame: number): boolean {
    this.#take(frame);
    return this.#push(0);
  }

  /** We have closed the connection, since a chunk could not be had. */
  get broken(): boolean {
    return this.#broken;
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
    const from = Math.max(0, this.#body.first - start);
    const to = Math.min(bytes.length, this.#body.last - start + 1);
    this.#frame = frame;
    this.#view = from === 0 && to === bytes.length ? bytes : bytes.subarray(from, to);
  }

  /** Sends from the current frame, from `skipBytes` on, and goes on with the next chunks. True when the last byte is out. */
  #push(skipBytes: number): boolean {
    let view = skipBytes === 0 ? this.#view : this.#view.subarray(skipBytes);
    for (;;) {
      const [ok, done] = this.#response.tryEnd(view as Uint8Array<ArrayBuffer>, this.#totalBytes);
      if (done) {
        this.#ended = true;
        this.#options.counters[counterPlace.bytesSent]! += this.#totalBytes;
        this.#dropFrame();
        this.#onDone();
        return true;
      }
      if (!ok) {
        this.#listen();
        return false;
      }
      this.#sentBefore += this.#view.length;
      this.#dropFrame();
      this.#chunk++;
      const frame = this.#options.getter.pinAtHand(this.#body.object, this.#chunk);
      if (frame < 0) {
        this.#waitForChunk();
        return false;
      }
      this.#take(frame);
      view = this.#view;
    }
  }

  #listen(): void {
    if (this.#listening) return;
    this.#listening = true;
    this.#response.onWritable((offset) => {
      // While a chunk is waited for there is nothing to write.
      if (this.#ended || this.#frame < 0) return true;
      return this.#push(offset - this.#sentBefore);
    });
  }

  #waitForChunk(): void {
    const { arena, counters, getter } = this.#options;
    getter.get(this.#body.object, this.#chunk, this.#body.hops, (outcome) => {
      if ("frame" in outcome) {
        if (this.#ended) return arena.unpin(outcome.frame);
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
    this.#view = empty;
  }
}

const empty = new Uint8Array(0);
