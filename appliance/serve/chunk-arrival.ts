// A chunk that is still coming from upstream, as the responses of one serving worker see it.
import type { FillFailure } from "../fill-messages.js";
import type { FrameArena } from "../memory/frame-arena.js";

export class ChunkArrival {
  /** Pinned for the arrival until it has ended; each reader has a pin of its own. */
  readonly frame: number;
  readonly #arena: Pick<FrameArena, "validBytesOf">;
  #listeners: (() => void)[] = [];
  #ended: "whole" | FillFailure | undefined;
  #readers = 0;
  #isOfUse = false;
  readonly #onLeft: () => void;

  /** `onLeft`: nobody wants it any more, before its end. */
  constructor(frame: number, arena: Pick<FrameArena, "validBytesOf">, onLeft: () => void) {
    this.frame = frame;
    this.#arena = arena;
    this.#onLeft = onLeft;
  }

  /** Bytes that are there and right, from the chunk's start. */
  get validBytes(): number {
    return this.#arena.validBytesOf(this.frame);
  }

  /** How it ended; undefined while more may come. */
  get ended(): "whole" | FillFailure | undefined {
    return this.#ended;
  }

  /** Somebody reads it, or had what it wanted of it: the next range of the same chunk will be asked for in a moment. */
  get isWanted(): boolean {
    return this.#readers > 0 || this.#isOfUse;
  }

  join(): void {
    this.#readers++;
  }

  /** Said once by each reader that has joined: its client is gone, unless it `hasAll` that it wants. */
  leave({ hasAll = false } = {}): void {
    this.#readers--;
    this.#isOfUse ||= hasAll;
    if (!this.isWanted && this.#ended === undefined) this.#onLeft();
  }

  /** Calls `listener` once, when there is more or it has ended; never before this returns. */
  whenMore(listener: () => void): void {
    // Nothing is told any more after the end: a client may have been too slow to ask before.
    if (this.#ended !== undefined) queueMicrotask(listener);
    else this.#listeners.push(listener);
  }

  tellMore(): void {
    const listeners = this.#listeners;
    this.#listeners = [];
    for (const listener of listeners) listener();
  }

  end(how: "whole" | FillFailure): void {
    this.#ended = how;
    this.tellMore();
  }
}
