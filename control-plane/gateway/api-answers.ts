// The control plane's messages as the JSON of the gateway's API.
import { ApplianceRole, ApplianceState, DiskState, type ApplianceStatus } from "../../fill-protocol/generated/millrace/fleet/v1/fleet.js";
import { OperatingError } from "../../runtime/operating-error.js";
import { encodeJson } from "../catalog/details-json.js";
import type { Title } from "../protocol/generated/millrace/catalog/v1/catalog.js";
import type { StartPlaybackResponse } from "../protocol/generated/millrace/playback/v1/playback.js";
import { Holds, RejectionLetter } from "../protocol/generated/millrace/steering/v1/steering.js";

/** A 64-bit number as a JSON number, which is exact below 2^53. @throws OperatingError "number-too-large". */
export function jsonNumber(value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER) || value < -BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new OperatingError("number-too-large", `Cannot write ${value} as a JSON number: it is 2^53 or more`);
  }
  return Number(value);
}

export function titleJson(title: Title) {
  return {
    id: title.titleId,
    name: title.name,
    durationSeconds: title.durationSeconds,
    sizeBytes: jsonNumber(title.sizeBytes),
    objectCount: title.objectCount,
    hlsPath: title.hlsPath,
    dashPath: title.dashPath,
  };
}

export function playbackJson(answer: StartPlaybackResponse) {
  return {
    titleId: answer.titleId,
    name: answer.name,
    durationSeconds: answer.durationSeconds,
    encodes: answer.encodes.map(encodeJson),
    // For players that follow HLS or DASH Content Steering; the path of this gateway.
    steering: {
      hls: answer.urls.some(({ hlsUrl }) => hlsUrl !== "") ? steeringPath("master.m3u8", answer.steeringSession) : "",
      dash: answer.urls.some(({ dashUrl }) => dashUrl !== "") ? steeringPath("manifest.mpd", answer.steeringSession) : "",
    },
    urls: answer.urls.map((url) => ({
      applianceId: url.applianceId,
      siteId: url.siteId,
      hls: url.hlsUrl,
      dash: url.dashUrl,
      holds: holdsWord(url.holds),
    })),
    rejected: answer.rejected.map(({ applianceId, siteId, letter, reason }) => ({
      applianceId,
      siteId,
      letter: rejectionLetter(letter),
      reason,
    })),
    ...(answer.streamId !== "" && {
      stream: {
        streamId: answer.streamId,
        expiresAtUnixMs: jsonNumber(answer.streamExpiresAtUnixMs),
        heightMax: answer.heightMax,
      },
    }),
  };
}

function steeringPath(document: string, session: string): string {
  return `/api/steering/${document}?session=${encodeURIComponent(session)}`;
}

export function applianceJson(appliance: ApplianceStatus) {
  const { identity, totals } = appliance;
  return {
    id: identity?.applianceId ?? "",
    siteId: identity?.siteId ?? "",
    clusterId: identity?.clusterId ?? "",
    role: identity?.role === ApplianceRole.APPLIANCE_ROLE_STORAGE ? "storage" : "edge",
    state: stateWords[appliance.state] ?? "unknown",
    dataUrl: identity?.dataUrl ?? "",
    adminUrl: identity?.adminUrl ?? "",
    lastHeartbeatUnixMs: jsonNumber(appliance.lastHeartbeatUnixMs),
    requests: jsonNumber(totals?.requests ?? 0n),
    bytesSent: jsonNumber(totals?.bytesSent ?? 0n),
    bytesFilled: jsonNumber(totals?.bytesFilled ?? 0n),
    heldBytes: jsonNumber(totals?.heldBytes ?? 0n),
    capacityBytes: jsonNumber(identity?.capacityBytes ?? 0n),
    objectsHeld: appliance.objectsHeld,
    requestHeadroom: appliance.requestHeadroom,
    unhealthy: appliance.unhealthy,
    safeToPowerOff: appliance.safeToPowerOff,
    drainedInSeconds: appliance.drainedInSeconds,
    disks: appliance.disks.map(({ uuid, path, state, capacityBytes, usedBytes }) => ({
      uuid,
      path,
      state: diskWords[state] ?? "unknown",
      capacityBytes: jsonNumber(capacityBytes),
      usedBytes: jsonNumber(usedBytes),
    })),
  };
}

const stateWords: Readonly<Partial<Record<ApplianceState, string>>> = {
  [ApplianceState.APPLIANCE_STATE_LIVE]: "live",
  [ApplianceState.APPLIANCE_STATE_DRAINING]: "draining",
  [ApplianceState.APPLIANCE_STATE_OFFLINE]: "offline",
  [ApplianceState.APPLIANCE_STATE_DRAINED]: "drained",
};

const diskWords: Readonly<Partial<Record<DiskState, string>>> = {
  [DiskState.DISK_STATE_ONLINE]: "online",
  [DiskState.DISK_STATE_SUSPECT]: "suspect",
  [DiskState.DISK_STATE_OFFLINE]: "offline",
  [DiskState.DISK_STATE_RETIRED]: "retired",
};

/** "all", "some" or "none". */
export function holdsWord(holds: Holds): string {
  return holds === Holds.HOLDS_ALL ? "all" : holds === Holds.HOLDS_SOME ? "some" : "none";
}

/** "C", "H", or "?" from a control plane that is newer than this program. */
export function rejectionLetter(letter: RejectionLetter): string {
  return letter === RejectionLetter.REJECTION_LETTER_C ? "C" : letter === RejectionLetter.REJECTION_LETTER_H ? "H" : "?";
}
