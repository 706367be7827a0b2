// What happens to accounts, subscriptions and money: each method is one transaction's work, begun by locking the account.
import type { Transaction } from "kysely";
import { OperatingError } from "../../runtime/operating-error.js";
import type { Schema } from "../store/schema.js";
import { dayMs } from "./billing-period.js";
import { isInFlight, type BillingAccount, type Invoice, type Payment, type Refund, type Subscription } from "./billing-types.js";
import { Books } from "./books.js";
import { splitRefund } from "./invoice-pricing.js";
import { bookInvoice, bookPayment, bookRefund, bookUncollectible, bookVoid } from "./ledger-postings.js";
import type { ProviderAnswer } from "./payments/payment-provider.js";
import {
  afterFailed,
  afterPaid,
  cancelSubscription,
  changePlan,
  keepSubscription,
  pauseSubscription,
  renewSubscription,
  resumeSubscription,
  startSubscription,
  type Circumstances,
  type Decision,
} from "./subscription-rules.js";

/** Whoever made a payment asks the provider at once; when that one has died, another asks after this. */
const askAfterMs = 30_000;
/** A payment that the provider has not decided is asked for so often, should no webhook come. */
const pendingAskEveryMs = 10 * 60_000;

export interface BillingRules {
  /** After a failed attempt, the days until the next; after the last the subscription ends. */
  retryDays: readonly number[];
  /** Of the provider, in the ledger. */
  providerName: string;
  newId: () => string;
}

/** What the provider must be asked next. */
export interface Outstanding {
  payments: string[];
  refunds: string[];
}

/** A change, and what follows from it outside of the database. */
export interface Changed<Value> extends Outstanding {
  value: Value;
}

export interface SubscribeCommand {
  accountId: string;
  planId: string;
  couponId?: string | undefined;
  nowUnixMs: number;
}

export class Billing {
  readonly #rules: BillingRules;

  constructor(rules: BillingRules) {
    this.#rules = rules;
  }

