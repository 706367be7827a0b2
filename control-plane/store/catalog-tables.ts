// Migration 0030: what titles are: kinds, names, ages, windows, encodes.
import { sql, type Kysely, type Migration } from "kysely";
import { createIndex } from "./create-index.js";

interface TitleDetailsTable {
  title_id: string;
  /** The number of TitleKind in the protocol: parents come before their children. */
  kind: number;
  /** Empty where it has none. */
  parent_id: string;
  number: number;
  name: string;
  /** Of the last change, counted in details_revision. */
  revision: number;
  /** 1 when a person wrote it: then the name that ingest found does not replace this one. */
  edited: number;
  /** JSON of what people wrote. */
  body: string;
  /** JSON of what ingest found; empty before. */
  media: string;
}

/** One row, which is always there: counts the changes of details. */
interface DetailsRevisionTable {
  id: number;
  revision: number;
}

export interface CatalogTables {
  details_revision: DetailsRevisionTable;
  title_details: TitleDetailsTable;
}

export const catalogTables: Migration = {
  async up(database: Kysely<unknown>): Promise<void> {
    await database.schema
      .createTable("title_details")
      .ifNotExists()
      .addColumn("title_id", "varchar(64)", (column) => column.primaryKey())
      .addColumn("kind", "integer", (column) => column.notNull())
      .addColumn("parent_id", "varchar(64)", (column) => column.notNull())
      .addColumn("number", "integer", (column) => column.notNull())
      .addColumn("name", "varchar(200)", (column) => column.notNull())
      .addColumn("revision", "bigint", (column) => column.notNull())
      .addColumn("edited", "integer", (column) => column.notNull())
      .addColumn("body", sql`longtext`, (column) => column.notNull())
      .addColumn("media", sql`longtext`, (column) => column.notNull())
      .execute();
    await createIndex(database, { table: "title_details", name: "title_details_by_kind" }, { columns: ["kind", "title_id"] });
    await createIndex(
      database,
      { table: "title_details", name: "title_details_by_parent" },
      { columns: ["parent_id", "number", "title_id"] },
    );
    await createIndex(database, { table: "title_details", name: "title_details_by_revision" }, { columns: ["revision", "title_id"] });
    // Titles that were published before are films of which only the name is known.
    await sql`
      insert into title_details (title_id, kind, parent_id, number, name, revision, edited, body, media)
      select title_id, 1, '', 0, name, 0, 0, '{}', '' from title
      where title_id not in (select title_id from title_details)`.execute(database);
    await database.schema
      .createTable("details_revision")
      .ifNotExists()
      .addColumn("id", "integer", (column) => column.primaryKey())
      .addColumn("revision", "bigint", (column) => column.notNull())
      .execute();
    await sql`
      insert into details_revision (id, revision)
      select 1, 0 from (select 1 as one) as one_row where not exists (select * from details_revision)`.execute(database);
  },
};
