// Stripe as the payment provider: PaymentIntents that are confirmed at once, without the customer there.
import Stripe from "stripe";
import { messageOf, OperatingError } from "../../../runtime/operating-error.js";
import type { ChargeRequest, PaymentProvider, ProviderAnswer, ProviderEvent, RefundRequest } from "./payment-provider.js";

const answerTimeoutMs = 20_000;

export interface StripeProviderOptions {
  secretKey: string;
  webhookSecret: string;
  /** Another server than Stripe's own. */
  url?: string;
}

export class StripeProvider implements PaymentProvider {
  readonly name = "stripe";
  readonly #stripe: Stripe;
  readonly #webhookSecret: string;

  constructor({ secretKey, webhookSecret, url }: StripeProviderOptions) {
    const server = url === undefined ? undefined : new URL(url);
    this.#stripe = new Stripe(secretKey, {
      timeout: answerTimeoutMs,
      // We try again ourselves, with the same key.
      maxNetworkRetries: 0,
      telemetry: false,
      ...(server && {
        host: server.hostname,
        port: Number(server.port || (server.protocol === "https:" ? 443 : 80)),
        protocol: server.protocol === "https:" ? ("https" as const) : ("http" as const),
      }),
    });
    this.#webhookSecret = webhookSecret;
  }

  async charge({ reference, amountMinor, currency, paymentMethod }: ChargeRequest): Promise<ProviderAnswer> {
    try {
      const intent = await this.#stripe.paymentIntents.create(
        {
          amount: Number(amountMinor),
          currency: currency.toLowerCase(),
          payment_method: paymentMethod,
          confirm: true,
          off_session: true,
          metadata: { reference },
        },
        { idempotencyKey: reference },
      );
      return answerOfIntent(intent, reference);
    } catch (error) {
      // A declined card is an error there: the intent is in it, and asks for another payment method.
      if (error instanceof Stripe.errors.StripeCardError || error instanceof Stripe.errors.StripeInvalidRequestError) {
        const declineCode = error.decline_code ?? error.code ?? "refused_by_provider";
        return { reference, providerId: error.payment_intent?.id ?? "", status: "failed", amountMinor, currency, declineCode };
      }
      throw away(error);
    }
  }

  /** What a search finds may be as it was a minute ago, before it was confirmed: only its name is taken from there. */
  async findPayment(reference: string): Promise<ProviderAnswer | undefined> {
    const found = await this.#asked(() => this.#stripe.paymentIntents.search({ query: `metadata['reference']:'${reference}'`, limit: 1 }));
    const id = found.data[0]?.id;
    if (id === undefined) return undefined;
    return answerOfIntent(await this.#asked(() => this.#stripe.paymentIntents.retrieve(id)), reference);
  }

  async refund({ reference, providerPaymentId, amountMinor, currency }: RefundRequest): Promise<ProviderAnswer> {
    try {
      const refund = await this.#stripe.refunds.create(
        { payment_intent: providerPaymentId, amount: Number(amountMinor), metadata: { reference } },
        { idempotencyKey: reference },
      );
      return answerOfRefund(refund, reference);
    } catch (error) {
      if (error instanceof Stripe.errors.StripeInvalidRequestError) {
        return { reference, providerId: "", status: "failed", amountMinor, currency, declineCode: error.code ?? "refused_by_provider" };
      }
      throw away(error);
    }
  }

  /** Refunds can't be searched for by metadata: the newest hundred are looked through. */
  async findRefund(reference: string): Promise<ProviderAnswer | undefined> {
    const found = await this.#asked(() => this.#stripe.refunds.list({ limit: 100 }));
    const refund = found.data.find(({ metadata }) => metadata?.["reference"] === reference);
    return refund && answerOfRefund(refund, reference);
  }

  readWebhook(signature: string, body: Buffer): ProviderEvent {
    let event: Stripe.Event;
    try {
      event = this.#stripe.webhooks.constructEvent(body, signature, this.#webhookSecret);
    } catch (error) {
      throw new OperatingError("webhook-refused", `Cannot take the webhook: ${messageOf(error)}`, { cause: error });
    }
    const object = event.data.object as { metadata?: Record<string, string> | null };
    const reference = object.metadata?.["reference"] ?? "";
    const about = event.type.startsWith("payment_intent.") ? "payment" : event.type.startsWith("refund.") ? "refund" : "other";
    return { eventId: event.id, about: reference === "" ? "other" : about, reference };
  }

  async #asked<Value>(ask: () => Promise<Value>): Promise<Value> {
    try {
      return await ask();
    } catch (error) {
      throw away(error);
    }
  }
}

function answerOfIntent(
  { id, status, amount, currency, last_payment_error: failure }: Stripe.PaymentIntent,
  reference: string,
): ProviderAnswer {
  const answer = { reference, providerId: id, amountMinor: BigInt(amount), currency: currency.toUpperCase() };
  if (status === "succeeded") return { ...answer, status: "succeeded" };
  if (status === "processing") return { ...answer, status: "pending" };
  // Without the customer there, whatever else it wants will not come.
  return { ...answer, status: "failed", declineCode: failure?.decline_code ?? failure?.code ?? status };
}

function answerOfRefund({ id, status, amount, currency }: Stripe.Refund, reference: string): ProviderAnswer {
  const answer = { reference, providerId: id, amountMinor: BigInt(amount), currency: currency.toUpperCase() };
  if (status === "succeeded") return { ...answer, status: "succeeded" };
  return status === "failed" || status === "canceled"
    ? { ...answer, status: "failed", declineCode: status }
    : { ...answer, status: "pending" };
}

function away(error: unknown): OperatingError {
  return new OperatingError("payment-provider-away", `Cannot ask the payment provider: ${messageOf(error)}`, {
    source: "stripe",
    retryable: true,
    cause: error,
  });
}
