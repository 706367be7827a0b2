// The records of billing as messages of its protocol.
import type { Invoice as InvoiceMessage, Subscription as SubscriptionMessage } from "../protocol/generated/millrace/billing/v1/billing.js";
import type { Invoice, Subscription } from "./billing-types.js";

export function subscriptionMessage(subscription: Subscription): SubscriptionMessage {
  const { subscriptionId, planId, status, priceMinor, currency, periodFromUnixMs, periodToUnixMs, cancelAtPeriodEnd, coupon } =
    subscription;
  return {
    subscriptionId,
    planId,
    status,
    priceMinor,
    currency,
    periodFromUnixMs: BigInt(periodFromUnixMs),
    periodToUnixMs: BigInt(periodToUnixMs),
    cancelAtPeriodEnd,
    couponId: coupon?.couponId ?? "",
  };
}

export function invoiceMessage(invoice: Invoice): InvoiceMessage {
  const { invoiceId, status, currency, lines, netMinor, taxName, taxMinor, totalMinor, creditUsedMinor, dueMinor, createdAtUnixMs } =
    invoice;
  return {
    invoiceId,
    status,
    currency,
    lines: lines.map(({ kind, description, amountMinor, fromUnixMs, toUnixMs }) => ({
      kind,
      description,
      amountMinor,
      fromUnixMs: BigInt(fromUnixMs),
      toUnixMs: BigInt(toUnixMs),
    })),
    netMinor,
    taxName,
    taxMinor,
    totalMinor,
    creditUsedMinor,
    dueMinor,
    createdAtUnixMs: BigInt(createdAtUnixMs),
  };
}
