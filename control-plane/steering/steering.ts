// Asks the fleet as it is now, and decides. What SteeringService and PlaybackService share.
import { ApplianceRole } from "../../fill-protocol/generated/millrace/fleet/v1/fleet.js";
import { OperatingError } from "../../runtime/operating-error.js";
import { whyUnhealthy } from "../fleet/appliance.js";
import type { FleetRegistry } from "../fleet/fleet-registry.js";
import type { HoldingsRegister, WantedObject } from "../fleet/holdings-register.js";
import type { Metrics } from "../metrics.js";
import type { SiteSettings, SteeringSettings } from "../settings.js";
import { rankAppliances, type SteeringAnswer, type SteeringRules } from "./rank-appliances.js";
import { parseAddress, SitePrefixes } from "./site-prefixes.js";

export interface SteeringOptions {
  registry: FleetRegistry;
  holdings: HoldingsRegister;
  sites: readonly SiteSettings[];
  steering: SteeringSettings;
  metrics: Pick<Metrics, "rankings" | "rejections">;
}

export class Steering {
  readonly #options: SteeringOptions;
  readonly #rules: SteeringRules;

  constructor(options: SteeringOptions) {
    this.#options = options;
    this.#rules = {
      ...options.steering,
      sites: new SitePrefixes(options.sites),
      siteRanks: new Map(options.sites.map(({ id, rank }) => [id, rank])),
    };
  }

  /**
   * Ranks the fleet for the client at `clientAddress`.
   *
   * @param wanted everything that will be played, one object at least. The first one's path stands for the title in the
   * rendezvous.
   * @throws OperatingError "invalid-argument".
   */
  rank(clientAddress: string, wanted: readonly WantedObject[]): SteeringAnswer {
    const { registry, holdings, metrics } = this.#options;
    const address = parseAddress(clientAddress);
    if (!address) {
      throw new OperatingError(
        "invalid-argument",
        `Cannot rank appliances: Expected an IPv4 or IPv6 address: received ${JSON.stringify(clientAddress.slice(0, 50))}`,
      );
    }
    const candidates = registry.list().map((appliance) => {
      const { applianceId: id, siteId, role, dataUrl, capacityBytes } = appliance.identity;
      return {
        id,
        siteId,
        role: role === ApplianceRole.APPLIANCE_ROLE_STORAGE ? ("storage" as const) : ("edge" as const),
        dataUrl,
        // Capacity changes seldom; headroom would move titles between boxes all the time.
        weight: Math.max(1, Number(capacityBytes)),
        unhealthy: whyUnhealthy(appliance),
        holds: holdings.holdsOf(id, wanted),
      };
    });
    const answer = rankAppliances({ address, titleKey: wanted[0]!.path }, candidates, this.#rules);
    const found = answer.ranked.length;
    metrics.rankings.inc({ result: found === 0 ? "empty" : found < this.#rules.minUrls ? "short" : "full" });
    for (const { letter } of answer.rejected) metrics.rejections.inc({ letter });
    return answer;
  }
}
