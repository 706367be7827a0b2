// FleetService over gRPC: appliances join, beat, renew; anyone may list them.
import { randomUUID } from "node:crypto";
import {
  ApplianceRole,
  ApplianceState as ProtocolState,
  type ApplianceIdentity,
  type ApplianceStatus,
  type FleetServiceServer,
  type Lease as ProtocolLease,
} from "../../fill-protocol/generated/millrace/fleet/v1/fleet.js";
import type { Clock } from "../../runtime/clock.js";
import type { Log } from "../../runtime/log.js";
import { OperatingError } from "../../runtime/operating-error.js";
import type { Metrics } from "../metrics.js";
import type { ServiceCalls } from "../service-calls.js";
import { applianceStates, whyUnhealthy, type Appliance, type ApplianceState, type Lease } from "./appliance.js";
import type { ApplianceStore } from "./appliance-store.js";
import { appliancesMax, type FleetRegistry } from "./fleet-registry.js";
import type { HoldingsRegister } from "./holdings-register.js";
import { isFleetId, mistakesInIdentity } from "./identity-rules.js";
import { leaseAtRegister, renewLease } from "./lease.js";
import type { LeaseKeys, TokenKeys } from "./token-keys.js";

/** Disks of one appliance in a heartbeat. */
const disksMax = 256;

export interface FleetServiceOptions {
  registry: FleetRegistry;
  holdings: HoldingsRegister;
  store: ApplianceStore;
  /** The version of the manifest that is in force for an appliance. */
  manifestVersionOf: (identity: ApplianceIdentity) => Promise<bigint>;
  /** An appliance is new, or has started again with other disks perhaps. */
  onRegistered: (identity: ApplianceIdentity) => void;
  clock: Clock;
  heartbeatEveryMs: number;
  expiresAfterMs: number;
  leaseValidForMs: number;
  /** Told of every Register and heartbeat. */
  onChange: (applianceId: string) => void;
  /** Of one that drains: until the last session that was sent there should have ended or moved; 0 when there is none. */
  sessionsEndInSeconds: (appliance: Appliance) => number;
  tokenKeys: Pick<TokenKeys, "current" | "revoke">;
  log: Log;
}

export function makeFleetService(calls: ServiceCalls, options: FleetServiceOptions): FleetServiceServer {
  const { registry, holdings, store, clock, log, tokenKeys } = options;
  const statusOf = (appliance: Appliance): ApplianceStatus => {
    const { applianceId } = appliance.identity;
    return {
      identity: appliance.identity,
      state: protocolStates[appliance.state],
      lastHeartbeatUnixMs: BigInt(appliance.lastHeartbeatUnixMs),
      totals: appliance.totals,
      disks: [...appliance.disks],
      requestHeadroom: appliance.requestHeadroom,
      objectsHeld: holdings.wholeCountOf(applianceId),
      headroom: appliance.headroom,
      manifest: appliance.manifest,
      unhealthy: whyUnhealthy(appliance) ?? "",
      safeToPowerOff: appliance.state === "drained",
      drainedInSeconds: Math.max(registry.drainedInSeconds(applianceId), options.sessionsEndInSeconds(appliance)),
    };
  };
  return {
    register: calls.unary(async ({ identity, bootId }) => {
      const mistakes = identity ? mistakesInIdentity(identity) : ["identity is missing"];
      if (!isFleetId(bootId)) mistakes.push("bootId must be up to 64 letters, digits, dots, dashes and underscores");
      if (!identity || mistakes.length > 0) {
        throw new OperatingError("invalid-argument", `Cannot register the appliance: ${mistakes.join("; ")}`);
      }
      const { applianceId } = identity;
      const verdict = registry.register(identity, bootId);
      if (verdict === "fleet-full") {
        throw new OperatingError("fleet-full", `Cannot register appliance ${applianceId}: the fleet has ${appliancesMax} already`);
      }
      if (verdict === "superseded") {
        log.warn({ applianceId, bootId, dataUrl: identity.dataUrl }, "two processes claim the same appliance id");
        throw superseded("register", applianceId);
      }
      holdings.startBoot(applianceId, bootId);
      options.onChange(applianceId);
      const nowUnixMs = clock.unixMs();
      const known = registry.leaseOf(applianceId);
      const lease = leaseAtRegister(known, { nowUnixMs, validForMs: options.leaseValidForMs, newLeaseId: randomUUID });
      await store.save({ identity, lease }, nowUnixMs);
      registry.setLease(applianceId, lease);
      if (verdict !== "same-boot") options.onRegistered(identity);
      const { siteId, clusterId, dataUrl, softwareVersion } = identity;
      log.info({ applianceId, bootId, siteId, clusterId, dataUrl, softwareVersion, verdict }, "appliance registered");
      return {
        lease: toProtocolLease(lease, tokenKeys.current),
        heartbeatEveryMs: options.heartbeatEveryMs,
        expiresAfterMs: options.expiresAfterMs,
      };
    }),

    heartbeat: calls.unary(async (request) => {
      const { applianceId, bootId, disks, requestHeadroom, fillHeadroom, manifest } = request;
      if (disks.length > disksMax)
        throw new OperatingError("invalid-argument", `Cannot take the heartbeat: ${disks.length} disks, ${disksMax} at most`);
      if (request.state !== ProtocolState.APPLIANCE_STATE_LIVE && request.state !== ProtocolState.APPLIANCE_STATE_DRAINING) {
        throw new OperatingError("invalid-argument", "Cannot take the heartbeat: state must be live or draining");
      }
      const { requests = 0n, bytesSent = 0n, bytesFilled = 0n, heldBytes = 0n } = request.totals ?? {};
      const numbers = [requests, bytesSent, bytesFilled, heldBytes, ...disks.flatMap((disk) => [disk.capacityBytes, disk.usedBytes])];
      // Readers of JSON get these as numbers; 2^53 bytes are ten days at 10 GB/s.
      if (numbers.some((number) => number > BigInt(Number.MAX_SAFE_INTEGER))) {
        throw new OperatingError("invalid-argument", "Cannot take the heartbeat: totals and sizes of disks must be below 2^53");
      }
      const verdict = registry.heartbeat({
        applianceId,
        bootId,
        draining: request.state === ProtocolState.APPLIANCE_STATE_DRAINING,
        totals: { requests, bytesSent, bytesFilled, heldBytes },
        disks,
        requestHeadroom,
        headroom: request.headroom,
        sentAtUnixMs: request.sentAtUnixMs === 0n ? undefined : Number(request.sentAtUnixMs),
        fillHeadroom,
        manifest,
      });
      options.onChange(applianceId);
      if (verdict === "superseded") throw superseded("take the heartbeat of", applianceId);
      const appliance = registry.get(applianceId);
      if (verdict === "register-again" || !appliance) {
        return { registerAgain: true, reportAllHoldings: false, manifestVersion: 0n, tokenKeysVersion: "" };
      }
      return {
        registerAgain: false,
        reportAllHoldings: holdings.mustReportAll(applianceId, Number(request.holdingsSequence)),
        manifestVersion: await options.manifestVersionOf(appliance.identity),
        tokenKeysVersion: tokenKeys.current.version,
      };
    }),

    renewLease: calls.unary(async ({ applianceId, leaseId }) => {
      const appliance = registry.get(applianceId);
      if (!appliance) throw new OperatingError("appliance-unknown", `Cannot renew the lease of ${applianceId}: no such appliance`);
      const nowUnixMs = clock.unixMs();
      const lease = renewLease(registry.leaseOf(applianceId), { leaseId, nowUnixMs, validForMs: options.leaseValidForMs });
      if (!lease) {
        throw new OperatingError(
          "lease-unknown",
          `Cannot renew lease ${leaseId} of ${applianceId}: it has expired or was replaced; register again`,
        );
      }
      await store.save({ identity: appliance.identity, lease }, nowUnixMs);
      registry.setLease(applianceId, lease);
      return { lease: toProtocolLease(lease, tokenKeys.current) };
    }),

    revokeSession: calls.unary(async ({ session }) => ({ untilUnixMs: BigInt((await tokenKeys.revoke(session)).untilUnixMs) })),

    listAppliances: calls.unary(() => ({ appliances: registry.list().map(statusOf) })),

    fetchRegistry: calls.unary(({ knownVersion }) => {
      const { version, whole, appliances } = registry.changesSince(Number(knownVersion));
      return { version: BigInt(version), whole, appliances: appliances.map(statusOf), preserving: registry.isPreserving() };
    }),
  };
}

