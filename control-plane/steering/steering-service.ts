// SteeringService over gRPC, and the steering words of the protocol.
import { LRUCache } from "lru-cache";
import type { Clock } from "../../runtime/clock.js";
import { OperatingError } from "../../runtime/operating-error.js";
import { readTitle } from "../catalog/catalog-service.js";
import type { CatalogStore } from "../catalog/catalog-store.js";
import { objectsPerTitleMax, whyBadPath } from "../catalog/title-rules.js";
import {
  Holds as ProtocolHolds,
  RejectionLetter as ProtocolLetter,
  type RejectedAppliance,
  type SteeringServiceServer,
} from "../protocol/generated/millrace/steering/v1/steering.js";
import type { Holds, WantedObject } from "../fleet/holdings-register.js";
import { objectsForPlayback } from "../playback/playback-answer.js";
import type { UrlSigner } from "../playback/url-signer.js";
import type { ServiceCalls } from "../service-calls.js";
import { orderPathways, type ThroughputReports } from "./order-pathways.js";
import type { SteeringSessions } from "./steering-sessions.js";
import type { RankOptions, RejectedCandidate, Steering } from "./steering.js";

/** Rejections in one answer; a person reads them. */
const rejectedMax = 200;
const sessionIdMaxLength = 64;
/** What was asked for lately, and for how long a title that is published anew is ranked by its old version. */
const wantedKeptMax = 10_000;
const wantedKeptMs = 1000;

export interface SteeringServiceOptions {
  steering: Steering;
  catalog: CatalogStore;
  sessions: SteeringSessions;
  /** Undefined: URLs carry no token. */
  signer: UrlSigner | undefined;
  throughput: ThroughputReports;
  contentSteeringTtlMs: number;
  clock: Clock;
}

export function makeSteeringService(calls: ServiceCalls, options: SteeringServiceOptions): SteeringServiceServer {
  const { steering, catalog, sessions, signer, throughput, contentSteeringTtlMs, clock } = options;
  const kept = new LRUCache<string, Promise<WantedObject[]>>({ max: wantedKeptMax, ttl: wantedKeptMs });
  /** With the versions that the catalog has of them, which it is not asked for each player. */
  const wantedOf = (paths: readonly string[]): Promise<WantedObject[]> => {
    const key = paths.join("\n");
    let wanted = kept.get(key);
    if (!wanted) {
      wanted = catalog.etagsOf(paths).then((etags) =>
        paths.map((path) => {
          const etag = etags.get(path);
          return etag === undefined ? { path } : { path, etag };
        }),
      );
      kept.set(key, wanted);
      wanted.catch(() => kept.delete(key));
    }
    return wanted;
  };
  return {
    rankAppliances: calls.unary(async ({ clientAddress, paths, everyBox, sessionId, bitsPerSecond }) => {
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
      checkSessionId(sessionId);
      const wanted = await wantedOf(paths);
      const rankOptions: RankOptions = { everyBox };
      if (sessionId !== "") rankOptions.sessionId = sessionId;
      if (bitsPerSecond > 0n) rankOptions.bitsPerSecond = Number(bitsPerSecond);
      const { ranked, rejected, matchedPrefix } = steering.rank(clientAddress, wanted, rankOptions);
      return {
        ranked: ranked.map(({ candidate, reason }) => ({
          applianceId: candidate.id,
          siteId: candidate.siteId,
          dataUrl: candidate.dataUrl,
          holds: toProtocolHolds(candidate.holds),
          reason,
        })),
        rejected: toProtocolRejected(rejected),
        matchedPrefix: matchedPrefix ?? "",
      };
    }),

    releaseSession: calls.unary(({ sessionId }) => {
      checkSessionId(sessionId);
      return { released: steering.release(sessionId) };
    }),

    steerContent: calls.unary(async ({ session: name, clientAddress, pathwayId, throughputBitsPerSecond }) => {
      const session = sessions.parse(name, clock.unixMs());
      if (!session) throw new OperatingError("steering-session-unknown", "Cannot steer: this session is not known, or has ended");
      const { title, objects } = await readTitle(catalog, session.titleId);
      const wanted = objectsForPlayback(title, objects).map(({ path, etag }) => ({ path, etag }));
      const { id, bitsPerSecond } = session;
      if (pathwayId !== "" && throughputBitsPerSecond > 0n) throughput.note(id, pathwayId, Number(throughputBitsPerSecond));
      const group = steering.groupOf(wanted);
      const { decision } = steering.decideFor(clientAddress, group, { sessionId: id, bitsPerSecond });
      if (decision.ranked.length === 0) {
        throw new OperatingError("no-appliance-live", `Cannot steer title ${session.titleId}: no appliance is live`, { retryable: true });
      }
      const reports = throughput.of(id);
      const order = orderPathways(decision.ranked, { boxId: pathwayId === "" ? undefined : pathwayId, bitsPerSecond, reports });
      steering.moveSession(id, order[0]!, bitsPerSecond);
      const token = signer?.sign({ paths: wanted.map(({ path }) => path), clientAddress });
      const baseOf = (dataUrl: string) => (token === undefined ? dataUrl : `${dataUrl}~${token}/`);
      return {
        pathways: order.map((box) => ({ pathwayId: box.id, siteId: box.siteId, dataUrl: baseOf(box.dataUrl) })),
        ttlSeconds: Math.max(1, Math.round(contentSteeringTtlMs / 1000)),
        hlsPath: title.hlsPath,
        dashPath: title.dashPath,
      };
    }),
  };
}

function checkSessionId(sessionId: string): void {
  if (sessionId.length <= sessionIdMaxLength) return;
  throw new OperatingError("invalid-argument", `Cannot take the session: its id must have ${sessionIdMaxLength} characters at most`);
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
