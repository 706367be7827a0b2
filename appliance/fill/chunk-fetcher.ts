// Gets chunks from upstream into frames: one fetch per chunk however many wait, checked before anyone sees it.
import type { ObjectDigests } from "../../fill-protocol/generated/millrace/object/v1/object_digests.js";
import { matchesDigest } from "../../fill-protocol/object-digests.js";
import type { Log } from "../../runtime/log.js";
import { counterPlace } from "../counters.js";
import type { FetchOutcome, FillFailure } from "../fill-messages.js";
import type { FrameArena } from "../memory/frame-arena.js";
import { chunkLengthOf, objectKeyOf, objectKeyWords, type ObjectRecord } from "../object.js";
import type { Upstream } from "./upstream.js";

export interface ChunkFetcherOptions {
  arena: FrameArena;
  chunkBytes: number;
  /** In order of preference. */
  upstreams: readonly Upstream[];
  /** Fetches under way at once. */
  fetchesMax: number;
  /** Fetches that wait for their turn; beyond it the answer is "busy". */
  waitingMax: number;
  findDigests: (object: ObjectRecord) => ObjectDigests | undefined;
  /** A chunk has come, was right, and is in a frame that is pinned until this returns. */
  onFetched: (object: ObjectRecord, chunk: number, frame: number) => void;
  counters: Float64Array;
  log: Log;
}

export interface FetchRequest {
  object: ObjectRecord;
  chunk: number;
  hops: number;
  /** Asked before the upstreams of the settings. */
  sources?: readonly Upstream[];
}

type Waiter = (outcome: FetchOutcome) => void;

export class ChunkFetcher {
  readonly #options: ChunkFetcherOptions;
  readonly #waiters = new Map<string, Waiter[]>();
  readonly #queue: { request: FetchRequest; name: string }[] = [];
  #underWay = 0;

  constructor(options: ChunkFetcherOptions) {
    this.#options = options;
  }

  /** Calls `done` once. A frame in the outcome is pinned once for this caller. */
  fetch(request: FetchRequest, done: Waiter): void {
    const key = objectKeyOf(request.object);
    const frame = this.#options.arena.pinChunkSurely(objectKeyWords(key), request.chunk);
    if (frame >= 0) return done({ frame });
    const name = `${key.toString("hex")}:${request.chunk}`;
    const waiters = this.#waiters.get(name);
    if (waiters) {
      waiters.push(done);
      return;
    }
    if (this.#underWay >= this.#options.fetchesMax && this.#queue.length >= this.#options.waitingMax) return done({ failure: "busy" });
    this.#waiters.set(name, [done]);
    this.#queue.push({ request, name });
    this.#startNext();
  }

  #startNext(): void {
    while (this.#underWay < this.#options.fetchesMax) {
      const next = this.#queue.shift();
      if (!next) return;
      this.#underWay++;
      void this.#run(next.request).then((outcome) => {
        this.#underWay--;
        this.#answer(next.name, outcome);
        this.#startNext();
      });
    }
  }

  #answer(name: string, outcome: FetchOutcome): void {
    const waiters = this.#waiters.get(name) ?? [];
    this.#waiters.delete(name);
    const { arena } = this.#options;
    for (const waiter of waiters) {
      if ("frame" in outcome) arena.pinAgain(outcome.frame);
      waiter(outcome);
    }
    if ("frame" in outcome) arena.unpin(outcome.frame);
  }

  /** Resolves to a frame that is pinned once, or to why there is none. */
  async #run({ object, chunk, hops, sources = [] }: FetchRequest): Promise<FetchOutcome> {
    const { arena, chunkBytes, counters, log, upstreams } = this.#options;
    const lengthBytes = chunkLengthOf(object.sizeBytes, chunkBytes, chunk);
    const frame = arena.allocate(lengthBytes);
    if (frame < 0) {
      counters[counterPlace.framesShort]!++;
      return { failure: "busy" };
    }
    const into = arena.wholeFrame(frame).subarray(0, lengthBytes);
    const digests = object.digested ? this.#options.findDigests(object) : undefined;
    if (object.digested && !digests) {
      arena.giveBack(frame);
      return { failure: "version-changed" };
    }
    let failure: FillFailure = "not-found";
    for (const upstream of [...sources, ...upstreams]) {
      counters[counterPlace.fetches]!++;
      const { path, sizeBytes, etag, lastModifiedUnixMs, digested } = object;
      const range = { path, sizeBytes, etag, lastModifiedUnixMs, digested, hops, offsetBytes: chunk * chunkBytes, into };
      let trouble = await upstream.fetch(range);
      if (trouble === undefined && digests && !matchesDigests(digests, chunk, chunkBytes, into)) {
        counters[counterPlace.chunksWrong]!++;
        trouble = { failure: "wrong-bytes", detail: "the bytes do not match the origin's digests" };
      }
      if (trouble === undefined) {
        counters[counterPlace.fetchedBytes]! += lengthBytes;
        const published = arena.publish(frame, objectKeyWords(objectKeyOf(object)), chunk, lengthBytes);
        this.#options.onFetched(object, chunk, published);
        return { frame: published };
      }
      counters[counterPlace.fetchesFailed]!++;
      if (trouble === "not-found") continue;
      log.warn(
        { path: object.path, chunk, upstream: upstream.name, failure: trouble.failure, detail: trouble.detail },
        "upstream did not give a chunk",
      );
      const stale = trouble.failure === "version-changed" || trouble.failure === "wrong-bytes";
      failure = stale ? "version-changed" : trouble.failure === "timeout" ? "upstream-timeout" : "upstream-failed";
    }
    arena.giveBack(frame);
    // Known here, and nowhere upstream: it was taken away, or replaced, since it was described.
    return { failure: failure === "not-found" ? "version-changed" : failure };
  }
}

/** Whether every piece of a chunk has its digest; chunks are made of whole pieces. */
function matchesDigests(digests: ObjectDigests, chunk: number, chunkBytes: number, bytes: Uint8Array): boolean {
  const firstPiece = Math.floor((chunk * chunkBytes) / digests.chunkBytes);
  for (let at = 0, piece = firstPiece; at < bytes.length; at += digests.chunkBytes, piece++) {
    if (!matchesDigest(digests, piece, bytes.subarray(at, at + digests.chunkBytes))) return false;
  }
  return true;
}
