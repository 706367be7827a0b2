// Who is in the fleet and who is alive: all in memory, every decision made by the clock it is given.
import type {
  ApplianceIdentity,
  DiskStatus,
  ManifestProgress,
  ServingTotals,
} from "../../fill-protocol/generated/millrace/fleet/v1/fleet.js";
import type { Clock } from "../../runtime/clock.js";
import type { Appliance, ApplianceState, Lease } from "./appliance.js";

/** Registered appliances, the offline ones included: what one process can scan for each steering decision. */
export const appliancesMax = 10_000;
/** Boots remembered as having lost their place, per appliance: more than can be alive at once. */
const supersededBootsMax = 8;

interface Entry {
  identity: ApplianceIdentity;
  lease: Lease | undefined;
  /** Undefined until the appliance registers with this process of the control plane. */
  bootId: string | undefined;
  supersededBootIds: string[];
  lastSeenMonotonicMs: number;
  lastHeartbeatUnixMs: number;
  draining: boolean;
  totals: ServingTotals | undefined;
  disks: readonly DiskStatus[];
  requestHeadroom: number;
  fillHeadroom: number;
  manifest: ManifestProgress | undefined;
  /** Whether the log has been told. */
  knownOffline: boolean;
}

export interface Heartbeat {
  applianceId: string;
  bootId: string;
  draining: boolean;
  totals: ServingTotals;
  disks: readonly DiskStatus[];
  requestHeadroom: number;
  fillHeadroom: number;
  manifest: ManifestProgress | undefined;
}

export type RegisterVerdict = "first" | "new-boot" | "same-boot" | "superseded" | "fleet-full";
export type HeartbeatVerdict = "accepted" | "register-again" | "superseded";

/**
 * Two processes with the same id, say a copied disk:
 *   1. A registers, B registers: B takes the place, because after a crash that is how A's own restart looks.
 *   2. A's next heartbeat or Register is refused as "superseded" for as long as B is alive. Were A told to register again
 *      instead, A and B would push each other out for ever and players would be sent to either by turns.
 *   3. When B falls silent for `expiresAfterMs`, A may register again.
 */
export class FleetRegistry {
  readonly #clock: Clock;
  readonly #expiresAfterMs: number;
  readonly #entries = new Map<string, Entry>();

  constructor({ clock, expiresAfterMs }: { clock: Clock; expiresAfterMs: number }) {
    this.#clock = clock;
    this.#expiresAfterMs = expiresAfterMs;
  }

  /** Takes up an appliance that was registered before this process started: offline until it registers again. */
  restore(identity: ApplianceIdentity, lease: Lease): void {
    this.#entries.set(identity.applianceId, newEntry(identity, lease));
  }

  register(identity: ApplianceIdentity, bootId: string): RegisterVerdict {
    const known = this.#entries.get(identity.applianceId);
    if (!known && this.#entries.size >= appliancesMax) return "fleet-full";
    if (known?.supersededBootIds.includes(bootId) && this.#isAlive(known)) return "superseded";
    const entry = known ?? newEntry(identity, undefined);
    const verdict = entry.bootId === bootId ? "same-boot" : known ? "new-boot" : "first";
    if (verdict !== "same-boot") {
      if (entry.bootId !== undefined) entry.supersededBootIds.push(entry.bootId);
      entry.supersededBootIds = entry.supersededBootIds.filter((id) => id !== bootId).slice(-supersededBootsMax);
      entry.bootId = bootId;
      entry.draining = false;
      entry.totals = undefined;
      entry.disks = [];
      entry.requestHeadroom = 0;
      entry.fillHeadroom = 0;
      entry.manifest = undefined;
    }
    entry.identity = identity;
    entry.lastSeenMonotonicMs = this.#clock.monotonicMs();
    entry.knownOffline = false;
    this.#entries.set(identity.applianceId, entry);
    return verdict;
  }

  heartbeat(heartbeat: Heartbeat): HeartbeatVerdict {
    const entry = this.#entries.get(heartbeat.applianceId);
    if (!entry) return "register-again";
    if (entry.bootId !== heartbeat.bootId) {
      return entry.supersededBootIds.includes(heartbeat.bootId) && this.#isAlive(entry) ? "superseded" : "register-again";
    }
    if (!this.#isAlive(entry)) return "register-again";
    entry.lastSeenMonotonicMs = this.#clock.monotonicMs();
    entry.lastHeartbeatUnixMs = this.#clock.unixMs();
    entry.draining = heartbeat.draining;
    entry.totals = heartbeat.totals;
    entry.disks = heartbeat.disks;
    entry.requestHeadroom = heartbeat.requestHeadroom;
    entry.fillHeadroom = heartbeat.fillHeadroom;
    entry.manifest = heartbeat.manifest;
    return "accepted";
  }

  /** Whether `bootId` is the boot of `applianceId` that counts now. */
  isCurrentBoot(applianceId: string, bootId: string): boolean {
    const entry = this.#entries.get(applianceId);
    return entry !== undefined && entry.bootId === bootId && this.#isAlive(entry);
  }

  leaseOf(applianceId: string): Lease | undefined {
    return this.#entries.get(applianceId)?.lease;
  }

  setLease(applianceId: string, lease: Lease): void {
    const entry = this.#entries.get(applianceId);
    if (entry) entry.lease = lease;
  }

  get(applianceId: string): Appliance | undefined {
    const entry = this.#entries.get(applianceId);
    return entry && this.#view(entry);
  }

  /** The whole fleet, by id. */
  list(): Appliance[] {
    return [...this.#entries.values()]
      .map((entry) => this.#view(entry))
      .sort((a, b) => (a.identity.applianceId < b.identity.applianceId ? -1 : 1));
  }

  /** Appliances that have expired since the last call. */
  takeNewlyOffline(): Appliance[] {
    const expired = [...this.#entries.values()].filter((entry) => !entry.knownOffline && !this.#isAlive(entry));
    for (const entry of expired) entry.knownOffline = true;
    return expired.map((entry) => this.#view(entry));
  }

  #isAlive(entry: Entry): boolean {
    return entry.bootId !== undefined && this.#clock.monotonicMs() - entry.lastSeenMonotonicMs <= this.#expiresAfterMs;
  }

  #view(entry: Entry): Appliance {
    const state: ApplianceState = !this.#isAlive(entry) ? "offline" : entry.draining ? "draining" : "live";
    const { identity, lastHeartbeatUnixMs, totals, disks, requestHeadroom, fillHeadroom, manifest } = entry;
    return { identity, state, lastHeartbeatUnixMs, totals, disks, requestHeadroom, fillHeadroom, manifest };
  }
}

function newEntry(identity: ApplianceIdentity, lease: Lease | undefined): Entry {
  return {
    identity,
    lease,
    bootId: undefined,
    supersededBootIds: [],
    lastSeenMonotonicMs: 0,
    lastHeartbeatUnixMs: 0,
    draining: false,
    totals: undefined,
    disks: [],
    requestHeadroom: 0,
    fillHeadroom: 0,
    manifest: undefined,
    knownOffline: true,
  };
}
