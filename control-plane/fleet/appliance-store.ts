// What is kept of an appliance over restarts of the control plane: who it is and its lease.
import { ApplianceIdentity } from "../../fill-protocol/generated/millrace/fleet/v1/fleet.js";
import type { Store } from "../store/database.js";
import { upsert } from "../store/upsert.js";
import type { Lease } from "./appliance.js";

export interface StoredAppliance {
  identity: ApplianceIdentity;
  lease: Lease;
}

export class ApplianceStore {
  readonly #store: Store;
  /** What the database has of each appliance, by id: a fleet that registers anew without a change costs no writes. */
  readonly #saved = new Map<string, string>();

  constructor(store: Store) {
    this.#store = store;
  }

  /** Writes what has changed. */
  async save({ identity, lease }: StoredAppliance, nowUnixMs: number): Promise<void> {
    const fingerprint = fingerprintOf({ identity, lease });
    if (this.#saved.get(identity.applianceId) === fingerprint) return;
    const row = {
      appliance_id: identity.applianceId,
      identity: JSON.stringify(ApplianceIdentity.toJSON(identity)),
      registered_at_unix_ms: nowUnixMs,
      lease_id: lease.leaseId,
      lease_issued_at_unix_ms: lease.issuedAtUnixMs,
      lease_expires_at_unix_ms: lease.expiresAtUnixMs,
    };
    await upsert(this.#store, "appliance", { row, key: ["appliance_id"] });
    this.#saved.set(identity.applianceId, fingerprint);
  }

  async list(): Promise<StoredAppliance[]> {
    const rows = await this.#store.selectFrom("appliance").selectAll().orderBy("appliance_id").execute();
    return rows.map((row) => {
      const stored: StoredAppliance = {
        identity: ApplianceIdentity.fromJSON(JSON.parse(row.identity)),
        lease: {
          leaseId: row.lease_id,
          issuedAtUnixMs: row.lease_issued_at_unix_ms,
          expiresAtUnixMs: row.lease_expires_at_unix_ms,
        },
      };
      this.#saved.set(row.appliance_id, fingerprintOf(stored));
      return stored;
    });
  }
}

function fingerprintOf({ identity, lease }: StoredAppliance): string {
  return JSON.stringify([ApplianceIdentity.toJSON(identity), lease.leaseId, lease.issuedAtUnixMs, lease.expiresAtUnixMs]);
}
