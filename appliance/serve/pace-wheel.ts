// Wakes paced responses: one timer for all of a worker's, however many there are (a hashed timing wheel, Varghese and Lauck, SOSP '87).

/** A waiter is called up to this late. */
export const wheelTickMs = 10;
const slotCount = 256;
/** Longer waits end early, and whoever waits asks again. */
export const wheelWaitMaxMs = wheelTickMs * (slotCount - 1);

export interface PaceWheelOptions {
  /** Never goes back. */
  nowMs: () => number;
  setTimer: (callback: () => void, delayMs: number) => void;
}

export class PaceWheel {
  readonly #options: PaceWheelOptions;
  readonly #slots: (() => void)[][] = Array.from({ length: slotCount }, () => []);
  /** The tick up to which all have been called. */
  #tick = 0;
  #waiting = 0;
  #running = false;

  constructor(options: PaceWheelOptions) {
    this.#options = options;
  }

  /** Those that wait. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Calls `callback` once, no earlier than in `delayMs` but for waits beyond `wheelWaitMaxMs`. It cannot be taken back: it looks itself whether it is still wanted. */
  wait(delayMs: number, callback: () => void): void {
    const now = this.#options.nowMs();
    // The wheel stands still while nobody waits.
    if (this.#waiting === 0) this.#tick = Math.floor(now / wheelTickMs);
    const due = Math.ceil((now + Math.min(delayMs, wheelWaitMaxMs - wheelTickMs)) / wheelTickMs);
    this.#slots[Math.max(due, this.#tick + 1) % slotCount]!.push(callback);
    this.#waiting++;
    if (!this.#running) this.#arm();
  }

  #arm(): void {
    this.#running = true;
    this.#options.setTimer(() => this.#turn(), wheelTickMs);
  }

  #turn(): void {
    const nowTick = Math.floor(this.#options.nowMs() / wheelTickMs);
    // A thread that was held up may be more than a round behind: each slot is due once then.
    const last = Math.min(nowTick, this.#tick + slotCount);
    while (this.#tick < last) {
      this.#tick++;
      const due = this.#slots[this.#tick % slotCount]!;
      if (due.length === 0) continue;
      this.#slots[this.#tick % slotCount] = [];
      this.#waiting -= due.length;
      for (const callback of due) callback();
    }
    this.#tick = Math.max(this.#tick, nowTick);
    this.#running = false;
    if (this.#waiting > 0) this.#arm();
  }
}
