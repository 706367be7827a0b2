// A serving worker's line to the fill worker: one question per thing, however many requests wait for the answer.
import type { MessagePort } from "node:worker_threads";
import type { DescribeOutcome, FetchOutcome, FillToServe, ServeToFill } from "../fill-messages.js";
import type { FrameArena } from "../memory/frame-arena.js";
import type { ObjectRecord } from "../object.js";

/** Questions that have an answer. */
type Question = Extract<ServeToFill, { type: "describe" | "fetch" | "digests" }>;

type Answer = (message: Exclude<FillToServe, { type: "changed" }>) => void;

/** Who waits for a chunk from upstream. */
export interface FetchListener {
  /** The frame is being filled; it is pinned once for the listener. Not told of every chunk. */
  onArriving(frame: number): void;
  /** There is more in that frame. */
  onMore(): void;
  /** Told once, last. A frame in the outcome is pinned once for the listener, besides an arriving one. */
  onDone(outcome: FetchOutcome): void;
}

export class FillClient {
  readonly #port: MessagePort;
  readonly #arena: Pick<FrameArena, "adoptPin">;
  readonly #answers = new Map<number, Answer>();
  #nextId = 1;

  /** `onChanged`: a path has a newer version, or is gone. */
  constructor(port: MessagePort, arena: Pick<FrameArena, "adoptPin">, onChanged: (path: string) => void) {
    this.#port = port;
    this.#arena = arena;
    port.on("message", (message: FillToServe) => {
      if (message.type === "changed") return onChanged(message.path);
      const answer = this.#answers.get(message.id);
      if (message.type !== "arriving" && message.type !== "arrived") this.#answers.delete(message.id);
      answer?.(message);
    });
  }

  describe(path: string, { via, refresh }: { via: readonly string[]; refresh: boolean }, done: (outcome: DescribeOutcome) => void): void {
    this.#ask({ type: "describe", id: this.#nextId, path, via, refresh }, (message) => {
      if (message.type === "described") done(message.outcome);
    });
  }

  /** The answer tells the fill worker that nobody listens any more; `onDone` is called all the same. */
  fetch(object: ObjectRecord, chunk: number, via: readonly string[], listener: FetchListener): () => void {
    const id = this.#nextId;
    this.#ask({ type: "fetch", id, object, chunk, via }, (message) => {
      switch (message.type) {
        case "arriving":
          this.#arena.adoptPin(message.frame);
          return listener.onArriving(message.frame);
        case "arrived":
          return listener.onMore();
        case "fetched":
          if ("frame" in message.outcome) this.#arena.adoptPin(message.outcome.frame);
          return listener.onDone(message.outcome);
      }
    });
    return () => {
      if (this.#answers.has(id)) this.#port.postMessage({ type: "leave", id } satisfies ServeToFill);
    };
  }

  findDigests(object: ObjectRecord, done: (digests: Uint8Array | undefined) => void): void {
    this.#ask({ type: "digests", id: this.#nextId, object }, (message) => {
      if (message.type === "digests") done(message.digests);
    });
  }

  /** The slot did not hold the chunk that the index named it for. */
  reportBadSlot(slot: Omit<Extract<ServeToFill, { type: "bad-slot" }>, "type">): void {
    this.#port.postMessage({ type: "bad-slot", ...slot } satisfies ServeToFill);
  }

  /** Questions that are not answered yet. */
  get waiting(): number {
    return this.#answers.size;
  }

  close(): void {
    this.#port.close();
  }

  #ask(question: Question, answer: Answer): void {
    this.#answers.set(question.id, answer);
    this.#nextId++;
    this.#port.postMessage(question);
  }
}
