// Gets chunks from upstream into frames: one fetch per chunk however many wait, and what is right of it at once to those who want its start.
import { LRUCache } from "lru-cache";
import type { ObjectDigests } from "../../fill-protocol/generated/millrace/object/v1/object_digests.js";
import type { Clock } from "../../runtime/clock.js";
import type { Log } from "../../runtime/log.js";
import { counterPlace } from "../counters.js";
import type { FetchOutcome, FillFailure } from "../fill-messages.js";
import type { FrameArena } from "../memory/frame-arena.js";
import { chunkLengthOf, objectKeyOf, objectKeyWords, type ObjectRecord } from "../object.js";
import { ChunkDownload } from "./chunk-download.js";
import type { SourceHealth } from "./source-health.js";
import type { Upstream } from "./upstream.js";

/** A chunk that no upstream gave is not asked for again for so long: the retries of players must not reach upstreams that are in trouble. */
const failedForMs = 1000;
const failedChunksMax = 10_000;
/** Those who read an arriving chunk are told at once of its first bytes, then after so many more, or so long. */
const tellEveryBytes = 64 * 1024;
const tellEveryMs = 20;
/** A fetch that nobody waits for any more is given up while less than this share of it has come. */
const worthKeeping = 0.5;

export interface ChunkFetcherOptions {
  /** This appliance's own id. */
  applianceId: string;
  arena: FrameArena;
  chunkBytes: number;
  /** In order of preference. */
  upstreams: readonly Upstream[];
  health: SourceHealth;
  clock: Clock;
  random: () => number;
  /** Fetches under way at once. */
  fetchesMax: number;
  /** Fetches that wait for their turn; beyond it the answer is "busy". */
  waitingMax: number;
  /** Longest wait for a source before the next is asked as well. */
  hedgeAfterMs: number;
  /** Longest time for one chunk, over all sources. */
  totalTimeoutMs: number;
  findDigests: (object: ObjectRecord) => ObjectDigests | undefined;
  /** A chunk has come, was right, and is in a frame that is pinned until this returns. */
  onFetched: (object: ObjectRecord, chunk: number, frame: number) => void;
  counters: Float64Array;
  log: Log;
}

export interface FetchRequest {
  object: ObjectRecord;
  chunk: number;
  /** Ids of the appliances that the request has come through; this one is not among them. */
  via: readonly string[];
  /** Asked before the upstreams of the settings. */
  sources?: readonly Upstream[];
  /** Asked instead of those of the settings. */
  upstreams?: readonly Upstream[];
}

export interface FetchWaiter {
  /** Some of the chunk is in `frame` and right; called from within, so that the waiter can pin it. Not told when the whole chunk is there first. */
  onArriving?: (frame: number) => void;
  /** There is more of it. */
  onMore?: () => void;
  /** Told once. A frame in the outcome is pinned once for this waiter. */
  onDone: (outcome: FetchOutcome) => void;
}

interface Flight {
  name: string;
  request: FetchRequest;
  waiters: Set<FetchWaiter>;
  /** All appliances that wait for this chunk. */
  waitingAppliances: Set<string>;
  download?: ChunkDownload;
  /** Pinned for the flight from its start to its end. */
  frame: number;
  toldBytes: number;
  tellTimer?: NodeJS.Timeout | undefined;
}

export class ChunkFetcher {
  readonly #options: ChunkFetcherOptions;
  readonly #flights = new Map<string, Flight>();
  readonly #failed: LRUCache<string, FillFailure>;
  #queue: Flight[] = [];
  #underWay = 0;

