// Work on the database that happens wholly or not at all.
import { setTimeout as wait } from "node:timers/promises";
import type { Transaction } from "kysely";
import { errnoOf } from "../../runtime/operating-error.js";
import type { Store } from "./database.js";
import type { Schema } from "./schema.js";
import { isConnectionLost } from "./store-error.js";

/** Tries of one transaction. Ten losers of the same row in turn are past what a call's time allows. */
const triesMax = 10;
/** The first pause between tries, doubled each time up to the longest; each is drawn between half and the whole, so that two that met do not meet again. */
const pauseFirstMs = 5;
const pauseMaxMs = 250;

/**
 * Runs `work` in a serializable transaction and commits it. It may run several times (a deadlock, a lock, a connection
 * that was lost before the commit), so it must change nothing but the database, and should wait for nothing else: on SQLite it has
 * the only connection. A throw of `work` rolls back and is thrown on.
 *
 * A connection lost during the commit is not tried again: the caller gets "store-unavailable" and can't know the outcome. A
 * write with an idempotency key may simply be said again.
 */
export async function transact<Value>(store: Store, work: (transaction: Transaction<Schema>) => Promise<Value>): Promise<Value> {
  for (let tryNumber = 1; ; tryNumber++) {
    let committing = false;
    try {
      return await store.transaction().execute(async (transaction) => {
        const value = await work(transaction);
        committing = true;
        return value;
      });
    } catch (error) {
      // A pooled connection may have died since its last use, so one more try; a database that is away stays away for longer.
      const isWorthTrying = isConflict(error) ? tryNumber < triesMax : isConnectionLost(error) && !committing && tryNumber === 1;
      if (!isWorthTrying) throw error;
      await wait(Math.min(pauseMaxMs, pauseFirstMs * 2 ** (tryNumber - 1)) * (0.5 + Math.random() / 2));
    }
  }
}

/** Two transactions met, and this one was rolled back as a whole. */
function isConflict(error: unknown): boolean {
  const code = errnoOf(error);
  return code === "ER_LOCK_DEADLOCK" || code === "ER_CHECKREAD" || code === "SQLITE_BUSY" || code === "SQLITE_BUSY_SNAPSHOT";
}
