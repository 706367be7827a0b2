// One chunk on its way into one frame: source after source, two at once when one is late, piece by verified piece.
//
//   valid ──────────▶ grows with every piece that has come and matched its digest; readers see it at once
//
//   first source      writes into the frame, behind `valid`                         (direct)
//   second, late      writes into memory of its own, from where `valid` was then    (beside)
//
// When the one beside has verified more than is valid, the direct one is ended, and only then its pieces are copied over: so nobody ever writes to
// bytes that readers have been shown. A source that fails is followed by the next, which is asked for the rest only.
//
// What "verified" means: with digests, that every whole piece matched; without, but with a strong entity tag, that the bytes came under that tag;
// with neither, nothing is valid before the whole chunk has come from one source in one answer.
import { setTimeout as wait } from "node:timers/promises";
import type { ObjectDigests } from "../../fill-protocol/generated/millrace/object/v1/object_digests.js";
import { matchesDigest } from "../../fill-protocol/object-digests.js";
import type { Clock } from "../../runtime/clock.js";
import type { Log } from "../../runtime/log.js";
import { counterPlace } from "../counters.js";
import type { FillFailure } from "../fill-messages.js";
import type { ObjectRecord } from "../object.js";
import type { SourceHealth } from "./source-health.js";
import type { Upstream, UpstreamFailure } from "./upstream.js";

/** The direct one, and one beside it. */
const attemptsAtOnceMax = 2;
/** Sources that all failed are asked again so many times, when their failure may pass. */
const retriesMax = 2;
const retryMs = 50;

export interface ChunkDownloadOptions {
  object: ObjectRecord;
  objectKey: string;
  /** From the object's start. */
  offsetBytes: number;
  /** The frame's bytes for the chunk. */
  into: Uint8Array;
  /** Of the object; undefined when nothing but tag and length tells. */
  digests: ObjectDigests | undefined;
  /** In the order to ask them. */
  sources: readonly Upstream[];
  /** What each is told that the request has come through. */
  via: readonly string[];
  /** Appliances that wait for this chunk: to ask one of them would be to wait for ourselves. */
  waitingAppliances: ReadonlySet<string>;
  /** Longest wait for a source before the next is asked as well. */
  hedgeAfterMs: number;
  totalTimeoutMs: number;
  health: SourceHealth;
  clock: Clock;
  random: () => number;
  counters: Float64Array;
  log: Log;
  /** The first `validBytes` of `into` are right, and will not change. */
  onValid: (validBytes: number) => void;
}

interface Attempt {
  source: Upstream;
  /** Where it began in the chunk. */
  from: number;
  /** What it writes to: a part of the frame, or memory of its own. */
  into: Uint8Array;
  direct: boolean;
  /** Bytes of the chunk, from its start, that it has verified. */
  verified: number;
  stop: AbortController;
  startedAtMs: number;
}

export class ChunkDownload {
  readonly #options: ChunkDownloadOptions;
  readonly #attempts = new Set<Attempt>();
  readonly #queue: Upstream[];
  readonly #failures = new Set<UpstreamFailure["failure"] | "not-found">();
  /** Whoever was unreachable for a moment may answer a moment later. Others would only say the same again. */
  #again: Upstream[] = [];
  readonly #resolve: (outcome: FillFailure | undefined) => void;
  /** Resolves to undefined when the chunk is whole; to why not otherwise. Never rejects. */
  readonly done: Promise<FillFailure | undefined>;
  #valid = 0;
  #retries = 0;
  #over = false;
  #late: NodeJS.Timeout | undefined;
  readonly #total: NodeJS.Timeout;

