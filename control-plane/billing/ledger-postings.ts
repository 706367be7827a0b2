// What each event of billing means in double entry: postings whose sum is zero. Debits are positive.
import type { Invoice } from "./billing-types.js";

export interface Posting {
  ledgerAccount: string;
  amountMinor: bigint;
}

export interface LedgerTransaction {
  /** What it books, such as "invoice ID": booked once, whoever tries again. */
  reference: string;
  currency: string;
  postings: Posting[];
}

/** Names of ledger accounts. Receivable and credit are per customer, tax per country, cash per payment provider. */
export const ledgerAccounts = {
  receivable: (accountId: string) => `receivable/${accountId}`,
  credit: (accountId: string) => `credit/${accountId}`,
  revenue: () => "revenue",
  tax: (country: string) => `tax/${country}`,
  cash: (provider: string) => `cash/${provider}`,
  badDebt: () => "bad-debt",
} as const;

/** The customer owes what is due; credit that was used is spent, a negative total becomes credit. */
export function bookInvoice(invoice: Invoice, country: string): LedgerTransaction {
  const { accountId, invoiceId, currency, netMinor, taxMinor, totalMinor, dueMinor } = invoice;
  return transaction(`invoice ${invoiceId}`, currency, [
    [ledgerAccounts.receivable(accountId), dueMinor],
    [ledgerAccounts.credit(accountId), totalMinor - dueMinor],
    [ledgerAccounts.revenue(), -netMinor],
    [ledgerAccounts.tax(country), -taxMinor],
  ]);
}

/** The invoice never was: nothing had been given for it. Credit that it used comes back. */
export function bookVoid(invoice: Invoice, country: string): LedgerTransaction {
  const { postings, currency } = bookInvoice(invoice, country);
  return {
    reference: `void ${invoice.invoiceId}`,
    currency,
    postings: postings.map(({ ledgerAccount, amountMinor }) => ({ ledgerAccount, amountMinor: -amountMinor })),
  };
}

export function bookUncollectible({ invoiceId, accountId, currency, dueMinor }: Invoice): LedgerTransaction {
  return transaction(`uncollectible ${invoiceId}`, currency, [
    [ledgerAccounts.badDebt(), dueMinor],
    [ledgerAccounts.receivable(accountId), -dueMinor],
  ]);
}

export function bookPayment(
  { paymentId, accountId, currency, amountMinor }: { paymentId: string; accountId: string; currency: string; amountMinor: bigint },
  provider: string,
): LedgerTransaction {
  return transaction(`payment ${paymentId}`, currency, [
    [ledgerAccounts.cash(provider), amountMinor],
    [ledgerAccounts.receivable(accountId), -amountMinor],
  ]);
}

export function bookRefund(
  { refundId, currency, netMinor, taxMinor }: { refundId: string; currency: string; netMinor: bigint; taxMinor: bigint },
  { provider, country }: { provider: string; country: string },
): LedgerTransaction {
  return transaction(`refund ${refundId}`, currency, [
    [ledgerAccounts.cash(provider), -(netMinor + taxMinor)],
    [ledgerAccounts.revenue(), netMinor],
    [ledgerAccounts.tax(country), taxMinor],
  ]);
}

function transaction(reference: string, currency: string, amounts: [string, bigint][]): LedgerTransaction {
  const postings = amounts.filter(([, amount]) => amount !== 0n).map(([ledgerAccount, amountMinor]) => ({ ledgerAccount, amountMinor }));
  const sum = postings.reduce((total, { amountMinor }) => total + amountMinor, 0n);
  if (sum !== 0n) throw new Error(`The postings of ${reference} sum to ${sum}`);
  return { reference, currency, postings };
}
