// An appliance as the control plane knows it, and whether players may be sent to it.
import {
  DiskState,
  type ApplianceIdentity,
  type DiskStatus,
  type Headroom,
  type ManifestProgress,
  type ServingTotals,
} from "../../fill-protocol/generated/millrace/fleet/v1/fleet.js";

export const applianceStates = ["live", "draining", "drained", "offline"] as const;
export type ApplianceState = (typeof applianceStates)[number];

/** A thing that can run out. */
const bottlenecks = ["nic", "disk", "cpu"] as const;
export type Bottleneck = (typeof bottlenecks)[number];

/** With less than this free of one of them an appliance is full, and stays so until it has twice as much: a box at its limit must not flap. */
const fullBelowPermille = 50;
const freeAbovePermille = 100;
/** With less of its disk bytes online it serves mostly what it has to fetch. Above one half, so that a box with one of two disks left is out. */
const disksOnlineMinShare = 0.6;

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
  readonly headroom?: Readonly<Headroom> | undefined;
  /** What it has run out of. */
  readonly full?: Bottleneck | undefined;
  /** Why an operator wants it drained. */
  readonly drainOrder?: string | undefined;
  /** Why it has not been turned up; undefined when it has, or need not be. */
  readonly turnUpMissing?: string | undefined;
  /** Fill requests that it could take more. */
  readonly fillHeadroom: number;
  /** How far it holds its manifest; undefined before its first. */
  readonly manifest: Readonly<ManifestProgress> | undefined;
}

/** Why no player and no filling appliance may be sent to it; undefined when they may. */
export function whyUnhealthy(appliance: Pick<Appliance, "state" | "requestHeadroom" | "totals"> & Partial<Appliance>): string | undefined {
  const { state, totals, requestHeadroom, disks = [], drainOrder, turnUpMissing } = appliance;
  if (state === "offline") return "offline: its heartbeats have stopped";
  if (state === "draining") return drainOrder ? `draining: ${drainOrder}` : "draining: it takes no new players";
  if (state === "drained") return drainOrder ? `drained: ${drainOrder}` : "drained: it takes no new players";
  if (turnUpMissing !== undefined) return `not turned up: ${turnUpMissing}`;
  if (totals === undefined) return "starting: it has registered and not sent a heartbeat yet";
  if (requestHeadroom <= 0) return "full: no headroom for more requests";
  return whyDisksBad(disks) ?? whyStrained(appliance);
}

/** Why players should go elsewhere if there is an elsewhere: it answers, and has next to nothing left of something. */
export function whyStrained({ full }: Pick<Appliance, "full">): string | undefined {
  return full && `full: no headroom of its ${fullNames[full]}`;
}

const fullNames: Readonly<Record<Bottleneck, string>> = { nic: "network", disk: "disks", cpu: "processors" };

function whyDisksBad(disks: readonly DiskStatus[]): string | undefined {
  const inUse = disks.filter(({ state }) => state !== DiskState.DISK_STATE_RETIRED);
  const bytesOf = (some: readonly DiskStatus[]) => some.reduce((sum, { capacityBytes }) => sum + Number(capacityBytes), 0);
  const online = inUse.filter(({ state }) => state === DiskState.DISK_STATE_ONLINE);
  if (inUse.length === 0 || bytesOf(online) >= disksOnlineMinShare * bytesOf(inUse)) return undefined;
  return `disks: ${inUse.length - online.length} of ${inUse.length} are suspect or offline`;
}

/** What the appliance has run out of, given what it had run out of before. */
export function fullOf(headroom: Headroom | undefined, before: Bottleneck | undefined): Bottleneck | undefined {
  if (!headroom) return undefined;
  const free: Record<Bottleneck, number> = {
    nic: headroom.nicBitsPerSecond > 0n ? headroom.nicFreePermille : 1000,
    disk: headroom.diskFreePermille,
    cpu: headroom.cpuFreePermille,
  };
  const out = bottlenecks.find((name) => free[name] < fullBelowPermille);
  return out ?? (before !== undefined && free[before] < freeAbovePermille ? before : undefined);
}
