// Opens the database that a URL names and brings its tables up to date.
import { Kysely, Migrator, type Dialect, type KyselyPlugin } from "kysely";
import { messageOf, OperatingError } from "../../runtime/operating-error.js";
import { ExactNumbers } from "./exact-numbers.js";
import { migrations } from "./migrations.js";
import { openMysqlDialect } from "./mysql-dialect.js";
import { redactedUrl } from "./redacted-url.js";
import type { Schema } from "./schema.js";
import { openSqliteDialect } from "./sqlite-dialect.js";
import { isDuplicateKey } from "./upsert.js";

const migrationTriesMax = 5;

/** Reads, and writes of one statement. What must happen together, or after a look, is done by `transact`. */
export type Store = Kysely<Schema>;

/**
 * The database at `url`, migrated. "sqlite:PATH" is a file; "mysql://user:password@host:port/database" a MySQL or MariaDB
 * server, which has the (empty) database already.
 *
 * @throws OperatingError "database-unsupported" or "database-unusable".
 */
export async function openStore(url: string): Promise<Store> {
  const { dialect, plugins } = await openDialect(url);
  const store: Store = new Kysely<Schema>({ dialect, plugins: [new ExactNumbers(), ...plugins] });
  // Services number their migrations in ranges of their own (see migrations.ts), so a new one may stand before an old one.
  const migrator = new Migrator({
    db: store,
    provider: { getMigrations: () => Promise.resolve(migrations) },
    allowUnorderedMigrations: true,
  });
  let error: unknown;
  // A SQLite file has no lock for migrations: of two processes that start on a new one, the later sees the other's tables at its next try.
  for (let tryNumber = 1; tryNumber <= migrationTriesMax; tryNumber++) {
    ({ error } = await migrator.migrateToLatest().catch((error: unknown) => ({ error })));
    if (!isDuplicateKey(error)) break;
  }
  if (error !== undefined) {
    await store.destroy();
    throw new OperatingError("database-unusable", `Cannot bring database ${redactedUrl(url)} up to date: ${messageOf(error)}`, {
      source: redactedUrl(url),
      cause: error,
    });
  }
  return store;
}

/** Whether `url` is one that `openStore` may open. */
export function isStoreUrl(url: string): boolean {
  return /^sqlite:.+$/.test(url) || (/^mysql:\/\/./.test(url) && URL.canParse(url) && /^\/[\w$%-]+$/.test(new URL(url).pathname));
}

/** The seam for other databases: everything else speaks to Kysely. */
async function openDialect(url: string): Promise<{ dialect: Dialect; plugins: KyselyPlugin[] }> {
  if (!isStoreUrl(url)) {
    throw new OperatingError(
      "database-unsupported",
      `Cannot open database ${redactedUrl(url)}: Expected a URL such as sqlite:./var/control-plane.db or mysql://user:password@host:3306/millrace`,
      { source: redactedUrl(url) },
    );
  }
  if (url.startsWith("mysql:")) return await openMysqlDialect(url);
  return { dialect: openSqliteDialect(url.slice("sqlite:".length)), plugins: [] };
}
