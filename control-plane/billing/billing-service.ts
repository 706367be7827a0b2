// BillingService over gRPC.
import type { Transaction } from "kysely";
import { OperatingError } from "../../runtime/operating-error.js";
import type { Clock } from "../../runtime/clock.js";
import type { BillingServiceServer } from "../protocol/generated/millrace/billing/v1/billing.js";
import type { CallContext, ServiceCalls } from "../service-calls.js";
import type { Store } from "../store/database.js";
import type { Schema } from "../store/schema.js";
import { transact } from "../store/transact.js";
import { writeOnce } from "../store/write-once.js";
import { decodeAmounts, encodeAmounts } from "./amounts-json.js";
import { invoiceMessage, subscriptionMessage } from "./billing-messages.js";
import type { Subscription } from "./billing-types.js";
import type { Billing, Outstanding } from "./billing.js";
import { invoiceOf } from "./books.js";
import { entitlementOf } from "./entitlement.js";
import { checkCode, checkId, listPlans, putCoupon, putPlan, putTaxRate } from "./offers.js";
import type { PaymentCollector } from "./payment-collector.js";
import type { PaymentProvider } from "./payments/payment-provider.js";
import { reconcile } from "./reconcile.js";
import { freeSlot, keepSlot, slotLifeMs } from "./stream-slots.js";

/** Invoices in one answer: ten years by the month. */
const invoicesMax = 120;
const reasonMax = 200;

export interface BillingServiceOptions {
  store: Store;
  /** Undefined: there is no payment provider, so nobody can subscribe. */
  payments: { billing: Billing; collector: PaymentCollector; provider: PaymentProvider } | undefined;
  clock: Clock;
}