/** Takes up the appliances that the database knows. Call once, before the first call is served. */
export async function restoreFleet({ registry, store }: Pick<FleetServiceOptions, "registry" | "store">): Promise<number> {
  const stored = await store.list();
  for (const { identity, lease } of stored) registry.restore(identity, lease);
  return stored.length;
}

/** Logs who has gone silent since the last call. To be called every heartbeat interval. */
export function logNewlyOffline({ registry, log }: Pick<FleetServiceOptions, "registry" | "log">): void {
  for (const { identity, lastHeartbeatUnixMs } of registry.takeNewlyOffline()) {
    log.warn({ applianceId: identity.applianceId, siteId: identity.siteId, lastHeartbeatUnixMs }, "appliance offline");
  }
}

/** Sets the gauge that counts appliances by role and state. */
export function countFleet(registry: FleetRegistry, gauge: Metrics["appliances"]): void {
  for (const role of ["edge", "storage"]) for (const state of applianceStates) gauge.set({ role, state }, 0);
  for (const { identity, state } of registry.list()) {
    gauge.inc({ role: identity.role === ApplianceRole.APPLIANCE_ROLE_STORAGE ? "storage" : "edge", state });
  }
}

const protocolStates: Readonly<Record<ApplianceState, ProtocolState>> = {
  live: ProtocolState.APPLIANCE_STATE_LIVE,
  draining: ProtocolState.APPLIANCE_STATE_DRAINING,
  drained: ProtocolState.APPLIANCE_STATE_DRAINED,
  offline: ProtocolState.APPLIANCE_STATE_OFFLINE,
};

function superseded(action: string, applianceId: string): OperatingError {
  return new OperatingError(
    "boot-superseded",
    `Cannot ${action} appliance ${applianceId}: another process has registered with this id since and is alive; ` +
      "stop one of the two, or remove the index of the one that was copied",
    { source: applianceId },
  );
}

function toProtocolLease(lease: Lease, { keys, revokedSessions, version }: LeaseKeys): ProtocolLease {
  return {
    leaseId: lease.leaseId,
    issuedAtUnixMs: BigInt(lease.issuedAtUnixMs),
    expiresAtUnixMs: BigInt(lease.expiresAtUnixMs),
    tokenKeys: keys.map(({ id, secret, signsFromUnixMs, untilUnixMs }) => ({
      id,
      secret,
      signsFromUnixMs: BigInt(signsFromUnixMs),
      untilUnixMs: BigInt(untilUnixMs),
    })),
    revokedSessions: [...revokedSessions],
    tokenKeysVersion: version,
  };
}
