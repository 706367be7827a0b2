// When most heartbeats vanish at once it is more likely that this control plane has lost its network than that the fleet has died: then nobody is
// struck off. (Eureka's self-preservation.)

export interface PreservationRules {
  /** Of the appliances that were alive, at least this share must be late at once. */
  share: number;
  /** And at least so many: three boxes that die together are three dead boxes. */
  atLeast: number;
  /** Afterwards the silent are struck off all the same. */
  forMs: number;
}

/**
 * Heartbeats are spread over their interval, so the first appliance expires long before the last one does; what all of a lost fleet have in
 * common at that moment is that they are late. Hence: the first expiry asks how many are late.
 */
export class SelfPreservation {
  readonly #rules: PreservationRules;
  #sinceMs: number | undefined;
  /** It has lasted too long; not again before heartbeats have come back. */
  #spent = false;

  constructor(rules: PreservationRules) {
    this.#rules = rules;
  }

  /** Whether the silent are to be kept. `late` and `expired` count among `alive`, those not struck off so far. */
  look(nowMs: number, { alive, late, expired }: { alive: number; late: number; expired: number }): boolean {
    const { share, atLeast, forMs } = this.#rules;
    const isMost = late >= atLeast && late >= share * alive;
    if (!isMost) {
      this.#sinceMs = undefined;
      this.#spent = false;
      return false;
    }
    if (this.#sinceMs === undefined && expired > 0) this.#sinceMs = nowMs;
    if (this.#sinceMs !== undefined && nowMs - this.#sinceMs > forMs) this.#spent = true;
    return this.#sinceMs !== undefined && !this.#spent;
  }
}
