// Who is in the fleet and who is alive: all in memory, every decision made by the clock it is given.
import type {
  ApplianceIdentity,
  DiskStatus,
  Headroom,
  ManifestProgress,
  ServingTotals,
} from "../../fill-protocol/generated/millrace/fleet/v1/fleet.js";
import type { Clock } from "../../runtime/clock.js";
import { fullOf, whyUnhealthy, type Appliance, type ApplianceState, type Bottleneck, type Lease } from "./appliance.js";
import { SelfPreservation, type PreservationRules } from "./self-preservation.js";

/** Registered appliances, the offline ones included. */
export const appliancesMax = 10_000;
/** Boots remembered as having lost their place, per appliance: more than can be alive at once. */
const supersededBootsMax = 8;
/** How often the silent are counted, at most. */
const censusEveryMs = 100;

const neverPreserve: PreservationRules = { share: 2, atLeast: Infinity, forMs: 0 };

interface Entry {
  identity: ApplianceIdentity;
  lease: Lease | undefined;
  /** Undefined until the appliance registers with this process of the control plane. */
  bootId: string | undefined;
  supersededBootIds: string[];
  lastSeenMonotonicMs: number;
  lastHeartbeatUnixMs: number;
  /** The last time that its totals showed requests or bytes sent, or that it began to drain. */
  lastBusyMonotonicMs: number;
  draining: boolean;
  totals: ServingTotals | undefined;
  disks: readonly DiskStatus[];
  requestHeadroom: number;
  headroom: Headroom | undefined;
  full: Bottleneck | undefined;
  /** How far its clock is ahead of ours. */
  clockAheadMs: number | undefined;
  drainOrder: string | undefined;
  turnUpMissing: string | undefined;
  /** Struck off: it has to register again. */
  struckOff: boolean;
  fillHeadroom: number;
  manifest: ManifestProgress | undefined;
  /** Whether the log has been told. */
  knownOffline: boolean;
  /** What was last told of it, and in which version of the registry. */
  told: string;
  toldVersion: number;
}

export interface Heartbeat {
  applianceId: string;
  bootId: string;
  draining: boolean;
  totals: ServingTotals;
  disks: readonly DiskStatus[];
  requestHeadroom: number;
  headroom?: Headroom | undefined;
  /** Undefined when it did not tell. */
  sentAtUnixMs?: number | undefined;
  fillHeadroom: number;
  manifest: ManifestProgress | undefined;
}

export type RegisterVerdict = "first" | "new-boot" | "same-boot" | "superseded" | "fleet-full";
export type HeartbeatVerdict = "accepted" | "register-again" | "superseded";

