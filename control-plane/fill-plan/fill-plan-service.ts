// FillPlanService over gRPC: the plan and its reasons, for operators; what editors say; misses.
import { ApplianceRole } from "../../fill-protocol/generated/millrace/fleet/v1/fleet.js";
import type { Clock } from "../../runtime/clock.js";
import { OperatingError } from "../../runtime/operating-error.js";
import type { CatalogStore } from "../catalog/catalog-store.js";
import { whyBadPath } from "../catalog/title-rules.js";
import type { FleetRegistry } from "../fleet/fleet-registry.js";
import type { HoldingsRegister } from "../fleet/holdings-register.js";
import type { FillPlanServiceServer } from "../protocol/generated/millrace/fillplan/v1/fill_plan.js";
import type { ServiceCalls } from "../service-calls.js";
import { explainCluster, explainPlace, rankTitles, type TitleInCluster } from "./explain-object.js";
import { budgetOf, type FillPlanner } from "./fill-planner.js";
import { dayMs } from "./heat-level.js";
import type { HeatStore } from "./heat-store.js";
import type { PlanStore } from "./plan-store.js";

const missesDefault = 1000;
const missesMax = 10_000;
/** A cluster has no more members than that in any sense. */
const pinnedCopiesMax = 1000;
const expectedPlaysPerDayMax = 1e9;

export interface FillPlanServiceOptions {
  registry: FleetRegistry;
  holdings: HoldingsRegister;
  planner: FillPlanner;
  plans: PlanStore;
  catalog: CatalogStore;
  heat: HeatStore;
  /** Share of a disk that manifests leave to demand. */
  demandShare: number;
  clock: Clock;
}

export function makeFillPlanService(calls: ServiceCalls, options: FillPlanServiceOptions): FillPlanServiceServer {
  const { registry, holdings, planner, plans, catalog, heat, clock } = options;
  return {
    summarizePlan: calls.unary(async () => {
      await planner.refresh();
      const { generation, plannedAtUnixMs, clusters } = planner.plan;
      const appliances = [];
      for (const { identity, manifest } of registry.list()) {
        const { applianceId, siteId, clusterId, role, capacityBytes } = identity;
        const { version, objects, bytes } = await planner.manifestOf(applianceId);
        const follows = manifest?.version === version;
        appliances.push({
          applianceId,
          siteId,
          clusterId,
          role: role === ApplianceRole.APPLIANCE_ROLE_STORAGE ? "storage" : "edge",
          manifestVersion: version,
          objects: BigInt(objects.size),
          bytes: BigInt(bytes),
          budgetBytes: BigInt(budgetOf(Number(capacityBytes), options.demandShare)),
          capacityBytes,
          addedBytes: BigInt(clusters.get(clusterId)?.members.find(({ id }) => id === applianceId)?.addedBytes ?? 0),
          objectsHeld: follows ? manifest.objectsHeld : 0n,
          bytesHeld: follows ? manifest.bytesHeld : 0n,
        });
      }
      return { generation: BigInt(Math.max(0, generation)), plannedAtUnixMs: BigInt(plannedAtUnixMs), appliances };
    }),

    explainObject: calls.unary(async ({ path }) => {
      const why = whyBadPath(path);
      if (why !== undefined) throw new OperatingError("invalid-argument", `Cannot explain the object: path ${why}`);
      await planner.refresh();
      const titleId = (await catalog.titlesOf([path])).get(path);
      if (titleId === undefined) {
        throw new OperatingError("object-unknown", `Cannot explain ${path}: no title in the catalog has it, so no manifest names it`, {
          source: path,
        });
      }
      const etag = (await catalog.etagsOf([path])).get(path)!;
      const clusters = [];
      const appliances = [];
      for (const cluster of planner.plan.clusters.values()) {
        const forecasts = await planner.forecastsOf(cluster.clusterId);
        if (!forecasts) continue;
        const forecast = forecasts.titles.get(titleId);
        const ranks = rankTitles(forecasts);
        const last = cluster.titles.at(-1);
        const title: TitleInCluster = {
          titleId,
          placed: cluster.titles.find((placed) => placed.titleId === titleId),
          rank: ranks.get(titleId),
          titles: forecasts.titles.size,
          pinnedCopies: planner.editorial.get(titleId)?.pinnedCopies ?? 0,
          lastPlacedPlaysPerDay: (last && forecasts.titles.get(last.titleId)?.playsPerDay) ?? 0,
          playsPerDay: forecast?.playsPerDay ?? 0,
        };
        clusters.push({
          clusterId: cluster.clusterId,
          playsPerDay: title.playsPerDay,
          playsPerDayFromFast: forecast?.fromFast ?? 0,
          playsPerDayFromSlow: forecast?.fromSlow ?? 0,
          playsPerDayFromPrior: forecast?.fromPrior ?? 0,
          weekdayFactor: forecasts.weekdayFactor,
          rank: title.rank ?? 0,
          titles: title.titles,
          copies: title.placed?.copies ?? 0,
          reason: explainCluster(title),
        });
        for (const { id } of cluster.members) {
          const holds = holdings.holdsOf(id, [{ path, etag }]);
          const manifest = await planner.manifestOf(id);
          const entry = manifest.objects.get(path);
          appliances.push({
            applianceId: id,
            clusterId: cluster.clusterId,
            planned: entry !== undefined,
            stratum: entry?.stratum ?? 0,
            holds,
            reason: explainPlace(title, id, {
              holds,
              isNewestVersion: entry === undefined || entry.object.etag === etag,
            }),
          });
        }
      }
      return { path, titleId, clusters, appliances };
    }),

    setEditorial: calls.unary(async ({ titleId, pinnedCopies, expectedPlaysPerDay }) => {
      if (!Number.isFinite(expectedPlaysPerDay) || expectedPlaysPerDay < 0 || expectedPlaysPerDay > expectedPlaysPerDayMax) {
        throw new OperatingError("invalid-argument", `Cannot set what is expected: plays per day must be 0 to ${expectedPlaysPerDayMax}`);
      }
      if (pinnedCopies > pinnedCopiesMax) {
        throw new OperatingError("invalid-argument", `Cannot pin the title: ${pinnedCopiesMax} copies at most`);
      }
      if (!(await catalog.getTitle(titleId))) {
        throw new OperatingError("title-unknown", `Cannot set what editors say: there is no title ${titleId}`, { source: titleId });
      }
      await plans.setEditorial(titleId, { pinnedCopies, expectedPlaysPerDay });
      await planner.planNow();
      return {};
    }),

    makePlan: calls.unary(async () => {
      const changed = await planner.planNow();
      return { generation: BigInt(planner.plan.generation), changed };
    }),

    listMisses: calls.unary(async ({ fromUnixMs, toUnixMs, applianceId, titleId, limit }) => {
      if (limit > missesMax) throw new OperatingError("invalid-argument", `Cannot list misses: limit is ${missesMax} at most`);
      const nowUnixMs = clock.unixMs();
      const rows = await heat.listMisses({
        fromUnixMs: Number(fromUnixMs) || nowUnixMs - dayMs,
        toUnixMs: Number(toUnixMs) || nowUnixMs + 1,
        applianceId,
        titleId,
        limit: limit || missesDefault,
      });
      return {
        misses: rows.map((row) => ({
          hourUnixMs: BigInt(row.hour_unix_ms),
          applianceId: row.appliance_id,
          titleId: row.title_id,
          bytesServed: BigInt(row.bytes_served),
          contentBytes: BigInt(row.content_bytes),
          healthBytes: BigInt(row.health_bytes),
        })),
      };
    }),
  };
}
