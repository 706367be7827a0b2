// When a breaker opens: too great a share of the calls of the last seconds failed. The library's own counts windows that are long past.
import type { IBreaker } from "cockatiel";
import type { Clock } from "../../../runtime/clock.js";

/** The span is forgotten in so many steps. */
const bucketCount = 10;

export interface RecentFaultsOptions {
  clock: Pick<Clock, "monotonicMs">;
  /** How far back. */
  overMs: number;
  /** Of fewer calls nothing is concluded. */
  callsMin: number;
  /** Above it the breaker opens, 0 to 1. */
  shareMax: number;
}

export class RecentFaults implements IBreaker {
  readonly #options: RecentFaultsOptions;
  readonly #buckets = Array.from({ length: bucketCount }, () => ({ step: -1, calls: 0, faults: 0 }));
  /** Nothing is kept over a restart. */
  state: unknown = undefined;

  constructor(options: RecentFaultsOptions) {
    this.#options = options;
  }

  /** @param state of the breaker, as the library has it: 2 is half open. */
  success(state: number): void {
    // What was before the service came back says nothing of it now.
    if (state === 2) for (const bucket of this.#buckets) bucket.step = -1;
    this.#bucketNow().calls++;
  }

  failure(): boolean {
    const now = this.#bucketNow();
    now.calls++;
    now.faults++;
    const step = this.#stepNow();
    let [calls, faults] = [0, 0];
    for (const bucket of this.#buckets) {
      if (bucket.step <= step - bucketCount || bucket.step < 0) continue;
      calls += bucket.calls;
      faults += bucket.faults;
    }
    return calls >= this.#options.callsMin && faults > calls * this.#options.shareMax;
  }

  #stepNow(): number {
    return Math.floor((this.#options.clock.monotonicMs() / this.#options.overMs) * bucketCount);
  }

  #bucketNow() {
    const step = this.#stepNow();
    const bucket = this.#buckets[step % bucketCount]!;
    if (bucket.step !== step) Object.assign(bucket, { step, calls: 0, faults: 0 });
    return bucket;
  }
}
