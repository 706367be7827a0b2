// Translates the errors of database drivers.
import { errnoOf, messageOf, OperatingError } from "../../runtime/operating-error.js";

/** The operating error behind a driver's error; undefined when the error is the program's own fault (bad SQL, a broken key). */
export function storeErrorOf(error: unknown): OperatingError | undefined {
  const code = errnoOf(error);
  // Busy, locked, full, I/O error, read-only, cannot open, corrupt: https://sqlite.org/rescode.html
  if (!code || !/^SQLITE_(BUSY|LOCKED|FULL|IOERR|READONLY|CANTOPEN|CORRUPT|NOTADB)/.test(code)) return undefined;
  return new OperatingError("store-unavailable", `Cannot use the database: ${messageOf(error)} (${code})`, {
    source: "database",
    retryable: /^SQLITE_(BUSY|LOCKED|FULL)/.test(code),
    cause: error,
  });
}
