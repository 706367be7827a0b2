// A serving worker's line to the fill worker: one question per thing, however many requests wait for the answer.
import type { MessagePort } from "node:worker_threads";
import type { DescribeOutcome, FetchOutcome, FillToServe, ServeToFill } from "../fill-messages.js";
import type { FrameArena } from "../memory/frame-arena.js";
import type { ObjectRecord } from "../object.js";

type Answer = (message: FillToServe) => void;

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
      this.#answers.delete(message.id);
      answer?.(message);
    });
  }

  describe(path: string, { hops, refresh }: { hops: number; refresh: boolean }, done: (outcome: DescribeOutcome) => void): void {
    this.#ask({ type: "describe", id: this.#nextId, path, hops, refresh }, (message) => {
      if (message.type === "described") done(message.outcome);
    });
  }

  /** A frame in the outcome is pinned once for the caller. */
  fetch(object: ObjectRecord, chunk: number, hops: number, done: (outcome: FetchOutcome) => void): void {
    this.#ask({ type: "fetch", id: this.#nextId, object, chunk, hops }, (message) => {
      if (message.type !== "fetched") return;
      if ("frame" in message.outcome) this.#arena.adoptPin(message.outcome.frame);
      done(message.outcome);
    });
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

  #ask(question: Exclude<ServeToFill, { type: "bad-slot" }>, answer: Answer): void {
    this.#answers.set(question.id, answer);
    this.#nextId++;
    this.#port.postMessage(question);
  }
}
