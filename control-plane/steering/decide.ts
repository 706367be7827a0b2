// The steering decision, for every player: from the sites in order and what is wanted to ranked boxes. It makes no garbage but its answer, and
// looks at the nearest sites only, until it has enough.
//
//   1. Per site: H drops the unhealthy, C marks those that do not hold everything. Both are written down.
//   2. In the site: by rendezvous on the title; a box that has more than 1.25 × its share of the site's reserved load goes behind the others.
//   3. Over all sites: edges that hold, edges that read through, storage (which is for edges, and for players only in need) that holds, storage
//      that reads through, and last those that have next to nothing left of network, disks or processors.
//   4. Where the first `minUrls` stand at fewer than `minSites` sites, the best of other sites are moved up to their end: a player must
//      not have to try a whole dead site before it leaves it.
//
// Bounded loads: Mirrokni, Thorup and Zadimoghaddam, "Consistent Hashing with Bounded Loads", 2016.
import type { ContentGroup } from "../fleet/content-group.js";
import { scoreOf } from "./rendezvous-score.js";
import type { OrderedSite } from "./site-order.js";
import type { Box, SteeringFleet } from "./steering-fleet.js";

/** A box with more than this of its share gets no more … */
const overShare = 1.25;
/** … until it has no more than this: one session more or less must not move a title back and forth. */
const backBelowShare = 1.15;
/** With fewer sessions than this a box is never over its share: shares of a handful mean nothing, and titles would move for them. */
const sessionsForShareMin = 8;
/** Share of a network that may be reserved. Nominal rates are averages; the rest is for scenes above them. */
const reservableShare = 0.95;

export interface SteeringLimits {
  /** The first so many URLs span `minSites` sites where so many have a healthy box. */
  minUrls: number;
  maxUrls: number;
  minSites: number;
}

export interface SteeringQuery {
  sites: readonly OrderedSite[];
  group: ContentGroup;
  /** What the player is to need on average; its reservation. */
  bitsPerSecond: number;
  /** On the monotonic clock. */
  nowMs: number;
  /** Looks at every box, for a person who wants to know; the ranks are the same. */
  everyBox: boolean;
}

/** C: content, does not hold all that is asked for. H: health. */
export type RejectionLetter = "C" | "H";

export interface Decision {
  ranked: Box[];
  /** Boxes with a letter, in the order in which they were looked at. One with C, or strained, may still be ranked, behind the others. */
  rejected: Box[];
  letters: RejectionLetter[];
}

/** Boxes of one class (such as edges that hold) in rank order, over the sites looked at so far. */
class RankedClass {
  readonly boxes: Box[] = [];
  readonly #scores: number[] = [];
  #siteStart = 0;

  startSite(): void {
    this.#siteStart = this.boxes.length;
  }

  /** Puts `box` at its place among those of its site, of which `keep` are kept. */
  insert(box: Box, score: number, keep: number): void {
    const { boxes } = this;
    const scores = this.#scores;
    if (boxes.length - this.#siteStart >= keep) {
      if (score <= scores[boxes.length - 1]!) return;
      boxes.length--;
    }
    let at = boxes.length;
    for (; at > this.#siteStart && scores[at - 1]! < score; at--) {
      boxes[at] = boxes[at - 1]!;
      scores[at] = scores[at - 1]!;
    }
    boxes[at] = box;
    scores[at] = score;
  }
}

export function decide(fleet: SteeringFleet, query: SteeringQuery, limits: SteeringLimits): Decision {
  const decision: Decision = { ranked: [], rejected: [], letters: [] };
  const edges = { holding: new RankedClass(), reading: new RankedClass() };
  const strained = new RankedClass();
  const isEnough = (found: number, sites: number) => !query.everyBox && found >= limits.maxUrls && sites >= limits.minSites;

  let sitesHolding = 0;
  for (const { siteId } of query.sites) {
    const site = fleet.siteOf(siteId);
    if (!site || site.edges.length === 0) continue;
    const before = edges.holding.boxes.length;
    look(fleet, site.edges, query, { ...edges, strained, keep: limits.maxUrls, decision });
    if (edges.holding.boxes.length > before) sitesHolding++;
    if (isEnough(edges.holding.boxes.length, sitesHolding)) break;
    // No other box holds it: a full list of those that read through is all that is left to find.
    const holdersSeen = edges.holding.boxes.length >= query.group.holders;
    if (holdersSeen && isEnough(edges.holding.boxes.length + edges.reading.boxes.length, sitesIn(edges.holding.boxes, edges.reading.boxes))) break;
  }
  let all = [...edges.holding.boxes, ...edges.reading.boxes];
  const enough = isEnough(all.length, sitesIn(all));
  if (!enough) {
    const storages = { holding: new RankedClass(), reading: new RankedClass() };
    for (const { siteId } of query.sites) {
      const site = fleet.siteOf(siteId);
      if (!site || site.storages.length === 0) continue;
      look(fleet, site.storages, query, { ...storages, strained, keep: limits.maxUrls, decision });
    }
    all = [...all, ...storages.holding.boxes, ...storages.reading.boxes, ...strained.boxes];
  }
  decision.ranked = spanSites(all, limits).slice(0, limits.maxUrls);
  return decision;
}

