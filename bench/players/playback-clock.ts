// The time that simulated players live in: real time, or faster.
import { setTimeout as wait } from "node:timers/promises";
import type { Clock } from "../../runtime/clock.js";

/** Between two chances to read for players whose line was used up. Shorter costs processor time, longer makes lines bursty. */
const tickMs = 4;

/** Runs `speed` times as fast as the clock on the wall, from 0. Whoever reads sockets joins its ticks. */
export class PlaybackClock {
  readonly speed: number;
  readonly #clock: Clock;
  readonly #startedMs: number;
  readonly #onTick = new Set<() => void>();
  #timer: NodeJS.Timeout | undefined;

  constructor(clock: Clock, speed: number) {
    this.#clock = clock;
    this.speed = speed;
    this.#startedMs = clock.monotonicMs();
  }

  nowSeconds(): number {
    return ((this.#clock.monotonicMs() - this.#startedMs) / 1000) * this.speed;
  }

  /** On the wall, for limits on how long a server may take: those do not run faster. */
  wallMs(): number {
    return this.#clock.monotonicMs();
  }

  /** Resolves after `seconds` of this clock; rejects with the signal's reason. */
  async sleep(seconds: number, signal: AbortSignal): Promise<void> {
    await wait(Math.max(0, (seconds / this.speed) * 1000), undefined, { signal });
  }

  /** Calls `listener` every few milliseconds of real time until the returned function is called. */
  onTick(listener: () => void): () => void {
    this.#onTick.add(listener);
    this.#timer ??= setInterval(() => this.#onTick.forEach((each) => each()), tickMs);
    return () => {
      this.#onTick.delete(listener);
      if (this.#onTick.size === 0) {
        clearInterval(this.#timer);
        this.#timer = undefined;
      }
    };
  }
}
