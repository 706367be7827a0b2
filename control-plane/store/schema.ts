// The tables of the control plane, as the queries see them.
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

/** `offered` 0: for those who have it. */
interface PlanTable {
  plan_id: string;
  name: string;
  period: string;
  trial_days: number;
  streams_max: number;
  height_max: number;
  offered: number;
}

interface PlanPriceTable {
  plan_id: string;
  country: string;
  currency: string;
  amount_minor: bigint;
}

interface TaxRateTable {
  country: string;
  name: string;
  basis_points: number;
  included: number;
}

interface CouponTable {
  coupon_id: string;
  basis_points_off: number;
  amount_off_minor: bigint;
  currency: string;
  periods: number;
  redeem_until_unix_ms: number | null;
  redemptions_max: number | null;
  redemptions: number;
}

/** Its row is the lock of all that happens to the account's money. */
interface BillingAccountTable {
  account_id: string;
  country: string;
  currency: string;
  payment_method: string | null;
  trial_used: number;
  credit_minor: bigint;
  version: number;
}

interface SubscriptionTable {
  subscription_id: string;
  account_id: string;
  /** The account while the subscription is not canceled: unique, so an account has at most one. */
  open_account_id: string | null;
  status: string;
  plan_id: string;
  renews_at_unix_ms: number | null;
  created_at_unix_ms: number;
  /** The whole of it as JSON. */
  state: string;
}

interface InvoiceTable {
  invoice_id: string;
  account_id: string;
  subscription_id: string;
  status: string;
  currency: string;
  net_minor: bigint;
  tax_name: string;
  tax_minor: bigint;
  total_minor: bigint;
  credit_used_minor: bigint;
  due_minor: bigint;
  failed_attempts: number;
  next_attempt_at_unix_ms: number | null;
  first: number;
  created_at_unix_ms: number;
  /** JSON. */
  lines: string;
}

interface PaymentTable {
  payment_id: string;
  account_id: string;
  invoice_id: string;
  currency: string;
  amount_minor: bigint;
  payment_method: string;
  provider_payment_id: string | null;
  status: string;
  decline_code: string | null;
  created_at_unix_ms: number;
  ask_at_unix_ms: number | null;
}

interface RefundTable {
  refund_id: string;
  account_id: string;
  payment_id: string;
  invoice_id: string;
  currency: string;
  amount_minor: bigint;
  reason: string;
  provider_refund_id: string | null;
  status: string;
  created_at_unix_ms: number;
  ask_at_unix_ms: number | null;
}

interface LedgerTransactionTable {
  reference: string;
  currency: string;
  booked_at_unix_ms: number;
}

interface LedgerPostingTable {
  reference: string;
  ledger_account: string;
  currency: string;
  amount_minor: bigint;
}

/** Webhooks that were worked off: their second coming changes nothing. */
interface ProviderEventTable {
  event_id: string;
  received_at_unix_ms: number;
}

interface StreamSlotTable {
  slot_id: string;
  account_id: string;
  title_id: string;
  started_at_unix_ms: number;
  expires_at_unix_ms: number;
}

/**
 * A column of money ends in "_minor" and is a bigint; every other whole number is a number. Moments end in "_unix_ms". There
 * are no booleans: 0 and 1.
 */
export interface Schema {
  plan: PlanTable;
  plan_price: PlanPriceTable;
  tax_rate: TaxRateTable;
  coupon: CouponTable;
  billing_account: BillingAccountTable;
  subscription: SubscriptionTable;
  invoice: InvoiceTable;
  payment: PaymentTable;
  refund: RefundTable;
  ledger_transaction: LedgerTransactionTable;
  ledger_posting: LedgerPostingTable;
  provider_event: ProviderEventTable;
  stream_slot: StreamSlotTable;
export interface Schema extends LoginTables {
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
  token_key: TokenKeyTable;
  revoked_session: RevokedSessionTable;
}
