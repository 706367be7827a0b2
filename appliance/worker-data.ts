// What the main thread hands to a worker when it starts it. Plain data, shared memory and ports.
import type { MessagePort } from "node:worker_threads";
import type { DiskDescription } from "./disk/disk-set.js";
import type { FrameArenaMemory } from "./memory/frame-arena.js";
import type { ApplianceSettings } from "./settings.js";

interface WorkerData {
  settings: ApplianceSettings;
  /** What this appliance calls itself to others. */
  applianceId: string;
  arena: FrameArenaMemory;
  counters: SharedArrayBuffer;
  /** This worker's row of the counters. */
  thread: number;
  disks: readonly DiskDescription[];
  diskStates: SharedArrayBuffer;
  /** Reads that a serving worker has under way at one disk. */
  readsPerDisk: number;
}

export interface ServeWorkerData extends WorkerData {
  /** The port that all serving workers share. */
  listenPort: number;
  fill: MessagePort;
}

export type FillWorkerData = WorkerData;
