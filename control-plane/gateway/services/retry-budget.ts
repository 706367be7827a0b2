// How many calls may be made again: a share of those that were made, so that a sick service is not asked three times as often.

/** Repeats at hand after a quiet time. */
const repeatsSavedMax = 10;

export class RetryBudget {
  /** Repeats earned by one call. */
  readonly #share: number;
  #saved = repeatsSavedMax;

  constructor(share: number) {
    this.#share = share;
  }

  /** A call is made for the first time. */
  earn(): void {
    this.#saved = Math.min(repeatsSavedMax, this.#saved + this.#share);
  }

  /** Whether one more repeat may be made; then it is counted. */
  spend(): boolean {
    if (this.#saved < 1) return false;
    this.#saved--;
    return true;
  }
}
