// Sessions: a row says which refresh token of the family is good, and whether the family has ended.
import type { Kysely } from "kysely";
import type { Clock } from "../../runtime/clock.js";
import type { Store } from "../store/database.js";
import type { Schema } from "../store/schema.js";
import type { SharedState } from "../store/shared-state.js";

export type EndReason = "signed-out" | "password-changed" | "password-reset" | "token-reused" | "device-removed" | "account-changed";

/** Ends the sessions of an account that still run: one, those of a device, all, or all but one. Their ids. */
export async function endSessions(
  transaction: Kysely<Schema>,
  which: { accountId: string; sessionId?: string; deviceId?: string; exceptSessionId?: string },
  { reason, nowUnixMs }: { reason: EndReason; nowUnixMs: number },
): Promise<string[]> {
  let running = transaction
    .selectFrom("session")
    .select("session_id")
    .where("account_id", "=", which.accountId)
    .where("ended_at_unix_ms", "=", 0);
  if (which.sessionId !== undefined) running = running.where("session_id", "=", which.sessionId);
  if (which.deviceId !== undefined) running = running.where("device_id", "=", which.deviceId);
  if (which.exceptSessionId !== undefined) running = running.where("session_id", "!=", which.exceptSessionId);
  const ids = (await running.forUpdate().execute()).map(({ session_id }) => session_id);
  if (ids.length > 0) {
    const end = { ended_at_unix_ms: nowUnixMs, end_reason: reason };
    await transaction.updateTable("session").set(end).where("session_id", "in", ids).execute();
  }
  return ids;
}

export interface EndedSessionsOptions {
  store: Store;
  shared: SharedState;
  clock: Clock;
  accessLifetimeMs: number;
}

/** Sessions that have ended while access tokens of theirs are still good. The database is the truth, the shared state answers. */
export class EndedSessions {
  readonly #options: EndedSessionsOptions;

  constructor(options: EndedSessionsOptions) {
    this.#options = options;
  }

  /** Tells all copies; while the shared state is away, `announceRecent` does later. */
  async announce(sessionIds: readonly string[]): Promise<void> {
    const { shared, accessLifetimeMs } = this.#options;
    await Promise.all(sessionIds.map((sessionId) => shared.put(keyOf(sessionId), "1", accessLifetimeMs).catch(() => {})));
  }

  /** To be called at start and every half minute: a shared state that was lost or away knows them again. */
  async announceRecent(): Promise<void> {
    const { store, clock, accessLifetimeMs } = this.#options;
    const rows = await store
      .selectFrom("session")
      .select("session_id")
      .where("ended_at_unix_ms", ">", clock.unixMs() - accessLifetimeMs)
      .execute();
    await this.announce(rows.map(({ session_id }) => session_id));
  }

  /** Without shared state the database is asked; without both a token is believed for the minutes that it lives. */
  async has(sessionId: string): Promise<boolean> {
    const { shared, store } = this.#options;
    try {
      return (await shared.get(keyOf(sessionId))) !== undefined;
    } catch {
      try {
        const row = await store.selectFrom("session").select("ended_at_unix_ms").where("session_id", "=", sessionId).executeTakeFirst();
        return row === undefined || row.ended_at_unix_ms > 0;
      } catch {
        return false;
      }
    }
  }
}

function keyOf(sessionId: string): string {
  return `ended-session:${sessionId}`;
}
