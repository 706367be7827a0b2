// Puts billing together, and does what time brings.
import { randomUUID } from "node:crypto";
import type { Clock } from "../../runtime/clock.js";
import type { Log } from "../../runtime/log.js";
import { messageOf } from "../../runtime/operating-error.js";
import type { BillingServiceServer } from "../protocol/generated/millrace/billing/v1/billing.js";
import type { ServiceCalls } from "../service-calls.js";
import type { Store } from "../store/database.js";
import { makeBillingService } from "./billing-service.js";
import type { BillingSettings } from "./billing-settings.js";
import { Billing } from "./billing.js";
import { doDueWork } from "./due-work.js";
import { PaymentCollector } from "./payment-collector.js";
import { openPaymentProvider } from "./payments/open-payment-provider.js";

export interface OpenBilling {
  makeService(calls: ServiceCalls): BillingServiceServer;
  close(): Promise<void>;
}

export interface OpenBillingOptions {
  store: Store;
  settings: BillingSettings;
  clock: Clock;
  log: Log;
}

/** Several copies may run on one database: each piece of due work is locked, and found done by whoever comes second. */
export function openBilling({ store, settings, clock, log }: OpenBillingOptions): OpenBilling {
  const provider = settings.provider && openPaymentProvider(settings.provider, () => clock.unixMs());
  const billing = new Billing({ retryDays: settings.retryDays, providerName: provider?.name ?? "none", newId: randomUUID });
  const collector = provider && new PaymentCollector({ store, billing, provider, clock, log });
  let working: Promise<unknown> | undefined;
  const timer =
    collector &&
    setInterval(() => {
      working ??= doDueWork({ store, billing, collector, clock, log })
        .then(
          (done) => {
            if (done.renewals + done.retries + done.failures > 0) log.info(done, "billing did what was due");
          },
          (error: unknown) => log.warn({ error: messageOf(error) }, "billing: what is due waits"),
        )
        .finally(() => (working = undefined));
    }, settings.every);
  return {
    makeService: (calls) =>
      makeBillingService(calls, { store, payments: provider && collector ? { billing, collector, provider } : undefined, clock }),
    close: async () => {
      clearInterval(timer);
      await working;
    },
  };
}
