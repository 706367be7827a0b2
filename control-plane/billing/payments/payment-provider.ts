// The role of whoever moves the money. Every request carries our own id as reference and idempotency key: asked twice, it happens once.

export interface ChargeRequest {
  /** Our payment's id. */
  reference: string;
  amountMinor: bigint;
  currency: string;
  paymentMethod: string;
}

export interface RefundRequest {
  /** Our refund's id. */
  reference: string;
  /** The provider's id of the payment. */
  providerPaymentId: string;
  amountMinor: bigint;
  currency: string;
}

/** What the provider knows of a payment or refund. "pending" ends some time later in one of the others, which never change. */
export interface ProviderAnswer {
  reference: string;
  providerId: string;
  status: "pending" | "succeeded" | "failed";
  amountMinor: bigint;
  currency: string;
  /** Such as "card_declined". */
  declineCode?: string;
}

/** That something has happened; what it is, is asked of the provider, since events come twice, late, and in any order. */
export interface ProviderEvent {
  eventId: string;
  about: "payment" | "refund" | "other";
  /** Our id. Empty for "other". */
  reference: string;
}

/** Requests reject with OperatingError "payment-provider-away" when the outcome is not known. */
export interface PaymentProvider {
  /** In the ledger: "cash/NAME". */
  readonly name: string;
  charge(request: ChargeRequest): Promise<ProviderAnswer>;
  /** Undefined: it has never heard of it. */
  findPayment(reference: string): Promise<ProviderAnswer | undefined>;
  refund(request: RefundRequest): Promise<ProviderAnswer>;
  findRefund(reference: string): Promise<ProviderAnswer | undefined>;
  /** @throws OperatingError "webhook-refused" when it was not the provider who sent it. */
  readWebhook(signature: string, body: Buffer): ProviderEvent;
}