  constructor(options: ChunkFetcherOptions) {
    this.#options = options;
    this.#failed = new LRUCache({
      max: failedChunksMax,
      ttl: failedForMs,
      perf: { now: () => options.clock.monotonicMs() },
      ttlResolution: 0,
    });
  }

  /** The answer lets go of the chunk for this waiter: `onDone` is not called any more, and a fetch without waiters may be given up. */
  fetch(request: FetchRequest, waiter: FetchWaiter): () => void {
    const { arena, fetchesMax, waitingMax } = this.#options;
    const key = objectKeyOf(request.object);
    const nothing = () => {};
    const frame = arena.pinChunkSurely(objectKeyWords(key), request.chunk);
    if (frame >= 0) {
      waiter.onDone({ frame });
      return nothing;
    }
    const name = `${key.toString("hex")}:${request.chunk}`;
    const failure = this.#failed.get(name);
    if (failure !== undefined) {
      waiter.onDone({ failure });
      return nothing;
    }
    let flight = this.#flights.get(name);
    if (flight) {
      // Its answer is on its way from an appliance that waits for us: we would wait for ourselves.
      if (flight.download?.asking.some((id) => request.via.includes(id))) {
        waiter.onDone({ failure: "loop" });
        return nothing;
      }
      flight.waiters.add(waiter);
    } else {
      if (this.#underWay >= fetchesMax && this.#queue.length >= waitingMax) {
        waiter.onDone({ failure: "busy" });
        return nothing;
      }
      flight = { name, request, waiters: new Set([waiter]), waitingAppliances: new Set(), frame: -1, toldBytes: 0 };
      this.#flights.set(name, flight);
      this.#queue.push(flight);
    }
    for (const id of request.via) flight.waitingAppliances.add(id);
    if (flight.toldBytes > 0) waiter.onArriving?.(flight.frame);
    this.#startNext();
    const joined = flight;
    return () => this.#leave(joined, waiter);
  }

  #startNext(): void {
    while (this.#underWay < this.#options.fetchesMax) {
      const flight = this.#queue.shift();
      if (!flight) return;
      this.#underWay++;
      void this.#run(flight).then((outcome) => {
        this.#underWay--;
        this.#land(flight, outcome);
        this.#startNext();
      });
    }
  }

  /** Ends a flight; a frame in the outcome is pinned once. */
  #land(flight: Flight, outcome: FetchOutcome): void {
    const { arena } = this.#options;
    if (this.#flights.get(flight.name) === flight) this.#flights.delete(flight.name);
    if ("failure" in outcome && outcome.failure !== "busy" && outcome.failure !== "loop") this.#failed.set(flight.name, outcome.failure);
    for (const { onDone } of flight.waiters) {
      if ("frame" in outcome) arena.pinAgain(outcome.frame);
      onDone(outcome);
    }
    if ("frame" in outcome) arena.unpin(outcome.frame);
  }

  /** Resolves to a frame that is pinned once, or to why there is none. */
  async #run(flight: Flight): Promise<FetchOutcome> {
    const { applianceId, arena, chunkBytes, clock, counters, findDigests, health, hedgeAfterMs, log, random, totalTimeoutMs, upstreams } =
      this.#options;
    const { object, chunk, via, sources = [] } = flight.request;
    const lengthBytes = chunkLengthOf(object.sizeBytes, chunkBytes, chunk);
    const frame = arena.allocate(lengthBytes);
    if (frame < 0) {
      counters[counterPlace.framesShort]!++;
      return { failure: "busy" };
    }
    const digests = object.digested ? findDigests(object) : undefined;
    if (object.digested && !digests) {
      arena.giveBack(frame);
      return { failure: "version-changed" };
    }
    const key = objectKeyOf(object);
    const objectKey = key.toString("hex");
    arena.beginArrival(frame);
    flight.frame = frame;
    const download = new ChunkDownload({
      clock,
      counters,
      digests,
      health,
      hedgeAfterMs,
      log,
      object,
      objectKey,
      random,
      totalTimeoutMs,
      offsetBytes: chunk * chunkBytes,
      into: arena.wholeFrame(frame).subarray(0, lengthBytes),
      sources: health.order(sources, flight.request.upstreams ?? upstreams, objectKey),
      via: [...via, applianceId],
      waitingAppliances: flight.waitingAppliances,
      onValid: (validBytes) => {
        arena.setArrived(frame, validBytes);
        if (validBytes < lengthBytes) this.#tell(flight, validBytes);
      },
    });
    flight.download = download;
    download.start();
    const failure = await download.done;
    // Who comes from here on gets the outcome, not the frame that may go.
    flight.toldBytes = 0;
    clearTimeout(flight.tellTimer);
    if (failure !== undefined) {
      arena.abandonArrival(frame);
      return { failure };
    }
    counters[counterPlace.fetchedBytes]! += lengthBytes;
    const published = arena.endArrival(frame, objectKeyWords(key), chunk);
    this.#options.onFetched(object, chunk, published);
    return { frame: published };
  }

  #tell(flight: Flight, validBytes: number): void {
    if (validBytes - flight.toldBytes < (flight.toldBytes === 0 ? 1 : tellEveryBytes)) {
      flight.tellTimer ??= setTimeout(() => this.#tellNow(flight, flight.download!.validBytes), tellEveryMs);
      return;
    }
    this.#tellNow(flight, validBytes);
  }

  #tellNow(flight: Flight, validBytes: number): void {
    clearTimeout(flight.tellTimer);
    flight.tellTimer = undefined;
    const first = flight.toldBytes === 0;
    flight.toldBytes = validBytes;
    for (const waiter of flight.waiters) {
      if (first) waiter.onArriving?.(flight.frame);
      else waiter.onMore?.();
    }
  }

  #leave(flight: Flight, waiter: FetchWaiter): void {
    if (!flight.waiters.delete(waiter) || flight.waiters.size > 0) return;
    if (!flight.download) {
      if (!this.#queue.includes(flight)) return;
      this.#queue = this.#queue.filter((each) => each !== flight);
      this.#flights.delete(flight.name);
      return;
    }
    const { object, chunk } = flight.request;
    if (flight.download.validBytes >= chunkLengthOf(object.sizeBytes, this.#options.chunkBytes, chunk) * worthKeeping) return;
    this.#options.counters[counterPlace.fetchesLeft]!++;
    this.#flights.delete(flight.name);
    flight.download.cancel();
  }
}
