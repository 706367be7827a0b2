// What was seen of each source lately: whom not to ask for a while, and after how long to ask someone else as well.
//
// A source that gave wrong bytes is not asked at all for half a minute, and twice as long each time, up to an hour. One that is away or slow is let
// off after three failures in a row, for a second, doubling up to a minute. One that says that it is busy is left alone for as long as it asks.
//
// The settings' own upstreams are the last resort, and one damaged file must not take an origin out of use: of them, an object that came out wrong
// is not asked for again for a while, and when they fail they are only asked after the others.
import { LRUCache } from "lru-cache";
import type { Clock } from "../../runtime/clock.js";
import type { Log } from "../../runtime/log.js";
import type { Upstream, UpstreamFailure } from "./upstream.js";

const lieMsMin = 30_000;
const lieMsMax = 3_600_000;
const failureMsMin = 1000;
const failureMsMax = 60_000;
const failuresInRowMax = 3;
const busyMs = 2000;
/** Every wait is made longer by up to this share of itself, so that many appliances do not come back at the same moment. */
const jitter = 0.25;
/** Times of so many chunks tell how fast a source is. */
const timesKept = 64;
const timesMin = 8;
/** A chunk is late when it takes so many times what 95 of 100 chunks took. */
const lateFactor = 2;
const lateMsMin = 50;
/** Sources and wrong objects that are remembered. */
const sourcesMax = 1024;
const wrongObjectsMax = 10_000;

export interface SourceHealthOptions {
  clock: Clock;
  log: Log;
  /** From 0 to 1, as Math.random. */
  random: () => number;
}

/** What is known of a source, for people. */
export interface SourceStatus {
  source: string;
  chunks: number;
  bytes: number;
  failures: number;
  /** Answers with wrong bytes, too few, or for another range. */
  lies: number;
  /** Times that it said that it was busy. */
  refusals: number;
  /** Not asked before; 0 when it may be asked now. */
  pausedForMs: number;
  lastFailure: string | null;
}

interface Record {
  chunks: number;
  bytes: number;
  failures: number;
  lies: number;
  refusals: number;
  failuresInRow: number;
  /** Waits that were set in a row for lies, and for failures: each is twice the one before. */
  lieWaits: number;
  failureWaits: number;
  pausedUntilMs: number;
  lastFailure: string | undefined;
  timesMs: number[];
  nextTime: number;
}

export class SourceHealth {
  readonly #options: SourceHealthOptions;
  readonly #records = new LRUCache<string, Record>({ max: sourcesMax });
  /** Sources and object versions that did not go together. */
  readonly #wrong: LRUCache<string, true>;

  constructor(options: SourceHealthOptions) {
    this.#options = options;
    this.#wrong = new LRUCache({
      max: wrongObjectsMax,
      ttl: lieMsMin,
      perf: { now: () => options.clock.monotonicMs() },
      ttlResolution: 0,
    });
  }

  /** Who of `sources`, and then of the settings' `upstreams`, is asked for an object version, in this order. */
  order(sources: readonly Upstream[], upstreams: readonly Upstream[], objectKey: string): Upstream[] {
    const usable = sources.filter((source) => !this.isPaused(source));
    const right = upstreams.filter(({ name }) => !this.#wrong.has(`${name}\n${objectKey}`));
    return [...usable, ...right.filter((each) => !this.isPaused(each)), ...right.filter((each) => this.isPaused(each))];
  }

  isPaused({ name }: Upstream): boolean {
    return (this.#records.get(name)?.pausedUntilMs ?? 0) > this.#options.clock.monotonicMs();
  }

  noteChunk(source: Upstream, bytes: number, ms: number): void {
    const record = this.#recordOf(source);
    record.chunks++;
    record.bytes += bytes;
    record.failuresInRow = 0;
    record.failureWaits = 0;
    record.timesMs[record.nextTime] = ms;
    record.nextTime = (record.nextTime + 1) % timesKept;
  }

  noteFailure(source: Upstream, trouble: UpstreamFailure, objectKey: string): void {
    if (trouble.failure === "cancelled" || trouble.failure === "loop") return;
    const record = this.#recordOf(source);
    record.lastFailure = `${trouble.failure}: ${trouble.detail}`;
    if (trouble.failure === "busy") {
      record.refusals++;
      return this.#pause(source, record, trouble.retryAfterMs ?? busyMs);
    }
    record.failures++;
    if (trouble.failure === "wrong-bytes" || trouble.failure === "bad-answer") {
      record.lies++;
      // An origin whose file has changed since its digests were made gives wrong bytes in good faith.
      if (source.kind === "origin") return void this.#wrong.set(`${source.name}\n${objectKey}`, true);
      return this.#pause(source, record, Math.min(lieMsMax, lieMsMin * 2 ** record.lieWaits++));
    }
    // That an origin has a newer version is no failure of its own.
    if (trouble.failure === "version-changed" && source.kind === "origin") return;
    if (++record.failuresInRow < failuresInRowMax) return;
    this.#pause(source, record, Math.min(failureMsMax, failureMsMin * 2 ** record.failureWaits++));
  }

  /** After so long without its chunk, another source is asked as well; `mostMs` while too little is known of this one. */
  lateAfterMs(source: Upstream, mostMs: number): number {
    const times = this.#records.get(source.name)?.timesMs ?? [];
    if (times.length < timesMin) return mostMs;
    const sorted = times.toSorted((a, b) => a - b);
    return Math.min(mostMs, Math.max(lateMsMin, lateFactor * sorted[Math.floor(sorted.length * 0.95)]!));
  }

  statuses(): SourceStatus[] {
    const nowMs = this.#options.clock.monotonicMs();
    return [...this.#records.entries()].map(([source, record]) => ({
      source,
      chunks: record.chunks,
      bytes: record.bytes,
      failures: record.failures,
      lies: record.lies,
      refusals: record.refusals,
      pausedForMs: Math.max(0, Math.round(record.pausedUntilMs - nowMs)),
      lastFailure: record.lastFailure ?? null,
    }));
  }

  #pause(source: Upstream, record: Record, ms: number): void {
    const { clock, log, random } = this.#options;
    const pausedForMs = Math.round(ms * (1 + jitter * random()));
    record.pausedUntilMs = Math.max(record.pausedUntilMs, clock.monotonicMs() + pausedForMs);
    record.failuresInRow = 0;
    log.warn({ source: source.name, pausedForMs, lastFailure: record.lastFailure }, "a source is not asked for a while");
  }

  #recordOf({ name }: Upstream): Record {
    let record = this.#records.get(name);
    if (!record) {
      record = {
        chunks: 0,
        bytes: 0,
        failures: 0,
        lies: 0,
        refusals: 0,
        failuresInRow: 0,
        lieWaits: 0,
        failureWaits: 0,
        pausedUntilMs: 0,
        lastFailure: undefined,
        timesMs: [],
        nextTime: 0,
      };
      this.#records.set(name, record);
    }
    return record;
  }
}