  constructor(options: ChunkDownloadOptions) {
    this.#options = options;
    this.#queue = [...options.sources];
    let resolve: (outcome: FillFailure | undefined) => void = () => {};
    this.done = new Promise((settle) => (resolve = settle));
    this.#resolve = resolve;
    this.#total = setTimeout(() => {
      for (const attempt of this.#attempts) this.#noteOvertaken(attempt);
      this.#end("upstream-timeout");
    }, options.totalTimeoutMs);
  }

  start(): void {
    this.#startNext();
  }

  get validBytes(): number {
    return this.#valid;
  }

  /** The appliances that are asked now. */
  get asking(): string[] {
    return [...this.#attempts].flatMap(({ source }) => source.applianceId ?? []);
  }

  /** Nobody wants it any more. */
  cancel(): void {
    this.#end("busy");
  }

  /** Starts with the next source that may be asked; ends the download when there is none and none is under way. */
  #startNext(): void {
    if (this.#over) return;
    const source = this.#queue.shift();
    if (source) return void this.#run(source);
    if (this.#attempts.size > 0) return;
    if (this.#again.length === 0 || this.#retries >= retriesMax) return this.#end(this.#verdict());
    const delayMs = retryMs * 2 ** this.#retries++ * (1 + this.#options.random());
    void wait(delayMs).then(() => {
      this.#queue.push(...this.#again);
      this.#again = [];
      this.#startNext();
    });
  }

  async #run(source: Upstream): Promise<void> {
    const { clock, counters, into, health, object, objectKey, offsetBytes, via, waitingAppliances } = this.#options;
    const from = this.#valid;
    const direct = this.#attempts.size === 0;
    const attempt: Attempt = {
      source,
      from,
      direct,
      into: direct ? into.subarray(from) : Buffer.allocUnsafeSlow(into.length - from),
      verified: from,
      stop: new AbortController(),
      startedAtMs: clock.monotonicMs(),
    };
    this.#attempts.add(attempt);
    this.#watch(source);
    await source.identify?.();
    if (!this.#attempts.has(attempt)) return;
    let trouble: UpstreamFailure | "not-found" | undefined;
    if (source.applianceId !== undefined && (waitingAppliances.has(source.applianceId) || via.includes(source.applianceId))) {
      trouble = { failure: "loop", detail: "it waits for this chunk itself" };
    } else {
      counters[counterPlace.fetches]!++;
      let wrong: UpstreamFailure | undefined;
      const { path, sizeBytes, etag, lastModifiedUnixMs, digested } = object;
      trouble = await source.fetch({
        path,
        sizeBytes,
        etag,
        lastModifiedUnixMs,
        digested,
        via,
        offsetBytes: offsetBytes + from,
        into: attempt.into,
        signal: attempt.stop.signal,
        onBytes: (count) => {
          if (!this.#attempts.has(attempt)) return;
          wrong = this.#verify(attempt, from + count, false);
          if (wrong) attempt.stop.abort();
        },
      });
      if (!this.#attempts.has(attempt)) return;
      trouble = wrong ?? trouble ?? this.#verify(attempt, into.length, true);
    }
    this.#attempts.delete(attempt);
    if (this.#over) return;
    if (trouble === undefined) {
      health.noteChunk(source, into.length - from, clock.monotonicMs() - attempt.startedAtMs);
      for (const other of this.#attempts) if (other.startedAtMs < attempt.startedAtMs) this.#noteOvertaken(other);
      return this.#end(undefined);
    }
    this.#noteTrouble(source, trouble, objectKey);
    this.#startNext();
  }

  #noteTrouble(source: Upstream, trouble: UpstreamFailure | "not-found", objectKey: string): void {
    const { counters, health, log, object, offsetBytes } = this.#options;
    counters[counterPlace.fetchesFailed]!++;
    if (trouble === "not-found") return void this.#failures.add(trouble);
    if (trouble.failure === "wrong-bytes") counters[counterPlace.chunksWrong]!++;
    if (trouble.failure === "busy") counters[counterPlace.sourcesBusy]!++;
    this.#failures.add(trouble.failure);
    if (trouble.failure === "unreachable") this.#again.push(source);
    health.noteFailure(source, trouble, objectKey);
    const level = trouble.failure === "loop" || trouble.failure === "busy" ? "debug" : "warn";
    log[level](
      { path: object.path, offsetBytes, upstream: source.name, failure: trouble.failure, detail: trouble.detail },
      "upstream did not give a chunk",
    );
  }

  /** Asks the next one as well when this one is late. */
  #watch(source: Upstream): void {
    clearTimeout(this.#late);
    const { counters, health, hedgeAfterMs } = this.#options;
    this.#late = setTimeout(
      () => {
        if (this.#over || this.#queue.length === 0 || this.#attempts.size === 0) return;
        if (this.#attempts.size >= attemptsAtOnceMax) this.#giveUpSlowest();
        counters[counterPlace.fetchesHedged]!++;
        this.#startNext();
      },
      health.lateAfterMs(source, hedgeAfterMs),
    );
  }

  #giveUpSlowest(): void {
    const [slowest] = [...this.#attempts].toSorted((a, b) => a.verified - b.verified || a.startedAtMs - b.startedAtMs);
    this.#attempts.delete(slowest!);
    slowest!.stop.abort();
    this.#noteOvertaken(slowest!);
  }

  /** Looks at what has come up to `arrived` bytes of the chunk; `whole`: no more comes. Tells what is wrong with it. */
  #verify(attempt: Attempt, arrived: number, whole: boolean): UpstreamFailure | undefined {
    const { digests, into, object, offsetBytes } = this.#options;
    if (digests) {
      const pieceBytes = digests.chunkBytes;
      for (;;) {
        const end = Math.min(attempt.verified + pieceBytes, into.length);
        if (attempt.verified >= into.length || end > arrived) break;
        const bytes = attempt.into.subarray(attempt.verified - attempt.from, end - attempt.from);
        if (!matchesDigest(digests, Math.floor((offsetBytes + attempt.verified) / pieceBytes), bytes))
          return { failure: "wrong-bytes", detail: "the bytes do not match the origin's digests" };
        attempt.verified = end;
      }
    } else if (whole || object.etag.startsWith('"')) attempt.verified = arrived;
    this.#take(attempt);
    return undefined;
  }

  #take(attempt: Attempt): void {
    if (attempt.verified <= this.#valid) return;
    if (!attempt.direct) {
      // From here on only this one goes on, so that nobody else writes to the frame.
      for (const other of this.#attempts) {
        if (other === attempt) continue;
        this.#attempts.delete(other);
        other.stop.abort();
        this.#noteOvertaken(other);
      }
      this.#options.into.set(attempt.into.subarray(this.#valid - attempt.from, attempt.verified - attempt.from), this.#valid);
    }
    this.#valid = attempt.verified;
    this.#options.onValid(this.#valid);
  }

  /** A source that began earlier and was slower: when that happens again and again, it is not asked for a while. */
  #noteOvertaken({ source }: Attempt): void {
    this.#options.health.noteFailure(source, { failure: "timeout", detail: "it was too slow" }, this.#options.objectKey);
  }

  #end(outcome: FillFailure | undefined): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#late);
    clearTimeout(this.#total);
    for (const { stop } of this.#attempts) stop.abort();
    this.#attempts.clear();
    this.#resolve(outcome);
  }

  /** The reason that says most of all that the sources had. */
  #verdict(): FillFailure {
    const failures = this.#failures;
    if (failures.has("version-changed") || failures.has("wrong-bytes")) return "version-changed";
    if (failures.has("timeout")) return "upstream-timeout";
    if (failures.has("unreachable") || failures.has("bad-status") || failures.has("bad-answer")) return "upstream-failed";
    if (failures.has("busy")) return "busy";
    if (failures.has("not-found")) return "version-changed";
    // None was asked but those who would ask us; or all are known to have other bytes than this version's.
    return failures.has("loop") ? "loop" : "version-changed";
  }
}
