// SQLite in a file, by libsql: the store that needs no server.
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { SqliteDialect, type Dialect, type SqliteDatabase } from "kysely";
import Database from "libsql";
import { messageOf, OperatingError } from "../../runtime/operating-error.js";

/** How long a write waits for another process's. The thread waits with it, so it is short. */
const busyTimeoutMs = 2000;

/**
 * Opens or makes the database file at `path`, in WAL mode. Every commit is synced to the disk before it returns
 * (synchronous=FULL; NORMAL would lose the last commits with the power).
 *
 * @throws OperatingError "database-unusable".
 */
export function openSqliteDialect(path: string): Dialect {
  try {
    mkdirSync(dirname(path), { recursive: true });
    const database = new Database(path);
    database.pragma(`busy_timeout = ${busyTimeoutMs}`);
    database.pragma("journal_mode = WAL");
    database.pragma("synchronous = FULL");
    return new SqliteDialect({ database: database as unknown as SqliteDatabase });
  } catch (error) {
    throw new OperatingError("database-unusable", `Cannot open database ${path}: ${messageOf(error)}`, { source: path, cause: error });
  }
}
