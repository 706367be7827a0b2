// Applies what operators have ordered to the fleet: drains, maintenance that begins and ends by the clock, boxes that are not turned up yet.
import type { Clock } from "../../runtime/clock.js";
import type { Log } from "../../runtime/log.js";
import { messageOf } from "../../runtime/operating-error.js";
import type { FleetRegistry } from "./fleet-registry.js";
import type { ApplianceOrder, Maintenance, OperationStore } from "./operation-store.js";

/** Why the appliance is to be drained now; undefined when it is to serve. Pure. */
export function drainReasonOf(
  { applianceId, siteId }: { applianceId: string; siteId: string },
  orders: ReadonlyMap<string, ApplianceOrder>,
  maintenance: readonly Maintenance[],
  nowUnixMs: number,
): string | undefined {
  const ordered = orders.get(applianceId)?.drainReason;
  if (ordered !== undefined) return ordered;
  const now = maintenance.find(
    (entry) =>
      (entry.applianceId === applianceId || entry.siteId === siteId) && entry.fromUnixMs <= nowUnixMs && nowUnixMs < entry.untilUnixMs,
  );
  return now && `maintenance until ${new Date(now.untilUnixMs).toISOString()}: ${now.reason}`;
}

export interface OperationsOptions {
  registry: FleetRegistry;
  store: OperationStore;
  turnUp: "required" | "off";
  clock: Clock;
  log: Log;
  /** Told of each appliance after its orders were applied. */
  onChange: (applianceId: string) => void;
}

export class Operations {
  readonly #options: OperationsOptions;
  #orders: ReadonlyMap<string, ApplianceOrder> = new Map();
  #maintenance: readonly Maintenance[] = [];
  #failing = false;

  constructor(options: OperationsOptions) {
    this.#options = options;
  }

  /** Reads what is ordered and applies it. Another copy's orders are seen at the next call. A database that is away leaves all as it was. */
  async follow(): Promise<void> {
    const { store, clock, log } = this.#options;
    try {
      this.#orders = new Map((await store.orders()).map((order) => [order.applianceId, order]));
      this.#maintenance = await store.maintenanceAfter(clock.unixMs());
      this.#failing = false;
    } catch (error) {
      if (!this.#failing) log.warn({ error: messageOf(error) }, "orders for the fleet cannot be read; those that are known hold");
      this.#failing = true;
    }
    for (const { identity } of this.#options.registry.list()) this.apply(identity);
  }

  /** Applies what is known to one appliance: when it registers, before players can be sent there. */
  apply({ applianceId, siteId }: { applianceId: string; siteId: string }): void {
    const { registry, turnUp, clock, log, onChange } = this.#options;
    const before = registry.get(applianceId)?.drainOrder;
    const reason = drainReasonOf({ applianceId, siteId }, this.#orders, this.#maintenance, clock.unixMs());
    if (before !== reason)
      log.info({ applianceId, reason }, reason === undefined ? "appliance is to serve again" : "appliance is to be drained");
    registry.orderDrain(applianceId, reason);
    const isTurnedUp = turnUp === "off" || this.#orders.get(applianceId)?.turnedUp === true;
    registry.setTurnUpMissing(
      applianceId,
      isTurnedUp ? undefined : "its turn-up checks have not been passed: run millrace doctor on the box",
    );
    onChange(applianceId);
  }
}
