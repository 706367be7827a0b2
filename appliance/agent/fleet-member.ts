// Keeps an appliance in the fleet: registers it, sends heartbeats, reports what it holds, follows the manifest. When the control plane is
// away it goes on trying, and the appliance goes on serving.
import { setTimeout as wait } from "node:timers/promises";
import {
  ApplianceState,
  type ApplianceIdentity,
  type DiskStatus,
  type Headroom,
  type Lease,
  type ServingTotals,
} from "../../fill-protocol/generated/millrace/fleet/v1/fleet.js";
import type { Clock } from "../../runtime/clock.js";
import type { Log } from "../../runtime/log.js";
import { messageOf } from "../../runtime/operating-error.js";
import type { ManifestItem } from "../fill-messages.js";
import type { ControlPlaneClient } from "./control-plane-client.js";
import type { HoldingsReporter } from "./holdings-reporter.js";
import type { StoredLease } from "./lease-file.js";

/** Between tries to register, and until the control plane has said how often it wants heartbeats. */
const firstHeartbeatEveryMs = 1000;
/** Reports sent with one heartbeat, so that a long report does not hold heartbeats up for long. */
const reportsPerHeartbeatMax = 20;

/** What the rest of the appliance says of itself at this moment. */
export interface ApplianceSelf {
  identity: () => ApplianceIdentity;
  totals: () => ServingTotals;
  disks: () => DiskStatus[];
  /** Requests that could be taken more; 0 when draining. */
  requestHeadroom: () => number;
  headroom: () => Headroom | undefined;
  isDraining: () => boolean;
}

export interface FleetMemberOptions {
  bootId: string;
  client: ControlPlaneClient;
  clock: Clock;
  holdings: HoldingsReporter;
  log: Log;
  self: ApplianceSelf;
  lease: StoredLease | undefined;
  onLease: (lease: StoredLease) => void;
  onManifest: (version: string, items: ManifestItem[]) => void;
}

export class FleetMember {
  readonly #options: FleetMemberOptions;
  readonly #stop = new AbortController();
  #everyMs = firstHeartbeatEveryMs;
  #registered = false;
  #connected = false;
  #lease: StoredLease | undefined;
  #manifestVersion = 0n;
  #running: Promise<void> | undefined;
  #wake = new AbortController();

  constructor(options: FleetMemberOptions) {
    this.#options = options;
    this.#lease = options.lease;
  }

  /** Whether the last call to the control plane was answered. */
  get connected(): boolean {
    return this.#connected;
  }

  get lease(): StoredLease | undefined {
    return this.#lease;
  }

  start(): void {
    this.#running = this.#run();
  }

  /** Sends a heartbeat now, with what has changed. */
  hurry(): void {
    this.#wake.abort();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#wake.abort();
    await this.#running;
    this.#options.client.close();
  }

  /** URLs of appliances that have an object, best first; none when the control plane is away. */
  async rankSources(path: string): Promise<string[]> {
    if (!this.#connected) return [];
    try {
      const { sources } = await this.#options.client.rankSources({ applianceId: this.#options.self.identity().applianceId, path });
      return sources.map(({ dataUrl }) => dataUrl);
    } catch {
      return [];
    }
  }

  async #run(): Promise<void> {
    const { log } = this.#options;
    while (!this.#stop.signal.aborted) {
      // From here on, so that a hurry during the calls is not lost.
      this.#wake = new AbortController();
      try {
        if (!this.#registered) await this.#register();
        await this.#beat();
        if (!this.#connected) log.info("control plane answers");
        this.#connected = true;
      } catch (error) {
        if (this.#connected || !this.#registered)
          log.warn({ error: messageOf(error) }, "control plane is away; serving goes on without it");
        this.#connected = false;
      }
      if (this.#stop.signal.aborted) return;
      // The control plane has forgotten us: players do not come until it knows us again.
      const everyMs = this.#registered ? this.#everyMs : Math.min(this.#everyMs, firstHeartbeatEveryMs);
      await wait(everyMs, undefined, { signal: this.#wake.signal }).catch(() => {});
    }
  }

  async #register(): Promise<void> {
    const { bootId, client, holdings, log, self } = this.#options;
    const answer = await client.register({ identity: self.identity(), bootId });
    this.#everyMs = answer.heartbeatEveryMs || firstHeartbeatEveryMs;
    this.#registered = true;
    this.#takeLease(answer.lease);
    holdings.reportAll();
    log.info({ heartbeatEveryMs: this.#everyMs }, "registered with the control plane");
  }

  async #beat(): Promise<void> {
    const { bootId, client, clock, holdings, self } = this.#options;
    const { applianceId } = self.identity();
    const answer = await client.heartbeat({
      applianceId,
      bootId,
      state: self.isDraining() ? ApplianceState.APPLIANCE_STATE_DRAINING : ApplianceState.APPLIANCE_STATE_LIVE,
      totals: self.totals(),
      disks: self.disks(),
      requestHeadroom: self.requestHeadroom(),
      holdingsSequence: holdings.acknowledgedSequence,
      headroom: self.headroom(),
      sentAtUnixMs: BigInt(clock.unixMs()),
    });
    if (answer.registerAgain) {
      this.#registered = false;
      return;
    }
    if (answer.reportAllHoldings) holdings.reportAll();
    await this.#reportHoldings(applianceId);
    if (answer.manifestVersion !== this.#manifestVersion) await this.#fetchManifest(applianceId);
    if (this.#lease && clock.unixMs() > (this.#lease.issuedAtUnixMs + this.#lease.expiresAtUnixMs) / 2) {
      this.#takeLease((await client.renewLease({ applianceId, leaseId: this.#lease.leaseId })).lease);
    }
  }

  async #reportHoldings(applianceId: string): Promise<void> {
    const { bootId, client, holdings } = this.#options;
    for (let count = 0; count < reportsPerHeartbeatMax; count++) {
      const report = holdings.next();
      if (!report) return;
      const { acknowledgedSequence } = await client.reportHoldings({ applianceId, bootId, ...report });
      holdings.acknowledge(acknowledgedSequence);
    }
  }

  async #fetchManifest(applianceId: string): Promise<void> {
    const { client, log, onManifest } = this.#options;
    const parts = await client.fetchManifest({ applianceId, knownVersion: this.#manifestVersion });
    const [first] = parts;
    if (!first) return;
    const items = parts
      .flatMap(({ entries }) => entries)
      .map(({ path, sizeBytes, etag }) => ({ path, sizeBytes: Number(sizeBytes), etag }));
    this.#manifestVersion = first.version;
    log.info({ version: String(first.version), objects: items.length }, "took over a manifest");
    onManifest(String(first.version), items);
  }

  #takeLease(lease: Lease | undefined): void {
    if (!lease) return;
    this.#lease = { leaseId: lease.leaseId, issuedAtUnixMs: Number(lease.issuedAtUnixMs), expiresAtUnixMs: Number(lease.expiresAtUnixMs) };
    this.#options.onLease(this.#lease);
  }
}
