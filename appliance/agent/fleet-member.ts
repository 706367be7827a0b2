// Keeps an appliance in the fleet: registers it, sends heartbeats, reports what it holds, follows the manifest. When the control plane is
// away it goes on trying, and the appliance goes on serving.
import { setTimeout as wait } from "node:timers/promises";
import { status, type ServiceError } from "@grpc/grpc-js";
import {
  ApplianceState,
  type ApplianceIdentity,
  type DiskStatus,
  type Headroom,
  type Lease,
  type ManifestProgress,
  type ServingTotals,
} from "../../fill-protocol/generated/millrace/fleet/v1/fleet.js";
import { SourceScope } from "../../fill-protocol/generated/millrace/fill/v1/fill.js";
import type { Clock } from "../../runtime/clock.js";
import type { Log } from "../../runtime/log.js";
import { messageOf } from "../../runtime/operating-error.js";
import type { FillProgress } from "../fill-messages.js";
import type { RankedSource, RankedSources } from "../fill/escalation.js";
import type { ManifestFile } from "../manifest-file.js";
import type { ControlPlaneClient } from "./control-plane-client.js";
import type { EscalationFile } from "./escalation-file.js";
import type { HeatJournal } from "./heat-journal.js";
import type { HoldingsReporter } from "./holdings-reporter.js";
import type { StoredLease } from "./lease-file.js";

/** Between tries to register, and until the control plane has said how often it wants heartbeats. */
const firstHeartbeatEveryMs = 1000;
/** Reports sent with one heartbeat, so that a long report does not hold heartbeats up for long. */
const reportsPerHeartbeatMax = 20;
/** The same of heat: a week's reports of five minutes are told within a quarter of an hour. */
const heatReportsPerHeartbeatMax = 5;

/** What the rest of the appliance says of itself at this moment. */
export interface ApplianceSelf {
  identity: () => ApplianceIdentity;
  totals: () => ServingTotals;
  disks: () => DiskStatus[];
  /** Requests that could be taken more; 0 when draining. */
  requestHeadroom: () => number;
  headroom: () => Headroom | undefined;
  /** Fill requests of other appliances that could be taken more. */
  fillHeadroom: () => number;
  /** Undefined before the first look at a manifest. */
  fillProgress: () => FillProgress | undefined;
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
  manifest: ManifestFile;
  /** The file has another manifest now. */
  onManifest: () => void;
  escalation: Pick<EscalationFile, "steps" | "note">;
  heat: Pick<HeatJournal, "journalId" | "next" | "acknowledge">;
}

export class FleetMember {
  readonly #options: FleetMemberOptions;
  readonly #stop = new AbortController();
  #everyMs = firstHeartbeatEveryMs;
  #registered = false;
  #connected = false;
  #lease: StoredLease | undefined;
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

