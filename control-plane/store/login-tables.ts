// Migration 0010: accounts, sessions, devices, profiles, keys, mail that waits, and what was done.
import { sql, type Kysely, type Migration } from "kysely";
import { createIndex } from "./create-index.js";

interface AccountTable {
  account_id: string;
  /** As `normalEmail` writes it. */
  email: string;
  /** PHC text of argon2id. */
  password_hash: string;
  /** JSON list. */
  roles: string;
  disabled: number;
  created_at_unix_ms: number;
}

/** Sign-ups and password resets that wait for whoever has the mail. */
interface EmailTokenTable {
  /** SHA-256 of the token, in hex. */
  token_hash: string;
  purpose: "verify" | "reset";
  email: string;
  /** The account's password if this very mail is answered; empty for resets. */
  password_hash: string;
  expires_at_unix_ms: number;
}

/** Wrong passwords, by address of mail: whether or not it has an account. */
interface SignInGuardTable {
  /** SHA-256 of the address, in hex. */
  email_hash: string;
  failures: number;
  locks: number;
  locked_until_unix_ms: number;
  last_failure_at_unix_ms: number;
}

interface DeviceTable {
  device_id: string;
  account_id: string;
  name: string;
  created_at_unix_ms: number;
  last_seen_at_unix_ms: number;
}

/** A family of refresh tokens: the row knows which number is good now. */
interface SessionTable {
  session_id: string;
  account_id: string;
  device_id: string;
  /** Empty until one is chosen. */
  profile_id: string;
  token_number: number;
  rotated_at_unix_ms: number;
  created_at_unix_ms: number;
  expires_at_unix_ms: number;
  /** 0 while it is good. */
  ended_at_unix_ms: number;
  end_reason: string;
}

interface ProfileTable {
  profile_id: string;
  account_id: string;
  name: string;
  is_kids: number;
  maturity_max_age: number;
  created_at_unix_ms: number;
}

interface SigningKeyTable {
  key_id: string;
  purpose: "access" | "refresh";
  /** JSON Web Key with the private part, or a secret in base64url; sealed when settings have a secret for it. */
  secret: string;
  created_at_unix_ms: number;
}

interface MailOutboxTable {
  mail_id: string;
  recipient: string;
  subject: string;
  body: string;
  tries: number;
  next_try_at_unix_ms: number;
  created_at_unix_ms: number;
}

interface AuditEventTable {
  event_id: string;
  account_id: string;
  at_unix_ms: number;
  kind: string;
  address: string;
  detail: string;
}

export interface LoginTables {
  account: AccountTable;
  email_token: EmailTokenTable;
  sign_in_guard: SignInGuardTable;
  device: DeviceTable;
  session: SessionTable;
  profile: ProfileTable;
  signing_key: SigningKeyTable;
  mail_outbox: MailOutboxTable;
  audit_event: AuditEventTable;
}

