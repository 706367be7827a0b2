// How fast the manifest is filled: limits of bytes per second, and budgets of writes per disk that give way to reads.
import type { Clock } from "../../runtime/clock.js";
import { quantileMs, type DiskSet } from "../disk/disk-set.js";

/** What was not used is not saved up for longer than this, so that a pause is not followed by a rush. */
const burstMs = 200;

/** A limit of bytes per second. Who takes more than there is waits, and those behind it as well. */
export class ByteRate {
  readonly #clock: Clock;
  #bytesPerSecond: number;
  /** When all that was taken will have been due. */
  #paidUntilMs = 0;

  /** 0 = no limit. */
  constructor(bytesPerSecond: number, clock: Clock) {
    this.#bytesPerSecond = bytesPerSecond;
    this.#clock = clock;
  }

  get bytesPerSecond(): number {
    return this.#bytesPerSecond;
  }

  set bytesPerSecond(limit: number) {
    this.#bytesPerSecond = limit;
  }

  /** Takes `bytes`; the answer is how long to wait before they may move. */
  take(bytes: number): number {
    if (this.#bytesPerSecond === 0) return 0;
    const nowMs = this.#clock.monotonicMs();
    const startMs = Math.max(this.#paidUntilMs, nowMs - burstMs);
    this.#paidUntilMs = startMs + (bytes / this.#bytesPerSecond) * 1000;
    return Math.max(0, startMs - nowMs);
  }
}

/** Reads of a disk are looked at this often. */
const lookEveryMs = 1000;
/** Fewer reads than this say nothing. */
const readsMin = 20;
/** Writes never fall below this: a disk that is always busy must be filled at some time. */
const writeRateMin = 4 * 2 ** 20;
/** Above this a disk without a limit of its own is not limited at all. */
const writeRateFree = 2 ** 30;

export interface WriteBudgetsOptions {
  clock: Clock;
  disks: DiskSet;
  /** Of each disk; 0 = no limit but that of the reads. */
  bytesPerSecondMax: number;
  /** A disk whose reads are slower than this is written to less. */
  readP99LimitMs: number;
}

/**
 * What may be written to each disk. While the p99 of a disk's reads is above its limit the budget is halved every second; after that it grows by a
 * quarter every second (as TCP does it: less at once, more again slowly).
 */
export class WriteBudgets {
  readonly #options: WriteBudgetsOptions;
  readonly #budgets = new Map<number, { rate: ByteRate; takenBytes: number; readTimes: Int32Array; lookedAtMs: number }>();

  constructor(options: WriteBudgetsOptions) {
    this.#options = options;
  }

  /** As `ByteRate.take`, for a disk. */
  take(diskNumber: number, bytes: number): number {
    const { bytesPerSecondMax, clock, disks } = this.#options;
    let budget = this.#budgets.get(diskNumber);
    if (!budget) {
      const rate = new ByteRate(bytesPerSecondMax, clock);
      budget = { rate, takenBytes: 0, readTimes: disks.readTimesOf(diskNumber), lookedAtMs: clock.monotonicMs() };
      this.#budgets.set(diskNumber, budget);
    }
    budget.takenBytes += bytes;
    this.#look(diskNumber, budget);
    return budget.rate.take(bytes);
  }

  /** What a disk may be given per second now; 0 = no limit. */
  bytesPerSecondOf(diskNumber: number): number {
    return this.#budgets.get(diskNumber)?.rate.bytesPerSecond ?? this.#options.bytesPerSecondMax;
  }

  #look(diskNumber: number, budget: { rate: ByteRate; takenBytes: number; readTimes: Int32Array; lookedAtMs: number }): void {
    const { bytesPerSecondMax, clock, disks, readP99LimitMs } = this.#options;
    const nowMs = clock.monotonicMs();
    const elapsedMs = nowMs - budget.lookedAtMs;
    if (elapsedMs < lookEveryMs) return;
    const times = disks.readTimesOf(diskNumber);
    const lately = times.map((count, bucket) => count - budget.readTimes[bucket]!);
    const reads = lately.reduce((sum, count) => sum + count, 0);
    const isSlow = reads >= readsMin && quantileMs(lately, 0.99)! > readP99LimitMs;
    const written = (budget.takenBytes / elapsedMs) * 1000;
    const { rate } = budget;
    if (isSlow) rate.bytesPerSecond = Math.max(writeRateMin, Math.min(rate.bytesPerSecond || Infinity, written) / 2);
    else if (rate.bytesPerSecond !== bytesPerSecondMax) {
      const more = rate.bytesPerSecond * 1.25;
      rate.bytesPerSecond = more >= (bytesPerSecondMax || writeRateFree) ? bytesPerSecondMax : more;
    }
    Object.assign(budget, { takenBytes: 0, readTimes: times, lookedAtMs: nowMs });
  }
}

/** Where a chunk comes from, and goes to. */
export interface PacedChunk {
  /** The escalation step that it is fetched by, with that step's limit; 0 = none. */
  scope: string;
  stepBytesPerSecond: number;
  /** The upstream that is asked first, by its name. */
  source: string | undefined;
  diskNumber: number | undefined;
}

export interface FillPaceOptions {
  clock: Clock;
  /** Of the whole appliance; 0 = no limit. */
  bytesPerSecond: number;
  /** Of upstreams that have a limit of their own, by their names. */
  upstreamBytesPerSecond: ReadonlyMap<string, number>;
  budgets: WriteBudgets;
}

/** All limits that a chunk of the manifest is under. What requests fetch is not held back by any of them. */
export class FillPace {
  readonly #options: FillPaceOptions;
  readonly #box: ByteRate;
  readonly #upstreams: ReadonlyMap<string, ByteRate>;
  readonly #steps = new Map<string, ByteRate>();

  constructor(options: FillPaceOptions) {
    const { bytesPerSecond, clock, upstreamBytesPerSecond } = options;
    this.#options = options;
    this.#box = new ByteRate(bytesPerSecond, clock);
    this.#upstreams = new Map([...upstreamBytesPerSecond].map(([name, limit]) => [name, new ByteRate(limit, clock)]));
  }

  /** Takes `bytes` from every limit; the answer is how long to wait before they may move. */
  take(bytes: number, { scope, stepBytesPerSecond, source, diskNumber }: PacedChunk): number {
    let step = this.#steps.get(scope);
    if (!step) this.#steps.set(scope, (step = new ByteRate(0, this.#options.clock)));
    step.bytesPerSecond = stepBytesPerSecond;
    return Math.max(
      this.#box.take(bytes),
      step.take(bytes),
      this.#upstreams.get(source ?? "")?.take(bytes) ?? 0,
      diskNumber === undefined ? 0 : this.#options.budgets.take(diskNumber, bytes),
    );
  }
}
