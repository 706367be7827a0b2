// Keeps the plan that is in force, and makes it anew when the catalog, the fleet, the editors or the time ask for it.
import { ApplianceRole, type ApplianceIdentity } from "../../fill-protocol/generated/millrace/fleet/v1/fleet.js";
import { setImmediate, setTimeout as wait } from "node:timers/promises";
import type { Clock } from "../../runtime/clock.js";
import type { Log } from "../../runtime/log.js";
import type { CatalogStore } from "../catalog/catalog-store.js";
import type { ApplianceStore } from "../fleet/appliance-store.js";
import type { ControlPlaneSettings } from "../settings.js";
import { forecastCluster, readNetworkHeat, type ClusterForecasts, type NetworkHeat } from "./forecast-cluster.js";
import type { HeatStore } from "./heat-store.js";
import { dayMs } from "./heat-level.js";
import { emptyManifest, makeManifest, type Manifest } from "./manifest.js";
import { placeTitles, type ClusterMember } from "./place-titles.js";
import type { ClusterPlan, Editorial, PlannedMember, PlanStore, StoredPlan } from "./plan-store.js";
import { readPlannedCatalog, type PlannedCatalog } from "./planned-catalog.js";

/** How late a change that another copy of the control plane made may be seen. Every heartbeat asks; the database need not be. */
const lookEveryMs = 1000;
const versionWaitMs = 500;
/** Entries of manifests that are kept made, those in force and those that appliances may still have: 8 bytes and a place in a map each. */
const manifestEntriesKeptMax = 20_000_000;

export interface FillPlannerOptions {
  catalog: Pick<CatalogStore, "readRevision" | "listTitleVersions" | "listObjectsOf">;
  appliances: Pick<ApplianceStore, "list">;
  heat: Pick<HeatStore, "readRegion" | "listRegions" | "forgetOld">;
  plans: PlanStore;
  settings: ControlPlaneSettings["fillPlan"];
  clock: Clock;
  log: Log;
}

export class FillPlanner {
  readonly #options: FillPlannerOptions;
  #lookedAtMs = -Infinity;
  #looking: Promise<void> | undefined;
  /** Something that only this copy knows of has changed. */
  #dirty = true;
  #catalog: { revision: number; titles: PlannedCatalog } = { revision: -1, titles: new Map() };
  #plan: StoredPlan = { generation: -1, plannedAtUnixMs: 0, clusters: new Map() };
  #editorial: ReadonlyMap<string, Editorial> = new Map();
  #clusterOf = new Map<string, string>();
  #plannedAtMs = -Infinity;
  /** The manifests in force, by appliance. */
  readonly #manifests = new Map<string, Manifest>();
  /** And those before, by version, the oldest first. */
  readonly #former = new Map<string, Manifest>();

  constructor(options: FillPlannerOptions) {
    this.#options = options;
  }

  /** Catalog, fleet or editors have changed: look at once. */
  changed(): void {
    this.#dirty = true;
    this.#lookedAtMs = -Infinity;
  }

  get plan(): StoredPlan {
    return this.#plan;
  }

  get catalog(): PlannedCatalog {
    return this.#catalog.titles;
  }

  get editorial(): ReadonlyMap<string, Editorial> {
    return this.#editorial;
  }

  /**
   * The version in force for an appliance, as far as it is known within half a second: heartbeats come too often to wait for a plan.
   * A change is seen by the next one.
   */
  async versionOf(applianceId: string): Promise<bigint> {
    const fresh = this.manifestOf(applianceId).then(({ version }) => version);
    const known = this.#manifests.get(applianceId)?.version;
    if (known === undefined) return await fresh;
    const inTime = wait(versionWaitMs, known, { ref: false });
    // A plan that cannot be made now is made later; the one in force goes on.
    return await Promise.race([fresh.catch(() => known), inTime]);
  }

