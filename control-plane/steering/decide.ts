// The steering decision, for every player: from the sites in order and what is wanted to ranked boxes. It makes next to no garbage, and
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

/** Is written over by the next decision of the same maker. */
export interface Decision {
  readonly ranked: readonly Box[];
  /** Boxes with a letter, in the order in which they were looked at. One with C, or strained, may still be ranked, behind the others. */
  readonly rejected: readonly Box[];
  readonly letters: readonly RejectionLetter[];
}

/** Boxes of one class (such as edges that hold) in rank order, over the sites looked at so far. Its arrays are used again and again. */
class RankedClass {
  readonly boxes: Box[] = [];
  readonly #scores: number[] = [];
  count = 0;
  #siteStart = 0;

  clear(): void {
    this.count = 0;
  }

  startSite(): void {
    this.#siteStart = this.count;
  }

  /** Puts `box` at its place among those of its site, of which `keep` are kept. */
  insert(box: Box, score: number, keep: number): void {
    const { boxes } = this;
    const scores = this.#scores;
    let at = this.count;
    if (at - this.#siteStart >= keep) {
      if (score <= scores[at - 1]!) return;
      at--;
    } else this.count++;
    for (; at > this.#siteStart && scores[at - 1]! < score; at--) {
      boxes[at] = boxes[at - 1]!;
      scores[at] = scores[at - 1]!;
    }
    boxes[at] = box;
    scores[at] = score;
  }
}

export class DecisionMaker {
  readonly #fleet: SteeringFleet;
  readonly #limits: SteeringLimits;
  readonly #holding = new RankedClass();
  readonly #reading = new RankedClass();
  readonly #storageHolding = new RankedClass();
  readonly #storageReading = new RankedClass();
  readonly #strained = new RankedClass();
  readonly #decision = { ranked: [] as Box[], rejected: [] as Box[], letters: [] as RejectionLetter[] };

  constructor(fleet: SteeringFleet, limits: SteeringLimits) {
    this.#fleet = fleet;
    this.#limits = limits;
  }

  /** The answer is written over by the next call. */
  decide(query: SteeringQuery): Decision {
    const { maxUrls, minSites } = this.#limits;
    const decision = this.#decision;
    decision.ranked.length = 0;
    decision.rejected.length = 0;
    decision.letters.length = 0;
    for (const some of [this.#holding, this.#reading, this.#storageHolding, this.#storageReading, this.#strained]) some.clear();
    const holding = this.#holding;
    const reading = this.#reading;
    const sites = this.#fleet.sitesIn(query.sites);

    let sitesHolding = 0;
    let sitesReading = 0;
    let isEnough = false;
    for (let at = 0; at < sites.length && !isEnough; at++) {
      const { edges } = sites[at]!;
      if (edges.length === 0) continue;
      const held = holding.count;
      const read = reading.count;
      // Those of nearer sites come first, so a full list takes no more.
      this.#look(edges, query, holding, read >= maxUrls && sitesReading + sitesHolding >= minSites ? undefined : reading);
      if (holding.count > held) sitesHolding++;
      else if (reading.count > read) sitesReading++;
      if (query.everyBox) continue;
      isEnough = holding.count >= maxUrls && sitesHolding >= minSites;
      // No other box holds it: a full list with those that read through is all that is left to find.
      const isLastHolder = holding.count >= query.group.holders;
      if (isLastHolder && holding.count + reading.count >= maxUrls && sitesHolding + sitesReading >= minSites) isEnough = true;
    }
    const { ranked } = decision;
    append(ranked, holding);
    append(ranked, reading);
    if (!isEnough) {
      for (const { storages } of sites) if (storages.length > 0) this.#look(storages, query, this.#storageHolding, this.#storageReading);
      append(ranked, this.#storageHolding);
      append(ranked, this.#storageReading);
      append(ranked, this.#strained);
    }
    spanSites(ranked, this.#limits);
    if (ranked.length > maxUrls) ranked.length = maxUrls;
    return decision;
  }

  /** Looks at the boxes of one role at one site. */
  #look(boxes: readonly Box[], query: SteeringQuery, holding: RankedClass, reading: RankedClass | undefined): void {
    const { group, bitsPerSecond, nowMs } = query;
    const { rejected, letters } = this.#decision;
    const keep = this.#limits.maxUrls;
    holding.startSite();
    reading?.startSite();
    this.#strained.startSite();
    let reserved = 0;
    let weight = 0;
    for (let at = 0; at < boxes.length; at++) {
      const box = boxes[at]!;
      if (nowMs > box.silentAtMs) this.#fleet.refresh(box.id);
      if (box.unhealthy !== undefined) continue;
      reserved += box.reserved;
      weight += box.weight;
    }
    const fairPerWeight = (reserved + bitsPerSecond) / weight;
    for (let at = 0; at < boxes.length; at++) {
      const box = boxes[at]!;
      if (box.unhealthy !== undefined) {
        rejected.push(box);
        letters.push("H");
      } else if (box.strained !== undefined || isReserved(box, bitsPerSecond)) {
        rejected.push(box);
        letters.push("H");
        this.#strained.insert(box, scoreOf(box.hash, group.hash, box.weight), keep);
      } else if (group.holdsAll(box.number)) {
        const score = scoreOf(box.hash, group.hash, box.weight);
        noteShare(box, fairPerWeight * box.weight, bitsPerSecond);
        // Below all that are within their share, and in the same order among themselves.
        holding.insert(box, box.isOverShare ? -1 / score : score, keep);
      } else {
        rejected.push(box);
        letters.push("C");
        // Not by share: what one box has fetched for the first player it need not fetch for the next.
        reading?.insert(box, scoreOf(box.hash, group.hash, box.weight), keep);
      }
    }
  }
}

function append(ranked: Box[], { boxes, count }: RankedClass): void {
  for (let at = 0; at < count; at++) ranked.push(boxes[at]!);
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

/** Moves the best of further sites up, until the first `minUrls` of `order` stand at `minSites` sites. */
function spanSites(order: Box[], { minUrls, minSites }: SteeringLimits): void {
  const headCount = Math.min(minUrls, order.length);
  const isFirstOfSite = (at: number) => {
    for (let before = 0; before < at; before++) if (order[before]!.siteId === order[at]!.siteId) return false;
    return true;
  };
  let sites = 0;
  for (let at = 0; at < headCount; at++) if (isFirstOfSite(at)) sites++;
  for (; sites < minSites; sites++) {
    let moved = headCount;
    while (moved < order.length && !isFirstOfSite(moved)) moved++;
    if (moved >= order.length) return;
    // The last whose site has another place gives way, and goes right behind the head.
    let giving = headCount - 1;
    while (giving > 0 && isFirstOfSite(giving)) giving--;
    const box = order[moved]!;
    const displaced = order[giving]!;
    order.splice(moved, 1);
    order.splice(giving, 1);
    order.splice(headCount - 1, 0, box);
    order.splice(headCount, 0, displaced);
  }
}
