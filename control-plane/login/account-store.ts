// Accounts, profiles and devices in the database.
import type { Kysely, Selectable } from "kysely";
import { OperatingError } from "../../runtime/operating-error.js";
import { accountRoles, type AccountRole } from "../caller.js";
import type { Schema } from "../store/schema.js";

export interface StoredAccount {
  accountId: string;
  email: string;
  passwordHash: string;
  roles: AccountRole[];
  disabled: boolean;
  createdAtUnixMs: number;
}

export interface StoredProfile {
  profileId: string;
  name: string;
  isKids: boolean;
  maturityMaxAge: number;
}

export interface StoredDevice {
  deviceId: string;
  name: string;
  createdAtUnixMs: number;
  lastSeenAtUnixMs: number;
}

export async function findAccountByEmail(database: Kysely<Schema>, email: string): Promise<StoredAccount | undefined> {
  const row = await database.selectFrom("account").selectAll().where("email", "=", email).executeTakeFirst();
  return row && accountOf(row);
}

export async function findAccount(database: Kysely<Schema>, accountId: string): Promise<StoredAccount | undefined> {
  const row = await database.selectFrom("account").selectAll().where("account_id", "=", accountId).executeTakeFirst();
  return row && accountOf(row);
}

/**
 * The account, whose row nobody else changes until the transaction ends: first of all locks of a transaction, so that those which
 * count an account's rows wait for each other.
 *
 * @throws OperatingError "account-unknown".
 */
export async function lockAccount(transaction: Kysely<Schema>, accountId: string): Promise<StoredAccount> {
  const row = await transaction.selectFrom("account").selectAll().where("account_id", "=", accountId).forUpdate().executeTakeFirst();
  if (!row) throw new OperatingError("account-unknown", `Cannot find account ${accountId}`);
  return accountOf(row);
}

export async function listProfiles(database: Kysely<Schema>, accountId: string): Promise<StoredProfile[]> {
  const rows = await database
    .selectFrom("profile")
    .selectAll()
    .where("account_id", "=", accountId)
    .orderBy("created_at_unix_ms")
    .orderBy("profile_id")
    .execute();
  return rows.map(profileOf);
}

export async function findProfile(database: Kysely<Schema>, accountId: string, profileId: string): Promise<StoredProfile | undefined> {
  if (profileId === "") return undefined;
  const row = await database
    .selectFrom("profile")
    .selectAll()
    .where("profile_id", "=", profileId)
    .where("account_id", "=", accountId)
    .executeTakeFirst();
  return row && profileOf(row);
}

export async function insertProfile(
  database: Kysely<Schema>,
  accountId: string,
  { profile, nowUnixMs }: { profile: StoredProfile; nowUnixMs: number },
): Promise<void> {
  await database
    .insertInto("profile")
    .values({
      profile_id: profile.profileId,
      account_id: accountId,
      name: profile.name,
      is_kids: profile.isKids ? 1 : 0,
      maturity_max_age: profile.maturityMaxAge,
      created_at_unix_ms: nowUnixMs,
    })
    .execute();
}

/** Seen last comes first. */
export async function listDevices(database: Kysely<Schema>, accountId: string): Promise<StoredDevice[]> {
  const rows = await database
    .selectFrom("device")
    .selectAll()
    .where("account_id", "=", accountId)
    .orderBy("last_seen_at_unix_ms", "desc")
    .orderBy("device_id")
    .execute();
  return rows.map((row) => ({
    deviceId: row.device_id,
    name: row.name,
    createdAtUnixMs: row.created_at_unix_ms,
    lastSeenAtUnixMs: row.last_seen_at_unix_ms,
  }));
}

function accountOf(row: Selectable<Schema["account"]>): StoredAccount {
  const roles = JSON.parse(row.roles) as string[];
  return {
    accountId: row.account_id,
    email: row.email,
    passwordHash: row.password_hash,
    roles: accountRoles.filter((role) => roles.includes(role)),
    disabled: row.disabled === 1,
    createdAtUnixMs: row.created_at_unix_ms,
  };
}

function profileOf(row: Selectable<Schema["profile"]>): StoredProfile {
  return { profileId: row.profile_id, name: row.name, isKids: row.is_kids === 1, maturityMaxAge: row.maturity_max_age };
}
