// The tables of billing, as the queries see them.

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

export interface BillingTables {
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
}
