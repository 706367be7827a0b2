// Migration 0001: catalog and fleet.
import type { Kysely, Migration } from "kysely";

/**
 * Column types are written so that SQLite and MySQL both take them. Keys stay under MySQL's 3,072 bytes: a path of 700
 * characters of 4 bytes and a title id of 64.
 */
export const firstTables: Migration = {
  async up(database: Kysely<unknown>): Promise<void> {
    await database.schema
      .createTable("title")
      .addColumn("title_id", "varchar(64)", (column) => column.primaryKey())
      .addColumn("name", "varchar(200)", (column) => column.notNull())
      .addColumn("duration_seconds", "integer", (column) => column.notNull())
      .addColumn("hls_path", "varchar(700)", (column) => column.notNull())
      .addColumn("dash_path", "varchar(700)", (column) => column.notNull())
      .addColumn("size_bytes", "bigint", (column) => column.notNull())
      .addColumn("object_count", "integer", (column) => column.notNull())
      .addColumn("published_at_unix_ms", "bigint", (column) => column.notNull())
      .execute();
    await database.schema.createIndex("title_by_newest").on("title").columns(["published_at_unix_ms", "title_id"]).execute();
    await database.schema
      .createTable("title_object")
      .addColumn("title_id", "varchar(64)", (column) => column.notNull())
      .addColumn("path", "varchar(700)", (column) => column.notNull())
      .addColumn("size_bytes", "bigint", (column) => column.notNull())
      .addColumn("etag", "varchar(130)", (column) => column.notNull())
      .addColumn("chunk_bytes", "integer", (column) => column.notNull())
      .addColumn("position", "integer", (column) => column.notNull())
      .addPrimaryKeyConstraint("title_object_key", ["title_id", "path"])
      .execute();
    await database.schema.createIndex("title_object_by_path").on("title_object").column("path").execute();
    await database.schema
      .createTable("catalog_revision")
      .addColumn("id", "integer", (column) => column.primaryKey())
      .addColumn("revision", "bigint", (column) => column.notNull())
      .execute();
    await database.schema
      .createTable("appliance")
      .addColumn("appliance_id", "varchar(64)", (column) => column.primaryKey())
      .addColumn("identity", "text", (column) => column.notNull())
      .addColumn("registered_at_unix_ms", "bigint", (column) => column.notNull())
      .addColumn("lease_id", "varchar(64)", (column) => column.notNull())
      .addColumn("lease_issued_at_unix_ms", "bigint", (column) => column.notNull())
      .addColumn("lease_expires_at_unix_ms", "bigint", (column) => column.notNull())
      .execute();
  },
};