export function makeBillingService(calls: ServiceCalls, { store, payments, clock }: BillingServiceOptions): BillingServiceServer {
  const withPayments = () => {
    if (!payments)
      throw new OperatingError("billing-off", "Cannot bill: the control plane has no payment provider (settings: billing.provider)");
    return payments;
  };
  /** Runs the change once per idempotency key, then asks the provider for what follows, as often as it is said. */
  const change = async (
    context: CallContext,
    { method, request }: { method: string; request: object },
    work: (transaction: Transaction<Schema>, accountId: string) => Promise<Outstanding & { value: unknown }>,
  ): Promise<{ accountId: string; value: unknown }> => {
    const { collector } = withPayments();
    const accountId = accountIdOf(context);
    const changed = await once(context, { method, accountId, request }, (transaction) => work(transaction, accountId));
    await collector.ask(changed);
    return { accountId, value: changed.value };
  };
  const once = async <Answer>(
    { idempotencyKey }: CallContext,
    { method, accountId, request }: { method: string; accountId: string; request: object },
    work: (transaction: Transaction<Schema>) => Promise<Answer>,
  ): Promise<Answer> => {
    if (idempotencyKey === "") return await transact(store, work);
    const scope = `billing.${method} ${accountId}`;
    const bytes = Buffer.from(encodeAmounts(request));
    const options = { scope, key: idempotencyKey, request: bytes, nowUnixMs: clock.unixMs() };
    // Kept as text: its amounts are bigints.
    return decodeAmounts<Answer>(await writeOnce(store, options, async (transaction) => encodeAmounts(await work(transaction))));
  };
  const changeSubscription = async (
    context: CallContext,
    about: { method: string; request: object },
    work: (transaction: Transaction<Schema>, accountId: string) => Promise<Outstanding & { value: Subscription }>,
  ) => {
    const { value } = await change(context, about, work);
    // What the provider has said meanwhile is in it.
    const subscription = await readSubscription((value as Subscription).subscriptionId);
    return { subscription: subscriptionMessage(subscription) };
  };
  const readSubscription = async (subscriptionId: string): Promise<Subscription> => {
    const row = await store
      .selectFrom("subscription")
      .select("state")
      .where("subscription_id", "=", subscriptionId)
      .executeTakeFirstOrThrow();
    return decodeAmounts<Subscription>(row.state);
  };
  return {
    listPlans: calls.unary(async ({ country }) => ({ plans: await listPlans(store, checkCode("country", country, 2)) })),

    setBillingAccount: calls.unary(async (request, context) => {
      const country = checkCode("country", request.country, 2);
      const currency = checkCode("currency", request.currency, 3);
      const paymentMethod = request.paymentMethod === "" ? undefined : checkId("payment method", request.paymentMethod, 200);
      await change(context, { method: "SetBillingAccount", request }, (transaction, accountId) =>
        withPayments().billing.putAccount(transaction, { accountId, country, currency, paymentMethod }, clock.unixMs()),
      );
      return {};
    }),

    subscribe: calls.unary(async (request, context) => {
      const planId = checkId("plan", request.planId);
      const couponId = request.couponId === "" ? undefined : checkId("coupon", request.couponId);
      const answer = await changeSubscription(context, { method: "Subscribe", request }, (transaction, accountId) =>
        withPayments().billing.subscribe(transaction, { accountId, planId, couponId, nowUnixMs: clock.unixMs() }),
      );
      const { subscriptionId, status } = answer.subscription;
      if (status !== "canceled") return answer;
      const declined = await store
        .selectFrom("payment")
        .innerJoin("invoice", "invoice.invoice_id", "payment.invoice_id")
        .select("payment.decline_code")
        .where("invoice.subscription_id", "=", subscriptionId)
        .where("payment.status", "=", "failed")
        .executeTakeFirst();
      // A key that is used again long after may find what was canceled since.
      if (!declined) return answer;
      throw new OperatingError(
        "payment-declined",
        `Cannot subscribe: the payment was declined (${declined.decline_code ?? "no reason given"})`,
      );
    }),

    changePlan: calls.unary((request, context) => {
      const planId = checkId("plan", request.planId);
      return changeSubscription(context, { method: "ChangePlan", request }, (transaction, accountId) =>
        withPayments().billing.changePlan(transaction, { accountId, planId, nowUnixMs: clock.unixMs() }),
      );
    }),

    pause: calls.unary((request, context) =>
      changeSubscription(context, { method: "Pause", request }, (transaction, accountId) =>
        withPayments().billing.pause(transaction, accountId, clock.unixMs()),
      ),
    ),

    resume: calls.unary((request, context) =>
      changeSubscription(context, { method: "Resume", request }, (transaction, accountId) =>
        withPayments().billing.resume(transaction, accountId, clock.unixMs()),
      ),
    ),

    cancel: calls.unary((request, context) => {
      const { atOnce, keep } = request;
      if (atOnce && keep) throw new OperatingError("invalid-argument", "Cannot cancel: atOnce and keep exclude each other");
      return changeSubscription(context, { method: "Cancel", request }, (transaction, accountId) =>
        keep
          ? withPayments().billing.keep(transaction, accountId)
          : withPayments().billing.cancel(transaction, { accountId, atOnce, nowUnixMs: clock.unixMs() }),
      );
    }),

    getBilling: calls.unary(async (request, context) => {
      const accountId = askedAccountOf(context, request.accountId);
      const account = await store.selectFrom("billing_account").selectAll().where("account_id", "=", accountId).executeTakeFirst();
      if (!account) throw new OperatingError("billing-account-unknown", `Cannot answer: account ${accountId} has no billing account`);
      const last = await store
        .selectFrom("subscription")
        .select("subscription_id")
        .where("account_id", "=", accountId)
        .orderBy("open_account_id", "desc")
        .orderBy("created_at_unix_ms", "desc")
        .executeTakeFirst();
      return {
        country: account.country,
        currency: account.currency,
        hasPaymentMethod: account.payment_method !== null,
        creditMinor: account.credit_minor,
        subscription: last && subscriptionMessage(await readSubscription(last.subscription_id)),
      };
    }),

    listInvoices: calls.unary(async (request, context) => {
      const accountId = askedAccountOf(context, request.accountId);
      const rows = await store
        .selectFrom("invoice")
        .selectAll()
        .where("account_id", "=", accountId)
        .orderBy("created_at_unix_ms", "desc")
        .limit(invoicesMax)
        .execute();
      return { invoices: rows.map((row) => invoiceMessage(invoiceOf(row))) };
    }),

    getEntitlement: calls.unary(async ({ accountId }) => {
      const entitlement = await entitlementOf(store, checkId("account", accountId));
      if (!entitlement.mayPlay) return { mayPlay: false, reason: entitlement.reason, planId: "", streamsMax: 0, heightMax: 0 };
      const { planId, streamsMax, heightMax } = entitlement;
      return { mayPlay: true, reason: "", planId, streamsMax, heightMax };
    }),

    keepStream: calls.unary(async ({ streamId, ended }, context) => {
      const accountId = accountIdOf(context);
      const slotId = checkId("stream", streamId);
      const nowUnixMs = clock.unixMs();
      if (ended) {
        await transact(store, (transaction) => freeSlot(transaction, { slotId, accountId }));
        return { kept: false, expiresAtUnixMs: 0n };
      }
      const kept = await transact(store, (transaction) => keepSlot(transaction, { slotId, accountId, nowUnixMs }));
      return { kept, expiresAtUnixMs: BigInt(kept ? nowUnixMs + slotLifeMs : 0) };
    }),

    takeProviderEvent: calls.unary(async ({ signature, body }) => {
      const { provider, collector } = withPayments();
      await collector.takeEvent(provider.readWebhook(signature, Buffer.from(body)));
      return {};
    }),

    putPlan: calls.unary(async ({ plan, withdrawn }) => {
      if (!plan) throw new OperatingError("invalid-argument", "Cannot put the plan: it is missing");
      await putPlan(store, plan, { withdrawn });
      return {};
    }),

    putTaxRate: calls.unary(async (rate) => {
      await putTaxRate(store, rate);
      return {};
    }),

    putCoupon: calls.unary(async (coupon) => {
      await putCoupon(store, coupon);
      return {};
    }),

    refund: calls.unary(async (request, context) => {
      const { billing, collector } = withPayments();
      const accountId = checkId("account", request.accountId);
      const invoiceId = checkId("invoice", request.invoiceId);
      const reason = request.reason.slice(0, reasonMax);
      const given = await once(context, { method: "Refund", accountId, request }, (transaction) =>
        billing.refund(transaction, {
          accountId,
          invoiceId,
          amountMinor: request.amountMinor === 0n ? undefined : request.amountMinor,
          reason,
          nowUnixMs: clock.unixMs(),
        }),
      );
      await collector.ask(given);
      const { refundId, amountMinor } = given.value;
      const row = await store.selectFrom("refund").select("status").where("refund_id", "=", refundId).executeTakeFirstOrThrow();
      return { refundId, amountMinor, status: row.status };
    }),

    reconcile: calls.unary(async ({ askProvider }) => {
      const provider = askProvider ? withPayments().provider : undefined;
      const {
        transactions,
        invoices,
        payments: paymentCount,
        asked,
        findings,
      } = await reconcile(store, {
        ...(provider && { provider }),
        nowUnixMs: clock.unixMs(),
      });
      return {
        transactions: BigInt(transactions),
        invoices: BigInt(invoices),
        payments: BigInt(paymentCount),
        asked: BigInt(asked),
        findings,
      };
    }),
  };
}

/** The access rules let only accounts in. */
function accountIdOf({ caller }: CallContext): string {
  if (!caller.account) throw new OperatingError("unauthenticated", "Cannot answer: no account calls");
  return caller.account.accountId;
}

/** The caller's own, or for an operator the one that is named. */
function askedAccountOf(context: CallContext, named: string): string {
  const own = accountIdOf(context);
  if (named === "" || named === own) return own;
  const { roles } = context.caller.account!;
  if (roles.length > 0) return checkId("account", named);
  throw new OperatingError("forbidden", "Cannot answer for another account");
}
