// What operators have ordered, as the database has it: so that it holds over restarts and in every copy of the control plane.
import type { Store } from "../store/database.js";
import { upsert } from "../store/upsert.js";

export interface ApplianceOrder {
  applianceId: string;
  /** Undefined: it serves. */
  drainReason: string | undefined;
  turnedUp: boolean;
}

export interface Maintenance {
  maintenanceId: string;
  /** One of the two is empty. */
  applianceId: string;
  siteId: string;
  fromUnixMs: number;
  untilUnixMs: number;
  reason: string;
}

export class OperationStore {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  async orders(): Promise<ApplianceOrder[]> {
    const rows = await this.#store.selectFrom("appliance_order").selectAll().execute();
    return rows.map((row) => ({
      applianceId: row.appliance_id,
      drainReason: row.drain_reason === "" ? undefined : row.drain_reason,
      turnedUp: Number(row.turned_up_at_unix_ms) > 0,
    }));
  }

  /** @param reason not empty; undefined: serve. */
  async orderDrain(applianceId: string, reason: string | undefined): Promise<void> {
    const row = { appliance_id: applianceId, drain_reason: reason ?? "", turned_up_at_unix_ms: 0 };
    await upsert(this.#store, "appliance_order", { row, key: ["appliance_id"], set: ["drain_reason"] });
  }

  async setTurnedUp(applianceId: string, atUnixMs: number): Promise<void> {
    const row = { appliance_id: applianceId, drain_reason: "", turned_up_at_unix_ms: atUnixMs };
    await upsert(this.#store, "appliance_order", { row, key: ["appliance_id"], set: ["turned_up_at_unix_ms"] });
  }

  /** Those that have not ended, the earliest first. */
  async maintenanceAfter(nowUnixMs: number): Promise<Maintenance[]> {
    const rows = await this.#store
      .selectFrom("maintenance")
      .selectAll()
      .where("until_unix_ms", ">", nowUnixMs)
      .orderBy("from_unix_ms")
      .orderBy("maintenance_id")
      .execute();
    return rows.map((row) => ({
      maintenanceId: row.maintenance_id,
      applianceId: row.appliance_id,
      siteId: row.site_id,
      fromUnixMs: Number(row.from_unix_ms),
      untilUnixMs: Number(row.until_unix_ms),
      reason: row.reason,
    }));
  }

  async addMaintenance({ maintenanceId, applianceId, siteId, fromUnixMs, untilUnixMs, reason }: Maintenance): Promise<void> {
    await this.#store
      .insertInto("maintenance")
      .values({
        maintenance_id: maintenanceId,
        appliance_id: applianceId,
        site_id: siteId,
        from_unix_ms: fromUnixMs,
        until_unix_ms: untilUnixMs,
        reason,
      })
      .execute();
  }

  /** False when there is none of that id. */
  async cancelMaintenance(maintenanceId: string): Promise<boolean> {
    const { numDeletedRows } = await this.#store.deleteFrom("maintenance").where("maintenance_id", "=", maintenanceId).executeTakeFirst();
    return numDeletedRows > 0n;
  }
}
