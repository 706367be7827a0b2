// Insert or update, in one statement on every database.
import { MysqlAdapter, sql, type Insertable, type Kysely } from "kysely";
import { errnoOf } from "../../runtime/operating-error.js";
import type { Schema } from "./schema.js";

/** Kysely's types of a table that is a type variable are beyond the compiler; the callers' rows are checked against the schema. */
type Untyped = Kysely<Record<string, Record<string, unknown>>>;

export interface UpsertOptions<Table extends keyof Schema> {
  /** The columns of the primary key, or of the table's one unique index. On MySQL a clash in any unique index counts. */
  key: readonly (keyof Schema[Table] & string)[];
  /** The columns that an existing row takes from the new one; all but the key when left out. */
  set?: readonly (keyof Schema[Table] & string)[];
}

/** Inserts `row`; where one with its key is there, updates that instead. */
export async function upsert<Table extends keyof Schema & string>(
  database: Kysely<Schema>,
  table: Table,
  { row, key, set }: { row: Insertable<Schema[Table]> } & UpsertOptions<Table>,
): Promise<void> {
  const columns = set ?? (Object.keys(row) as (keyof Schema[Table] & string)[]).filter((column) => !key.includes(column));
  const untyped = database as unknown as Untyped;
  const insert = untyped.insertInto(table).values(row as never);
  const newValues = (ofColumn: (column: string) => unknown) =>
    Object.fromEntries(columns.map((column) => [column, ofColumn(column)])) as never;
  if (isMysql(database)) {
    await insert.onDuplicateKeyUpdate(newValues((column) => sql`values(${sql.ref(column)})`)).execute();
  } else {
    await insert
      .onConflict((conflict) => conflict.columns(key as never).doUpdateSet(newValues((column) => sql`excluded.${sql.ref(column)}`)))
      .execute();
  }
}

/** Inserts `row` unless its key, or another of its unique columns, is taken. Whether it was inserted. */
export async function insertIfAbsent<Table extends keyof Schema & string>(
  database: Kysely<Schema>,
  table: Table,
  row: Insertable<Schema[Table]>,
): Promise<boolean> {
  try {
    await (database as unknown as Untyped)
      .insertInto(table)
      .values(row as never)
      .execute();
    return true;
  } catch (error) {
    // Both databases undo the statement only; the transaction around it goes on.
    if (isDuplicateKey(error)) return false;
    throw error;
  }
}

/** Whether a statement failed because a row with such a key is there. */
export function isDuplicateKey(error: unknown): boolean {
  const code = errnoOf(error);
  return code === "ER_DUP_ENTRY" || code === "SQLITE_CONSTRAINT_PRIMARYKEY" || code === "SQLITE_CONSTRAINT_UNIQUE";
}

/** Whether the database is MySQL or MariaDB. */
export function isMysql(database: Kysely<Schema>): boolean {
  return database.getExecutor().adapter instanceof MysqlAdapter;
}
