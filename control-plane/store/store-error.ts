// Translates the errors of database drivers.
import { errnoOf, messageOf, OperatingError } from "../../runtime/operating-error.js";

/** Busy, locked, full, I/O error, read-only, cannot open, corrupt: https://sqlite.org/rescode.html */
const sqliteInNeed = /^SQLITE_(BUSY|LOCKED|FULL|IOERR|READONLY|CANTOPEN|CORRUPT|NOTADB)/;
/** Full, stopping, too many connections, read-only since a failover, locked out by a changed password, killed. */
const mysqlInNeed =
  /^ER_(LOCK_WAIT_TIMEOUT|LOCK_DEADLOCK|CHECKREAD|CON_COUNT_ERROR|TOO_MANY_USER_CONNECTIONS|SERVER_SHUTDOWN|NORMAL_SHUTDOWN|CONNECTION_KILLED|QUERY_INTERRUPTED|OPTION_PREVENTS_STATEMENT|DISK_FULL|RECORD_FILE_FULL|ERROR_ON_WRITE|OUT_OF_RESOURCES|ACCESS_DENIED_ERROR|DBACCESS_DENIED_ERROR|STATEMENT_TIMEOUT)$/;
const connectionLost =
  /^(E(CONNREFUSED|CONNRESET|TIMEDOUT|PIPE|NOTFOUND|AI_AGAIN|HOSTUNREACH|NETUNREACH|NOENT)|PROTOCOL_(CONNECTION_LOST|SEQUENCE_TIMEOUT|ENQUEUE_AFTER_FATAL_ERROR)|ER_(SERVER_SHUTDOWN|NORMAL_SHUTDOWN|CONNECTION_KILLED))$/;
/** These come from mysql2 without a code. */
const poolMessages =
  /^(Queue limit reached\.|Pool is closed\.|No connections available\.|Can't add new command when connection is in closed state)$/;

/** The operating error behind a driver's error; undefined when the error is the program's own fault (bad SQL, a broken key). */
export function storeErrorOf(error: unknown): OperatingError | undefined {
  const code = errnoOf(error) ?? "";
  const isInNeed = sqliteInNeed.test(code) || mysqlInNeed.test(code) || isConnectionLost(error);
  if (!isInNeed) return undefined;
  return new OperatingError("store-unavailable", `Cannot use the database: ${messageOf(error)}${code === "" ? "" : ` (${code})`}`, {
    source: "database",
    retryable: !/^SQLITE_(IOERR|READONLY|CANTOPEN|CORRUPT|NOTADB)/.test(code),
    cause: error,
  });
}

/** Whether the way to the database was lost: what ran there is rolled back, unless it was its commit. */
export function isConnectionLost(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (poolMessages.test(error.message)) return true;
  // ENOENT and the like are also codes of files: only those of a connection, or of mysql2, count.
  const code = errnoOf(error) ?? "";
  return connectionLost.test(code) && ("fatal" in error || ("syscall" in error && error.syscall !== "open"));
}
