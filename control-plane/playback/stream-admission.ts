// Who may start a stream: asks billing for the entitlement, and takes one of the account's slots.
import { randomUUID } from "node:crypto";
import type { Clock } from "../../runtime/clock.js";
import { OperatingError } from "../../runtime/operating-error.js";
import { entitlementOf } from "../billing/entitlement.js";
import { slotLifeMs, takeSlot } from "../billing/stream-slots.js";
import type { Caller } from "../caller.js";
import type { Store } from "../store/database.js";
import { transact } from "../store/transact.js";

export interface AdmittedStream {
  streamId: string;
  /** Unless the player says before that it still plays. */
  expiresAtUnixMs: number;
  heightMax: number;
}

const whyNot = {
  "no-subscription": ["subscription-missing", "the account has no subscription"],
  paused: ["subscription-paused", "the subscription is paused"],
  unpaid: ["subscription-unpaid", "the subscription is not paid"],
} as const;

export class StreamAdmission {
  readonly #store: Store;
  readonly #clock: Clock;

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /**
   * `check` is told the lines of the plan before a slot is taken, and may throw.
   * @throws OperatingError "unauthenticated", "subscription-missing", "subscription-paused", "subscription-unpaid" or "streams-taken".
   */
  async admit({ account }: Caller, titleId: string, check: (heightMax: number) => void): Promise<AdmittedStream> {
    if (!account) throw new OperatingError("unauthenticated", "Cannot play: sign in first");
    const { accountId } = account;
    const entitlement = await entitlementOf(this.#store, accountId);
    if (!entitlement.mayPlay) {
      const [code, why] = whyNot[entitlement.reason];
      throw new OperatingError(code, `Cannot play: ${why}`);
    }
    const { streamsMax, heightMax } = entitlement;
    check(heightMax);
    const nowUnixMs = this.#clock.unixMs();
    const streamId = randomUUID();
    const slot = { slotId: streamId, accountId, titleId, nowUnixMs };
    const taken = await transact(this.#store, (transaction) => takeSlot(transaction, slot, streamsMax));
    if (!taken.taken) {
      throw new OperatingError("streams-taken", `Cannot play: ${taken.streams} streams play, and the plan has ${streamsMax}`);
    }
    return { streamId, expiresAtUnixMs: nowUnixMs + slotLifeMs, heightMax };
  }
}
