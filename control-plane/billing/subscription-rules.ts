// What a subscription becomes by each thing that happens to it: pure, the clock and the ids are given.
import { OperatingError } from "../../runtime/operating-error.js";
import { addMonths, dayMs, dayOfMonth } from "./billing-period.js";
import {
  planIntervals,
  type BillingAccount,
  type Coupon,
  type Invoice,
  type InvoiceLine,
  type Plan,
  type Subscription,
  type TaxRate,
} from "./billing-types.js";
import { unusedPartOf } from "./exact-amounts.js";
import { discountOf, priceInvoice } from "./invoice-pricing.js";

/** What a decision may need beside the subscription. */
export interface Circumstances {
  account: BillingAccount;
  tax: TaxRate | undefined;
  nowUnixMs: number;
  newId: () => string;
}

export interface Decision {
  subscription: Subscription;
  invoice?: Invoice;
}

export interface SubscribeRequest {
  plan: Plan;
  priceMinor: bigint;
  coupon: Coupon | undefined;
}

/** With a trial, once in an account's life, nothing is due before its end; without, the first period is. */
export function startSubscription({ plan, priceMinor, coupon }: SubscribeRequest, circumstances: Circumstances): Decision {
  const { account, nowUnixMs, newId } = circumstances;
  const hasTrial = plan.trialDays > 0 && !account.trialUsed;
  const subscription: Subscription = {
    subscriptionId: newId(),
    accountId: account.accountId,
    planId: plan.planId,
    status: "trialing",
    country: account.country,
    currency: account.currency,
    interval: plan.interval,
    priceMinor,
    coupon,
    couponPeriodsLeft: coupon?.periods ?? 0,
    anchorDay: dayOfMonth(nowUnixMs),
    periodFromUnixMs: nowUnixMs,
    periodToUnixMs: nowUnixMs + plan.trialDays * dayMs,
    charged: undefined,
    cancelAtPeriodEnd: false,
    pausedAtUnixMs: undefined,
    canceledAtUnixMs: undefined,
    paidOnce: false,
  };
  return hasTrial
    ? { subscription }
    : beginPeriod(subscription, { fromUnixMs: nowUnixMs, planName: plan.name, first: true }, circumstances);
}

/**
 * The next period of a subscription whose period is over. One period is charged however long nobody looked: time that was missed
 * (the service was down, a clock jumped) is not charged afterwards.
 */
export function renewSubscription(subscription: Subscription, planName: string, circumstances: Circumstances): Decision {
  const { nowUnixMs } = circumstances;
  if (subscription.cancelAtPeriodEnd) return { subscription: canceled(subscription, nowUnixMs) };
  const { periodToUnixMs, interval, anchorDay, status } = subscription;
  // A trial ends on a day of its own.
  const day = status === "trialing" ? dayOfMonth(periodToUnixMs) : anchorDay;
  const isMissed = addMonths(periodToUnixMs, planIntervals[interval], day) <= nowUnixMs;
  const fromUnixMs = isMissed ? nowUnixMs : periodToUnixMs;
  const anchored = { ...subscription, anchorDay: isMissed ? dayOfMonth(nowUnixMs) : day };
  return beginPeriod(anchored, { fromUnixMs, planName, first: false }, circumstances);
}

/**
 * Another plan from now on. What is left of the charged period is given back, the same time is charged at the new price; what the
 * customer gets back in all becomes credit. Another interval begins a new period now.
 */
export function changePlan(
  subscription: Subscription,
  { plan, priceMinor, oldPlanName }: { plan: Plan; priceMinor: bigint; oldPlanName: string },
  circumstances: Circumstances,
): Decision {
  const { account, tax, nowUnixMs, newId } = circumstances;
  if (subscription.planId === plan.planId)
    throw new OperatingError("plan-same", `Cannot change the plan: the subscription has plan ${plan.planId} already`);
  if (subscription.status !== "trialing" && subscription.status !== "active") throw wrongStatus("change the plan", subscription);
  const changed: Subscription = { ...subscription, planId: plan.planId, priceMinor, interval: plan.interval };
  const { charged } = subscription;
  if (subscription.status === "trialing" || !charged) return { subscription: changed };
  const back: InvoiceLine = {
    kind: "unused",
    description: `Unused time of ${oldPlanName}`,
    amountMinor: -unusedPartOf(charged, nowUnixMs),
    fromUnixMs: nowUnixMs,
    toUnixMs: charged.toUnixMs,
  };
  if (plan.interval !== subscription.interval) {
    const anchored = { ...changed, anchorDay: dayOfMonth(nowUnixMs) };
    return beginPeriod(anchored, { fromUnixMs: nowUnixMs, planName: plan.name, first: false, before: [back] }, circumstances);
  }
  const discount = charged.withCoupon ? discountOf(priceMinor, subscription.coupon, subscription.currency) : 0n;
  const whole = { amountMinor: priceMinor - discount, fromUnixMs: subscription.periodFromUnixMs, toUnixMs: subscription.periodToUnixMs };
  const rest: InvoiceLine = {
    kind: "remaining",
    description: `Remaining time of ${plan.name}`,
    amountMinor: unusedPartOf(whole, nowUnixMs),
    fromUnixMs: nowUnixMs,
    toUnixMs: subscription.periodToUnixMs,
  };
  const invoice = priceInvoice({
    invoiceId: newId(),
    accountId: account.accountId,
    subscriptionId: subscription.subscriptionId,
    currency: subscription.currency,
    lines: [back, rest],
    tax,
    creditMinor: account.creditMinor,
    nowUnixMs,
    first: false,
  });
  return {
    subscription: { ...changed, charged: { ...charged, amountMinor: rest.amountMinor, fromUnixMs: nowUnixMs, toUnixMs: rest.toUnixMs } },
    invoice,
  };
}

