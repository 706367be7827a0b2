// The records of billing as rows, within one transaction of the database.
import type { Transaction } from "kysely";
import type { Schema } from "../store/schema.js";
import { insertIfAbsent, upsert } from "../store/upsert.js";
import { decodeAmounts, encodeAmounts } from "./amounts-json.js";
import type {
  BillingAccount,
  Coupon,
  Invoice,
  InvoiceStatus,
  Payment,
  PaymentStatus,
  Plan,
  PlanInterval,
  Refund,
  Subscription,
  TaxRate,
} from "./billing-types.js";
import { ledgerAccounts, type LedgerTransaction } from "./ledger-postings.js";

export class Books {
  readonly #transaction: Transaction<Schema>;

  constructor(transaction: Transaction<Schema>) {
    this.#transaction = transaction;
  }

  /** The account, locked until the transaction ends: everything that changes an account's money begins with it. */
  async lockAccount(accountId: string): Promise<BillingAccount | undefined> {
    const { numUpdatedRows } = await this.#transaction
      .updateTable("billing_account")
      .set((row) => ({ version: row("version", "+", 1) }))
      .where("account_id", "=", accountId)
      .executeTakeFirst();
    if (numUpdatedRows === 0n) return undefined;
    const row = await this.#transaction
      .selectFrom("billing_account")
      .selectAll()
      .where("account_id", "=", accountId)
      .executeTakeFirstOrThrow();
    return {
      accountId,
      country: row.country,
      currency: row.currency,
      paymentMethod: row.payment_method ?? undefined,
      trialUsed: row.trial_used === 1,
      creditMinor: row.credit_minor,
    };
  }

