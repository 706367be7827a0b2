// The payment provider that the settings name.
import type { BillingSettings } from "../billing-settings.js";
import type { PaymentProvider } from "./payment-provider.js";
import { SandboxProvider } from "./sandbox-provider.js";
import { StripeProvider } from "./stripe-provider.js";

export function openPaymentProvider(settings: NonNullable<BillingSettings["provider"]>, nowUnixMs: () => number): PaymentProvider {
  switch (settings.kind) {
    case "sandbox":
      return new SandboxProvider({ url: settings.url, webhookSecret: settings.webhookSecret, nowUnixMs });
    case "stripe": {
      const { secretKey, webhookSecret, url } = settings;
      return new StripeProvider({ secretKey, webhookSecret, ...(url !== undefined && { url }) });
    }
  }
}
