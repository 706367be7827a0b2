// Migration 0040: the keys of tokens, and the sessions that were revoked.
import type { Kysely, Migration } from "kysely";

export const tokenKeyTables: Migration = {
  async up(database: Kysely<unknown>): Promise<void> {
    await database.schema
      .createTable("token_key")
      .ifNotExists()
      .addColumn("key_id", "varchar(64)", (column) => column.primaryKey())
      .addColumn("secret", "varchar(64)", (column) => column.notNull())
      .addColumn("signs_from_unix_ms", "bigint", (column) => column.notNull())
      .addColumn("until_unix_ms", "bigint", (column) => column.notNull())
      .execute();
    await database.schema
      .createTable("revoked_session")
      .ifNotExists()
      .addColumn("session", "varchar(200)", (column) => column.primaryKey())
      .addColumn("until_unix_ms", "bigint", (column) => column.notNull())
      .execute();
  },
};
