// SteeringService over gRPC, and the steering words of the protocol.
import { OperatingError } from "../../runtime/operating-error.js";
import type { CatalogStore } from "../catalog/catalog-store.js";
import { objectsPerTitleMax, whyBadPath } from "../catalog/title-rules.js";
import {
  Holds as ProtocolHolds,
  RejectionLetter as ProtocolLetter,
  type RejectedAppliance,
  type SteeringServiceServer,
} from "../protocol/generated/millrace/steering/v1/steering.js";
import type { Holds } from "../fleet/holdings-register.js";
import type { ServiceCalls } from "../service-calls.js";
import type { RejectedCandidate } from "./rank-appliances.js";
import type { Steering } from "./steering.js";

/** Rejections in one answer; a person reads them. */
const rejectedMax = 200;

export interface SteeringServiceOptions {
  steering: Steering;
  catalog: CatalogStore;
}

export function makeSteeringService(calls: ServiceCalls, { steering, catalog }: SteeringServiceOptions): SteeringServiceServer {
  return {
    rankAppliances: calls.unary(async ({ clientAddress, paths }) => {
      if (paths.length === 0 || paths.length > objectsPerTitleMax) {
        throw new OperatingError(
          "invalid-argument",
          `Cannot rank appliances: Expected 1 to ${objectsPerTitleMax} paths: received ${paths.length}`,
        );
      }
      for (const path of paths) {
        const why = whyBadPath(path);
        if (why !== undefined) throw new OperatingError("invalid-argument", `Cannot rank appliances: path ${why}`);
      }
      const etags = await catalog.etagsOf(paths);
      const wanted = paths.map((path) => {
        const etag = etags.get(path);
        return etag === undefined ? { path } : { path, etag };
      });
      const { ranked, rejected, matchedPrefix } = steering.rank(clientAddress, wanted);
      return {
        ranked: ranked.map(({ candidate, reason }) => ({
          applianceId: candidate.id,
          siteId: candidate.siteId,
          dataUrl: candidate.dataUrl,
          holds: toProtocolHolds(candidate.holds),
          reason,
        })),
        rejected: toProtocolRejected(rejected),
        matchedPrefix: matchedPrefix?.prefix ?? "",
      };
    }),
  };
}

const protocolHolds: Readonly<Record<Holds, ProtocolHolds>> = {
  all: ProtocolHolds.HOLDS_ALL,
  some: ProtocolHolds.HOLDS_SOME,
  none: ProtocolHolds.HOLDS_NONE,
};

export function toProtocolHolds(holds: Holds): ProtocolHolds {
  return protocolHolds[holds];
}

export function toProtocolRejected(rejected: readonly RejectedCandidate[]): RejectedAppliance[] {
  return rejected.slice(0, rejectedMax).map(({ candidate, letter, reason }) => ({
    applianceId: candidate.id,
    siteId: candidate.siteId,
    letter: letter === "H" ? ProtocolLetter.REJECTION_LETTER_H : ProtocolLetter.REJECTION_LETTER_C,
    reason,
  }));
}
