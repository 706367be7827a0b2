// An appliance as the control plane knows it, and whether players may be sent to it.
import type {
  ApplianceIdentity,
  DiskStatus,
  ManifestProgress,
  ServingTotals,
} from "../../fill-protocol/generated/millrace/fleet/v1/fleet.js";

export const applianceStates = ["live", "draining", "offline"] as const;
export type ApplianceState = (typeof applianceStates)[number];

export interface Lease {
  leaseId: string;
  issuedAtUnixMs: number;
  expiresAtUnixMs: number;
}

/** One appliance at one moment. */
export interface Appliance {
  readonly identity: Readonly<ApplianceIdentity>;
  readonly state: ApplianceState;
  /** 0 when it has not been heard since the control plane started. */
  readonly lastHeartbeatUnixMs: number;
  /** Undefined before the first heartbeat of this boot. */
  readonly totals: Readonly<ServingTotals> | undefined;
  readonly disks: readonly DiskStatus[];
  readonly requestHeadroom: number;
  /** Fill requests that it could take more. */
  readonly fillHeadroom: number;
  /** How far it holds its manifest; undefined before its first. */
  readonly manifest: Readonly<ManifestProgress> | undefined;
}

/** Why no player and no filling appliance may be sent to it; undefined when they may. */
export function whyUnhealthy(appliance: Pick<Appliance, "state" | "requestHeadroom" | "totals">): string | undefined {
  if (appliance.state === "offline") return "offline: its heartbeats have stopped";
  if (appliance.state === "draining") return "draining: it takes no new players";
  if (appliance.totals === undefined) return "starting: it has registered and not sent a heartbeat yet";
  if (appliance.requestHeadroom <= 0) return "full: no headroom for more requests";
  return undefined;
}