export interface FleetRegistryOptions {
  clock: Clock;
  expiresAfterMs: number;
  /** A heartbeat is late after twice this. */
  heartbeatEveryMs?: number;
  /** Of an appliance that drains: silence after which it is drained. Longer than players take between two segments. */
  drainedAfterMs?: number;
  preservation?: PreservationRules;
}

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
  readonly #lateAfterMs: number;
  readonly #drainedAfterMs: number;
  readonly #preservation: SelfPreservation;
  readonly #entries = new Map<string, Entry>();
  #preserving = false;
  #censusAtMs = -Infinity;
  readonly #firstVersion: number;
  #version: number;

  constructor({ clock, expiresAfterMs, heartbeatEveryMs, drainedAfterMs = 30_000, preservation = neverPreserve }: FleetRegistryOptions) {
    this.#clock = clock;
    this.#expiresAfterMs = expiresAfterMs;
    this.#lateAfterMs = Math.min(expiresAfterMs, 2 * (heartbeatEveryMs ?? expiresAfterMs));
    this.#drainedAfterMs = drainedAfterMs;
    this.#preservation = new SelfPreservation(preservation);
    // So that no version of an earlier process is taken for one of this.
    this.#firstVersion = this.#version = clock.unixMs();
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
      entry.headroom = undefined;
      entry.full = undefined;
    }
    entry.identity = identity;
    entry.lastSeenMonotonicMs = this.#clock.monotonicMs();
    entry.struckOff = false;
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
    const nowMs = this.#clock.monotonicMs();
    const { totals, sentAtUnixMs } = heartbeat;
    const isBusy = totals.requests !== entry.totals?.requests || totals.bytesSent !== entry.totals.bytesSent;
    if (isBusy || (heartbeat.draining && !entry.draining)) entry.lastBusyMonotonicMs = nowMs;
    entry.lastSeenMonotonicMs = nowMs;
    entry.lastHeartbeatUnixMs = this.#clock.unixMs();
    entry.draining = heartbeat.draining;
    entry.totals = totals;
    entry.disks = heartbeat.disks;
    entry.requestHeadroom = heartbeat.requestHeadroom;
    entry.headroom = heartbeat.headroom;
    entry.full = fullOf(heartbeat.headroom, entry.full);
    entry.clockAheadMs = sentAtUnixMs === undefined ? undefined : sentAtUnixMs - this.#clock.unixMs();
    entry.fillHeadroom = heartbeat.fillHeadroom;
    entry.manifest = heartbeat.manifest;
    return "accepted";
  }

  /** Has the appliance drained for that reason, or serve again (undefined). Unknown appliances are passed over. */
  orderDrain(applianceId: string, reason: string | undefined): void {
    const entry = this.#entries.get(applianceId);
    if (!entry || entry.drainOrder === reason) return;
    if (entry.drainOrder === undefined) entry.lastBusyMonotonicMs = this.#clock.monotonicMs();
    entry.drainOrder = reason;
  }

  /** Keeps players away until the appliance is turned up (undefined). */
  setTurnUpMissing(applianceId: string, missing: string | undefined): void {
    const entry = this.#entries.get(applianceId);
    if (entry) entry.turnUpMissing = missing;
  }

  clockAheadMsOf(applianceId: string): number | undefined {
    return this.#entries.get(applianceId)?.clockAheadMs;
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

  /** When, on the monotonic clock, its silence strikes it off, unless all fall silent; undefined when it is off. */
  aliveUntilMs(applianceId: string): number | undefined {
    const entry = this.#entries.get(applianceId);
    return entry && this.#isAlive(entry) ? entry.lastSeenMonotonicMs + this.#expiresAfterMs : undefined;
  }

  /** Whether the silent are kept because most are silent. */
  isPreserving(): boolean {
    this.#count();
    return this.#preserving;
  }

  /** Of one that drains: seconds until it is drained, if nothing more is asked of it. */
  drainedInSeconds(applianceId: string): number {
    const entry = this.#entries.get(applianceId);
    if (!entry || this.#stateOf(entry) !== "draining") return 0;
    return Math.max(1, Math.ceil((entry.lastBusyMonotonicMs + this.#drainedAfterMs - this.#clock.monotonicMs()) / 1000));
  }

  /** What has changed since `knownVersion` in state, health or identity; everything when that version is not of this process. */
  changesSince(knownVersion: number): { version: number; whole: boolean; appliances: Appliance[] } {
    for (const entry of this.#entries.values()) {
      const view = this.#view(entry);
      const told = JSON.stringify([
        view.state,
        whyUnhealthy(view),
        { ...view.identity, capacityBytes: String(view.identity.capacityBytes) },
      ]);
      if (entry.told === told) continue;
      entry.told = told;
      entry.toldVersion = this.#version + 1;
    }
    if ([...this.#entries.values()].some(({ toldVersion }) => toldVersion > this.#version)) this.#version++;
    const whole = knownVersion < this.#firstVersion || knownVersion > this.#version;
    const changed = [...this.#entries.values()].filter(({ toldVersion }) => whole || toldVersion > knownVersion);
    return { version: this.#version, whole, appliances: changed.map((entry) => this.#view(entry)) };
  }

  /** Appliances that have expired since the last call. */
  takeNewlyOffline(): Appliance[] {
    const expired = [...this.#entries.values()].filter((entry) => !entry.knownOffline && !this.#isAlive(entry));
    for (const entry of expired) entry.knownOffline = true;
    return expired.map((entry) => this.#view(entry));
  }

  #isAlive(entry: Entry): boolean {
    if (entry.bootId === undefined || entry.struckOff) return false;
    if (this.#clock.monotonicMs() - entry.lastSeenMonotonicMs <= this.#expiresAfterMs) return true;
    this.#count();
    return !entry.struckOff;
  }

  /** Strikes off the silent, unless they are too many at once. */
  #count(): void {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs < this.#censusAtMs + censusEveryMs && !this.#hasExpiredSince(nowMs)) return;
    this.#censusAtMs = nowMs;
    const alive = [...this.#entries.values()].filter((entry) => entry.bootId !== undefined && !entry.struckOff);
    const late = alive.filter(({ lastSeenMonotonicMs }) => nowMs - lastSeenMonotonicMs > this.#lateAfterMs);
    const expired = alive.filter(({ lastSeenMonotonicMs }) => nowMs - lastSeenMonotonicMs > this.#expiresAfterMs);
    this.#preserving = this.#preservation.look(nowMs, { alive: alive.length, late: late.length, expired: expired.length });
    if (!this.#preserving) for (const entry of expired) entry.struckOff = true;
  }

  /** While nothing is preserved an expiry is acted on at once. */
  #hasExpiredSince(nowMs: number): boolean {
    return !this.#preserving && nowMs > this.#censusAtMs;
  }

  #stateOf(entry: Entry): ApplianceState {
    if (!this.#isAlive(entry)) return "offline";
    if (!entry.draining && entry.drainOrder === undefined) return "live";
    return this.#clock.monotonicMs() - entry.lastBusyMonotonicMs >= this.#drainedAfterMs ? "drained" : "draining";
  }

  #view(entry: Entry): Appliance {
    const { identity, lastHeartbeatUnixMs, totals, disks, requestHeadroom, fillHeadroom, manifest } = entry;
    const { headroom, full, drainOrder, turnUpMissing } = entry;
    const known = { identity, state: this.#stateOf(entry), lastHeartbeatUnixMs, totals, disks, requestHeadroom, fillHeadroom, manifest };
    return { ...known, headroom, full, drainOrder, turnUpMissing };
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
    lastBusyMonotonicMs: 0,
    draining: false,
    totals: undefined,
    disks: [],
    requestHeadroom: 0,
    headroom: undefined,
    full: undefined,
    clockAheadMs: undefined,
    drainOrder: undefined,
    turnUpMissing: undefined,
    struckOff: false,
    fillHeadroom: 0,
    manifest: undefined,
    knownOffline: true,
    told: "",
    toldVersion: 0,
  };
}