  /** Makes the account, or changes where it is billed; that only while it has no subscription and no credit. */
  async putAccount(
    transaction: Transaction<Schema>,
    { accountId, country, currency, paymentMethod }: Pick<BillingAccount, "accountId" | "country" | "currency" | "paymentMethod">,
    nowUnixMs: number,
  ): Promise<Changed<BillingAccount>> {
    const books = new Books(transaction);
    const fresh: BillingAccount = { accountId, country, currency, paymentMethod, trialUsed: false, creditMinor: 0n };
    const known = await books.lockAccount(accountId);
    if (!known) {
      await books.insertAccount(fresh);
      return { value: fresh, payments: [], refunds: [] };
    }
    const moves = known.country !== country || known.currency !== currency;
    if (
      moves &&
      (known.creditMinor !== 0n || (await books.openSubscription(accountId)) || (await books.openInvoices(accountId)).length > 0)
    ) {
      throw new OperatingError(
        "account-in-use",
        "Cannot change country or currency: the account has a subscription, a credit or an open invoice",
      );
    }
    const account = { ...known, country, currency, paymentMethod: paymentMethod ?? known.paymentMethod };
    await books.saveAccount(account);
    const payments: string[] = [];
    if (paymentMethod !== undefined) {
      // A new card is tried at once for what the old one did not pay.
      for (const invoice of await books.openInvoices(accountId)) {
        if (invoice.nextAttemptAtUnixMs !== undefined) payments.push(await this.#collect(books, { account, invoice, nowUnixMs }));
      }
    }
    return { value: account, payments, refunds: [] };
  }

  async subscribe(transaction: Transaction<Schema>, command: SubscribeCommand): Promise<Changed<Subscription>> {
    const { accountId, planId, couponId, nowUnixMs } = command;
    const books = new Books(transaction);
    const account = await this.#lock(books, accountId);
    if (await books.openSubscription(accountId)) {
      throw new OperatingError("subscription-exists", `Cannot subscribe: account ${accountId} has a subscription`);
    }
    const { plan, priceMinor } = await this.#offer(books, planId, account);
    if (account.paymentMethod === undefined && priceMinor > 0n) {
      throw new OperatingError("payment-method-missing", "Cannot subscribe: the account has no payment method");
    }
    const coupon = couponId === undefined ? undefined : await books.redeemCoupon(couponId, nowUnixMs);
    if (typeof coupon === "string") {
      const why = { unknown: "there is no such coupon", over: "its time is over", "used-up": "it was used as often as it may be" }[coupon];
      throw new OperatingError("coupon-refused", `Cannot use coupon ${couponId}: ${why}`);
    }
    const circumstances = await this.#circumstances(books, account, nowUnixMs);
    const decision = startSubscription({ plan, priceMinor, coupon }, circumstances);
    if (decision.subscription.status === "trialing") {
      account.trialUsed = true;
      await books.saveAccount(account);
    }
    await books.insertSubscription(decision.subscription, nowUnixMs);
    return await this.#settle(books, { account, decision, nowUnixMs });
  }

  async changePlan(
    transaction: Transaction<Schema>,
    { accountId, planId, nowUnixMs }: { accountId: string; planId: string; nowUnixMs: number },
  ): Promise<Changed<Subscription>> {
    const books = new Books(transaction);
    const account = await this.#lock(books, accountId);
    const subscription = await this.#open(books, accountId);
    const { plan, priceMinor } = await this.#offer(books, planId, account);
    const oldPlanName = (await books.plan(subscription.planId))?.name ?? subscription.planId;
    const circumstances = await this.#circumstances(books, account, nowUnixMs);
    const decision = changePlan(subscription, { plan, priceMinor, oldPlanName }, circumstances);
    const isOpen = (await books.openInvoices(accountId)).some(({ subscriptionId }) => subscriptionId === subscription.subscriptionId);
    // The credit would stay when the payment fails.
    if (isOpen && decision.invoice && decision.invoice.totalMinor < 0n)
      throw new OperatingError("invoice-open", "Cannot change to a plan that gives money back: an invoice is not paid yet");
    await books.saveSubscription(decision.subscription);
    return await this.#settle(books, { account, decision, nowUnixMs });
  }

  async pause(transaction: Transaction<Schema>, accountId: string, nowUnixMs: number): Promise<Changed<Subscription>> {
    return await this.#change(transaction, accountId, (subscription) => pauseSubscription(subscription, nowUnixMs));
  }

  async resume(transaction: Transaction<Schema>, accountId: string, nowUnixMs: number): Promise<Changed<Subscription>> {
    return await this.#change(transaction, accountId, (subscription) => resumeSubscription(subscription, nowUnixMs));
  }

  async keep(transaction: Transaction<Schema>, accountId: string): Promise<Changed<Subscription>> {
    return await this.#change(transaction, accountId, keepSubscription);
  }

  async cancel(
    transaction: Transaction<Schema>,
    { accountId, atOnce, nowUnixMs }: { accountId: string; atOnce: boolean; nowUnixMs: number },
  ): Promise<Changed<Subscription>> {
    const books = new Books(transaction);
    const account = await this.#lock(books, accountId);
    const subscription = cancelSubscription(await this.#open(books, accountId), { atOnce, nowUnixMs });
    await books.saveSubscription(subscription);
    if (subscription.status === "canceled") await this.#closeInvoices(books, { account, subscription, nowUnixMs });
    return { value: subscription, payments: [], refunds: [] };
  }

  /** The next period, when the one before is over; undefined when it is not (any more). */
  async renew(
    transaction: Transaction<Schema>,
    { accountId, subscriptionId, nowUnixMs }: { accountId: string; subscriptionId: string; nowUnixMs: number },
  ): Promise<Changed<Subscription> | undefined> {
    const books = new Books(transaction);
    const account = await this.#lock(books, accountId);
    const subscription = await books.subscription(subscriptionId);
    const runs = subscription?.status === "trialing" || subscription?.status === "active";
    if (!subscription || !runs || subscription.periodToUnixMs > nowUnixMs) return undefined;
    const planName = (await books.plan(subscription.planId))?.name ?? subscription.planId;
    const circumstances = await this.#circumstances(books, account, nowUnixMs);
    const decision = renewSubscription(subscription, planName, circumstances);
    await books.saveSubscription(decision.subscription);
    return await this.#settle(books, { account, decision, nowUnixMs });
  }

  /** The next attempt at an invoice that could not be collected; undefined when it is not due (any more). */
  async retry(
    transaction: Transaction<Schema>,
    { accountId, invoiceId, nowUnixMs }: { accountId: string; invoiceId: string; nowUnixMs: number },
  ): Promise<Changed<Invoice> | undefined> {
    const books = new Books(transaction);
    const account = await this.#lock(books, accountId);
    const invoice = await books.invoice(invoiceId);
    if (invoice?.status !== "open" || invoice.nextAttemptAtUnixMs === undefined || invoice.nextAttemptAtUnixMs > nowUnixMs)
      return undefined;
    return { value: invoice, payments: [await this.#collect(books, { account, invoice, nowUnixMs })], refunds: [] };
  }

  /** What the provider says of a payment. The first final word counts. */
  async applyPayment(
    transaction: Transaction<Schema>,
    { accountId, answer, nowUnixMs }: { accountId: string; answer: ProviderAnswer; nowUnixMs: number },
  ): Promise<Outstanding> {
    const books = new Books(transaction);
    const account = await this.#lock(books, accountId);
    const known = await books.payment(answer.reference);
    if (!known || !isInFlight(known)) return { payments: [], refunds: [] };
    const payment: Payment = {
      ...known,
      providerPaymentId: answer.providerId,
      status: answer.status,
      declineCode: answer.declineCode,
    };
    await books.savePayment(payment, answer.status === "pending" ? nowUnixMs + pendingAskEveryMs : null);
    const invoice = await books.invoice(payment.invoiceId);
    const subscription = invoice && (await books.subscription(invoice.subscriptionId));
    if (!invoice || !subscription || answer.status === "pending") return { payments: [], refunds: [] };
    return answer.status === "succeeded"
      ? await this.#paid(books, { account, invoice, subscription, payment, nowUnixMs })
      : await this.#failed(books, { account, invoice, subscription, nowUnixMs });
  }

  /** Gives money of a paid invoice back: `amountMinor` of it, or all that is left. */
  async refund(
    transaction: Transaction<Schema>,
    request: { accountId: string; invoiceId: string; amountMinor: bigint | undefined; reason: string; nowUnixMs: number },
  ): Promise<Changed<Refund>> {
    const { accountId, invoiceId, amountMinor, reason, nowUnixMs } = request;
    const books = new Books(transaction);
    const account = await this.#lock(books, accountId);
    const invoice = await books.invoice(invoiceId);
    if (!invoice || invoice.accountId !== accountId)
      throw new OperatingError("invoice-unknown", `Cannot refund: there is no invoice ${invoiceId}`);
    const payment = (await books.paymentsOf(invoiceId)).find(({ status }) => status === "succeeded");
    if (!payment) throw new OperatingError("refund-refused", `Cannot refund: nothing was paid for invoice ${invoiceId}`);
    const given = sumOf((await books.refundsOf(invoiceId)).filter(({ status }) => status !== "failed"));
    const leftMinor = payment.amountMinor - given;
    const wantedMinor = amountMinor ?? leftMinor;
    if (wantedMinor <= 0n || wantedMinor > leftMinor) {
      throw new OperatingError("refund-refused", `Cannot refund ${wantedMinor}: ${leftMinor} of invoice ${invoiceId} can be given back`);
    }
    const refund = await this.#giveBack(books, { account, payment, amountMinor: wantedMinor, reason, nowUnixMs });
    return { value: refund, payments: [], refunds: [refund.refundId] };
  }

  async applyRefund(
    transaction: Transaction<Schema>,
    { accountId, answer, nowUnixMs }: { accountId: string; answer: ProviderAnswer; nowUnixMs: number },
  ): Promise<void> {
    const books = new Books(transaction);
    const account = await this.#lock(books, accountId);
    const known = await books.refund(answer.reference);
    if (!known || !isInFlight(known)) return;
    await books.saveRefund(
      { ...known, providerRefundId: answer.providerId, status: answer.status },
      answer.status === "pending" ? nowUnixMs + pendingAskEveryMs : null,
    );
    const invoice = await books.invoice(known.invoiceId);
    if (answer.status !== "succeeded" || !invoice) return;
    const before = (await books.refundsOf(invoice.invoiceId)).filter(
      ({ refundId, status }) => refundId !== known.refundId && status === "succeeded",
    );
    const split = splitRefund(invoice, { refundedBeforeMinor: sumOf(before), refundMinor: known.amountMinor });
    const booking = bookRefund({ ...known, ...split }, { provider: this.#rules.providerName, country: account.country });
    await books.book(booking, account, nowUnixMs);
  }

  async #paid(books: Books, at: Settlement & { payment: Payment }): Promise<Outstanding> {
    const { account, invoice, subscription, payment, nowUnixMs } = at;
    await books.book(bookPayment(payment, this.#rules.providerName), account, nowUnixMs);
    await books.saveInvoice({ ...invoice, status: "paid", nextAttemptAtUnixMs: undefined });
    // Canceled before its first payment came through: nothing is given for the money.
    if (subscription.status === "canceled" && !subscription.paidOnce) {
      const refund = await this.#giveBack(books, {
        account,
        payment,
        amountMinor: payment.amountMinor,
        reason: "canceled before it was paid",
        nowUnixMs,
      });
      return { payments: [], refunds: [refund.refundId] };
    }
    const others = await books.openInvoices(account.accountId);
    const othersFailed = others.some(({ invoiceId, failedAttempts }) => invoiceId !== invoice.invoiceId && failedAttempts > 0);
    await books.saveSubscription(afterPaid(subscription, { othersFailed }));
    return { payments: [], refunds: [] };
  }

  async #failed(books: Books, { account, invoice, subscription, nowUnixMs }: Settlement): Promise<Outstanding> {
    const { retryDays } = this.#rules;
    const failedAttempts = invoice.failedAttempts + 1;
    const after = afterFailed(subscription, { failedAttempts, first: invoice.first, retriesMax: retryDays.length, nowUnixMs });
    const failed: Invoice = { ...invoice, failedAttempts, nextAttemptAtUnixMs: undefined };
    if (after.collection === "try-later") {
      await books.saveInvoice({ ...failed, nextAttemptAtUnixMs: nowUnixMs + retryDays[failedAttempts - 1]! * dayMs });
      await books.saveSubscription(after.subscription);
      return { payments: [], refunds: [] };
    }
    await books.saveInvoice(failed);
    await books.saveSubscription(after.subscription);
    if (invoice.first && subscription.coupon) await books.giveBackCoupon(subscription.coupon.couponId);
    await this.#closeInvoices(books, { account, subscription: after.subscription, nowUnixMs });
    return { payments: [], refunds: [] };
  }

  /** After the end of a subscription: what nothing was given for is void, the rest is lost. What the provider has not decided stays open. */
  async #closeInvoices(
    books: Books,
    { account, subscription, nowUnixMs }: { account: BillingAccount; subscription: Subscription; nowUnixMs: number },
  ): Promise<void> {
    for (const invoice of await books.openInvoices(account.accountId)) {
      if (invoice.subscriptionId !== subscription.subscriptionId) continue;
      if ((await books.paymentsOf(invoice.invoiceId)).some(isInFlight)) continue;
      const isVoid = !subscription.paidOnce;
      await books.saveInvoice({ ...invoice, status: isVoid ? "void" : "uncollectible", nextAttemptAtUnixMs: undefined });
      await books.book(isVoid ? bookVoid(invoice, account.country) : bookUncollectible(invoice), account, nowUnixMs);
    }
  }

  async #change(
    transaction: Transaction<Schema>,
    accountId: string,
    rule: (subscription: Subscription) => Subscription,
  ): Promise<Changed<Subscription>> {
    const books = new Books(transaction);
    await this.#lock(books, accountId);
    const value = rule(await this.#open(books, accountId));
    await books.saveSubscription(value);
    return { value, payments: [], refunds: [] };
  }

  /** Books the decision's invoice and begins to collect it. */
  async #settle(
    books: Books,
    { account, decision, nowUnixMs }: { account: BillingAccount; decision: Decision; nowUnixMs: number },
  ): Promise<Changed<Subscription>> {
    const { subscription, invoice } = decision;
    if (!invoice) return { value: subscription, payments: [], refunds: [] };
    await books.insertInvoice(invoice);
    await books.book(bookInvoice(invoice, account.country), account, nowUnixMs);
    const payments = invoice.status === "open" ? [await this.#collect(books, { account, invoice, nowUnixMs })] : [];
    return { value: subscription, payments, refunds: [] };
  }

  async #collect(
    books: Books,
    { account, invoice, nowUnixMs }: { account: BillingAccount; invoice: Invoice; nowUnixMs: number },
  ): Promise<string> {
    const { accountId, invoiceId, currency, dueMinor } = invoice;
    const payment: Payment = {
      paymentId: this.#rules.newId(),
      accountId,
      invoiceId,
      currency,
      amountMinor: dueMinor,
      paymentMethod: account.paymentMethod ?? "",
      providerPaymentId: undefined,
      status: "created",
      declineCode: undefined,
      createdAtUnixMs: nowUnixMs,
    };
    await books.savePayment(payment, nowUnixMs + askAfterMs);
    await books.saveInvoice({ ...invoice, nextAttemptAtUnixMs: undefined });
    return payment.paymentId;
  }

  async #giveBack(
    books: Books,
    about: { account: BillingAccount; payment: Payment; amountMinor: bigint; reason: string; nowUnixMs: number },
  ): Promise<Refund> {
    const { account, payment, amountMinor, reason, nowUnixMs } = about;
    const refund: Refund = {
      refundId: this.#rules.newId(),
      accountId: account.accountId,
      paymentId: payment.paymentId,
      invoiceId: payment.invoiceId,
      currency: payment.currency,
      amountMinor,
      reason,
      providerRefundId: undefined,
      status: "created",
      createdAtUnixMs: nowUnixMs,
    };
    await books.saveRefund(refund, nowUnixMs + askAfterMs);
    return refund;
  }

  async #lock(books: Books, accountId: string): Promise<BillingAccount> {
    const account = await books.lockAccount(accountId);
    if (!account) throw new OperatingError("billing-account-unknown", `Cannot bill: there is no billing account ${accountId}`);
    return account;
  }

