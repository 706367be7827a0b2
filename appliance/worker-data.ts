// What the main thread hands to a worker when it starts it. Plain data, shared memory and ports.
import type { MessagePort } from "node:worker_threads";
import type { TokenKey } from "../fill-protocol/token-key.js";
import type { DiskDescription } from "./disk/disk-set.js";
import type { HeatMemory } from "./heat-table.js";
import type { FrameArenaMemory } from "./memory/frame-arena.js";
import type { ClientLimiterMemory } from "./serve/client-limiter.js";
import type { TokenRules } from "./serve/token-checker.js";
import type { ApplianceSettings } from "./settings.js";

interface WorkerData {
  settings: ApplianceSettings;
  /** What this appliance calls itself to others. */
  applianceId: string;
  arena: FrameArenaMemory;
  counters: SharedArrayBuffer;
  /** See thread-vitals.ts; a row for each serving worker. */
  vitals: SharedArrayBuffer;
  /** This worker's row of the counters. */
  thread: number;
  disks: readonly DiskDescription[];
  diskStates: SharedArrayBuffer;
  /** How often chunks were asked for lately; see disk/chunk-hits.ts. */
  hits: SharedArrayBuffer;
  /** Reads that a serving worker has under way at one disk. */
  readsPerDisk: number;
}

export interface ServeWorkerData extends WorkerData {
  tokenRules: TokenRules;
  /** Undefined: clients may take what they want. */
  limiter: ClientLimiterMemory | undefined;
  sessions: SharedArrayBuffer;
  /** The port that all serving workers share. */
  listenPort: number;
  fill: MessagePort;
  heat: HeatMemory;
}

export interface FillWorkerData extends WorkerData {
  applianceId: string;
  /** What tokens for other appliances are signed with. */
  tokenKeys: readonly TokenKey[];
}