export const loginTables: Migration = {
  async up(database: Kysely<unknown>): Promise<void> {
    const table = (name: string) => database.schema.createTable(name).ifNotExists();
    await table("account")
      .addColumn("account_id", "varchar(36)", (column) => column.primaryKey())
      .addColumn("email", "varchar(254)", (column) => column.notNull())
      .addColumn("password_hash", "varchar(200)", (column) => column.notNull())
      .addColumn("roles", "varchar(200)", (column) => column.notNull())
      .addColumn("disabled", "integer", (column) => column.notNull())
      .addColumn("created_at_unix_ms", "bigint", (column) => column.notNull())
      .execute();
    await createIndex(database, { table: "account", name: "account_by_email" }, { columns: ["email"], unique: true });
    await table("email_token")
      .addColumn("token_hash", "varchar(64)", (column) => column.primaryKey())
      .addColumn("purpose", "varchar(16)", (column) => column.notNull())
      .addColumn("email", "varchar(254)", (column) => column.notNull())
      .addColumn("password_hash", "varchar(200)", (column) => column.notNull())
      .addColumn("expires_at_unix_ms", "bigint", (column) => column.notNull())
      .execute();
    await createIndex(database, { table: "email_token", name: "email_token_by_end" }, { columns: ["expires_at_unix_ms"] });
    await createIndex(database, { table: "email_token", name: "email_token_by_email" }, { columns: ["email"] });
    await table("sign_in_guard")
      .addColumn("email_hash", "varchar(64)", (column) => column.primaryKey())
      .addColumn("failures", "integer", (column) => column.notNull())
      .addColumn("locks", "integer", (column) => column.notNull())
      .addColumn("locked_until_unix_ms", "bigint", (column) => column.notNull())
      .addColumn("last_failure_at_unix_ms", "bigint", (column) => column.notNull())
      .execute();
    await createIndex(database, { table: "sign_in_guard", name: "sign_in_guard_by_age" }, { columns: ["last_failure_at_unix_ms"] });
    await table("device")
      .addColumn("device_id", "varchar(36)", (column) => column.primaryKey())
      .addColumn("account_id", "varchar(36)", (column) => column.notNull())
      .addColumn("name", "varchar(80)", (column) => column.notNull())
      .addColumn("created_at_unix_ms", "bigint", (column) => column.notNull())
      .addColumn("last_seen_at_unix_ms", "bigint", (column) => column.notNull())
      .execute();
    await createIndex(database, { table: "device", name: "device_by_account" }, { columns: ["account_id"] });
    await table("session")
      .addColumn("session_id", "varchar(36)", (column) => column.primaryKey())
      .addColumn("account_id", "varchar(36)", (column) => column.notNull())
      .addColumn("device_id", "varchar(36)", (column) => column.notNull())
      .addColumn("profile_id", "varchar(36)", (column) => column.notNull())
      .addColumn("token_number", "integer", (column) => column.notNull())
      .addColumn("rotated_at_unix_ms", "bigint", (column) => column.notNull())
      .addColumn("created_at_unix_ms", "bigint", (column) => column.notNull())
      .addColumn("expires_at_unix_ms", "bigint", (column) => column.notNull())
      .addColumn("ended_at_unix_ms", "bigint", (column) => column.notNull())
      .addColumn("end_reason", "varchar(40)", (column) => column.notNull())
      .execute();
    await createIndex(database, { table: "session", name: "session_by_account" }, { columns: ["account_id"] });
    await createIndex(database, { table: "session", name: "session_by_expiry" }, { columns: ["expires_at_unix_ms"] });
    await createIndex(database, { table: "session", name: "session_by_end" }, { columns: ["ended_at_unix_ms"] });
    await table("profile")
      .addColumn("profile_id", "varchar(36)", (column) => column.primaryKey())
      .addColumn("account_id", "varchar(36)", (column) => column.notNull())
      .addColumn("name", "varchar(80)", (column) => column.notNull())
      .addColumn("is_kids", "integer", (column) => column.notNull())
      .addColumn("maturity_max_age", "integer", (column) => column.notNull())
      .addColumn("created_at_unix_ms", "bigint", (column) => column.notNull())
      .execute();
    await createIndex(database, { table: "profile", name: "profile_by_account" }, { columns: ["account_id"] });
    await table("signing_key")
      .addColumn("key_id", "varchar(40)", (column) => column.primaryKey())
      .addColumn("purpose", "varchar(16)", (column) => column.notNull())
      .addColumn("secret", "varchar(1000)", (column) => column.notNull())
      .addColumn("created_at_unix_ms", "bigint", (column) => column.notNull())
      .execute();
    await table("mail_outbox")
      .addColumn("mail_id", "varchar(36)", (column) => column.primaryKey())
      .addColumn("recipient", "varchar(254)", (column) => column.notNull())
      .addColumn("subject", "varchar(200)", (column) => column.notNull())
      .addColumn("body", sql`longtext`, (column) => column.notNull())
      .addColumn("tries", "integer", (column) => column.notNull())
      .addColumn("next_try_at_unix_ms", "bigint", (column) => column.notNull())
      .addColumn("created_at_unix_ms", "bigint", (column) => column.notNull())
      .execute();
    await createIndex(database, { table: "mail_outbox", name: "mail_outbox_by_time" }, { columns: ["next_try_at_unix_ms"] });
    await table("audit_event")
      .addColumn("event_id", "varchar(36)", (column) => column.primaryKey())
      .addColumn("account_id", "varchar(36)", (column) => column.notNull())
      .addColumn("at_unix_ms", "bigint", (column) => column.notNull())
      .addColumn("kind", "varchar(40)", (column) => column.notNull())
      .addColumn("address", "varchar(64)", (column) => column.notNull())
      .addColumn("detail", "varchar(1000)", (column) => column.notNull())
      .execute();
    await createIndex(
      database,
      { table: "audit_event", name: "audit_event_by_account" },
      { columns: ["account_id", "at_unix_ms", "event_id"] },
    );
    await createIndex(database, { table: "audit_event", name: "audit_event_by_age" }, { columns: ["at_unix_ms"] });
  },
};
