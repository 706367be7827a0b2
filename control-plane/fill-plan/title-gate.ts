// Lets a title play, or not yet, by what the clusters near the player hold of it.
import { ApplianceRole } from "../../fill-protocol/generated/millrace/fleet/v1/fleet.js";
import { OperatingError } from "../../runtime/operating-error.js";
import type { FleetRegistry } from "../fleet/fleet-registry.js";
import type { HoldingsRegister, WantedObject } from "../fleet/holdings-register.js";
import type { Metrics } from "../metrics.js";
import { decideLiveness, type ClusterHolders, type LivenessRules } from "./title-liveness.js";

export interface TitleGateOptions {
  registry: FleetRegistry;
  holdings: HoldingsRegister;
  rules: LivenessRules;
  metrics: Pick<Metrics, "playbackNotLive">;
}

export class TitleGate {
  readonly #options: TitleGateOptions;

  constructor(options: TitleGateOptions) {
    this.#options = options;
  }

  /**
   * @param wanted everything that will be played.
   * @param siteIds that announce the player's address; where none has an edge, all sites are its region.
   * @throws OperatingError "title-not-live".
   */
  check(titleId: string, wanted: readonly WantedObject[], siteIds: readonly string[]): void {
    const { rules, metrics } = this.#options;
    if (rules.clusters === 0) return;
    const all = this.#clusters(wanted);
    const near = all.filter((cluster) => siteIds.includes(cluster.siteId));
    const verdict = decideLiveness(near.length > 0 ? near : all, rules);
    if (verdict.live) return;
    metrics.playbackNotLive.inc();
    throw new OperatingError("title-not-live", `Cannot play title ${titleId} yet: ${verdict.reason}`, { source: titleId, retryable: true });
  }

  #clusters(wanted: readonly WantedObject[]): (ClusterHolders & { siteId: string })[] {
    const { registry, holdings } = this.#options;
    const clusters = new Map<string, ClusterHolders & { siteId: string }>();
    for (const { identity, state } of registry.list()) {
      if (identity.role !== ApplianceRole.APPLIANCE_ROLE_EDGE || state !== "live") continue;
      const { clusterId, siteId, applianceId } = identity;
      const cluster = clusters.get(clusterId) ?? { clusterId, siteId, members: 0, holders: 0 };
      cluster.members++;
      if (holdings.holdsOf(applianceId, wanted) === "all") cluster.holders++;
      clusters.set(clusterId, cluster);
    }
    return [...clusters.values()];
  }
}