/** The time that is left waits until it is resumed. */
export function pauseSubscription(subscription: Subscription, nowUnixMs: number): Subscription {
  if (subscription.status !== "active") throw wrongStatus("pause", subscription);
  return { ...subscription, status: "paused", pausedAtUnixMs: nowUnixMs };
}

export function resumeSubscription(subscription: Subscription, nowUnixMs: number): Subscription {
  if (subscription.status !== "paused") throw wrongStatus("resume", subscription);
  // A clock that went back gives no negative pause.
  const pausedMs = Math.max(0, nowUnixMs - (subscription.pausedAtUnixMs ?? nowUnixMs));
  const { charged } = subscription;
  const periodToUnixMs = subscription.periodToUnixMs + pausedMs;
  return {
    ...subscription,
    status: "active",
    pausedAtUnixMs: undefined,
    periodFromUnixMs: subscription.periodFromUnixMs + pausedMs,
    periodToUnixMs,
    anchorDay: dayOfMonth(periodToUnixMs),
    charged: charged && { ...charged, fromUnixMs: charged.fromUnixMs + pausedMs, toUnixMs: charged.toUnixMs + pausedMs },
  };
}

/** Now, or when what was paid for is over. */
export function cancelSubscription(
  subscription: Subscription,
  { atOnce, nowUnixMs }: { atOnce: boolean; nowUnixMs: number },
): Subscription {
  if (subscription.status === "canceled") throw wrongStatus("cancel", subscription);
  // Nothing that is paid for is left to wait for.
  const endsNow = atOnce || subscription.status === "past_due";
  return endsNow ? canceled(subscription, nowUnixMs) : { ...subscription, cancelAtPeriodEnd: true };
}

/** Takes back a cancellation that has not come into force. */
export function keepSubscription(subscription: Subscription): Subscription {
  if (subscription.status === "canceled") throw wrongStatus("keep", subscription);
  return { ...subscription, cancelAtPeriodEnd: false };
}

/** After one of its invoices was paid, `othersFailed` of its open ones having failed before. */
export function afterPaid(subscription: Subscription, { othersFailed }: { othersFailed: boolean }): Subscription {
  const isCleared = subscription.status === "past_due" && !othersFailed;
  return { ...subscription, status: isCleared ? "active" : subscription.status, paidOnce: true };
}

export type FailedCollection = "try-later" | "give-up";

/** After an attempt to collect one of its invoices failed for the `failedAttempts`-th time. */
export function afterFailed(
  subscription: Subscription,
  { failedAttempts, first, retriesMax, nowUnixMs }: { failedAttempts: number; first: boolean; retriesMax: number; nowUnixMs: number },
): { subscription: Subscription; collection: FailedCollection } {
  if (subscription.status === "canceled") return { subscription, collection: "give-up" };
  if (first || failedAttempts > retriesMax) return { subscription: canceled(subscription, nowUnixMs), collection: "give-up" };
  const status = subscription.status === "paused" ? "paused" : "past_due";
  return { subscription: { ...subscription, status }, collection: "try-later" };
}

/** Whether a title may be played now: while it is paid for, and for as long as a renewal is retried. */
export function mayPlay({ status, paidOnce }: Pick<Subscription, "status" | "paidOnce">): boolean {
  return status === "trialing" || status === "active" || (status === "past_due" && paidOnce);
}

interface PeriodStart {
  fromUnixMs: number;
  planName: string;
  first: boolean;
  /** Lines that come first. */
  before?: InvoiceLine[];
}

function beginPeriod(subscription: Subscription, { fromUnixMs, planName, first, before = [] }: PeriodStart, at: Circumstances): Decision {
  const { priceMinor, coupon, currency, interval, anchorDay } = subscription;
  const toUnixMs = addMonths(fromUnixMs, planIntervals[interval], anchorDay);
  const withCoupon = coupon !== undefined && (coupon.periods === 0 || subscription.couponPeriodsLeft > 0);
  const discount = withCoupon ? discountOf(priceMinor, coupon, currency) : 0n;
  const period: InvoiceLine = { kind: "period", description: planName, amountMinor: priceMinor, fromUnixMs, toUnixMs };
  const off: InvoiceLine = {
    kind: "discount",
    description: `Coupon ${coupon?.couponId ?? ""}`,
    amountMinor: -discount,
    fromUnixMs,
    toUnixMs,
  };
  const invoice = priceInvoice({
    invoiceId: at.newId(),
    accountId: subscription.accountId,
    subscriptionId: subscription.subscriptionId,
    currency,
    lines: [...before, period, ...(discount > 0n ? [off] : [])],
    tax: at.tax,
    creditMinor: at.account.creditMinor,
    nowUnixMs: at.nowUnixMs,
    first,
  });
  const isPaid = invoice.status === "paid";
  return {
    subscription: {
      ...subscription,
      // The first period begins when it is paid for.
      status: first && !isPaid ? "past_due" : "active",
      paidOnce: subscription.paidOnce || isPaid,
      periodFromUnixMs: fromUnixMs,
      periodToUnixMs: toUnixMs,
      charged: { amountMinor: priceMinor - discount, fromUnixMs, toUnixMs, withCoupon },
      couponPeriodsLeft: Math.max(0, subscription.couponPeriodsLeft - 1),
    },
    invoice,
  };
}

function canceled(subscription: Subscription, nowUnixMs: number): Subscription {
  return { ...subscription, status: "canceled", canceledAtUnixMs: nowUnixMs, cancelAtPeriodEnd: false, pausedAtUnixMs: undefined };
}

function wrongStatus(act: string, { status }: Subscription): OperatingError {
  return new OperatingError("subscription-state", `Cannot ${act}: the subscription is ${status}`);
}
