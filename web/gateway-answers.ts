// What the gateway's JSON holds, as types. No code, and no document: tests without a browser read them too.
import type { RankedUrl } from "./ranked-appliances.js";

export interface Title {
  readonly id: string;
  readonly name: string;
  readonly durationSeconds: number;
  readonly sizeBytes: number;
  readonly objectCount: number;
  readonly hlsPath: string;
  readonly dashPath: string;
}

export interface TitlesPage {
  readonly titles: readonly Title[];
  /** Empty on the last page. */
  readonly nextPageToken: string;
  /** The control plane is away; this is what the gateway remembers. */
  readonly stale?: boolean;
}

interface PlaybackUrl extends RankedUrl {
  readonly dash: string;
}

export interface Playback {
  readonly titleId: string;
  readonly name: string;
  readonly durationSeconds: number;
  /** Best first. */
  readonly urls: readonly PlaybackUrl[];
  /** Appliances that were left out: `C` for content, `H` for health. */
  readonly rejected: readonly { readonly applianceId: string; readonly siteId: string; readonly letter: string; readonly reason: string }[];
}

export interface FleetDisk {
  readonly uuid: string;
  readonly path: string;
  readonly state: string;
  readonly capacityBytes: number;
  readonly usedBytes: number;
}

/** Counts are totals since the appliance's process started. */
export interface FleetAppliance {
  readonly id: string;
  readonly siteId: string;
  readonly clusterId: string;
  readonly role: string;
  readonly state: string;
  readonly dataUrl: string;
  readonly adminUrl: string;
  readonly lastHeartbeatUnixMs: number;
  readonly requests: number;
  readonly bytesSent: number;
  readonly bytesFilled: number;
  readonly heldBytes: number;
  readonly capacityBytes: number;
  readonly objectsHeld: number;
  readonly requestHeadroom: number;
  readonly disks: readonly FleetDisk[];
}

export interface Fleet {
  readonly appliances: readonly FleetAppliance[];
  readonly stale?: boolean;
}

/** How the gateway gets on with the services of the control plane. */
export interface GatewayState {
  readonly services: readonly GatewayService[];
  /** How many copies of the control plane are in each state. */
  readonly copies: Readonly<Record<string, number>>;
}

export interface GatewayService {
  readonly service: string;
  /** "closed", "half-open" or "open". */
  readonly breaker: string;
  readonly running: number;
  readonly callsAtOnce: number;
}
