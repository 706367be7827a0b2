// A clock that stands still until a test turns it.
import type { Clock } from "./clock.js";

export class ManualClock implements Clock {
  #unixMs: number;
  #monotonicMs = 0;

  constructor(unixMs = 1_700_000_000_000) {
    this.#unixMs = unixMs;
  }

  unixMs(): number {
    return this.#unixMs;
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  /** Both readings go forward. */
  turn(ms: number): void {
    this.#unixMs += ms;
    this.#monotonicMs += ms;
  }
}
