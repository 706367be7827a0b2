// Writes that may be asked for twice and happen once: the answer is kept with its idempotency key, in the same transaction.
import { createHash } from "node:crypto";
import type { Transaction } from "kysely";
import { OperatingError } from "../../runtime/operating-error.js";
import type { Store } from "./database.js";
import type { Schema } from "./schema.js";
import { transact } from "./transact.js";
import { insertIfAbsent } from "./upsert.js";

/** Whoever has had no answer asks again within seconds, a queue of webhooks within three days. */
export const idempotencyKeyKeptMs = 4 * 86_400_000;
const keyPattern = /^[\w.:-]{1,128}$/;

export interface WriteOnceOptions {
  /** Whose key it is and for which method: "billing.Subscribe ACCOUNT". Keys of two scopes have nothing to do with each other. */
  scope: string;
  /** From the caller: 1 to 128 letters, digits, and . : _ - */
  key: string;
  /** What was asked for, as bytes: the same key with another request is refused. */
  request: Uint8Array;
  nowUnixMs: number;
}

/**
 * Runs `work` in a transaction (see `transact`) and keeps its answer, a JSON value; when this key has been used before, gives that
 * answer instead. Two that come at once, also to two copies, wait for each other. When `work` throws nothing is kept.
 *
 * @throws OperatingError "idempotency-key-invalid"; "idempotency-key-reused" when the key came with another request.
 */
export async function writeOnce<Answer>(
  store: Store,
  { scope, key, request, nowUnixMs }: WriteOnceOptions,
  work: (transaction: Transaction<Schema>) => Promise<Answer>,
): Promise<Answer> {
  if (!keyPattern.test(key)) {
    throw new OperatingError("idempotency-key-invalid", "Cannot use the idempotency key: Expected 1 to 128 letters, digits and . : _ -");
  }
  const requestHash = createHash("sha256").update(request).digest("hex");
  return await transact(store, async (transaction) => {
    // First the row, which locks the key: whoever comes second waits here until the first commits or rolls back.
    const row = { scope, idempotency_key: key, request_hash: requestHash, answer: "", created_at_unix_ms: nowUnixMs };
    if (!(await insertIfAbsent(transaction, "idempotency_key", row))) {
      const kept = await transaction
        .selectFrom("idempotency_key")
        .select(["request_hash", "answer"])
        .where("scope", "=", scope)
        .where("idempotency_key", "=", key)
        .executeTakeFirstOrThrow();
      if (kept.request_hash !== requestHash) {
        throw new OperatingError("idempotency-key-reused", `Cannot use idempotency key ${key}: it was used for another request before`);
      }
      return JSON.parse(kept.answer) as Answer;
    }
    const answer = await work(transaction);
    await transaction
      .updateTable("idempotency_key")
      .set({ answer: JSON.stringify(answer) })
      .where("scope", "=", scope)
      .where("idempotency_key", "=", key)
      .execute();
    return answer;
  });
}

/** Forgets keys that nobody will use again. */
export async function forgetOldKeys(store: Store, nowUnixMs: number): Promise<number> {
  const { numDeletedRows } = await store
    .deleteFrom("idempotency_key")
    .where("created_at_unix_ms", "<", nowUnixMs - idempotencyKeyKeptMs)
    .executeTakeFirst();
  return Number(numDeletedRows);
}
