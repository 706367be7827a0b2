// Reconciles the books of a control plane that is known by its settings.
import type { ControlPlaneSettings } from "../settings.js";
import { openStore } from "../store/database.js";
import { openPaymentProvider } from "./payments/open-payment-provider.js";
import { reconcile, type Reconciliation } from "./reconcile.js";

/** @param askProvider where the settings have a payment provider. */
export async function reconcileSettings(
  { database, billing }: Pick<ControlPlaneSettings, "database" | "billing">,
  { askProvider }: { askProvider: boolean },
): Promise<Reconciliation> {
  const store = await openStore(database);
  try {
    const provider = askProvider && billing.provider ? openPaymentProvider(billing.provider, () => Date.now()) : undefined;
    return await reconcile(store, { ...(provider && { provider }), nowUnixMs: Date.now() });
  } finally {
    await store.destroy();
  }
}
