// How many streams an account plays at once: slots that expire unless the player says that it still plays.
import type { Transaction } from "kysely";
import { sql } from "kysely";
import type { Schema } from "../store/schema.js";
import { Books } from "./books.js";

/** A player says so every 20 s; three lost heartbeats free the slot. */
export const slotLifeMs = 60_000;

export interface StreamSlot {
  slotId: string;
  accountId: string;
  titleId: string;
  nowUnixMs: number;
}

/** Takes a slot, when fewer than `streamsMax` are taken; else how many are. The account's row is the lock. */
export async function takeSlot(
  transaction: Transaction<Schema>,
  { slotId, accountId, titleId, nowUnixMs }: StreamSlot,
  streamsMax: number,
): Promise<{ taken: true } | { taken: false; streams: number }> {
  await new Books(transaction).lockAccount(accountId);
  await transaction.deleteFrom("stream_slot").where("account_id", "=", accountId).where("expires_at_unix_ms", "<=", nowUnixMs).execute();
  const { streams } = await transaction
    .selectFrom("stream_slot")
    .select(sql<number>`count(*)`.as("streams"))
    .where("account_id", "=", accountId)
    .executeTakeFirstOrThrow();
  if (streams >= streamsMax) return { taken: false, streams };
  await transaction
    .insertInto("stream_slot")
    .values({
      slot_id: slotId,
      account_id: accountId,
      title_id: titleId,
      started_at_unix_ms: nowUnixMs,
      expires_at_unix_ms: nowUnixMs + slotLifeMs,
    })
    .execute();
  return { taken: true };
}

/** Keeps a slot for another while. False when it is gone: its heartbeats stayed out, and another stream may have it. */
export async function keepSlot(
  transaction: Transaction<Schema>,
  { slotId, accountId, nowUnixMs }: Omit<StreamSlot, "titleId">,
): Promise<boolean> {
  const { numUpdatedRows } = await transaction
    .updateTable("stream_slot")
    .set({ expires_at_unix_ms: nowUnixMs + slotLifeMs })
    .where("slot_id", "=", slotId)
    .where("account_id", "=", accountId)
    .where("expires_at_unix_ms", ">", nowUnixMs)
    .executeTakeFirst();
  return numUpdatedRows > 0n;
}

export async function freeSlot(
  transaction: Transaction<Schema>,
  { slotId, accountId }: Pick<StreamSlot, "slotId" | "accountId">,
): Promise<void> {
  await transaction.deleteFrom("stream_slot").where("slot_id", "=", slotId).where("account_id", "=", accountId).execute();
}
