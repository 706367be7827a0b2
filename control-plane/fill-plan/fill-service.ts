// FillService over gRPC: manifests out, sources out, holdings in.
import {
  SourceScope,
  type FetchManifestResponse,
  type FillServiceServer,
  type Holding,
} from "../../fill-protocol/generated/millrace/fill/v1/fill.js";
import { ApplianceRole, type ApplianceIdentity } from "../../fill-protocol/generated/millrace/fleet/v1/fleet.js";
import type { Log } from "../../runtime/log.js";
import { OperatingError } from "../../runtime/operating-error.js";
import type { CatalogStore } from "../catalog/catalog-store.js";
import { whyBadPath } from "../catalog/title-rules.js";
import { whyUnhealthy } from "../fleet/appliance.js";
import type { FleetRegistry } from "../fleet/fleet-registry.js";
import { holdingsPerApplianceMax, type HoldingsRegister, type WantedObject } from "../fleet/holdings-register.js";
import type { Metrics } from "../metrics.js";
import type { ServiceCalls } from "../service-calls.js";
import type { ManifestPlanner } from "./manifest-planner.js";
import type { ManifestPlan } from "./manifest-plan.js";
import { rankSources, type SourceCandidate } from "./source-ranking.js";

/** Entries in one message of a manifest: about 100 KB. */
const entriesPerPart = 1000;

export interface FillServiceOptions {
  registry: FleetRegistry;
  holdings: HoldingsRegister;
  planner: ManifestPlanner;
  catalog: CatalogStore;
  metrics: Pick<Metrics, "holdingsGaps">;
  log: Log;
}

export function makeFillService(calls: ServiceCalls, options: FillServiceOptions): FillServiceServer {
  const { registry, holdings, planner, catalog, metrics, log } = options;

  const applianceOf = (applianceId: string) => {
    const appliance = registry.get(applianceId);
    if (!appliance) {
      throw new OperatingError("appliance-unknown", `Cannot answer appliance ${applianceId}: it has not registered`, {
        source: applianceId,
      });
    }
    return appliance;
  };

  return {
    fetchManifest: calls.serverStream(async function* ({ applianceId, knownVersion }) {
      const { identity } = applianceOf(applianceId);
      const plan = await planner.planFor(sizeOf(identity));
      if (plan.version !== knownVersion) yield* partsOf(plan);
    }),

    rankSources: calls.unary(async ({ applianceId, path }) => {
      const asker = applianceOf(applianceId);
      const why = whyBadPath(path);
      if (why !== undefined) throw new OperatingError("invalid-argument", `Cannot rank sources: path ${why}`);
      const etag = (await catalog.etagsOf([path])).get(path);
      const wanted: WantedObject[] = [etag === undefined ? { path } : { path, etag }];
      const candidates = registry.list().map((appliance): SourceCandidate => {
        const { applianceId: id, clusterId, dataUrl, capacityBytes } = appliance.identity;
        return {
          id,
          clusterId,
          role: roleOf(appliance.identity),
          dataUrl,
          weight: Math.max(1, Number(capacityBytes)),
          healthy: whyUnhealthy(appliance) === undefined,
          holds: holdings.holdsOf(id, wanted),
        };
      });
      const { clusterId } = asker.identity;
      const ranked = rankSources({ id: applianceId, clusterId, role: roleOf(asker.identity) }, path, candidates);
      return {
        sources: ranked.map(({ id, dataUrl, scope }) => ({
          applianceId: id,
          dataUrl,
          scope: scope === "cluster" ? SourceScope.SOURCE_SCOPE_CLUSTER : SourceScope.SOURCE_SCOPE_TIER,
          hops: scope === "cluster" ? 0 : 1,
        })),
        steps: [],
        fillMaster: false,
        validSeconds: 0,
      };
    }),

    reportHoldings: calls.unary((report) => {
      const { applianceId, bootId, sequence, replaceAll } = report;
      if (sequence < 1n || sequence > BigInt(Number.MAX_SAFE_INTEGER)) {
        throw new OperatingError("invalid-argument", `Cannot take the report: sequence must be 1 or more: received ${sequence}`);
      }
      const bad = report.holdings.find(isImpossible);
      if (bad) {
        throw new OperatingError(
          "invalid-argument",
          `Cannot take the report: ${bad.chunksHeld} of ${bad.chunksTotal} chunks of ${JSON.stringify(bad.path.slice(0, 100))}`,
        );
      }
      const verdict = registry.isCurrentBoot(applianceId, bootId)
        ? holdings.apply({ applianceId, bootId, sequence: Number(sequence), replaceAll, holdings: report.holdings })
        : "unknown-boot";
      switch (verdict) {
        case "applied":
        case "sent-before":
          return { acknowledgedSequence: BigInt(holdings.sequenceOf(applianceId)) };
        case "unknown-boot":
          throw new OperatingError("boot-unknown", `Cannot take the report of ${applianceId}: this boot is not registered; register again`);
        case "full":
          throw new OperatingError(
            "holdings-full",
            `Cannot take the report of ${applianceId}: an appliance may report ${holdingsPerApplianceMax} objects`,
          );
        case "gap": {
          metrics.holdingsGaps.inc();
          const expected = holdings.sequenceOf(applianceId) + 1;
          log.warn({ applianceId, sequence: Number(sequence), expected }, "report of holdings is missing");
          throw new OperatingError(
            "holdings-gap",
            `Cannot take report ${sequence} of ${applianceId}: number ${expected} is expected; report all holdings`,
          );
        }
      }
    }),
  };
}

/** The size of an appliance, as plans are made for. */
export function sizeOf({ capacityBytes, chunkBytes }: ApplianceIdentity) {
  return { capacityBytes: Number(capacityBytes), chunkBytes };
}

function* partsOf({ version, entries }: ManifestPlan): Generator<FetchManifestResponse> {
  // An empty manifest is one empty part: without it the appliance would not learn the version.
  for (let at = 0; at === 0 || at < entries.length; at += entriesPerPart) {
    const part = entries.slice(at, at + entriesPerPart);
    yield { version, entries: part.map(({ path, sizeBytes, etag }) => ({ path, sizeBytes: BigInt(sizeBytes), etag, urgent: false })) };
  }
}

function roleOf({ role }: ApplianceIdentity): "edge" | "storage" {
  return role === ApplianceRole.APPLIANCE_ROLE_STORAGE ? "storage" : "edge";
}

function isImpossible({ path, chunksHeld, chunksTotal }: Holding): boolean {
  return path === "" || chunksHeld > chunksTotal;
}
