// Counts guesses of passwords in the database, so that a lockout holds over copies, restarts and addresses.
import type { Store } from "../store/database.js";
import { transact } from "../store/transact.js";
import { upsert } from "../store/upsert.js";
import { OperatingError } from "../../runtime/operating-error.js";
import { decideGuess, sha256Hex, type Guard, type GuardRules } from "./login-rules.js";

export class SignInGuard {
  readonly #store: Store;
  readonly #rules: GuardRules;

  constructor(store: Store, rules: GuardRules) {
    this.#store = store;
    this.#rules = rules;
  }

  /** Counts a guess before it is made; the same whether or not the address has an account. @throws OperatingError "account-locked". */
  async admit(email: string, nowUnixMs: number): Promise<void> {
    const emailHash = sha256Hex(email);
    const refuseLocked = (guard: Guard | undefined) => {
      const decision = decideGuess(guard, nowUnixMs, this.#rules);
      if (!decision.locked) return decision.next;
      const { retryAfterMs } = decision;
      const minutes = Math.ceil(retryAfterMs / 60_000);
      throw new OperatingError("account-locked", `Cannot sign in: too many wrong passwords; wait ${minutes} min, or reset the password`, {
        retryAfterMs,
      });
    };
    // Most guesses of an attack end here, with one read.
    refuseLocked(await this.#find(this.#store, emailHash));
    await transact(this.#store, async (transaction) => {
      const next = refuseLocked(await this.#find(transaction, emailHash));
      const row = {
        email_hash: emailHash,
        failures: next.failures,
        locks: next.locks,
        locked_until_unix_ms: next.lockedUntilUnixMs,
        last_failure_at_unix_ms: next.lastFailureAtUnixMs,
      };
      await upsert(transaction, "sign_in_guard", { row, key: ["email_hash"] });
    });
  }

  /** Forgets the failures: the password was right, or was set anew with a mail. */
  async clear(database: Store, email: string): Promise<void> {
    await database.deleteFrom("sign_in_guard").where("email_hash", "=", sha256Hex(email)).execute();
  }

  async #find(database: Store, emailHash: string): Promise<Guard | undefined> {
    const row = await database.selectFrom("sign_in_guard").selectAll().where("email_hash", "=", emailHash).executeTakeFirst();
    return (
      row && {
        failures: row.failures,
        locks: row.locks,
        lockedUntilUnixMs: row.locked_until_unix_ms,
        lastFailureAtUnixMs: row.last_failure_at_unix_ms,
      }
    );
  }
}
