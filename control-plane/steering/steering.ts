// Asks routes, holdings and the fleet as they are now, and decides. What SteeringService and PlaybackService share.
import { xxh64 } from "@node-rs/xxhash";
import type { Clock } from "../../runtime/clock.js";
import { OperatingError } from "../../runtime/operating-error.js";
import type { ContentGroup } from "../fleet/content-group.js";
import type { Holds, HoldingsRegister, WantedObject } from "../fleet/holdings-register.js";
import type { Metrics } from "../metrics.js";
import { formatPrefix, parseAddress, parseAddressInto, parsePrefix, type AddressWords } from "./client-address.js";
import { DecisionMaker, isReserved, type Decision, type RejectionLetter } from "./decide.js";
import type { DecisionLog } from "./decision-log.js";
import type { GeoLocator } from "./geo-locator.js";
import type { RouteTable } from "./route-table.js";
import type { SessionLedger } from "./session-ledger.js";
import type { SteeringSettings } from "./steering-settings.js";
import { whyThere, type OrderedSite } from "./site-order.js";
import type { Box, SteeringFleet } from "./steering-fleet.js";

export interface RankedCandidate {
  candidate: Pick<Box, "id" | "siteId" | "dataUrl"> & { holds: Holds };
  /** Why it stands where it stands, for a person; empty unless every box was asked for. */
  reason: string;
}

export interface RejectedCandidate {
  candidate: Pick<Box, "id" | "siteId">;
  letter: RejectionLetter;
  reason: string;
}

export interface SteeringAnswer {
  ranked: RankedCandidate[];
  /** Of the sites that were looked at: those with enough boxes end the search. All, when every box was asked for. */
  rejected: RejectedCandidate[];
  /** The longest announced prefix that covers the client. */
  matchedPrefix: string | undefined;
  /** Those that announce it. */
  matchedSiteIds: string[];
}

export interface RankOptions {
  /** Reserves for this session at the first box, in place of what it had reserved. */
  sessionId?: string;
  /** What the player needs on average; the setting when left out. */
  bitsPerSecond?: number;
  /** Looks at every box and says what is wrong with each. */
  everyBox?: boolean;
}

export interface SteeringOptions {
  routes: RouteTable;
  fleet: SteeringFleet;
  holdings: HoldingsRegister;
  ledger: SessionLedger;
  /** Undefined without a GeoIP database. */
  geo?: GeoLocator | undefined;
  decisionLog?: DecisionLog | undefined;
  limits: SteeringSettings;
  clock: Clock;
  metrics: Pick<Metrics, "rankings" | "rejections">;
}

export class Steering {
  readonly #options: SteeringOptions;
  readonly #address: AddressWords = { family: 4, words: new Uint32Array(4) };

  readonly #maker: DecisionMaker;

  constructor(options: SteeringOptions) {
    this.#options = options;
    this.#maker = new DecisionMaker(options.fleet, options.limits);
  }

  /** The counted group of `wanted`, one object at least. The first one's path stands for the title in the rendezvous. */
  groupOf(wanted: readonly WantedObject[]): ContentGroup {
    const key = `${wanted[0]!.path}\0${xxh64(wanted.map(({ path, etag }) => `${path}\0${etag ?? ""}`).join("\n"))}`;
    return this.#options.holdings.groupOf(key, () => wanted);
  }

  /**
   * The bare decision: what `rank` is made of, and what its speed is measured by. It is written over by the next one.
   *
   * @throws OperatingError "invalid-argument" when `clientAddress` is no address.
   */
  decideFor(clientAddress: string, group: ContentGroup, { sessionId, bitsPerSecond, everyBox = false }: RankOptions = {}) {
    const { routes, geo, limits, clock, metrics, ledger, decisionLog } = this.#options;
    const address = this.#address;
    const family = parseAddressInto(clientAddress, address.words);
    if (!family) {
      throw new OperatingError(
        "invalid-argument",
        `Cannot rank appliances: Expected an IPv4 or IPv6 address: received ${JSON.stringify(clientAddress.slice(0, 50))}`,
      );
    }
    address.family = family;
    const order = routes.orderFor(address, geo?.locate(clientAddress));
    const rate = bitsPerSecond ?? limits.nominalBitsPerSecond;
    const nowMs = clock.monotonicMs();
    const decision = this.#maker.decide({ sites: order.sites, group, bitsPerSecond: rate, nowMs, everyBox });
    const found = decision.ranked.length;
    metrics.rankings.inc({ result: found === 0 ? "empty" : found < limits.minUrls ? "short" : "full" });
    let held = 0;
    for (const letter of decision.letters) if (letter === "C") held++;
    if (held > 0) metrics.rejections.inc({ letter: "C" }, held);
    if (decision.letters.length > held) metrics.rejections.inc({ letter: "H" }, decision.letters.length - held);
    if (sessionId !== undefined) {
      if (found > 0) ledger.reserve(sessionId, { box: decision.ranked[0]!, bitsPerSecond: rate, nowMs });
      else ledger.release(sessionId);
      decisionLog?.write({ atUnixMs: clock.unixMs(), sessionId, clientAddress, group, bitsPerSecond: rate, order, decision });
    }
    return { decision, order };
  }

