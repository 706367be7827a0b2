// From lines to an invoice: tax, credit, what is due.
import { scaleAmount } from "./exact-amounts.js";
import type { Coupon, Invoice, InvoiceLine, TaxRate } from "./billing-types.js";

const wholeBasisPoints = 10_000n;

/** What the coupon takes off a period's price: at most the price. */
export function discountOf(priceMinor: bigint, coupon: Coupon | undefined, currency: string): bigint {
  if (!coupon) return 0n;
  const off =
    coupon.basisPointsOff > 0
      ? scaleAmount(priceMinor, BigInt(coupon.basisPointsOff), wholeBasisPoints)
      : coupon.currency === currency
        ? coupon.amountOffMinor
        : 0n;
  return off > priceMinor ? priceMinor : off;
}

export interface NewInvoice {
  invoiceId: string;
  accountId: string;
  subscriptionId: string;
  currency: string;
  lines: InvoiceLine[];
  tax: TaxRate | undefined;
  /** The customer's credit; it is used as far as the total goes. */
  creditMinor: bigint;
  nowUnixMs: number;
  first: boolean;
}

/** The invoice with its sums. Paid at once when nothing is due. */
export function priceInvoice({ lines, tax, creditMinor, nowUnixMs, ...rest }: NewInvoice): Invoice {
  const sum = lines.reduce((total, { amountMinor }) => total + amountMinor, 0n);
  const rate = BigInt(tax?.basisPoints ?? 0);
  // Prices with tax in them are cut so that net and tax add up to what was advertised.
  const netMinor = tax?.included ? scaleAmount(sum, wholeBasisPoints, wholeBasisPoints + rate) : sum;
  const taxMinor = tax?.included ? sum - netMinor : scaleAmount(sum, rate, wholeBasisPoints);
  const totalMinor = netMinor + taxMinor;
  const creditUsedMinor = totalMinor <= 0n ? 0n : creditMinor < totalMinor ? creditMinor : totalMinor;
  const dueMinor = totalMinor <= 0n ? 0n : totalMinor - creditUsedMinor;
  return {
    ...rest,
    lines,
    netMinor,
    taxName: tax?.name ?? "",
    taxMinor,
    totalMinor,
    creditUsedMinor,
    dueMinor,
    status: dueMinor === 0n ? "paid" : "open",
    createdAtUnixMs: nowUnixMs,
    failedAttempts: 0,
    nextAttemptAtUnixMs: undefined,
  };
}

/** The parts of `refundMinor` that are net and tax, such that the refunds of a whole invoice give back exactly its net and its tax. */
export function splitRefund(
  { netMinor, taxMinor }: Pick<Invoice, "netMinor" | "taxMinor">,
  { refundedBeforeMinor, refundMinor }: { refundedBeforeMinor: bigint; refundMinor: bigint },
): { netMinor: bigint; taxMinor: bigint } {
  const total = netMinor + taxMinor;
  const taxOf = (minor: bigint) => scaleAmount(taxMinor, minor, total);
  const tax = taxOf(refundedBeforeMinor + refundMinor) - taxOf(refundedBeforeMinor);
  return { netMinor: refundMinor - tax, taxMinor: tax };
}