  async #open(books: Books, accountId: string): Promise<Subscription> {
    const subscription = await books.openSubscription(accountId);
    if (!subscription) throw new OperatingError("subscription-unknown", `Cannot change the subscription: account ${accountId} has none`);
    return subscription;
  }

  async #offer(books: Books, planId: string, account: BillingAccount) {
    const plan = await books.plan(planId);
    if (!plan?.offered) throw new OperatingError("plan-unknown", `Cannot subscribe: plan ${planId} is not offered`);
    const priceMinor = await books.price(planId, account);
    if (priceMinor === undefined) {
      const { country, currency } = account;
      throw new OperatingError("plan-unknown", `Cannot subscribe: plan ${planId} has no price in ${country} in ${currency}`);
    }
    return { plan, priceMinor };
  }

  async #circumstances(books: Books, account: BillingAccount, nowUnixMs: number): Promise<Circumstances> {
    return { account, tax: await books.tax(account.country), nowUnixMs, newId: this.#rules.newId };
  }
}

interface Settlement {
  account: BillingAccount;
  invoice: Invoice;
  subscription: Subscription;
  nowUnixMs: number;
}

function sumOf(refunds: readonly Refund[]): bigint {
  return refunds.reduce((sum, { amountMinor }) => sum + amountMinor, 0n);
}
