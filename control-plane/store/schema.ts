// The tables of the control plane, as the queries see them.
import type { BillingTables } from "./billing-rows.js";
import type { CatalogTables } from "./catalog-tables.js";
import type { LoginTables } from "./login-tables.js";

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

/** One row: counts the changes of titles' objects, so that copies of the control plane see each other's. */
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

/** The last report of heat that was applied, of each appliance. */
interface HeatCursorTable {
  appliance_id: string;
  journal_id: string;
  sequence: number;
  applied_at_unix_ms: number;
}

/** The clock by which a region's heat decays; its row is also the lock of whoever changes that heat. */
interface HeatRegionTable {
  region_id: string;
  heat_ms: number;
  wall_ms: number;
}

/** Decayed bytes served, as of `at_ms` of the region's heat clock. */
interface HeatTitleTable {
  region_id: string;
  title_id: string;
  fast_bytes: number;
  slow_bytes: number;
  at_ms: number;
  first_ms: number;
}

interface HeatDayTable {
  region_id: string;
  unix_day: number;
  bytes: number;
}

interface MissHourTable {
  hour_unix_ms: number;
  appliance_id: string;
  /** Empty for what is in no title. */
  title_id: string;
  bytes_served: number;
  content_bytes: number;
  health_bytes: number;
}

interface TitleEditorialTable {
  title_id: string;
  pinned_copies: number;
  expected_plays_per_day: number;
}

/** One row: counts the plans, so that copies of the control plane see each other's. */
interface FillPlanTable {
  id: number;
  generation: number;
  planned_at_unix_ms: number;
}

/** The plan of one cluster as JSON, in parts that fit MySQL's TEXT. */
interface FillPlanPartTable {
  cluster_id: string;
  part: number;
  body: string;
}

/** What operators have ordered of one appliance. */
interface ApplianceOrderTable {
  appliance_id: string;
  /** Empty: it serves. */
  drain_reason: string;
  /** 0: its turn-up checks have not been passed. */
  turned_up_at_unix_ms: number;
}

interface MaintenanceTable {
  maintenance_id: string;
  /** One of the two is empty. */
  appliance_id: string;
  site_id: string;
  from_unix_ms: number;
  until_unix_ms: number;
  reason: string;
}

/**
 * A column of money ends in "_minor" and is a bigint; every other whole number is a number. Moments end in "_unix_ms". There
 * are no booleans: 0 and 1.
 */
export interface Schema extends LoginTables, BillingTables, CatalogTables {
  idempotency_key: IdempotencyKeyTable;
  heat_cursor: HeatCursorTable;
  heat_region: HeatRegionTable;
  heat_title: HeatTitleTable;
  heat_day: HeatDayTable;
  miss_hour: MissHourTable;
  title_editorial: TitleEditorialTable;
  fill_plan: FillPlanTable;
  fill_plan_part: FillPlanPartTable;
  title: TitleTable;
  title_object: TitleObjectTable;
  catalog_revision: CatalogRevisionTable;
  appliance: ApplianceTable;
  appliance_order: ApplianceOrderTable;
  maintenance: MaintenanceTable;
  token_key: TokenKeyTable;
  revoked_session: RevokedSessionTable;
}
