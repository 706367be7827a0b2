// What time brings: renewals, further attempts to collect, questions to the provider that are still open.
import type { Clock } from "../../runtime/clock.js";
import type { Log } from "../../runtime/log.js";
import { messageOf } from "../../runtime/operating-error.js";
import type { Store } from "../store/database.js";
import { transact } from "../store/transact.js";
import type { Billing, Outstanding } from "./billing.js";
import type { PaymentCollector } from "./payment-collector.js";

/** Rows that are taken at once; a round goes on until nothing is due. */
const batchMax = 200;
/** A round ends after so many batches of one kind, so that one kind can't starve the others. */
const batchesMax = 50;

export interface DueWorkOptions {
  store: Store;
  billing: Billing;
  collector: PaymentCollector;
  clock: Clock;
  log: Log;
}

/** How much a round has done. */
export interface DueWorkDone {
  renewals: number;
  retries: number;
  asked: number;
  failures: number;
}

/** Works off what is due now. Each piece is a transaction of its own; one that fails is logged, and due again next time. */
export async function doDueWork({ store, billing, collector, clock, log }: DueWorkOptions): Promise<DueWorkDone> {
  const done: DueWorkDone = { renewals: 0, retries: 0, asked: 0, failures: 0 };
  const nowUnixMs = clock.unixMs();
  const each = async <Row extends object>(
    read: (offset: number) => Promise<Row[]>,
    act: (row: Row) => Promise<Outstanding | undefined>,
  ) => {
    let failed = 0;
    for (let batch = 0; batch < batchesMax; batch++) {
      // Those that failed stay due: they are passed over in this round.
      const rows = await read(failed);
      for (const row of rows) {
        try {
          await collector.ask((await act(row)) ?? { payments: [], refunds: [] });
        } catch (error) {
          failed++;
          log.error({ due: row, error: messageOf(error) }, "billing could not do what is due");
        }
      }
      if (rows.length < batchMax) break;
    }
    done.failures += failed;
  };
  await each(
    (offset) =>
      store
        .selectFrom("subscription")
        .select(["account_id", "subscription_id"])
        .where("renews_at_unix_ms", "<=", nowUnixMs)
        .orderBy("renews_at_unix_ms")
        .limit(batchMax)
        .offset(offset)
        .execute(),
    async ({ account_id: accountId, subscription_id: subscriptionId }) => {
      const renewed = await transact(store, (transaction) => billing.renew(transaction, { accountId, subscriptionId, nowUnixMs }));
      if (renewed) done.renewals++;
      return renewed;
    },
  );
  await each(
    (offset) =>
      store
        .selectFrom("invoice")
        .select(["account_id", "invoice_id"])
        .where("next_attempt_at_unix_ms", "<=", nowUnixMs)
        .where("status", "=", "open")
        .orderBy("next_attempt_at_unix_ms")
        .limit(batchMax)
        .offset(offset)
        .execute(),
    async ({ account_id: accountId, invoice_id: invoiceId }) => {
      const retried = await transact(store, (transaction) => billing.retry(transaction, { accountId, invoiceId, nowUnixMs }));
      if (retried) done.retries++;
      return retried;
    },
  );
  const ask = async (outstanding: Outstanding) => {
    done.asked += outstanding.payments.length + outstanding.refunds.length;
    await collector.ask(outstanding);
  };
  // Asking moves the time of the next question, so each batch is another one; what is not moved is not asked twice.
  const payments = await store
    .selectFrom("payment")
    .select("payment_id")
    .where("ask_at_unix_ms", "<=", nowUnixMs)
    .limit(batchMax * batchesMax)
    .execute();
  await ask({ payments: payments.map(({ payment_id: id }) => id), refunds: [] });
  const refunds = await store
    .selectFrom("refund")
    .select("refund_id")
    .where("ask_at_unix_ms", "<=", nowUnixMs)
    .limit(batchMax * batchesMax)
    .execute();
  await ask({ payments: [], refunds: refunds.map(({ refund_id: id }) => id) });
  return done;
}
