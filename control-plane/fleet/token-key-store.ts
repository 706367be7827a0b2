// The keys of tokens and the revoked sessions, as the database has them.
import type { SigningKey } from "../../fill-protocol/token-key.js";
import type { Store } from "../store/database.js";
import { insertIfAbsent, upsert } from "../store/upsert.js";

export interface StoredTokenKey extends SigningKey {
  signsFromUnixMs: number;
  untilUnixMs: number;
}

export class TokenKeyStore {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  /** Keys that end after that time, the oldest first. */
  async keysUntil(nowUnixMs: number): Promise<StoredTokenKey[]> {
    const rows = await this.#store
      .selectFrom("token_key")
      .selectAll()
      .where("until_unix_ms", ">", nowUnixMs)
      .orderBy("signs_from_unix_ms")
      .orderBy("key_id")
      .execute();
    return rows.map((row) => ({
      id: row.key_id,
      secret: row.secret,
      signsFromUnixMs: Number(row.signs_from_unix_ms),
      untilUnixMs: Number(row.until_unix_ms),
    }));
  }

  /** Adds a key; does nothing when there is one of that id already. */
  async addKey(key: StoredTokenKey): Promise<void> {
    const row = { key_id: key.id, secret: key.secret, signs_from_unix_ms: key.signsFromUnixMs, until_unix_ms: key.untilUnixMs };
    await insertIfAbsent(this.#store, "token_key", row);
  }

  async revokedSessions(nowUnixMs: number): Promise<string[]> {
    const rows = await this.#store
      .selectFrom("revoked_session")
      .select("session")
      .where("until_unix_ms", ">", nowUnixMs)
      .orderBy("session")
      .execute();
    return rows.map(({ session }) => session);
  }

  async revoke(session: string, untilUnixMs: number): Promise<void> {
    await upsert(this.#store, "revoked_session", { row: { session, until_unix_ms: untilUnixMs }, key: ["session"] });
  }

  /** Forgets keys and revocations that are over. */
  async dropOld(nowUnixMs: number): Promise<void> {
    await this.#store.deleteFrom("token_key").where("until_unix_ms", "<=", nowUnixMs).execute();
    await this.#store.deleteFrom("revoked_session").where("until_unix_ms", "<=", nowUnixMs).execute();
  }
}
