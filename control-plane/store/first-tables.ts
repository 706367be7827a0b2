// Migration 0001: catalog and fleet.
import type { Kysely, Migration } from "kysely";
import { createIndex } from "./create-index.js";

/**
 * Column types are written so that SQLite and MySQL both take them. Keys stay under MySQL's 3,072 bytes: a path of 700
 * characters of 4 bytes and a title id of 64.
 */
export const firstTables: Migration = {
  async up(database: Kysely<unknown>): Promise<void> {
    await database.schema
      .createTable("title")
      .ifNotExists()
      .addColumn("title_id", "varchar(64)", (column) => column.primaryKey())
      .addColumn("name", "varchar(200)", (column) => column.notNull())
      .addColumn("duration_seconds", "integer", (column) => column.notNull())
      .addColumn("hls_path", "varchar(700)", (column) => column.notNull())
      .addColumn("dash_path", "varchar(700)", (column) => column.notNull())
      .addColumn("size_bytes", "bigint", (column) => column.notNull())
      .addColumn("object_count", "integer", (column) => column.notNull())
      .addColumn("published_at_unix_ms", "bigint", (column) => column.notNull())
      .execute();
    await createIndex(database, { table: "title", name: "title_by_newest" }, { columns: ["published_at_unix_ms", "title_id"] });
    await database.schema
      .createTable("title_object")
      .ifNotExists()
      .addColumn("title_id", "varchar(64)", (column) => column.notNull())
      .addColumn("path", "varchar(700)", (column) => column.notNull())
      .addColumn("size_bytes", "bigint", (column) => column.notNull())
      .addColumn("etag", "varchar(130)", (column) => column.notNull())
      .addColumn("chunk_bytes", "integer", (column) => column.notNull())
      .addColumn("position", "integer", (column) => column.notNull())
      .addPrimaryKeyConstraint("title_object_key", ["title_id", "path"])
      .execute();
    await createIndex(database, { table: "title_object", name: "title_object_by_path" }, { columns: ["path"] });
    await database.schema
      .createTable("catalog_revision")
      .ifNotExists()
      .addColumn("id", "integer", (column) => column.primaryKey())
      .addColumn("revision", "bigint", (column) => column.notNull())
      .execute();
    await database.schema
      .createTable("appliance")
      .ifNotExists()
      .addColumn("appliance_id", "varchar(64)", (column) => column.primaryKey())
      .addColumn("identity", "text", (column) => column.notNull())
      .addColumn("registered_at_unix_ms", "bigint", (column) => column.notNull())
      .addColumn("lease_id", "varchar(64)", (column) => column.notNull())
      .addColumn("lease_issued_at_unix_ms", "bigint", (column) => column.notNull())
      .addColumn("lease_expires_at_unix_ms", "bigint", (column) => column.notNull())
      .execute();
  },
};