  async insertAccount(account: BillingAccount): Promise<boolean> {
    return await insertIfAbsent(this.#transaction, "billing_account", { ...rowOfAccount(account), version: 1 });
  }

  async saveAccount(account: BillingAccount): Promise<void> {
    await this.#transaction.updateTable("billing_account").set(rowOfAccount(account)).where("account_id", "=", account.accountId).execute();
  }

  async plan(planId: string): Promise<(Plan & { offered: boolean }) | undefined> {
    const row = await this.#transaction.selectFrom("plan").selectAll().where("plan_id", "=", planId).executeTakeFirst();
    return row && planOf(row);
  }

  async price(planId: string, { country, currency }: { country: string; currency: string }): Promise<bigint | undefined> {
    const row = await this.#transaction
      .selectFrom("plan_price")
      .select("amount_minor")
      .where("plan_id", "=", planId)
      .where("country", "=", country)
      .where("currency", "=", currency)
      .executeTakeFirst();
    return row?.amount_minor;
  }

  async tax(country: string): Promise<TaxRate | undefined> {
    const row = await this.#transaction.selectFrom("tax_rate").selectAll().where("country", "=", country).executeTakeFirst();
    return row && { country, name: row.name, basisPoints: row.basis_points, included: row.included === 1 };
  }

  /** The coupon, one redemption counted; or why not. */
  async redeemCoupon(couponId: string, nowUnixMs: number): Promise<Coupon | "unknown" | "over" | "used-up"> {
    const row = await this.#transaction.selectFrom("coupon").selectAll().where("coupon_id", "=", couponId).executeTakeFirst();
    if (!row) return "unknown";
    if (row.redeem_until_unix_ms !== null && row.redeem_until_unix_ms <= nowUnixMs) return "over";
    const { numUpdatedRows } = await this.#transaction
      .updateTable("coupon")
      .set((coupon) => ({ redemptions: coupon("redemptions", "+", 1) }))
      .where("coupon_id", "=", couponId)
      .where((where) => where.or([where("redemptions_max", "is", null), where("redemptions", "<", where.ref("redemptions_max"))]))
      .executeTakeFirst();
    if (numUpdatedRows === 0n) return "used-up";
    const { basis_points_off: basisPointsOff, amount_off_minor: amountOffMinor, currency, periods } = row;
    return { couponId, basisPointsOff, amountOffMinor, currency, periods };
  }

  async giveBackCoupon(couponId: string): Promise<void> {
    await this.#transaction
      .updateTable("coupon")
      .set((coupon) => ({ redemptions: coupon("redemptions", "-", 1) }))
      .where("coupon_id", "=", couponId)
      .execute();
  }

  /** The one that is not canceled. */
  async openSubscription(accountId: string): Promise<Subscription | undefined> {
    const row = await this.#transaction
      .selectFrom("subscription")
      .select("state")
      .where("open_account_id", "=", accountId)
      .executeTakeFirst();
    return row && decodeAmounts<Subscription>(row.state);
  }

  async subscription(subscriptionId: string): Promise<Subscription | undefined> {
    const row = await this.#transaction
      .selectFrom("subscription")
      .select("state")
      .where("subscription_id", "=", subscriptionId)
      .executeTakeFirst();
    return row && decodeAmounts<Subscription>(row.state);
  }

  async insertSubscription(subscription: Subscription, nowUnixMs: number): Promise<void> {
    const key = { subscription_id: subscription.subscriptionId, account_id: subscription.accountId, created_at_unix_ms: nowUnixMs };
    await this.#transaction
      .insertInto("subscription")
      .values({ ...key, ...rowOfSubscription(subscription) })
      .execute();
  }

  async saveSubscription(subscription: Subscription): Promise<void> {
    await this.#transaction
      .updateTable("subscription")
      .set(rowOfSubscription(subscription))
      .where("subscription_id", "=", subscription.subscriptionId)
      .execute();
  }

  async insertInvoice(invoice: Invoice): Promise<void> {
    await this.#transaction
      .insertInto("invoice")
      .values({
        invoice_id: invoice.invoiceId,
        account_id: invoice.accountId,
        subscription_id: invoice.subscriptionId,
        currency: invoice.currency,
        net_minor: invoice.netMinor,
        tax_name: invoice.taxName,
        tax_minor: invoice.taxMinor,
        total_minor: invoice.totalMinor,
        credit_used_minor: invoice.creditUsedMinor,
        due_minor: invoice.dueMinor,
        first: invoice.first ? 1 : 0,
        created_at_unix_ms: invoice.createdAtUnixMs,
        lines: encodeAmounts(invoice.lines),
        ...changingRowOfInvoice(invoice),
      })
      .execute();
  }

  async saveInvoice(invoice: Invoice): Promise<void> {
    await this.#transaction.updateTable("invoice").set(changingRowOfInvoice(invoice)).where("invoice_id", "=", invoice.invoiceId).execute();
  }

  async invoice(invoiceId: string): Promise<Invoice | undefined> {
    const row = await this.#transaction.selectFrom("invoice").selectAll().where("invoice_id", "=", invoiceId).executeTakeFirst();
    return row && invoiceOf(row);
  }

  async openInvoices(accountId: string): Promise<Invoice[]> {
    const rows = await this.#transaction
      .selectFrom("invoice")
      .selectAll()
      .where("account_id", "=", accountId)
      .where("status", "=", "open")
      .orderBy("created_at_unix_ms")
      .execute();
    return rows.map(invoiceOf);
  }

  async payment(paymentId: string): Promise<Payment | undefined> {
    const row = await this.#transaction.selectFrom("payment").selectAll().where("payment_id", "=", paymentId).executeTakeFirst();
    return row && paymentOf(row);
  }

  async paymentsOf(invoiceId: string): Promise<Payment[]> {
    const rows = await this.#transaction.selectFrom("payment").selectAll().where("invoice_id", "=", invoiceId).execute();
    return rows.map(paymentOf);
  }

  /** @param askAtUnixMs when the provider is asked (again); null = nothing is open. */
  async savePayment(payment: Payment, askAtUnixMs: number | null): Promise<void> {
    const row = {
      payment_id: payment.paymentId,
      account_id: payment.accountId,
      invoice_id: payment.invoiceId,
      currency: payment.currency,
      amount_minor: payment.amountMinor,
      payment_method: payment.paymentMethod,
      provider_payment_id: payment.providerPaymentId ?? null,
      status: payment.status,
      decline_code: payment.declineCode ?? null,
      created_at_unix_ms: payment.createdAtUnixMs,
      ask_at_unix_ms: askAtUnixMs,
    };
    await upsert(this.#transaction, "payment", { row, key: ["payment_id"] });
  }

  async refund(refundId: string): Promise<Refund | undefined> {
    const row = await this.#transaction.selectFrom("refund").selectAll().where("refund_id", "=", refundId).executeTakeFirst();
    return row && refundOf(row);
  }

  async refundsOf(invoiceId: string): Promise<Refund[]> {
    const rows = await this.#transaction.selectFrom("refund").selectAll().where("invoice_id", "=", invoiceId).execute();
    return rows.map(refundOf);
  }

  async saveRefund(refund: Refund, askAtUnixMs: number | null): Promise<void> {
    const row = {
      refund_id: refund.refundId,
      account_id: refund.accountId,
      payment_id: refund.paymentId,
      invoice_id: refund.invoiceId,
      currency: refund.currency,
      amount_minor: refund.amountMinor,
      reason: refund.reason,
      provider_refund_id: refund.providerRefundId ?? null,
      status: refund.status,
      created_at_unix_ms: refund.createdAtUnixMs,
      ask_at_unix_ms: askAtUnixMs,
    };
    await upsert(this.#transaction, "refund", { row, key: ["refund_id"] });
  }

  /** Books it; a reference that is booked already is a mistake of the program. The account's credit in `account` follows. */
  async book({ reference, currency, postings }: LedgerTransaction, account: BillingAccount, nowUnixMs: number): Promise<void> {
    await this.#transaction.insertInto("ledger_transaction").values({ reference, currency, booked_at_unix_ms: nowUnixMs }).execute();
    if (postings.length === 0) return;
    await this.#transaction
      .insertInto("ledger_posting")
      .values(
        postings.map(({ ledgerAccount, amountMinor }) => ({
          reference,
          ledger_account: ledgerAccount,
          currency,
          amount_minor: amountMinor,
        })),
      )
      .execute();
    const credit = postings.find(({ ledgerAccount }) => ledgerAccount === ledgerAccounts.credit(account.accountId));
    if (!credit) return;
    account.creditMinor -= credit.amountMinor;
    await this.saveAccount(account);
  }

  /** False when the event was worked off before. */
  async noteEvent(eventId: string, nowUnixMs: number): Promise<boolean> {
    return await insertIfAbsent(this.#transaction, "provider_event", { event_id: eventId, received_at_unix_ms: nowUnixMs });
  }
}

function rowOfAccount({ accountId, country, currency, paymentMethod, trialUsed, creditMinor }: BillingAccount) {
  return {
    account_id: accountId,
    country,
    currency,
    payment_method: paymentMethod ?? null,
    trial_used: trialUsed ? 1 : 0,
    credit_minor: creditMinor,
  };
}

function rowOfSubscription(subscription: Subscription) {
  const { status, accountId, planId, periodToUnixMs } = subscription;
  return {
    open_account_id: status === "canceled" ? null : accountId,
    status,
    plan_id: planId,
    // A period that is not paid is not followed by another.
    renews_at_unix_ms: status === "trialing" || status === "active" ? periodToUnixMs : null,
    state: encodeAmounts(subscription),
  };
}

function changingRowOfInvoice({ status, failedAttempts, nextAttemptAtUnixMs }: Invoice) {
  return { status, failed_attempts: failedAttempts, next_attempt_at_unix_ms: nextAttemptAtUnixMs ?? null };
}

export function planOf(row: Schema["plan"]): Plan & { offered: boolean } {
  return {
    planId: row.plan_id,
    name: row.name,
    interval: row.period as PlanInterval,
    trialDays: row.trial_days,
    streamsMax: row.streams_max,
    heightMax: row.height_max,
    offered: row.offered === 1,
  };
}

export function invoiceOf(row: Schema["invoice"]): Invoice {
  return {
    invoiceId: row.invoice_id,
    accountId: row.account_id,
    subscriptionId: row.subscription_id,
    currency: row.currency,
    lines: decodeAmounts<Invoice["lines"]>(row.lines),
    netMinor: row.net_minor,
    taxName: row.tax_name,
    taxMinor: row.tax_minor,
    totalMinor: row.total_minor,
    creditUsedMinor: row.credit_used_minor,
    dueMinor: row.due_minor,
    status: row.status as InvoiceStatus,
    createdAtUnixMs: row.created_at_unix_ms,
    failedAttempts: row.failed_attempts,
    nextAttemptAtUnixMs: row.next_attempt_at_unix_ms ?? undefined,
    first: row.first === 1,
  };
}

function paymentOf(row: Schema["payment"]): Payment {
  return {
    paymentId: row.payment_id,
    accountId: row.account_id,
    invoiceId: row.invoice_id,
    currency: row.currency,
    amountMinor: row.amount_minor,
    paymentMethod: row.payment_method,
    providerPaymentId: row.provider_payment_id ?? undefined,
    status: row.status as PaymentStatus,
    declineCode: row.decline_code ?? undefined,
    createdAtUnixMs: row.created_at_unix_ms,
  };
}

function refundOf(row: Schema["refund"]): Refund {
  return {
    refundId: row.refund_id,
    accountId: row.account_id,
    paymentId: row.payment_id,
    invoiceId: row.invoice_id,
    currency: row.currency,
    amountMinor: row.amount_minor,
    reason: row.reason,
    providerRefundId: row.provider_refund_id ?? undefined,
    status: row.status as PaymentStatus,
    createdAtUnixMs: row.created_at_unix_ms,
  };
}
