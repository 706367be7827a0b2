// Migration 0050: heat, the fill plan, what editors say, and misses.
import type { Kysely, Migration } from "kysely";

export const fillPlanTables: Migration = {
  async up(database: Kysely<unknown>): Promise<void> {
    const { schema } = database;
    await schema
      .createTable("heat_cursor")
      .ifNotExists()
      .addColumn("appliance_id", "varchar(64)", (column) => column.primaryKey())
      .addColumn("journal_id", "varchar(64)", (column) => column.notNull())
      .addColumn("sequence", "bigint", (column) => column.notNull())
      .addColumn("applied_at_unix_ms", "bigint", (column) => column.notNull())
      .execute();
    await schema
      .createTable("heat_region")
      .ifNotExists()
      .addColumn("region_id", "varchar(64)", (column) => column.primaryKey())
      .addColumn("heat_ms", "bigint", (column) => column.notNull())
      .addColumn("wall_ms", "bigint", (column) => column.notNull())
      .execute();
    await schema
      .createTable("heat_title")
      .ifNotExists()
      .addColumn("region_id", "varchar(64)", (column) => column.notNull())
      .addColumn("title_id", "varchar(64)", (column) => column.notNull())
      .addColumn("fast_bytes", "double precision", (column) => column.notNull())
      .addColumn("slow_bytes", "double precision", (column) => column.notNull())
      .addColumn("at_ms", "bigint", (column) => column.notNull())
      .addColumn("first_ms", "bigint", (column) => column.notNull())
      .addPrimaryKeyConstraint("heat_title_key", ["region_id", "title_id"])
      .execute();
    await schema
      .createTable("heat_day")
      .ifNotExists()
      .addColumn("region_id", "varchar(64)", (column) => column.notNull())
      .addColumn("unix_day", "integer", (column) => column.notNull())
      .addColumn("bytes", "bigint", (column) => column.notNull())
      .addPrimaryKeyConstraint("heat_day_key", ["region_id", "unix_day"])
      .execute();
    await schema
      .createTable("miss_hour")
      .ifNotExists()
      .addColumn("hour_unix_ms", "bigint", (column) => column.notNull())
      .addColumn("appliance_id", "varchar(64)", (column) => column.notNull())
      .addColumn("title_id", "varchar(64)", (column) => column.notNull())
      .addColumn("bytes_served", "bigint", (column) => column.notNull())
      .addColumn("content_bytes", "bigint", (column) => column.notNull())
      .addColumn("health_bytes", "bigint", (column) => column.notNull())
      .addPrimaryKeyConstraint("miss_hour_key", ["hour_unix_ms", "appliance_id", "title_id"])
      .execute();
    await schema
      .createTable("title_editorial")
      .ifNotExists()
      .addColumn("title_id", "varchar(64)", (column) => column.primaryKey())
      .addColumn("pinned_copies", "integer", (column) => column.notNull())
      .addColumn("expected_plays_per_day", "double precision", (column) => column.notNull())
      .execute();
    await schema
      .createTable("fill_plan")
      .ifNotExists()
      .addColumn("id", "integer", (column) => column.primaryKey())
      .addColumn("generation", "bigint", (column) => column.notNull())
      .addColumn("planned_at_unix_ms", "bigint", (column) => column.notNull())
      .execute();
    await schema
      .createTable("fill_plan_part")
      .ifNotExists()
      .addColumn("cluster_id", "varchar(64)", (column) => column.notNull())
      .addColumn("part", "integer", (column) => column.notNull())
      .addColumn("body", "text", (column) => column.notNull())
      .addPrimaryKeyConstraint("fill_plan_part_key", ["cluster_id", "part"])
      .execute();
  },
};
