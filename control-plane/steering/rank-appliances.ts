// The steering decision: from a client's address and what it will play to ranked appliances, with a letter for each rejection.
import type { Holds } from "../fleet/holdings-register.js";
import { orderByRendezvous } from "./rendezvous.js";
import { type PrefixMatch, type SitePrefixes } from "./site-prefixes.js";

export interface SteeringCandidate {
  id: string;
  siteId: string;
  role: "edge" | "storage";
  dataUrl: string;
  /** Share of the titles it should get in its site; above 0. */
  weight: number;
  /** Why no player may be sent to it; undefined when they may. */
  unhealthy: string | undefined;
  holds: Holds;
}

interface RankedCandidate {
  candidate: SteeringCandidate;
  /** Why it stands where it stands, for a person. */
  reason: string;
}

/** C: content, does not hold all that is asked for. H: health. */
type RejectionLetter = "C" | "H";

export interface RejectedCandidate {
  candidate: SteeringCandidate;
  letter: RejectionLetter;
  reason: string;
}

export interface SteeringRules {
  sites: SitePrefixes;
  /** Lower first among sites that are equally near; sites that are not listed come last. */
  siteRanks: ReadonlyMap<string, number>;
  /** The first so many URLs span `minSites` sites where so many have a healthy appliance. */
  minUrls: number;
  maxUrls: number;
  minSites: number;
}

export interface SteeringAnswer {
  ranked: RankedCandidate[];
  rejected: RejectedCandidate[];
  /** The longest announced prefix that covers the client. */
  matchedPrefix: PrefixMatch | undefined;
}

/**
 * Ranks `candidates` for a client.
 *
 *   1. Sites are put in order: those that announce a prefix of the client by its length, then the others, by their rank.
 *   2. H drops the unhealthy. C marks those that don't hold everything: they stay, behind the holders, to read through.
 *   3. Order: edges before storage (which is for edges, and for players only in need), holders before the others, near sites
 *      before far ones, and in the site by rendezvous on `titleKey`, so that one box of a site gets hot by one title.
 *   4. Where the first `minUrls` stand at fewer than `minSites` sites, the best of other sites are moved up to their end: a
 *      player must not have to try a whole dead site before it leaves it.
 *
 * @param address as `parseAddress` gives it.
 */
export function rankAppliances(
  client: { address: readonly number[]; titleKey: string },
  candidates: readonly SteeringCandidate[],
  rules: SteeringRules,
): SteeringAnswer {
  const matches = rules.sites.matchesOf(client.address);
  const siteOrder = orderSites(new Set(candidates.map(({ siteId }) => siteId)), matches, rules.siteRanks);
  const rejected: RejectedCandidate[] = [];
  const sites = new Map<string, SteeringCandidate[]>(siteOrder.map(({ siteId }) => [siteId, []]));
  for (const candidate of candidates) {
    if (candidate.unhealthy !== undefined) {
      rejected.push({ candidate, letter: "H", reason: candidate.unhealthy });
      continue;
    }
    if (candidate.holds !== "all") {
      const reason = candidate.holds === "some" ? "holds only a part of the title" : "holds nothing of the title";
      rejected.push({ candidate, letter: "C", reason });
    }
    sites.get(candidate.siteId)!.push(candidate);
  }

  const classes: RankedCandidate[][] = [[], [], [], []];
  for (const { siteId, why } of siteOrder) {
    orderByRendezvous(sites.get(siteId)!, client.titleKey).forEach((candidate, place) => {
      const reason = `${why}; ${holdsReasons[candidate.holds]}; place ${place + 1} of ${sites.get(siteId)!.length} in the site`;
      classes[(candidate.role === "edge" ? 0 : 2) + (candidate.holds === "all" ? 0 : 1)]!.push({ candidate, reason });
    });
  }
  const ranked = spanSites(classes.flat(), rules).slice(0, rules.maxUrls);
  rejected.sort((a, b) => (a.letter < b.letter ? 1 : a.letter > b.letter ? -1 : a.candidate.id < b.candidate.id ? -1 : 1));
  return { ranked, rejected, matchedPrefix: matches[0] };
}

const holdsReasons: Readonly<Record<Holds, string>> = {
  all: "holds the title",
  some: "holds a part, reads the rest through",
  none: "holds nothing, reads through",
};

interface OrderedSite {
  siteId: string;
  /** For a person. */
  why: string;
}

function orderSites(siteIds: ReadonlySet<string>, matches: readonly PrefixMatch[], siteRanks: ReadonlyMap<string, number>): OrderedSite[] {
  const order = new Map<string, { lengthBits: number; why: string }>();
  for (const { siteIds, lengthBits, prefix } of matches) {
    for (const siteId of siteIds) {
      // Matches come longest first: a site's first is its best.
      if (!order.has(siteId)) order.set(siteId, { lengthBits, why: `site announces ${prefix}` });
    }
  }
  const rankOf = (siteId: string) => siteRanks.get(siteId) ?? Infinity;
  return [...siteIds]
    .map((siteId) => ({ siteId, ...(order.get(siteId) ?? { lengthBits: -1, why: "site announces no prefix of the client" }) }))
    .sort(
      (a, b) =>
        b.lengthBits - a.lengthBits ||
        (rankOf(a.siteId) < rankOf(b.siteId) ? -1 : rankOf(a.siteId) > rankOf(b.siteId) ? 1 : a.siteId < b.siteId ? -1 : 1),
    );
}

/** `order` with the best of further sites moved up, until its first `minUrls` stand at `minSites` sites. */
function spanSites(order: readonly RankedCandidate[], { minUrls, minSites }: SteeringRules): RankedCandidate[] {
  const head = order.slice(0, minUrls);
  const rest = order.slice(minUrls);
  const sitesOf = () => new Set(head.map(({ candidate }) => candidate.siteId));
  const displaced: RankedCandidate[] = [];
  while (sitesOf().size < minSites) {
    const sites = sitesOf();
    const moved = rest.findIndex(({ candidate }) => !sites.has(candidate.siteId));
    if (moved === -1) break;
    // The last whose site has another place in the head gives way; there is one, since the head has more places than sites.
    const giving = head.findLastIndex(
      ({ candidate }, at) => head.findIndex(({ candidate: other }) => other.siteId === candidate.siteId) < at,
    );
    displaced.unshift(...head.splice(giving, 1));
    head.push(...rest.splice(moved, 1));
  }
  return [...head, ...displaced, ...rest];
}
