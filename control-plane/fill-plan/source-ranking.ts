// Where an appliance should fetch an object from, and when it may ask whom.
import type { Holds } from "../fleet/holdings-register.js";
import { orderByRendezvous } from "../steering/rendezvous.js";

/** An appliance as a place to fetch one object from. */
export interface SourceCandidate {
  id: string;
  siteId: string;
  clusterId: string;
  role: "edge" | "storage";
  dataUrl: string;
  /** Share of the misses it should get among its like; above 0. */
  weight: number;
  /** Live, with room for requests of players. */
  healthy: boolean;
  /** It says yes to fill requests now. */
  admitsFill: boolean;
  /** How much of the object it holds. */
  holds: Holds;
  /** Its manifest names the object. */
  planned: boolean;
}

export type Scope = "cluster" | "tier" | "origin";

export interface RankedSource {
  id: string;
  dataUrl: string;
  scope: Exclude<Scope, "origin">;
  /** 0 in the asker's cluster, 1 at its site, 2 elsewhere. */
  hops: number;
}

export interface EscalationRule {
  scope: Scope;
  /** 0 = any. */
  maxHops: number;
  waitSeconds: number;
  /** 0 = no limit. */
  maxBytesPerSecond: number;
}

export interface FillRules {
  /** Members of a cluster that fetch an object from outside of it. */
  masters: number;
  masterSteps: readonly EscalationRule[];
  memberSteps: readonly EscalationRule[];
}

export interface SourceAnswer {
  sources: RankedSource[];
  steps: EscalationRule[];
  isMaster: boolean;
  validSeconds: number;
}

/** Enough to outlive several failures. */
export const sourcesMax = 10;
/** Who waits for a master looks again soon; who has sources keeps them for a while. */
const waitingValidSeconds = 2;
const sourcedValidSeconds = 30;

/**
 * Sources in order of preference: peers of the asker's cluster that hold the object whole, storage appliances that do, and, for
 * an edge, the masters of storage clusters, which would have to fetch it themselves.
 *
 * No cycles: nobody is its own source; a storage appliance is never sent to an edge, nor to a storage appliance that does not
 * hold the object whole. So only "edge → storage" leads to one that may have to ask further, and it asks only holders.
 *
 * The origin is asked by `masters` of each cluster at most: only masters have steps without a long wait, and edges are sent to no storage
 * appliance but holders and masters. A master that dies is replaced at the next question, since live members elect.
 */
export function rankSources(
  asker: Pick<SourceCandidate, "id" | "siteId" | "clusterId" | "role">,
  path: string,
  candidates: readonly SourceCandidate[],
  rules: FillRules,
): SourceAnswer {
  const isMaster = mastersOf(asker.clusterId, path, candidates, rules.masters).some(({ id }) => id === asker.id);
  const others = candidates.filter(({ id, role }) => id !== asker.id && (asker.role === "edge" || role === "storage"));
  const usable = others.filter(({ healthy, admitsFill }) => healthy && admitsFill);
  const peers = usable.filter(({ clusterId, holds }) => clusterId === asker.clusterId && holds === "all");
  const storage = usable.filter(({ role, clusterId }) => role === "storage" && clusterId !== asker.clusterId);
  const holders = storage.filter(({ holds }) => holds === "all");
  const fetchers =
    asker.role === "storage"
      ? []
      : [...new Set(storage.map(({ clusterId }) => clusterId))]
          .flatMap((clusterId) => mastersOf(clusterId, path, candidates, rules.masters))
          .filter((master) => storage.includes(master) && !holders.includes(master));
  // Another cluster's storage comes before the same program at the other end of the world.
  const near = (some: readonly SourceCandidate[]) =>
    [0, 1, 2].flatMap((hops) =>
      orderByRendezvous(
        some.filter((one) => hopsTo(asker, one) === hops),
        path,
      ),
    );
  const ranked = [
    ...near(peers).map((source) => ({ source, scope: "cluster" as const })),
    ...[...near(holders), ...near(fetchers)].map((source) => ({ source, scope: "tier" as const })),
  ].slice(0, sourcesMax);
  const hasTier = asker.role === "edge" && candidates.some(({ role }) => role === "storage");
  const steps = (isMaster ? rules.masterSteps : rules.memberSteps)
    // Without a tier above there is nothing to wait for before the origin: it takes the tier's place.
    .map((step, _, all) => {
      if (step.scope !== "origin" || hasTier) return step;
      return { ...step, waitSeconds: all.find(({ scope }) => scope === "tier")?.waitSeconds ?? step.waitSeconds };
    });
  return {
    sources: ranked.map(({ source, scope }) => ({ id: source.id, dataUrl: source.dataUrl, scope, hops: hopsTo(asker, source) })),
    steps,
    isMaster,
    validSeconds: isMaster || peers.length > 0 ? sourcedValidSeconds : waitingValidSeconds,
  };
}

/**
 * The members of a cluster that fetch an object from outside: by rendezvous among the live ones whose manifest names it, or among
 * all live ones when none does.
 */
function mastersOf(clusterId: string, path: string, candidates: readonly SourceCandidate[], masters: number): SourceCandidate[] {
  const live = candidates.filter((candidate) => candidate.clusterId === clusterId && candidate.healthy);
  const planned = live.filter((candidate) => candidate.planned);
  return orderByRendezvous(planned.length > 0 ? planned : live, path).slice(0, masters);
}

function hopsTo(asker: Pick<SourceCandidate, "siteId" | "clusterId">, { siteId, clusterId }: SourceCandidate): number {
  return clusterId === asker.clusterId ? 0 : siteId === asker.siteId ? 1 : 2;
}
