// The tables of the control plane, as the queries see them.

export interface TitleTable {
  title_id: string;
  name: string;
  duration_seconds: number;
  /** Empty where the title has none. */
  hls_path: string;
  dash_path: string;
  size_bytes: number;
  object_count: number;
  published_at_unix_ms: number;
}

interface TitleObjectTable {
  title_id: string;
  path: string;
  size_bytes: number;
  etag: string;
  chunk_bytes: number;
  /** Place in the published list. */
  position: number;
}

/** One row: counts the changes of the catalog, so that copies of the control plane see each other's. */
interface CatalogRevisionTable {
  id: number;
  revision: number;
}

/** What must be known of an appliance after a restart of the control plane. */
interface ApplianceTable {
  appliance_id: string;
  /** A fleet.v1 ApplianceIdentity in its JSON form: libsql gives blobs back as other types than the drivers for MySQL do. */
  identity: string;
  registered_at_unix_ms: number;
  lease_id: string;
  lease_issued_at_unix_ms: number;
  lease_expires_at_unix_ms: number;
}

/** A key that signs tokens: written once, then only read and dropped. */
interface TokenKeyTable {
  key_id: string;
  secret: string;
  signs_from_unix_ms: number;
  until_unix_ms: number;
}

/** A session whose tokens are refused, until the last of them has expired. */
interface RevokedSessionTable {
  session: string;
  until_unix_ms: number;
}

/** The answers of writes that were made with an idempotency key. */
interface IdempotencyKeyTable {
  /** Whose key it is, and for which method. */
  scope: string;
  idempotency_key: string;
  /** SHA-256 of the request, in hex. */
  request_hash: string;
  /** JSON. */
  answer: string;
  created_at_unix_ms: number;
}

/**
 * A column of money ends in "_minor" and is a bigint; every other whole number is a number. Moments end in "_unix_ms". There
 * are no booleans: 0 and 1.
 */
export interface Schema {
  idempotency_key: IdempotencyKeyTable;
  title: TitleTable;
  title_object: TitleObjectTable;
  catalog_revision: CatalogRevisionTable;
  appliance: ApplianceTable;
  token_key: TokenKeyTable;
  revoked_session: RevokedSessionTable;
}
