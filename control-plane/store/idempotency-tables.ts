// Migration 0002: idempotency keys.
import { sql, type Kysely, type Migration } from "kysely";
import { createIndex } from "./create-index.js";

export const idempotencyTables: Migration = {
  async up(database: Kysely<unknown>): Promise<void> {
    await database.schema
      .createTable("idempotency_key")
      .ifNotExists()
      .addColumn("scope", "varchar(200)", (column) => column.notNull())
      .addColumn("idempotency_key", "varchar(128)", (column) => column.notNull())
      .addColumn("request_hash", "varchar(64)", (column) => column.notNull())
      .addColumn("answer", sql`longtext`, (column) => column.notNull())
      .addColumn("created_at_unix_ms", "bigint", (column) => column.notNull())
      .addPrimaryKeyConstraint("idempotency_key_key", ["scope", "idempotency_key"])
      .execute();
    await createIndex(database, { table: "idempotency_key", name: "idempotency_key_by_age" }, { columns: ["created_at_unix_ms"] });
  },
};
