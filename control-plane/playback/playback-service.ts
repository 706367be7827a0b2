// PlaybackService over gRPC: catalog and steering in one call.
import { randomUUID } from "node:crypto";
import { OperatingError } from "../../runtime/operating-error.js";
import { readTitle } from "../catalog/catalog-service.js";
import type { CatalogStore } from "../catalog/catalog-store.js";
import type { PlaybackServiceServer } from "../protocol/generated/millrace/playback/v1/playback.js";
import type { ServiceCalls } from "../service-calls.js";
import { toProtocolHolds, toProtocolRejected } from "../steering/steering-service.js";
import type { TitleGate } from "../fill-plan/title-gate.js";
import type { Steering } from "../steering/steering.js";
import { diversionOf } from "./diversion.js";
import { entryPathOf, objectsForPlayback, urlOf } from "./playback-answer.js";
import type { StreamAdmission } from "./stream-admission.js";
import type { UrlSigner } from "./url-signer.js";

export interface PlaybackServiceOptions {
  catalog: CatalogStore;
  steering: Steering;
  /** Undefined: URLs carry no token. */
  signer: UrlSigner | undefined;
  liveness: TitleGate;
  /** Undefined: anyone may play. */
  admission: StreamAdmission | undefined;
}

export function makePlaybackService(
  calls: ServiceCalls,
  { catalog, steering, signer, liveness, admission }: PlaybackServiceOptions,
): PlaybackServiceServer {
  return {
    startPlayback: calls.unary(async ({ titleId, clientAddress }, { caller }) => {
      const { title, objects } = await readTitle(catalog, titleId);
      const wanted = objectsForPlayback(title, objects).map(({ path, etag }) => ({ path, etag }));
      if (entryPathOf(title) === undefined || wanted.length === 0) {
        throw new OperatingError("title-unplayable", `Cannot play title ${titleId}: it has neither an HLS nor a DASH document`, {
          source: titleId,
        });
      }
      const { ranked, rejected, matchedPrefix } = steering.rank(clientAddress, wanted);
      if (ranked.length === 0) {
        const why =
          rejected.length === 0 ? "no appliance has registered" : `all ${rejected.length} appliances are offline, draining or full`;
        throw new OperatingError("no-appliance-live", `Cannot play title ${titleId}: ${why}`, { source: "fleet", retryable: true });
      }
      liveness.check(titleId, wanted, matchedPrefix?.siteIds ?? []);
      const paths = wanted.map(({ path }) => path);
      const session = randomUUID();
      const baseOf = ({ dataUrl, siteId }: { dataUrl: string; siteId: string }) => {
        const divertedBy = diversionOf(siteId, matchedPrefix?.siteIds ?? [], rejected);
        return signer === undefined ? dataUrl : `${dataUrl}~${signer.sign({ paths, clientAddress, session, divertedBy })}/`;
      };
      // Last, so that a title that can't play takes no slot.
      const stream = await admission?.admit(caller, titleId);
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
        streamId: stream?.streamId ?? "",
        streamExpiresAtUnixMs: BigInt(stream?.expiresAtUnixMs ?? 0),
        heightMax: stream?.heightMax ?? 0,
      };
    }),
  };
}
