// What billing speaks of: plans, subscriptions, invoices, payments. Amounts are whole minor units (cents) as bigint; moments are Unix milliseconds.

export const subscriptionStatuses = ["trialing", "active", "past_due", "paused", "canceled"] as const;
export type SubscriptionStatus = (typeof subscriptionStatuses)[number];

/** Months in one billing period. */
export const planIntervals = { month: 1, year: 12 } as const;
export type PlanInterval = keyof typeof planIntervals;

export interface Plan {
  planId: string;
  name: string;
  interval: PlanInterval;
  trialDays: number;
  /** Streams at once. */
  streamsMax: number;
  /** Lines of the best picture that the plan includes, such as 1080. */
  heightMax: number;
}

export interface PlanPrice {
  planId: string;
  /** ISO 3166-1 alpha-2. */
  country: string;
  /** ISO 4217. */
  currency: string;
  amountMinor: bigint;
}

export interface TaxRate {
  country: string;
  /** Such as "VAT". */
  name: string;
  /** Hundredths of a percent: 1900 is 19 %. */
  basisPoints: number;
  /** Whether prices of the country contain it. */
  included: boolean;
}

export interface Coupon {
  couponId: string;
  /** Hundredths of a percent off; 0 when the coupon takes an amount off. */
  basisPointsOff: number;
  /** Off each period's price, never below 0; 0 when it takes a part off. */
  amountOffMinor: bigint;
  /** Of `amountOffMinor`; empty when it takes a part off. */
  currency: string;
  /** Periods that it holds for; 0 means all. */
  periods: number;
}

/** How long and for how much one period was charged: what a change of plan in the middle of it gives back. */
export interface ChargedSpan {
  /** Line amount: before tax where tax comes on top, with it where prices contain it. */
  amountMinor: bigint;
  fromUnixMs: number;
  toUnixMs: number;
  /** Whether the coupon was taken off. */
  withCoupon: boolean;
}

export interface Subscription {
  subscriptionId: string;
  accountId: string;
  planId: string;
  status: SubscriptionStatus;
  country: string;
  currency: string;
  interval: PlanInterval;
  /** The plan's price when it was taken; a later price is for later subscribers. */
  priceMinor: bigint;
  coupon: Coupon | undefined;
  /** Periods that the coupon still holds for; 0 with a coupon of all periods. */
  couponPeriodsLeft: number;
  /** The day of the month on which periods begin, 1 to 31; shorter months begin on their last day. */
  anchorDay: number;
  periodFromUnixMs: number;
  periodToUnixMs: number;
  charged: ChargedSpan | undefined;
  cancelAtPeriodEnd: boolean;
  pausedAtUnixMs: number | undefined;
  canceledAtUnixMs: number | undefined;
  /** Whether a period was ever paid for: before it, an unpaid invoice gives no right to play. */
  paidOnce: boolean;
}

export interface InvoiceLine {
  kind: "period" | "discount" | "unused" | "remaining";
  description: string;
  amountMinor: bigint;
  fromUnixMs: number;
  toUnixMs: number;
}

export const invoiceStatuses = ["open", "paid", "void", "uncollectible"] as const;
export type InvoiceStatus = (typeof invoiceStatuses)[number];

export interface Invoice {
  invoiceId: string;
  accountId: string;
  subscriptionId: string;
  currency: string;
  lines: InvoiceLine[];
  netMinor: bigint;
  taxName: string;
  taxMinor: bigint;
  /** `netMinor + taxMinor`; negative where more is given back than charged. */
  totalMinor: bigint;
  /** Of the customer's credit. */
  creditUsedMinor: bigint;
  /** What payments must bring: `totalMinor - creditUsedMinor`, 0 for a negative total. */
  dueMinor: bigint;
  status: InvoiceStatus;
  createdAtUnixMs: number;
  /** Attempts to collect that failed. */
  failedAttempts: number;
  /** When the next attempt is made; undefined when one is under way, or none is wanted. */
  nextAttemptAtUnixMs: number | undefined;
  /** It pays for the start of a subscription without trial: when it can't be collected there is no subscription. */
  first: boolean;
}

/** created: to be asked of the provider, perhaps asked already; pending: the provider has it and does not know yet. */
export const paymentStatuses = ["created", "pending", "succeeded", "failed"] as const;
export type PaymentStatus = (typeof paymentStatuses)[number];

export interface Payment {
  /** Also the provider's idempotency key. */
  paymentId: string;
  accountId: string;
  invoiceId: string;
  currency: string;
  amountMinor: bigint;
  paymentMethod: string;
  providerPaymentId: string | undefined;
  status: PaymentStatus;
  declineCode: string | undefined;
  createdAtUnixMs: number;
}

export interface Refund {
  /** Also the provider's idempotency key. */
  refundId: string;
  accountId: string;
  paymentId: string;
  invoiceId: string;
  currency: string;
  amountMinor: bigint;
  reason: string;
  providerRefundId: string | undefined;
  status: PaymentStatus;
  createdAtUnixMs: number;
}

export interface BillingAccount {
  accountId: string;
  country: string;
  currency: string;
  /** The provider's token of a card or the like; undefined before one is given. */
  paymentMethod: string | undefined;
  trialUsed: boolean;
  /** What later invoices are paid from first. */
  creditMinor: bigint;
}

export function isInFlight({ status }: Pick<Payment, "status">): boolean {
  return status === "created" || status === "pending";
}
