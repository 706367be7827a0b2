// Migration 0041: what operators have ordered of appliances.
import type { Kysely, Migration } from "kysely";

export const operationTables: Migration = {
  async up(database: Kysely<unknown>): Promise<void> {
    await database.schema
      .createTable("appliance_order")
      .ifNotExists()
      .addColumn("appliance_id", "varchar(64)", (column) => column.primaryKey())
      .addColumn("drain_reason", "varchar(200)", (column) => column.notNull())
      .addColumn("turned_up_at_unix_ms", "bigint", (column) => column.notNull())
      .execute();
    await database.schema
      .createTable("maintenance")
      .ifNotExists()
      .addColumn("maintenance_id", "varchar(64)", (column) => column.primaryKey())
      .addColumn("appliance_id", "varchar(64)", (column) => column.notNull())
      .addColumn("site_id", "varchar(64)", (column) => column.notNull())
      .addColumn("from_unix_ms", "bigint", (column) => column.notNull())
      .addColumn("until_unix_ms", "bigint", (column) => column.notNull())
      .addColumn("reason", "varchar(200)", (column) => column.notNull())
      .execute();
  },
};
