// PlaybackService over gRPC: catalog and steering in one call.
import { randomUUID } from "node:crypto";
import type { Clock } from "../../runtime/clock.js";
import { OperatingError } from "../../runtime/operating-error.js";
import { readTitle } from "../catalog/catalog-service.js";
import type { CatalogStore } from "../catalog/catalog-store.js";
import type { PlaybackServiceServer } from "../protocol/generated/millrace/playback/v1/playback.js";
import type { ServiceCalls } from "../service-calls.js";
import { toProtocolHolds, toProtocolRejected } from "../steering/steering-service.js";
import type { SteeringSessions } from "../steering/steering-sessions.js";
import type { TitleGate } from "../fill-plan/title-gate.js";
import type { Steering } from "../steering/steering.js";
import { diversionOf } from "./diversion.js";
import { entryPathOf, objectsForPlayback, urlOf } from "./playback-answer.js";
import type { StreamAdmission } from "./stream-admission.js";
import type { TitleAvailability } from "./title-availability.js";
import type { UrlSigner } from "./url-signer.js";

/** A player may ask where to play for so long after it began: the longest film, paused over a night. */
const steeringSessionMs = 24 * 3_600_000;

export interface PlaybackServiceOptions {
  catalog: CatalogStore;
  availability: TitleAvailability;
  steering: Steering;
  sessions: SteeringSessions;
  nominalBitsPerSecond: number;
  clock: Clock;
  /** Undefined: URLs carry no token. */
  signer: UrlSigner | undefined;
  liveness: TitleGate;
  /** Undefined: anyone may play. */
  admission: StreamAdmission | undefined;
}

export function makePlaybackService(calls: ServiceCalls, options: PlaybackServiceOptions): PlaybackServiceServer {
  const { catalog, availability, steering, sessions, nominalBitsPerSecond, clock, signer, liveness, admission } = options;
  return {
    startPlayback: calls.unary(async (request, { caller }) => {
      const { titleId, clientAddress } = request;
      const { title, objects } = await readTitle(catalog, titleId);
      const wanted = objectsForPlayback(title, objects).map(({ path, etag }) => ({ path, etag }));
      if (entryPathOf(title) === undefined || wanted.length === 0) {
        throw new OperatingError("title-unplayable", `Cannot play title ${titleId}: it has neither an HLS nor a DASH document`, {
          source: titleId,
        });
      }
      const available = await availability.check(request, caller);
      const id = randomUUID();
      // All encodes together are more than a player ever needs at once: a small film reserves little.
      const wholeBitsPerSecond = (title.sizeBytes * 8) / Math.max(1, title.durationSeconds);
      const bitsPerSecond = Math.max(1, Math.min(nominalBitsPerSecond, wholeBitsPerSecond));
      const { ranked, rejected, matchedSiteIds } = steering.rank(clientAddress, wanted, { sessionId: id, bitsPerSecond });
      if (ranked.length === 0) {
        const why =
          rejected.length === 0 ? "no appliance has registered" : `all ${rejected.length} appliances are offline, draining or full`;
        throw new OperatingError("no-appliance-live", `Cannot play title ${titleId}: ${why}`, { source: "fleet", retryable: true });
      }
      liveness.check(titleId, wanted, matchedSiteIds);
      const paths = wanted.map(({ path }) => path);
      const session = randomUUID();
      const baseOf = ({ dataUrl, siteId }: { dataUrl: string; siteId: string }) => {
        const divertedBy = diversionOf(siteId, matchedSiteIds, rejected);
        return signer === undefined ? dataUrl : `${dataUrl}~${signer.sign({ paths, clientAddress, session, divertedBy })}/`;
      };
      // Last, so that a title that can't play takes no slot.
      const stream = await admission?.admit(caller, titleId, (heightMax) => available.encodesFor(heightMax));
      return {
        titleId,
        name: title.name,
        durationSeconds: title.durationSeconds,
        urls: ranked.map(({ candidate }) => ({
          applianceId: candidate.id,
          siteId: candidate.siteId,
          hlsUrl: urlOf(baseOf(candidate), title.hlsPath),
          dashUrl: urlOf(baseOf(candidate), title.dashPath),
          holds: toProtocolHolds(candidate.holds),
        })),
        rejected: toProtocolRejected(rejected),
        steeringSession: sessions.nameOf({ id, titleId, bitsPerSecond, expiresUnixMs: clock.unixMs() + steeringSessionMs }),
        streamId: stream?.streamId ?? "",
        streamExpiresAtUnixMs: BigInt(stream?.expiresAtUnixMs ?? 0),
        heightMax: stream?.heightMax ?? 0,
        encodes: available.encodesFor(stream?.heightMax ?? 0),
      };
    }),
  };
}
