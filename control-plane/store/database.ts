// Opens the database that a URL names and brings its tables up to date.
import { Kysely, Migrator, type Dialect } from "kysely";
import { messageOf, OperatingError } from "../../runtime/operating-error.js";
import { fillPlanTables } from "./fill-plan-tables.js";
import { firstTables } from "./first-tables.js";
import type { Schema } from "./schema.js";
import { openSqliteDialect } from "./sqlite-dialect.js";

export type Store = Kysely<Schema>;

/** In the order in which they run. A migration that has been released never changes. */
const migrations = { "0001-first-tables": firstTables, "0050-fill-plan": fillPlanTables };

/**
 * The database at `url`, migrated. "sqlite:PATH" is a file.
 *
 * @throws OperatingError "database-unsupported" or "database-unusable".
 */
export async function openStore(url: string): Promise<Store> {
  const store: Store = new Kysely<Schema>({ dialect: openDialect(url) });
  const migrator = new Migrator({ db: store, provider: { getMigrations: () => Promise.resolve(migrations) } });
  const { error } = await migrator.migrateToLatest().catch((error: unknown) => ({ error }));
  if (error !== undefined) {
    await store.destroy();
    throw new OperatingError("database-unusable", `Cannot bring database ${url} up to date: ${messageOf(error)}`, {
      source: url,
      cause: error,
    });
  }
  return store;
}

/** The seam for other databases: everything else speaks to Kysely. */
function openDialect(url: string): Dialect {
  const match = /^sqlite:(.+)$/.exec(url);
  if (match) return openSqliteDialect(match[1]!);
  throw new OperatingError("database-unsupported", `Cannot open database ${url}: Expected a URL such as sqlite:./var/control-plane.db`, {
    source: url,
  });
}