  /** Where an object may be had, and when; without an answer nobody is known to have it, and the steps of before are in force. */
  async rankSources(path: string): Promise<RankedSources | undefined> {
    const { client, escalation, self } = this.#options;
    const withoutAnswer = escalation.steps && { sources: [], steps: escalation.steps, validSeconds: 0 };
    if (!this.#connected) return withoutAnswer;
    try {
      const answer = await client.rankSources({ applianceId: self.identity().applianceId, path });
      const steps = answer.steps.map(({ scope, maxHops, waitSeconds, maxBytesPerSecond }) => ({
        scope: scopeOf(scope),
        maxHops,
        waitSeconds,
        maxBytesPerSecond: Number(maxBytesPerSecond),
      }));
      escalation.note(answer.fillMaster, steps);
      return {
        sources: answer.sources.map(({ dataUrl: url, scope, hops, applianceId }) => ({ url, scope: scopeOf(scope), hops, applianceId })),
        steps,
        validSeconds: answer.validSeconds,
      };
    } catch {
      return withoutAnswer;
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
      fillHeadroom: self.fillHeadroom(),
      holdingsSequence: holdings.acknowledgedSequence,
      headroom: self.headroom(),
      sentAtUnixMs: BigInt(clock.unixMs()),
      manifest: toProtocolProgress(self.fillProgress()),
    });
    if (answer.registerAgain) {
      this.#registered = false;
      return;
    }
    if (answer.reportAllHoldings) holdings.reportAll();
    await this.#reportHoldings(applianceId);
    if (answer.manifestVersion !== this.#options.manifest.version) await this.#fetchManifest(applianceId);
    await this.#reportHeat(applianceId);
    const halfOver = this.#lease && clock.unixMs() > (this.#lease.issuedAtUnixMs + this.#lease.expiresAtUnixMs) / 2;
    if (this.#lease && (halfOver || answer.tokenKeysVersion !== this.#lease.tokenKeysVersion)) await this.#renewLease(this.#lease.leaseId);
  }

  async #renewLease(leaseId: string): Promise<void> {
    const { client, self } = this.#options;
    try {
      this.#takeLease((await client.renewLease({ applianceId: self.identity().applianceId, leaseId })).lease);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      // It has expired, or is another's: a new one comes with registering.
      this.#registered = false;
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
    const { client, log, manifest, onManifest } = this.#options;
    const partial = await manifest.readPartial();
    const request = {
      applianceId,
      knownVersion: manifest.version,
      resumeVersion: partial?.version ?? 0n,
      resumeBaseVersion: partial?.baseVersion ?? 0n,
      resumeEntries: BigInt(partial?.entries ?? 0),
    };
    for await (const part of client.fetchManifest(request)) {
      let isWhole;
      try {
        isWhole = await manifest.take(part);
      } catch (error) {
        // What has come is kept when the line breaks, but not when it does not fit together.
        manifest.dropPartial();
        throw error;
      }
      if (!isWhole) continue;
      log.info(
        { version: String(manifest.version), changes: part.baseVersion !== 0n, entries: Number(part.entriesTotal) },
        "took over a manifest",
      );
      onManifest();
    }
  }

  async #reportHeat(applianceId: string): Promise<void> {
    const { bootId, client, heat, log } = this.#options;
    for (let count = 0; count < heatReportsPerHeartbeatMax; count++) {
      const report = heat.next();
      if (!report) return;
      const objects = report.objects.map(([path, served, readThrough, divertedContent, divertedHealth]) => ({
        path,
        bytesServed: BigInt(Math.round(served)),
        bytesReadThrough: BigInt(Math.round(readThrough)),
        bytesDivertedContent: BigInt(Math.round(divertedContent)),
        bytesDivertedHealth: BigInt(Math.round(divertedHealth)),
      }));
      const rest = {
        sequence: BigInt(report.sequence),
        fromUnixMs: BigInt(report.fromUnixMs),
        toUnixMs: BigInt(report.toUnixMs),
        otherBytes: BigInt(Math.round(report.otherBytes)),
      };
      try {
        await client.reportHeat({ applianceId, bootId, journalId: heat.journalId, ...rest, objects });
      } catch (error) {
        // One that will never be taken must not hold up those behind it.
        if ((error as Partial<ServiceError>).code !== status.INVALID_ARGUMENT) throw error;
        log.error({ sequence: report.sequence, error: messageOf(error) }, "a report of heat was refused, and is dropped");
      }
      heat.acknowledge(report.sequence);
    }
  }

  #takeLease(lease: Lease | undefined): void {
    if (!lease) return;
    const { leaseId, revokedSessions, tokenKeysVersion } = lease;
    this.#lease = {
      leaseId,
      issuedAtUnixMs: Number(lease.issuedAtUnixMs),
      expiresAtUnixMs: Number(lease.expiresAtUnixMs),
      tokenKeys: lease.tokenKeys.map(({ id, secret, signsFromUnixMs, untilUnixMs }) => ({
        id,
        secret,
        signsFromUnixMs: Number(signsFromUnixMs),
        untilUnixMs: Number(untilUnixMs),
      })),
      revokedSessions,
      tokenKeysVersion,
    };
    this.#options.onLease(this.#lease);
  }
}

/** What a newer control plane may name besides is taken for the furthest that is known. */
function scopeOf(scope: SourceScope): RankedSource["scope"] {
  if (scope === SourceScope.SOURCE_SCOPE_CLUSTER) return "cluster";
  return scope === SourceScope.SOURCE_SCOPE_TIER ? "tier" : "origin";
}

/** The control plane has answered, and said no. */
function isRefusal(error: unknown): boolean {
  const code = (error as Partial<ServiceError>).code;
  return code === status.FAILED_PRECONDITION || code === status.NOT_FOUND;
}

function toProtocolProgress(progress: FillProgress | undefined): ManifestProgress | undefined {
  if (!progress || !/^\d+$/.test(progress.manifestVersion)) return undefined;
  return {
    version: BigInt(progress.manifestVersion),
    objects: BigInt(progress.objects),
    objectsHeld: BigInt(progress.objectsHeld),
    bytes: BigInt(progress.bytes),
    bytesHeld: BigInt(progress.bytesHeld),
  };
}
