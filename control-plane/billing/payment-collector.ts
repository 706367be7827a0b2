// Asks the payment provider for what the books have decided, and books its answers. Safe to be killed at any point, and to run in several copies.
import type { Clock } from "../../runtime/clock.js";
import type { Log } from "../../runtime/log.js";
import { messageOf } from "../../runtime/operating-error.js";
import type { Store } from "../store/database.js";
import { transact } from "../store/transact.js";
import type { Billing, Outstanding } from "./billing.js";
import { Books } from "./books.js";
import { isInFlight } from "./billing-types.js";
import type { PaymentProvider, ProviderAnswer, ProviderEvent } from "./payments/payment-provider.js";

/** When a provider can't be reached, it is asked again after this. */
const askAgainMs = 60_000;
/** What follows from an answer (a refund after a payment) is at most so long a chain. */
const followUpsMax = 5;

export interface PaymentCollectorOptions {
  store: Store;
  billing: Billing;
  provider: PaymentProvider;
  clock: Clock;
  log: Log;
}

export class PaymentCollector {
  readonly #options: PaymentCollectorOptions;

  constructor(options: PaymentCollectorOptions) {
    this.#options = options;
  }

  /** Asks for all of it, and for what follows. Does not reject: what can't be asked now is asked later. */
  async ask(outstanding: Outstanding): Promise<void> {
    let next = outstanding;
    for (let round = 0; round < followUpsMax && next.payments.length + next.refunds.length > 0; round++) {
      const followUps: Outstanding = { payments: [], refunds: [] };
      for (const paymentId of next.payments) {
        const after = await this.#tried(() => this.#askPayment(paymentId), { payment: paymentId });
        followUps.payments.push(...(after?.payments ?? []));
        followUps.refunds.push(...(after?.refunds ?? []));
      }
      for (const refundId of next.refunds) await this.#tried(() => this.#askRefund(refundId), { refund: refundId });
      next = followUps;
    }
  }

  /**
   * After a webhook: the provider is asked what is true now, so that events may come twice and in any order.
   *
   * @throws OperatingError when the provider or the database is away: the provider must send it again.
   */
  async takeEvent({ eventId, about, reference }: ProviderEvent): Promise<void> {
    const { store, provider, clock } = this.#options;
    const known = await store.selectFrom("provider_event").select("event_id").where("event_id", "=", eventId).executeTakeFirst();
    if (known) return;
    if (about === "payment") {
      const answer = await provider.findPayment(reference);
      if (answer) await this.ask(await this.#applyPayment(answer));
    } else if (about === "refund") {
      const answer = await provider.findRefund(reference);
      if (answer) await this.#applyRefund(answer);
    }
    await transact(store, (transaction) => new Books(transaction).noteEvent(eventId, clock.unixMs()));
  }

  async #askPayment(paymentId: string): Promise<Outstanding> {
    const { store, provider, clock } = this.#options;
    const payment = await transact(store, (transaction) => new Books(transaction).payment(paymentId));
    if (!payment || !isInFlight(payment)) return { payments: [], refunds: [] };
    // Asked before, with an answer that never came? Its key makes it one payment, but keys do not live for ever.
    const isOld = clock.unixMs() - payment.createdAtUnixMs > askAgainMs / 2;
    const known = payment.status === "pending" || isOld ? await provider.findPayment(paymentId) : undefined;
    const { amountMinor, currency, paymentMethod } = payment;
    return await this.#applyPayment(known ?? (await provider.charge({ reference: paymentId, amountMinor, currency, paymentMethod })));
  }

  async #askRefund(refundId: string): Promise<void> {
    const { store, provider, clock } = this.#options;
    const { refund, payment } = await transact(store, async (transaction) => {
      const books = new Books(transaction);
      const refund = await books.refund(refundId);
      return { refund, payment: refund && (await books.payment(refund.paymentId)) };
    });
    if (!refund || !isInFlight(refund) || payment?.providerPaymentId === undefined) return;
    const isOld = clock.unixMs() - refund.createdAtUnixMs > askAgainMs / 2;
    const known = refund.status === "pending" || isOld ? await provider.findRefund(refundId) : undefined;
    const { amountMinor, currency } = refund;
    const request = { reference: refundId, providerPaymentId: payment.providerPaymentId, amountMinor, currency };
    await this.#applyRefund(known ?? (await provider.refund(request)));
  }

  async #applyPayment(answer: ProviderAnswer): Promise<Outstanding> {
    const { store, billing, clock } = this.#options;
    const accountId = await this.#accountOf("payment", answer.reference);
    if (accountId === undefined) return { payments: [], refunds: [] };
    return await transact(store, (transaction) => billing.applyPayment(transaction, { accountId, answer, nowUnixMs: clock.unixMs() }));
  }

  async #applyRefund(answer: ProviderAnswer): Promise<void> {
    const { store, billing, clock } = this.#options;
    const accountId = await this.#accountOf("refund", answer.reference);
    if (accountId === undefined) return;
    await transact(store, (transaction) => billing.applyRefund(transaction, { accountId, answer, nowUnixMs: clock.unixMs() }));
  }

  /** Undefined for what we never asked for: the provider may serve others with the same account. */
  async #accountOf(table: "payment" | "refund", id: string): Promise<string | undefined> {
    const { store } = this.#options;
    const row =
      table === "payment"
        ? await store.selectFrom("payment").select("account_id").where("payment_id", "=", id).executeTakeFirst()
        : await store.selectFrom("refund").select("account_id").where("refund_id", "=", id).executeTakeFirst();
    return row?.account_id;
  }

  async #tried<Value>(act: () => Promise<Value>, about: { payment?: string; refund?: string }): Promise<Value | undefined> {
    const { store, clock, log } = this.#options;
    try {
      return await act();
    } catch (error) {
      log.warn({ ...about, error: messageOf(error) }, "the payment provider could not be asked; it is asked again");
      const later = { ask_at_unix_ms: clock.unixMs() + askAgainMs };
      try {
        if (about.payment !== undefined)
          await store
            .updateTable("payment")
            .set(later)
            .where("payment_id", "=", about.payment)
            .where("ask_at_unix_ms", "is not", null)
            .execute();
        if (about.refund !== undefined)
          await store
            .updateTable("refund")
            .set(later)
            .where("refund_id", "=", about.refund)
            .where("ask_at_unix_ms", "is not", null)
            .execute();
      } catch {
        // Its time to be asked stands as it was.
      }
      return undefined;
    }
  }
}