  /** The manifest in force for an appliance; an empty one before it is in the plan. */
  async manifestOf(applianceId: string): Promise<Manifest> {
    await this.refresh();
    const known = this.#manifests.get(applianceId);
    if (known) return known;
    const cluster = this.#plan.clusters.get(this.#clusterOf.get(applianceId) ?? "");
    if (!cluster) return emptyManifest;
    const manifest = makeManifest(
      cluster.titles.filter(({ memberIds }) => memberIds.includes(applianceId)),
      this.#catalog.titles,
      { isAnnounced: (titleId) => this.#editorial.has(titleId), nowUnixMs: this.#options.clock.unixMs() },
    );
    this.#manifests.set(applianceId, manifest);
    this.#former.delete(String(manifest.version));
    this.#former.set(String(manifest.version), manifest);
    let kept = 0;
    for (const { objects } of this.#former.values()) kept += objects.size;
    for (const [version, { objects }] of this.#former) {
      if (kept <= manifestEntriesKeptMax) break;
      this.#former.delete(version);
      kept -= objects.size;
    }
    return manifest;
  }

  /** A manifest that was in force while this process ran. */
  formerManifest(version: bigint): Manifest | undefined {
    return this.#former.get(String(version));
  }

  /** Sees to it that the plan is of the catalog and the fleet as they are. */
  async refresh(): Promise<void> {
    if (this.#options.clock.monotonicMs() - this.#lookedAtMs <= lookEveryMs) return this.#looking;
    this.#looking ??= this.#look().finally(() => (this.#looking = undefined));
    await this.#looking;
  }

  /** Makes the plan anew, whether it is time or not. True when it has changed. */
  async planNow(): Promise<boolean> {
    await this.#looking;
    const before = this.#plan.generation;
    this.changed();
    this.#plannedAtMs = -Infinity;
    await this.refresh();
    return this.#plan.generation !== before;
  }

  /** What is expected of each title in a cluster, as of now. */
  async forecastsOf(clusterId: string): Promise<ClusterForecasts | undefined> {
    const members = (await this.#options.appliances.list()).map(({ identity }) => identity).filter((one) => one.clusterId === clusterId);
    if (members.length === 0) return undefined;
    return await this.#forecast(members, await this.#readNetwork());
  }

  async #look(): Promise<void> {
    const { catalog, clock, plans, settings } = this.#options;
    // Taken before reading: a change while we read makes the next call look again.
    const startedAtMs = clock.monotonicMs();
    this.#lookedAtMs = startedAtMs;
    const wasDirty = this.#dirty;
    this.#dirty = false;
    try {
      const revision = await catalog.readRevision();
      const { generation } = await plans.readGeneration();
      const catalogChanged = revision !== this.#catalog.revision;
      // Read after the revision: objects may be newer than it says, and are then read once more.
      if (catalogChanged) this.#catalog = { revision, titles: await readPlannedCatalog(catalog, this.#catalog.titles) };
      if (generation !== this.#plan.generation) await this.#takeOver();
      if (catalogChanged || wasDirty || startedAtMs - this.#plannedAtMs >= settings.every) await this.#makePlan(startedAtMs);
      if (catalogChanged) this.#manifests.clear();
    } catch (error) {
      if (this.#lookedAtMs === startedAtMs) this.#lookedAtMs = -Infinity;
      this.#dirty ||= wasDirty;
      throw error;
    }
  }

  /** Reads the plan that is in force, which another copy may have made. */
  async #takeOver(): Promise<void> {
    this.#plan = await this.#options.plans.read();
    this.#editorial = await this.#options.plans.listEditorial();
    this.#clusterOf = new Map(
      [...this.#plan.clusters.values()].flatMap(({ clusterId, members }) => members.map(({ id }) => [id, clusterId])),
    );
    this.#manifests.clear();
  }

  async #makePlan(startedAtMs: number): Promise<void> {
    const { appliances, clock, heat, log, plans } = this.#options;
    const nowUnixMs = clock.unixMs();
    this.#editorial = await plans.listEditorial();
    const clusters = new Map<string, ApplianceIdentity[]>();
    for (const { identity, lease } of await appliances.list()) {
      // An appliance that is away keeps its place for as long as it may serve on its lease: a reboot moves no bytes.
      if (lease.expiresAtUnixMs <= nowUnixMs || identity.capacityBytes === 0n) continue;
      clusters.set(identity.clusterId, [...(clusters.get(identity.clusterId) ?? []), identity]);
    }
    const network = await this.#readNetwork();
    const next: ClusterPlan[] = [];
    for (const [clusterId, members] of clusters) {
      // Steering goes on between two clusters.
      await setImmediate();
      next.push(this.#planCluster(clusterId, members, { forecasts: await this.#forecast(members, network), nowUnixMs }));
    }
    this.#plannedAtMs = startedAtMs;
    const isSame =
      next.length === this.#plan.clusters.size && next.every((cluster) => isSamePlan(cluster, this.#plan.clusters.get(cluster.clusterId)));
    if (isSame && this.#plan.generation > 0) return;
    if (await plans.replace(Math.max(0, this.#plan.generation), next, nowUnixMs)) {
      log.info(
        { clusters: next.length, titles: this.#catalog.titles.size, ms: Math.round(clock.monotonicMs() - startedAtMs) },
        "made a fill plan",
      );
      await heat.forgetOld();
    }
    await this.#takeOver();
  }

  #planCluster(
    clusterId: string,
    identities: readonly ApplianceIdentity[],
    { forecasts, nowUnixMs }: { forecasts: ClusterForecasts; nowUnixMs: number },
  ): ClusterPlan {
    const { settings } = this.#options;
    const former = this.#plan.clusters.get(clusterId);
    const members = identities.map((identity): ClusterMember => {
      const capacityBytes = Number(identity.capacityBytes);
      const budgetBytes = budgetOf(capacityBytes, settings.demandShare);
      return { id: identity.applianceId, budgetBytes, chunkBytes: identity.chunkBytes, throughputWeight: Math.max(1, capacityBytes) };
    });
    // A clock that jumps, in either direction, gives a day's allowance at most.
    const sinceMs = nowUnixMs - this.#plan.plannedAtUnixMs;
    const elapsedDays = sinceMs < 0 ? 1 : sinceMs / dayMs;
    const allowances = new Map(
      members.map(({ id, budgetBytes }) => {
        const perDayBytes = budgetBytes * settings.churnPerDay;
        const left = former?.members.find((member) => member.id === id)?.allowanceBytes ?? perDayBytes;
        return [id, Math.min(perDayBytes, left + elapsedDays * perDayBytes)];
      }),
    );
    const demands = [...this.#catalog.titles.values()].map((title) => ({
      titleId: title.titleId,
      playsPerDay: forecasts.titles.get(title.titleId)?.playsPerDay ?? 0,
      objectBytes: title.objects.map(({ sizeBytes }) => sizeBytes),
      pinnedCopies: this.#editorial.get(title.titleId)?.pinnedCopies ?? 0,
    }));
    const previous = new Map((former?.titles ?? []).map((placed) => [placed.titleId, placed]));
    const { titles, replacedBytes } = placeTitles(demands, members, { previous, replaceBytes: ({ id }) => allowances.get(id)! });
    const added = new Map<string, number>(members.map(({ id }) => [id, 0]));
    for (const { titleId, memberIds } of titles) {
      const before = previous.get(titleId)?.memberIds ?? [];
      const sizeBytes = this.#catalog.titles.get(titleId)!.sizeBytes;
      for (const id of memberIds) if (!before.includes(id)) added.set(id, added.get(id)! + sizeBytes);
    }
    return {
      clusterId,
      members: members.map(({ id }): PlannedMember => ({
        id,
        allowanceBytes: Math.round(allowances.get(id)! - (replacedBytes.get(id) ?? 0)),
        addedBytes: added.get(id)!,
      })),
      titles,
    };
  }

  async #readNetwork(): Promise<NetworkHeat> {
    return await readNetworkHeat(this.#options.heat);
  }

  async #forecast(members: readonly ApplianceIdentity[], network: NetworkHeat): Promise<ClusterForecasts> {
    // Storage appliances are for the whole network; edges for the players of their site.
    const isStorage = members.every(({ role }) => role === ApplianceRole.APPLIANCE_ROLE_STORAGE);
    return forecastCluster(this.#catalog.titles.values(), network, {
      regionIds: isStorage ? undefined : [...new Set(members.map(({ siteId }) => siteId))],
      editorial: this.#editorial,
      nowUnixMs: this.#options.clock.unixMs(),
    });
  }
}

/** What a manifest may use of an appliance: the rest is for what requests bring in. */
export function budgetOf(capacityBytes: number, demandShare: number): number {
  return Math.floor(capacityBytes * (1 - demandShare));
}

/** Whether members and titles are the same; allowances are not looked at, since they change with the clock. */
function isSamePlan(one: ClusterPlan, other: ClusterPlan | undefined): boolean {
  if (!other) return false;
  const of = (plan: ClusterPlan) => JSON.stringify([plan.members.map(({ id }) => id), plan.titles]);
  return of(one) === of(other);
}
