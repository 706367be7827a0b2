// How far the export or import of a seed is, counted for whoever watches.
import type { Clock } from "../../runtime/clock.js";
import type { SeedOrder, SeedProgress, SeedState } from "../fill-messages.js";

const failuresShown = 20;
/** What is told as the rate is that of the last seconds. */
const rateOverMs = 10_000;

export class SeedTally {
  readonly #order: SeedOrder;
  readonly #clock: Clock;
  readonly #refused = new Set<object>();
  readonly #failures: SeedProgress["failed"] = [];
  #samples: { atMs: number; bytes: number }[] = [];
  #chunks = 0;
  #bytes = 0;
  #chunksThere = 0;
  #bytesThere = 0;
  #chunksFailed = 0;
  #bytesFailed = 0;
  #objectsRefused = 0;
  bytesTotal: number | null = null;

  constructor(order: SeedOrder, clock: Clock) {
    this.#order = order;
    this.#clock = clock;
    this.#samples.push({ atMs: clock.monotonicMs(), bytes: 0 });
  }

  get failures(): number {
    return this.#chunksFailed + this.#objectsRefused;
  }

  /** A chunk was written, or is stored. */
  move(bytes: number): void {
    this.#chunks++;
    this.#bytes += bytes;
  }

  /** A chunk was there before. */
  pass(bytes: number): void {
    this.#chunksThere++;
    this.#bytesThere += bytes;
  }

  /** A chunk that does not come. */
  fail(path: string, reason: string, bytes: number): void {
    this.#chunksFailed++;
    this.#bytesFailed += bytes;
    this.#show(path, reason);
  }

  /** A chunk of an object that is not taken at all. */
  refuse(object: { path: string }, reason: string, bytes: number): void {
    this.#bytesFailed += bytes;
    if (this.#refused.has(object)) return;
    // Objects come one after another: who was refused long ago does not come again.
    this.#refused.clear();
    this.#refused.add(object);
    this.#objectsRefused++;
    this.#show(object.path, reason);
  }

  tell(state: SeedState, reason: string): SeedProgress {
    const nowMs = this.#clock.monotonicMs();
    this.#samples = [...this.#samples.filter(({ atMs }) => atMs >= nowMs - rateOverMs), { atMs: nowMs, bytes: this.#bytes }];
    const oldest = this.#samples[0]!;
    const bytesPerSecond = nowMs > oldest.atMs ? ((this.#bytes - oldest.bytes) / (nowMs - oldest.atMs)) * 1000 : 0;
    const left = this.bytesTotal === null ? null : Math.max(0, this.bytesTotal - this.#bytes - this.#bytesThere - this.#bytesFailed);
    return {
      ...this.#order,
      state,
      reason,
      chunks: this.#chunks,
      bytes: this.#bytes,
      chunksThere: this.#chunksThere,
      bytesThere: this.#bytesThere,
      chunksFailed: this.#chunksFailed,
      objectsRefused: this.#objectsRefused,
      bytesTotal: this.bytesTotal,
      bytesLeft: left,
      failed: [...this.#failures],
      bytesPerSecond: Math.round(bytesPerSecond),
      etaSeconds: left === null || (left > 0 && bytesPerSecond <= 0) ? null : left === 0 ? 0 : Math.round(left / bytesPerSecond),
    };
  }

  #show(path: string, reason: string): void {
    if (this.#failures.length < failuresShown) this.#failures.push({ path: path.slice(0, 200), reason });
  }
}
