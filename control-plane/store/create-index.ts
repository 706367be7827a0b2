// Makes an index in a migration, unless it is there.
import type { Kysely } from "kysely";
import { errnoOf } from "../../runtime/operating-error.js";

export interface IndexOptions {
  columns: readonly string[];
  unique?: boolean;
}

/** MySQL has no "if not exists" for indexes. */
export async function createIndex(database: Kysely<unknown>, on: { table: string; name: string }, options: IndexOptions): Promise<void> {
  const index = database.schema
    .createIndex(on.name)
    .on(on.table)
    .columns([...options.columns]);
  try {
    await (options.unique ? index.unique() : index).execute();
  } catch (error) {
    const isThere = errnoOf(error) === "ER_DUP_KEYNAME" || (error instanceof Error && /^index \S+ already exists$/.test(error.message));
    if (!isThere) throw error;
  }
}
