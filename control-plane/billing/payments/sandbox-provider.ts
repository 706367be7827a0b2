// The payment provider of development and tests: control-plane/payment-sandbox, over HTTP.
import { z } from "zod";
import { messageOf, OperatingError } from "../../../runtime/operating-error.js";
import { whyBadSignature } from "../../webhook-signature.js";
import type { ChargeRequest, PaymentProvider, ProviderAnswer, ProviderEvent, RefundRequest } from "./payment-provider.js";

const answerTimeoutMs = 10_000;

const answerSchema = z.object({
  reference: z.string(),
  id: z.string(),
  status: z.enum(["pending", "succeeded", "failed"]),
  amountMinor: z.string().transform(BigInt),
  currency: z.string(),
  declineCode: z.string(),
});
const eventSchema = z.object({ eventId: z.string().min(1).max(200), kind: z.enum(["payment", "refund"]), reference: z.string() });

export interface SandboxProviderOptions {
  /** Such as http://127.0.0.1:7400/. */
  url: string;
  webhookSecret: string;
  nowUnixMs: () => number;
}

export class SandboxProvider implements PaymentProvider {
  readonly name = "sandbox";
  readonly #options: SandboxProviderOptions;

  constructor(options: SandboxProviderOptions) {
    this.#options = options;
  }

  async charge({ reference, amountMinor, currency, paymentMethod }: ChargeRequest): Promise<ProviderAnswer> {
    const { status, body } = await this.#ask("v1/payments", { reference, amountMinor: String(amountMinor), currency, paymentMethod });
    // It will never be charged: to the books that is a decline.
    if (status === 400) return { reference, providerId: "", status: "failed", amountMinor, currency, declineCode: "refused_by_provider" };
    return answerOf(body);
  }

  async findPayment(reference: string): Promise<ProviderAnswer | undefined> {
    return await this.#find("payments", reference);
  }

  async refund({ reference, providerPaymentId, amountMinor, currency }: RefundRequest): Promise<ProviderAnswer> {
    const request = { reference, paymentId: providerPaymentId, amountMinor: String(amountMinor) };
    const { status, body } = await this.#ask("v1/refunds", request);
    if (status === 400) return { reference, providerId: "", status: "failed", amountMinor, currency, declineCode: "refused_by_provider" };
    return answerOf(body);
  }

  async findRefund(reference: string): Promise<ProviderAnswer | undefined> {
    return await this.#find("refunds", reference);
  }

  readWebhook(signature: string, body: Buffer): ProviderEvent {
    const { webhookSecret: secret, nowUnixMs } = this.#options;
    const why = whyBadSignature(signature, body, { secret, nowUnixMs: nowUnixMs() });
    if (why !== undefined) throw new OperatingError("webhook-refused", `Cannot take the webhook: ${why}`);
    let json: unknown;
    try {
      json = JSON.parse(body.toString("utf8"));
    } catch {
      json = undefined;
    }
    const event = eventSchema.safeParse(json);
    if (!event.success) throw new OperatingError("webhook-refused", "Cannot take the webhook: its body is not an event");
    return { eventId: event.data.eventId, about: event.data.kind, reference: event.data.reference };
  }

  async #find(what: "payments" | "refunds", reference: string): Promise<ProviderAnswer | undefined> {
    const { status, body } = await this.#ask(`v1/${what}/by-reference/${encodeURIComponent(reference)}`);
    return status === 404 ? undefined : answerOf(body);
  }

  async #ask(path: string, request?: object): Promise<{ status: number; body: unknown }> {
    const { url } = this.#options;
    try {
      const response = await fetch(new URL(path, url), {
        ...(request && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(request) }),
        signal: AbortSignal.timeout(answerTimeoutMs),
      });
      const body: unknown = await response.json();
      if (response.ok || response.status === 404 || response.status === 400) return { status: response.status, body };
      throw new Error(`it answers ${response.status}`);
    } catch (error) {
      throw new OperatingError("payment-provider-away", `Cannot ask the payment provider at ${url}: ${messageOf(error)}`, {
        source: url,
        retryable: true,
        cause: error,
      });
    }
  }
}

function answerOf(body: unknown): ProviderAnswer {
  const { reference, id, status, amountMinor, currency, declineCode } = answerSchema.parse(body);
  return { reference, providerId: id, status, amountMinor, currency, ...(declineCode !== "" && { declineCode }) };
}
