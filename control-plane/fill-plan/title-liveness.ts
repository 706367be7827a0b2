// Whether a title is live in a region: enough clusters hold enough copies of all of it.

export interface LivenessRules {
  /** Clusters that must hold the title; fewer when there are not so many. 0 turns the gate off. */
  clusters: number;
  /** Appliances of one cluster that must hold it whole; fewer when it has not so many. */
  copies: number;
}

export interface ClusterHolders {
  clusterId: string;
  /** Live appliances. */
  members: number;
  /** Of these: hold all of the title. */
  holders: number;
}

export type Liveness = { live: true } | { live: false; reason: string };

/** @param clusters of the region that players are sent to. */
export function decideLiveness(clusters: readonly ClusterHolders[], rules: LivenessRules): Liveness {
  if (rules.clusters === 0) return { live: true };
  const peopled = clusters.filter(({ members }) => members > 0);
  const needed = Math.min(rules.clusters, peopled.length);
  const holding = peopled.filter(({ members, holders }) => holders >= Math.min(rules.copies, members));
  // Nobody is there to hold it: who plays is told that, and not that the title is not live.
  if (peopled.length === 0 || holding.length >= needed) return { live: true };
  return { live: false, reason: `${holding.length} of ${needed} clusters hold ${rules.copies} ${rules.copies === 1 ? "copy" : "copies"}` };
}
