// What was done to accounts, by whom and from where: written in the transaction that does it.
import { randomUUID } from "node:crypto";
import type { Kysely } from "kysely";
import type { Store } from "../store/database.js";
import type { Schema } from "../store/schema.js";

export type AuditKind =
  | "sign-up-requested"
  | "account-made"
  | "signed-in"
  | "sign-in-failed"
  | "signed-out"
  | "refresh-token-reused"
  | "password-reset-requested"
  | "password-reset"
  | "password-changed"
  | "device-removed"
  | "profile-made"
  | "profile-changed"
  | "profile-removed"
  | "account-set"
  | "keys-rotated";

export interface AuditEvent {
  accountId: string;
  atUnixMs: number;
  kind: AuditKind;
  address: string;
  detail: Readonly<Record<string, unknown>>;
}

export async function writeAudit(transaction: Kysely<Schema>, { accountId, atUnixMs, kind, address, detail }: AuditEvent): Promise<void> {
  await transaction
    .insertInto("audit_event")
    .values({ event_id: randomUUID(), account_id: accountId, at_unix_ms: atUnixMs, kind, address, detail: JSON.stringify(detail) })
    .execute();
}

export interface AuditPageEnd {
  atUnixMs: number;
  eventId: string;
}

/** Newest first; those after `after` where it is given. */
export async function listAudit(
  store: Store,
  { accountId, limit, after }: { accountId: string; limit: number; after: AuditPageEnd | undefined },
): Promise<(AuditPageEnd & { accountId: string; kind: string; address: string; detail: string })[]> {
  let query = store.selectFrom("audit_event").selectAll().where("account_id", "=", accountId);
  if (after) {
    query = query.where((where) =>
      where.or([
        where("at_unix_ms", "<", after.atUnixMs),
        where.and([where("at_unix_ms", "=", after.atUnixMs), where("event_id", "<", after.eventId)]),
      ]),
    );
  }
  const rows = await query.orderBy("at_unix_ms", "desc").orderBy("event_id", "desc").limit(limit).execute();
  return rows.map((row) => ({
    accountId: row.account_id,
    atUnixMs: row.at_unix_ms,
    eventId: row.event_id,
    kind: row.kind,
    address: row.address,
    detail: row.detail,
  }));
}
