// Compares the ledger with the documents and with the provider: what an accountant asks every morning.
import { sql } from "kysely";
import type { Store } from "../store/database.js";
import type { PaymentProvider } from "./payments/payment-provider.js";

/** A payment that is not decided after so long is named. */
const stuckAfterMs = 24 * 3_600_000;
/** Payments and refunds that the provider is asked about, the newest first. */
const askedMax = 10_000;

export interface Finding {
  kind:
    | "transaction-unbalanced"
    | "ledger-unbalanced"
    | "receivable-differs"
    | "credit-differs"
    | "paid-twice"
    | "unpaid-but-paid"
    | "refunded-too-much"
    | "provider-differs"
    | "stuck";
  subject: string;
  expectedMinor: bigint;
  foundMinor: bigint;
}

export interface Reconciliation {
  transactions: number;
  invoices: number;
  payments: number;
  /** Payments and refunds that the provider was asked about. */
  asked: number;
  findings: Finding[];
}

/** @param provider left out: it is not asked. */
export async function reconcile(
  store: Store,
  { provider, nowUnixMs }: { provider?: PaymentProvider; nowUnixMs: number },
): Promise<Reconciliation> {
  const findings: Finding[] = [];
  const differ = (kind: Finding["kind"], subject: string, expectedMinor: bigint, foundMinor: bigint) => {
    if (expectedMinor !== foundMinor) findings.push({ kind, subject, expectedMinor, foundMinor });
  };
  const sums = await store
    .selectFrom("ledger_posting")
    .select(["reference", sql<bigint>`sum(amount_minor)`.as("sum_minor")])
    .groupBy("reference")
    .having(sql`sum(amount_minor)`, "!=", 0)
    .execute();
  for (const { reference, sum_minor: sum } of sums) differ("transaction-unbalanced", reference, 0n, sum);
  const currencies = await store
    .selectFrom("ledger_posting")
    .select(["currency", sql<bigint>`sum(amount_minor)`.as("sum_minor")])
    .groupBy("currency")
    .execute();
  for (const { currency, sum_minor: sum } of currencies) differ("ledger-unbalanced", currency, 0n, sum);

  const balances = new Map<string, bigint>();
  const perCustomer = await store
    .selectFrom("ledger_posting")
    .select(["ledger_account", sql<bigint>`sum(amount_minor)`.as("sum_minor")])
    .where((where) => where.or([where("ledger_account", "like", "receivable/%"), where("ledger_account", "like", "credit/%")]))
    .groupBy("ledger_account")
    .execute();
  for (const { ledger_account: account, sum_minor: sum } of perCustomer) balances.set(account, sum);
  const due = await store
    .selectFrom("invoice")
    .select(["account_id", sql<bigint>`sum(due_minor)`.as("due_minor")])
    .where("status", "=", "open")
    .groupBy("account_id")
    .execute();
  const dueOf = new Map(due.map((row) => [row.account_id, row.due_minor]));
  for (const { account_id: id, credit_minor: credit } of await store
    .selectFrom("billing_account")
    .select(["account_id", "credit_minor"])
    .execute()) {
    differ("receivable-differs", id, dueOf.get(id) ?? 0n, balances.get(`receivable/${id}`) ?? 0n);
    differ("credit-differs", id, -credit, balances.get(`credit/${id}`) ?? 0n);
  }

  const paid = await store
    .selectFrom("invoice")
    .leftJoin("payment", (join) => join.onRef("payment.invoice_id", "=", "invoice.invoice_id").on("payment.status", "=", "succeeded"))
    .select([
      "invoice.invoice_id",
      "invoice.status",
      "invoice.due_minor",
      sql<bigint>`coalesce(sum(payment.amount_minor), 0)`.as("paid_minor"),
    ])
    .groupBy(["invoice.invoice_id", "invoice.status", "invoice.due_minor"])
    .execute();
  for (const { invoice_id: id, status, due_minor: dueMinor, paid_minor: paidMinor } of paid) {
    if (paidMinor > dueMinor) differ("paid-twice", id, dueMinor, paidMinor);
    else differ("unpaid-but-paid", id, status === "paid" ? dueMinor : 0n, paidMinor);
  }
  const refunded = await store
    .selectFrom("refund")
    .innerJoin("payment", "payment.payment_id", "refund.payment_id")
    .select(["payment.payment_id", "payment.amount_minor", sql<bigint>`sum(refund.amount_minor)`.as("refunded_minor")])
    .where("refund.status", "!=", "failed")
    .groupBy(["payment.payment_id", "payment.amount_minor"])
    .execute();
  for (const row of refunded)
    if (row.refunded_minor > row.amount_minor) differ("refunded-too-much", row.payment_id, row.amount_minor, row.refunded_minor);

  const stuck = await store
    .selectFrom("payment")
    .select(["payment_id", "amount_minor"])
    .where("status", "in", ["created", "pending"])
    .where("created_at_unix_ms", "<", nowUnixMs - stuckAfterMs)
    .execute();
  for (const row of stuck) differ("stuck", row.payment_id, row.amount_minor, 0n);

  let asked = 0;
  if (provider) {
    const payments = await store
      .selectFrom("payment")
      .select(["payment_id", "amount_minor", "status"])
      .orderBy("created_at_unix_ms", "desc")
      .limit(askedMax)
      .execute();
    for (const row of payments) {
      const answer = await provider.findPayment(row.payment_id);
      asked++;
      const found = answer?.status === "succeeded" ? answer.amountMinor : 0n;
      // One that is under way with us may be decided there.
      if (row.status === "succeeded" || row.status === "failed")
        differ("provider-differs", row.payment_id, row.status === "succeeded" ? row.amount_minor : 0n, found);
    }
    const refunds = await store
      .selectFrom("refund")
      .select(["refund_id", "amount_minor", "status"])
      .orderBy("created_at_unix_ms", "desc")
      .limit(askedMax)
      .execute();
    for (const row of refunds) {
      const answer = await provider.findRefund(row.refund_id);
      asked++;
      const found = answer?.status === "succeeded" ? answer.amountMinor : 0n;
      if (row.status === "succeeded" || row.status === "failed")
        differ("provider-differs", row.refund_id, row.status === "succeeded" ? row.amount_minor : 0n, found);
    }
  }
  const count = async (table: "ledger_transaction" | "payment") =>
    (
      await store
        .selectFrom(table)
        .select(sql<number>`count(*)`.as("rows"))
        .executeTakeFirstOrThrow()
    ).rows;
  return { transactions: await count("ledger_transaction"), invoices: paid.length, payments: await count("payment"), asked, findings };
}
