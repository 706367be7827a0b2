// Keeps the plans that are in force, and makes them anew when the catalog has changed.
import type { CatalogStore } from "../catalog/catalog-store.js";
import type { Clock } from "../../runtime/clock.js";
import { planManifest, type ManifestPlan, type PlanObject } from "./manifest-plan.js";

/** How late a change that another copy of the control plane made may be seen. Every heartbeat asks; the database need not be. */
const revisionMaxAgeMs = 1000;
/** Plans kept: one per capacity and chunk size in the fleet, which are bought in a few models. */
const plansMax = 256;

export class ManifestPlanner {
  readonly #store: Pick<CatalogStore, "readRevision" | "listObjectsNewestFirst">;
  readonly #clock: Clock;
  #checkedAtMs = -Infinity;
  #catalog: { revision: number; objects: readonly PlanObject[] } | undefined;
  #refreshing: Promise<void> | undefined;
  readonly #plans = new Map<string, ManifestPlan>();

  constructor(store: Pick<CatalogStore, "readRevision" | "listObjectsNewestFirst">, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** The catalog has changed: look at once. */
  catalogChanged(): void {
    this.#checkedAtMs = -Infinity;
  }

  /** The plan in force for an appliance of this size. */
  async planFor({ capacityBytes, chunkBytes }: { capacityBytes: number; chunkBytes: number }): Promise<ManifestPlan> {
    if (this.#clock.monotonicMs() - this.#checkedAtMs > revisionMaxAgeMs) {
      this.#refreshing ??= this.#refresh().finally(() => (this.#refreshing = undefined));
      await this.#refreshing;
    }
    const key = `${capacityBytes} ${chunkBytes}`;
    let plan = this.#plans.get(key);
    if (!plan) {
      plan = planManifest(this.#catalog?.objects ?? [], { capacityBytes, chunkBytes });
      if (this.#plans.size >= plansMax) this.#plans.delete(this.#plans.keys().next().value!);
      this.#plans.set(key, plan);
    }
    return plan;
  }

  async #refresh(): Promise<void> {
    // Taken before reading: a change while we read makes the next call look again.
    const startedAtMs = this.#clock.monotonicMs();
    this.#checkedAtMs = startedAtMs;
    try {
      const revision = await this.#store.readRevision();
      if (this.#catalog?.revision === revision) return;
      // Read after the revision: objects may be newer than it says, and are then read once more.
      this.#catalog = { revision, objects: await this.#store.listObjectsNewestFirst() };
      this.#plans.clear();
    } catch (error) {
      if (this.#checkedAtMs === startedAtMs) this.#checkedAtMs = -Infinity;
      throw error;
    }
  }
}
