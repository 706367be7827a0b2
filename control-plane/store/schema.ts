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

export interface Schema {
  title: TitleTable;
  title_object: TitleObjectTable;
  catalog_revision: CatalogRevisionTable;
  appliance: ApplianceTable;
  token_key: TokenKeyTable;
  revoked_session: RevokedSessionTable;
}
