// The shapes of the API's larger answers; api-answers.ts makes them from the control plane's messages.
import { z } from "zod";

export const title = z.object({
  id: z.string(),
  name: z.string(),
  durationSeconds: z.number(),
  sizeBytes: z.int(),
  objectCount: z.int(),
  hlsPath: z.string(),
  dashPath: z.string(),
});

const rankedUrl = z.object({
  applianceId: z.string(),
  siteId: z.string(),
  hls: z.string(),
  dash: z.string(),
  /** "all", "some" or "none" of the title. */
  holds: z.string(),
});

/** C for content, H for health. */
const rejected = z.object({ applianceId: z.string(), siteId: z.string(), letter: z.string(), reason: z.string() });

export const playback = z.object({
  titleId: z.string(),
  name: z.string(),
  durationSeconds: z.number(),
  /** Paths of this gateway, for players that follow content steering. */
  steering: z.object({ hls: z.string(), dash: z.string() }),
  urls: z.array(rankedUrl),
  rejected: z.array(rejected),
  /** Where billing counts streams: to be kept by /api/billing/keep-stream. */
  stream: z.object({ streamId: z.string(), expiresAtUnixMs: z.int(), heightMax: z.int() }).optional(),
});

const disk = z.object({ uuid: z.string(), path: z.string(), state: z.string(), capacityBytes: z.int(), usedBytes: z.int() });

export const appliance = z.object({
  id: z.string(),
  siteId: z.string(),
  clusterId: z.string(),
  role: z.string(),
  state: z.string(),
  dataUrl: z.string(),
  adminUrl: z.string(),
  lastHeartbeatUnixMs: z.int(),
  requests: z.int(),
  bytesSent: z.int(),
  bytesFilled: z.int(),
  heldBytes: z.int(),
  capacityBytes: z.int(),
  objectsHeld: z.int(),
  requestHeadroom: z.number(),
  unhealthy: z.string(),
  safeToPowerOff: z.boolean(),
  drainedInSeconds: z.int(),
  disks: z.array(disk),
});