  /** Ranks the fleet for the client at `clientAddress`. @throws OperatingError "invalid-argument". */
  rank(clientAddress: string, wanted: readonly WantedObject[], options: RankOptions = {}): SteeringAnswer {
    const { holdings, limits } = this.#options;
    const group = this.groupOf(wanted);
    const { decision, order } = this.decideFor(clientAddress, group, options);
    const rate = options.bitsPerSecond ?? limits.nominalBitsPerSecond;
    const explains = options.everyBox === true;
    const sites = new Map(explains ? order.sites.map((site) => [site.siteId, site]) : []);
    const address = parseAddress(clientAddress)!;
    const ranked = decision.ranked.map((box): RankedCandidate => {
      const holds = holdings.holdsOfGroup(box.id, group);
      return {
        candidate: { id: box.id, siteId: box.siteId, dataUrl: box.dataUrl, holds },
        reason: explains ? whyRanked(box, { holds, site: sites.get(box.siteId)!, address, rate }) : "",
      };
    });
    const longest = order.sites[0]?.route?.lengthBits;
    const matched = longest === undefined ? [] : order.sites.filter(({ route }) => route?.lengthBits === longest);
    return {
      ranked,
      rejected: this.#rejectedOf(decision, group, rate),
      matchedPrefix: order.matchedPrefix,
      matchedSiteIds: matched.map(({ siteId }) => siteId),
    };
  }

  /** Where the session was sent last. */
  boxOf(sessionId: string): Box | undefined {
    return this.#options.ledger.boxOf(sessionId);
  }

  /** Reserves for the session at that box, which it has chosen itself. */
  moveSession(sessionId: string, box: Box, bitsPerSecond: number): void {
    this.#options.ledger.reserve(sessionId, { box, bitsPerSecond, nowMs: this.#options.clock.monotonicMs() });
  }

  release(sessionId: string): boolean {
    return this.#options.ledger.release(sessionId);
  }

  #rejectedOf({ rejected, letters }: Decision, group: ContentGroup, rate: number): RejectedCandidate[] {
    const { holdings } = this.#options;
    return rejected
      .map((box, at): RejectedCandidate => {
        const letter = letters[at]!;
        if (letter === "H") return { candidate: box, letter, reason: box.unhealthy ?? whyStrainedNow(box, rate) };
        const holds = holdings.holdsOfGroup(box.id, group);
        return { candidate: box, letter, reason: holds === "some" ? "holds only a part of the title" : "holds nothing of the title" };
      })
      .sort((a, b) => (a.letter < b.letter ? 1 : a.letter > b.letter ? -1 : a.candidate.id < b.candidate.id ? -1 : 1));
  }
}

const holdsReasons: Readonly<Record<Holds, string>> = {
  all: "holds the title",
  some: "holds a part, reads the rest through",
  none: "holds nothing, reads through",
};

function whyRanked(
  box: Box,
  { holds, site, address, rate }: { holds: Holds; site: OrderedSite; address: AddressWords; rate: number },
): string {
  const prefixOf = (lengthBits: number) => {
    const whole = formatPrefix({ ...address, lengthBits: address.family === 4 ? 32 : 128 });
    return formatPrefix(parsePrefix(`${whole.split("/")[0]}/${lengthBits}`)!);
  };
  const reasons = [whyThere(site, prefixOf), holdsReasons[holds]];
  if (box.isOverShare) reasons.push("behind the others of its site: it has more than 1.25 × its share of their load");
  if (box.strained !== undefined || isReserved(box, rate)) reasons.push(`last: ${whyStrainedNow(box, rate)}`);
  return reasons.join("; ");
}

function whyStrainedNow(box: Box, rate: number): string {
  if (box.strained !== undefined) return box.strained;
  const mbps = (bits: number) => `${(bits / 1e6).toFixed(1)} Mb/s`;
  return `full: ${mbps(box.reserved)} of its network's ${mbps(box.nicBitsPerSecond)} are reserved, and ${mbps(rate)} are asked for`;
}
