// Where an appliance should fetch an object from.
import type { Holds } from "../fleet/holdings-register.js";
import { orderByRendezvous } from "../steering/rendezvous.js";

/** An appliance as a place to fetch one object from. */
export interface SourceCandidate {
  id: string;
  clusterId: string;
  role: "edge" | "storage";
  dataUrl: string;
  /** Share of the misses it should get among its like; above 0. */
  weight: number;
  /** Live and with headroom. */
  healthy: boolean;
  /** How much of the object it holds. */
  holds: Holds;
}

export interface RankedSource {
  id: string;
  dataUrl: string;
  scope: "cluster" | "tier";
}

/** Enough to outlive several failures; the origin comes after them. */
export const sourcesMax = 10;

/**
 * Sources in order of preference: peers of the asker's cluster that hold the object whole, storage appliances that do, and, for
 * an edge, storage appliances that would have to fetch it themselves. Within a step the order is by rendezvous on the path,
 * so that the misses of many edges for one object meet at one storage appliance.
 *
 * No cycles: nobody is its own source; a storage appliance is never sent to an edge, nor to a storage appliance that does not
 * hold the object whole. So only "edge → storage" leads to one that may have to ask further, and it asks only holders.
 */
export function rankSources(
  asker: Pick<SourceCandidate, "id" | "clusterId" | "role">,
  path: string,
  candidates: readonly SourceCandidate[],
): RankedSource[] {
  const usable = candidates.filter(
    ({ id, healthy, role }) => healthy && id !== asker.id && (asker.role === "edge" ? true : role === "storage"),
  );
  const peers = usable.filter(({ clusterId, holds }) => clusterId === asker.clusterId && holds === "all");
  const storage = usable.filter((candidate) => candidate.role === "storage" && !peers.includes(candidate));
  const holders = storage.filter(({ holds }) => holds === "all");
  const others = asker.role === "edge" ? storage.filter(({ holds }) => holds !== "all") : [];
  return [
    ...orderByRendezvous(peers, path).map(({ id, dataUrl }) => ({ id, dataUrl, scope: "cluster" as const })),
    ...[...orderByRendezvous(holders, path), ...orderByRendezvous(others, path)].map(({ id, dataUrl }) => ({
      id,
      dataUrl,
      scope: "tier" as const,
    })),
  ].slice(0, sourcesMax);
}