interface Look {
  holding: RankedClass;
  reading: RankedClass;
  strained: RankedClass;
  keep: number;
  decision: Decision;
}

/** Looks at the boxes of one role at one site. */
function look(fleet: SteeringFleet, boxes: readonly Box[], query: SteeringQuery, { holding, reading, strained, keep, decision }: Look): void {
  const { group, bitsPerSecond, nowMs } = query;
  holding.startSite();
  reading.startSite();
  strained.startSite();
  let [reserved, weight] = [0, 0];
  for (const box of boxes) {
    if (nowMs > box.silentAtMs) fleet.refresh(box.id);
    if (box.unhealthy !== undefined) continue;
    reserved += box.reserved;
    weight += box.weight;
  }
  const fairPerWeight = (reserved + bitsPerSecond) / weight;
  for (const box of boxes) {
    if (box.unhealthy !== undefined) {
      decision.rejected.push(box);
      decision.letters.push("H");
      continue;
    }
    const score = scoreOf(box.hash, group.hash, box.weight);
    if (box.strained !== undefined || isReserved(box, bitsPerSecond)) {
      decision.rejected.push(box);
      decision.letters.push("H");
      strained.insert(box, score, keep);
    } else if (group.holdsAll(box.number)) {
      noteShare(box, fairPerWeight * box.weight, bitsPerSecond);
      // Below all that are within their share, and in the same order among themselves.
      holding.insert(box, box.isOverShare ? -1 / score : score, keep);
    } else {
      decision.rejected.push(box);
      decision.letters.push("C");
      // Not by share: what one box has fetched for the first player it need not fetch for the next.
      reading.insert(box, score, keep);
    }
  }
}

/** Whether its network is given away. */
export function isReserved(box: Box, bitsPerSecond: number): boolean {
  return box.nicBitsPerSecond > 0 && box.reserved + bitsPerSecond > reservableShare * box.nicBitsPerSecond;
}

function noteShare(box: Box, fair: number, bitsPerSecond: number): void {
  const load = box.reserved + bitsPerSecond;
  const isBusy = box.reserved >= sessionsForShareMin * bitsPerSecond;
  if (isBusy && load > overShare * fair) box.isOverShare = true;
  else if (!isBusy || load <= backBelowShare * fair) box.isOverShare = false;
}

function sitesIn(...lists: (readonly Box[])[]): number {
  const sites = new Set<string>();
  for (const boxes of lists) for (const { siteId } of boxes) sites.add(siteId);
  return sites.size;
}

/** `order` with the best of further sites moved up, until its first `minUrls` stand at `minSites` sites. */
function spanSites(order: Box[], { minUrls, minSites }: SteeringLimits): Box[] {
  if (sitesIn(order.slice(0, minUrls)) >= minSites) return order;
  const head = order.slice(0, minUrls);
  const rest = order.slice(minUrls);
  const displaced: Box[] = [];
  for (;;) {
    const sites = new Set(head.map(({ siteId }) => siteId));
    const moved = sites.size >= minSites ? -1 : rest.findIndex(({ siteId }) => !sites.has(siteId));
    if (moved === -1) return [...head, ...displaced, ...rest];
    // The last whose site has another place in the head gives way; there is one, since the head has more places than sites.
    const giving = head.findLastIndex(({ siteId }, at) => head.findIndex((other) => other.siteId === siteId) < at);
    displaced.unshift(...head.splice(giving, 1));
    head.push(...rest.splice(moved, 1));
  }
}
