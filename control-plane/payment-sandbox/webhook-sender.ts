// Sends the sandbox's events as badly as real ones come: late, twice, out of order, and again until they are taken.
import type { Log } from "../../runtime/log.js";
import { messageOf } from "../../runtime/operating-error.js";
import { signWebhook } from "../webhook-signature.js";
import type { SandboxBank, SandboxEvent } from "./sandbox-bank.js";

/** Events that are mixed with each other. */
const atOnceMax = 20;
const answerTimeoutMs = 10_000;

export interface WebhookSenderOptions {
  bank: SandboxBank;
  url: string;
  secret: string;
  /** Share of events that are sent twice. */
  twiceShare: number;
  random: () => number;
  log: Log;
}

export class WebhookSender {
  readonly #options: WebhookSenderOptions;

  constructor(options: WebhookSenderOptions) {
    this.#options = options;
  }

  /** Sends what is to be sent, in no order; what is not taken stays for the next time. */
  async sendAll(): Promise<void> {
    const { bank, twiceShare, random } = this.#options;
    const events = bank.undelivered(atOnceMax);
    const sendings = events
      .flatMap((event) => (random() < twiceShare ? [event, event] : [event]))
      .map((event) => ({ event, at: random() }))
      .sort((a, b) => a.at - b.at);
    for (const { event } of sendings) if (await this.#send(event)) bank.markDelivered(event.eventId);
  }

  async #send(event: SandboxEvent): Promise<boolean> {
    const { url, secret, log } = this.#options;
    const body = JSON.stringify(event);
    try {
      const answer = await fetch(url, {
        method: "POST",
        headers: { "Content-Type": "application/json", "Millrace-Signature": signWebhook(body, { secret, nowUnixMs: Date.now() }) },
        body,
        signal: AbortSignal.timeout(answerTimeoutMs),
      });
      await answer.arrayBuffer();
      if (!answer.ok) log.warn({ eventId: event.eventId, status: answer.status }, "a webhook was not taken; it is sent again");
      return answer.ok;
    } catch (error) {
      log.warn({ eventId: event.eventId, error: messageOf(error) }, "a webhook was not taken; it is sent again");
      return false;
    }
  }
}
