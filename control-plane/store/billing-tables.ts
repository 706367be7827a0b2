// Migration 0020: plans, subscriptions, invoices, payments, and the ledger.
import { sql, type Kysely, type Migration } from "kysely";
import { createIndex } from "./create-index.js";

export const billingTables: Migration = {
  async up(database: Kysely<unknown>): Promise<void> {
    const make = (table: string) => database.schema.createTable(table).ifNotExists();
    await make("plan")
      .addColumn("plan_id", "varchar(64)", (column) => column.primaryKey())
      .addColumn("name", "varchar(200)", (column) => column.notNull())
      .addColumn("period", "varchar(8)", (column) => column.notNull())
      .addColumn("trial_days", "integer", (column) => column.notNull())
      .addColumn("streams_max", "integer", (column) => column.notNull())
      .addColumn("height_max", "integer", (column) => column.notNull())
      .addColumn("offered", "integer", (column) => column.notNull())
      .execute();
    await make("plan_price")
      .addColumn("plan_id", "varchar(64)", (column) => column.notNull())
      .addColumn("country", "varchar(2)", (column) => column.notNull())
      .addColumn("currency", "varchar(3)", (column) => column.notNull())
      .addColumn("amount_minor", "bigint", (column) => column.notNull())
      .addPrimaryKeyConstraint("plan_price_key", ["plan_id", "country", "currency"])
      .execute();
    await make("tax_rate")
      .addColumn("country", "varchar(2)", (column) => column.primaryKey())
      .addColumn("name", "varchar(40)", (column) => column.notNull())
      .addColumn("basis_points", "integer", (column) => column.notNull())
      .addColumn("included", "integer", (column) => column.notNull())
      .execute();
    await make("coupon")
      .addColumn("coupon_id", "varchar(64)", (column) => column.primaryKey())
      .addColumn("basis_points_off", "integer", (column) => column.notNull())
      .addColumn("amount_off_minor", "bigint", (column) => column.notNull())
      .addColumn("currency", "varchar(3)", (column) => column.notNull())
      .addColumn("periods", "integer", (column) => column.notNull())
      .addColumn("redeem_until_unix_ms", "bigint")
      .addColumn("redemptions_max", "integer")
      .addColumn("redemptions", "integer", (column) => column.notNull())
      .execute();
    await make("billing_account")
      .addColumn("account_id", "varchar(64)", (column) => column.primaryKey())
      .addColumn("country", "varchar(2)", (column) => column.notNull())
      .addColumn("currency", "varchar(3)", (column) => column.notNull())
      .addColumn("payment_method", "varchar(200)")
      .addColumn("trial_used", "integer", (column) => column.notNull())
      .addColumn("credit_minor", "bigint", (column) => column.notNull())
      .addColumn("version", "bigint", (column) => column.notNull())
      .execute();
    await make("subscription")
      .addColumn("subscription_id", "varchar(64)", (column) => column.primaryKey())
      .addColumn("account_id", "varchar(64)", (column) => column.notNull())
      // The account while the subscription is not canceled, else null: an account has at most one.
      .addColumn("open_account_id", "varchar(64)")
      .addColumn("status", "varchar(16)", (column) => column.notNull())
      .addColumn("plan_id", "varchar(64)", (column) => column.notNull())
      // When a renewal is due; null while none can be.
      .addColumn("renews_at_unix_ms", "bigint")
      .addColumn("created_at_unix_ms", "bigint", (column) => column.notNull())
      // The whole of it as JSON: what no query looks for.
      .addColumn("state", sql`longtext`, (column) => column.notNull())
      .execute();
    await createIndex(database, { table: "subscription", name: "subscription_open" }, { columns: ["open_account_id"], unique: true });
    await createIndex(
      database,
      { table: "subscription", name: "subscription_by_account" },
      { columns: ["account_id", "created_at_unix_ms"] },
    );
    await createIndex(database, { table: "subscription", name: "subscription_by_renewal" }, { columns: ["renews_at_unix_ms"] });
    await make("invoice")
      .addColumn("invoice_id", "varchar(64)", (column) => column.primaryKey())
      .addColumn("account_id", "varchar(64)", (column) => column.notNull())
      .addColumn("subscription_id", "varchar(64)", (column) => column.notNull())
      .addColumn("status", "varchar(16)", (column) => column.notNull())
      .addColumn("currency", "varchar(3)", (column) => column.notNull())
      .addColumn("net_minor", "bigint", (column) => column.notNull())
      .addColumn("tax_name", "varchar(40)", (column) => column.notNull())
      .addColumn("tax_minor", "bigint", (column) => column.notNull())
      .addColumn("total_minor", "bigint", (column) => column.notNull())
      .addColumn("credit_used_minor", "bigint", (column) => column.notNull())
      .addColumn("due_minor", "bigint", (column) => column.notNull())
      .addColumn("failed_attempts", "integer", (column) => column.notNull())
      .addColumn("next_attempt_at_unix_ms", "bigint")
      .addColumn("first", "integer", (column) => column.notNull())
      .addColumn("created_at_unix_ms", "bigint", (column) => column.notNull())
      // JSON.
      .addColumn("lines", sql`longtext`, (column) => column.notNull())
      .execute();
    await createIndex(database, { table: "invoice", name: "invoice_by_account" }, { columns: ["account_id", "created_at_unix_ms"] });
    await createIndex(database, { table: "invoice", name: "invoice_by_attempt" }, { columns: ["next_attempt_at_unix_ms"] });
    await make("payment")
      .addColumn("payment_id", "varchar(64)", (column) => column.primaryKey())
      .addColumn("account_id", "varchar(64)", (column) => column.notNull())
      .addColumn("invoice_id", "varchar(64)", (column) => column.notNull())
      .addColumn("currency", "varchar(3)", (column) => column.notNull())
      .addColumn("amount_minor", "bigint", (column) => column.notNull())
      .addColumn("payment_method", "varchar(200)", (column) => column.notNull())
      .addColumn("provider_payment_id", "varchar(200)")
      .addColumn("status", "varchar(16)", (column) => column.notNull())
      .addColumn("decline_code", "varchar(64)")
      .addColumn("created_at_unix_ms", "bigint", (column) => column.notNull())
      // When the provider is asked again; null when there is nothing to ask.
      .addColumn("ask_at_unix_ms", "bigint")
      .execute();
    await createIndex(database, { table: "payment", name: "payment_by_invoice" }, { columns: ["invoice_id"] });
    await createIndex(database, { table: "payment", name: "payment_by_asking" }, { columns: ["ask_at_unix_ms"] });
    await make("refund")
      .addColumn("refund_id", "varchar(64)", (column) => column.primaryKey())
      .addColumn("account_id", "varchar(64)", (column) => column.notNull())
      .addColumn("payment_id", "varchar(64)", (column) => column.notNull())
      .addColumn("invoice_id", "varchar(64)", (column) => column.notNull())
      .addColumn("currency", "varchar(3)", (column) => column.notNull())
      .addColumn("amount_minor", "bigint", (column) => column.notNull())
      .addColumn("reason", "varchar(200)", (column) => column.notNull())
      .addColumn("provider_refund_id", "varchar(200)")
      .addColumn("status", "varchar(16)", (column) => column.notNull())
      .addColumn("created_at_unix_ms", "bigint", (column) => column.notNull())
      .addColumn("ask_at_unix_ms", "bigint")
      .execute();
    await createIndex(database, { table: "refund", name: "refund_by_invoice" }, { columns: ["invoice_id"] });
    await createIndex(database, { table: "refund", name: "refund_by_asking" }, { columns: ["ask_at_unix_ms"] });
    await make("ledger_transaction")
      .addColumn("reference", "varchar(100)", (column) => column.primaryKey())
      .addColumn("currency", "varchar(3)", (column) => column.notNull())
      .addColumn("booked_at_unix_ms", "bigint", (column) => column.notNull())
      .execute();
    await make("ledger_posting")
      .addColumn("reference", "varchar(100)", (column) => column.notNull())
      .addColumn("ledger_account", "varchar(100)", (column) => column.notNull())
      .addColumn("currency", "varchar(3)", (column) => column.notNull())
      .addColumn("amount_minor", "bigint", (column) => column.notNull())
      .addPrimaryKeyConstraint("ledger_posting_key", ["reference", "ledger_account"])
      .execute();
    await createIndex(
      database,
      { table: "ledger_posting", name: "ledger_posting_by_account" },
      { columns: ["ledger_account", "currency"] },
    );
    await make("provider_event")
      .addColumn("event_id", "varchar(200)", (column) => column.primaryKey())
      .addColumn("received_at_unix_ms", "bigint", (column) => column.notNull())
      .execute();
    await make("stream_slot")
      .addColumn("slot_id", "varchar(64)", (column) => column.primaryKey())
      .addColumn("account_id", "varchar(64)", (column) => column.notNull())
      .addColumn("title_id", "varchar(64)", (column) => column.notNull())
      .addColumn("started_at_unix_ms", "bigint", (column) => column.notNull())
      .addColumn("expires_at_unix_ms", "bigint", (column) => column.notNull())
      .execute();
    await createIndex(
      database,
      { table: "stream_slot", name: "stream_slot_by_account" },
      { columns: ["account_id", "expires_at_unix_ms"] },
    );
  },
};
