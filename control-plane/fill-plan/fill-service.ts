// FillService over gRPC: manifests out, sources out, holdings and heat in.
import {
  SourceScope,
  type FillServiceServer,
  type Holding,
  type ReportHeatRequest,
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
import type { FillPlanner } from "./fill-planner.js";
import type { HeatStore, ServedBytes } from "./heat-store.js";
import { manifestAnswer } from "./manifest.js";
import { rankSources, type FillRules, type Scope, type SourceCandidate } from "./source-ranking.js";

/** Objects in one report of heat; keeps messages far below gRPC's 4 MiB. */
export const objectsPerHeatReportMax = 5000;

export interface FillServiceOptions {
  registry: FleetRegistry;
  holdings: HoldingsRegister;
  planner: FillPlanner;
  catalog: CatalogStore;
  heat: HeatStore;
  rules: FillRules;
  metrics: Pick<Metrics, "holdingsGaps" | "heatReports">;
  log: Log;
}

export function makeFillService(calls: ServiceCalls, options: FillServiceOptions): FillServiceServer {
  const { registry, holdings, planner, catalog, heat, metrics, log } = options;
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
    fetchManifest: calls.serverStream(async function* (request) {
      const { applianceId, knownVersion } = request;
      applianceOf(applianceId);
      const manifest = await planner.manifestOf(applianceId);
      if (manifest.version === knownVersion) return;
      // Resumed changes must be to what the appliance has, and that may have gone from memory since.
      yield* manifestAnswer(manifest, planner.formerManifest(knownVersion), request);
    }),

    rankSources: calls.unary(async ({ applianceId, path }) => {
      const asker = applianceOf(applianceId);
      const why = whyBadPath(path);
      if (why !== undefined) throw new OperatingError("invalid-argument", `Cannot rank sources: path ${why}`);
      const etag = (await catalog.etagsOf([path])).get(path);
      const wanted: WantedObject[] = [etag === undefined ? { path } : { path, etag }];
      const candidates: SourceCandidate[] = [];
      for (const appliance of registry.list()) {
        const { applianceId: id, siteId, clusterId, dataUrl, capacityBytes } = appliance.identity;
        const sameRoad = clusterId === asker.identity.clusterId || roleOf(appliance.identity) === "storage";
        if (!sameRoad) continue;
        candidates.push({
          id,
          siteId,
          clusterId,
          role: roleOf(appliance.identity),
          dataUrl,
          weight: Math.max(1, Number(capacityBytes)),
          healthy: whyUnhealthy(appliance) === undefined,
          admitsFill: appliance.fillHeadroom > 0,
          holds: holdings.holdsOf(id, wanted),
          planned: (await planner.manifestOf(id)).objects.has(path),
        });
      }
      const { siteId, clusterId } = asker.identity;
      const answer = rankSources({ id: applianceId, siteId, clusterId, role: roleOf(asker.identity) }, path, candidates, options.rules);
      return {
        sources: answer.sources.map(({ id, dataUrl, scope, hops }) => ({ applianceId: id, dataUrl, hops, scope: protocolScopes[scope] })),
        steps: answer.steps.map(({ scope, maxHops, waitSeconds, maxBytesPerSecond }) => ({
          scope: protocolScopes[scope],
          maxHops,
          waitSeconds,
          maxBytesPerSecond: BigInt(maxBytesPerSecond),
        })),
        fillMaster: answer.isMaster,
        validSeconds: answer.validSeconds,
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
          throw unknownBoot(applianceId);
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

    reportHeat: calls.unary(async (report) => {
      const { applianceId, bootId, journalId, sequence, toUnixMs } = report;
      const mistake = mistakeInHeat(report);
      if (mistake !== undefined) throw new OperatingError("invalid-argument", `Cannot take the report of heat: ${mistake}`);
      const { identity } = applianceOf(applianceId);
      if (!registry.isCurrentBoot(applianceId, bootId)) throw unknownBoot(applianceId);
      const isNew = await heat.apply({
        applianceId,
        regionId: identity.siteId,
        countsForHeat: roleOf(identity) === "edge",
        journalId,
        sequence: Number(sequence),
        toUnixMs: Number(toUnixMs),
        titles: await servedByTitle(report, catalog),
      });
      metrics.heatReports.inc({ result: isNew ? "applied" : "sent-before" });
      return { acknowledgedSequence: sequence };
    }),
  };
}

/** Bytes by title; what is in none, and what was not counted by object, is under "". */
async function servedByTitle(report: ReportHeatRequest, catalog: CatalogStore): Promise<Map<string, ServedBytes>> {
  const titleOf = await catalog.titlesOf(report.objects.map(({ path }) => path));
  const titles = new Map<string, ServedBytes>();
  const add = (titleId: string, bytesServed: bigint, contentBytes: bigint, healthBytes: bigint) => {
    const sum = titles.get(titleId) ?? { bytesServed: 0, contentBytes: 0, healthBytes: 0 };
    sum.bytesServed += Number(bytesServed);
    sum.contentBytes += Number(contentBytes);
    sum.healthBytes += Number(healthBytes);
    titles.set(titleId, sum);
  };
  for (const { path, bytesServed, bytesReadThrough, bytesDivertedContent, bytesDivertedHealth } of report.objects) {
    // A byte that steering sent elsewhere for lack of content is C already, whether it was read through there or not.
    const content = bytesReadThrough > bytesDivertedContent ? bytesReadThrough : bytesDivertedContent;
    const limit = bytesServed - bytesDivertedHealth;
    add(titleOf.get(path) ?? "", bytesServed, content < limit ? content : limit, bytesDivertedHealth);
  }
  if (report.otherBytes > 0n) add("", report.otherBytes, 0n, 0n);
  return titles;
}

function mistakeInHeat({ journalId, sequence, objects, fromUnixMs, toUnixMs, otherBytes }: ReportHeatRequest): string | undefined {
  if (!/^[\w-]{1,64}$/.test(journalId)) return "journal_id must be up to 64 letters, digits, dashes and underscores";
  if (sequence < 1n || sequence > maxSafe) return `sequence must be 1 or more: received ${sequence}`;
  if (toUnixMs < fromUnixMs || toUnixMs > maxSafe) return "to_unix_ms must not be before from_unix_ms";
  if (objects.length > objectsPerHeatReportMax) return `it has ${objects.length} objects, ${objectsPerHeatReportMax} at most`;
  if (otherBytes > bytesPerReportMax) return "other_bytes is impossible";
  const bad = objects.find(
    ({ path, bytesServed, bytesReadThrough, bytesDivertedContent, bytesDivertedHealth }) =>
      path === "" ||
      bytesServed > bytesPerReportMax ||
      bytesReadThrough > bytesServed ||
      bytesDivertedContent + bytesDivertedHealth > bytesServed,
  );
  return bad && `the bytes of ${JSON.stringify(bad.path.slice(0, 100))} are impossible`;
}

const maxSafe = BigInt(Number.MAX_SAFE_INTEGER);
/** A terabit per second for a day is 11 PB; sums of such stay below 2^53 when they are wrong only a hundred times. */
const bytesPerReportMax = 10n ** 14n;

const protocolScopes: Readonly<Record<Scope, SourceScope>> = {
  cluster: SourceScope.SOURCE_SCOPE_CLUSTER,
  tier: SourceScope.SOURCE_SCOPE_TIER,
  origin: SourceScope.SOURCE_SCOPE_ORIGIN,
};

function unknownBoot(applianceId: string): OperatingError {
  return new OperatingError("boot-unknown", `Cannot take the report of ${applianceId}: this boot is not registered; register again`);
}

function roleOf({ role }: ApplianceIdentity): "edge" | "storage" {
  return role === ApplianceRole.APPLIANCE_ROLE_STORAGE ? "storage" : "edge";
}

function isImpossible({ path, chunksHeld, chunksTotal }: Holding): boolean {
  return path === "" || chunksHeld > chunksTotal;
}
