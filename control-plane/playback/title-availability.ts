// Whether a player may have a title, and which of its encodes: asks the catalog, and refuses with the precise reason.
import type { Clock } from "../../runtime/clock.js";
import { OperatingError } from "../../runtime/operating-error.js";
import type { Caller } from "../caller.js";
import type { DetailsStore } from "../catalog/details-store.js";
import { countryPattern } from "../catalog/details-rules.js";
import { rulesInForce, whyUnavailable } from "../catalog/title-availability.js";
import type { Encode } from "../protocol/generated/millrace/catalog/v1/catalog.js";
import type { StartPlaybackRequest } from "../protocol/generated/millrace/playback/v1/playback.js";
import { chooseEncodes } from "./choose-encodes.js";

/** Of a device: there are a few dozen in use. */
const deviceCodecsMax = 100;

export interface TitleAvailabilityOptions {
  details: Pick<DetailsStore, "lineage">;
  /** ISO 3166-1 alpha-2 of an address; undefined where it is not known, or without a GeoIP database. */
  countryOf: ((address: string) => string | undefined) | undefined;
  clock: Clock;
}

export interface AvailableTitle {
  /** What a plan with so many lines (0: any) leaves, best picture first; empty where the catalog knows of none. @throws OperatingError "no-encode-playable". */
  encodesFor(planHeightMax: number): Encode[];
}

export class TitleAvailability {
  readonly #options: TitleAvailabilityOptions;

  constructor(options: TitleAvailabilityOptions) {
    this.#options = options;
  }

  /**
   * @throws OperatingError "title-not-in-country", "title-country-unknown", "title-not-yet", "title-no-longer", "title-over-age",
   * "no-encode-playable"; "invalid-argument".
   */
  async check({ titleId, clientAddress, device, country }: StartPlaybackRequest, caller: Caller): Promise<AvailableTitle> {
    if (country !== undefined && !countryPattern.test(country)) throw invalid("country must be a code such as DE");
    const codecs = device?.codecs ?? [];
    if (codecs.length > deviceCodecsMax || codecs.some((codec) => !/^[\w.+-]{1,64}$/.test(codec))) {
      throw invalid(`device.codecs must be up to ${deviceCodecsMax} codecs such as avc1.640028`);
    }
    const { details, countryOf, clock } = this.#options;
    const lineage = await details.lineage(titleId);
    const viewer = {
      // Who plays must not choose where.
      country: countryOf?.(clientAddress) ?? (caller.service === undefined ? undefined : country),
      maturityMaxAge: caller.account?.profile?.maturityMaxAge,
      nowUnixMs: clock.unixMs(),
    };
    const unavailable = whyUnavailable(rulesInForce(lineage), viewer);
    if (unavailable) throw new OperatingError(unavailable.code, `Cannot play title ${titleId}: ${unavailable.why}`, { source: titleId });

    const encodes = lineage[0]?.media?.encodes ?? [];
    const encodesFor = (planHeightMax: number): Encode[] => {
      const chosen = chooseEncodes(encodes, { codecs, deviceHeightMax: device?.heightMax ?? 0, planHeightMax });
      if (!Array.isArray(chosen)) {
        throw new OperatingError("no-encode-playable", `Cannot play title ${titleId}: ${chosen.whyNone}`, { source: titleId });
      }
      return chosen;
    };
    // What the device can't play in any plan need not ask the fleet first.
    encodesFor(0);
    return { encodesFor };
  }
}

function invalid(why: string): OperatingError {
  return new OperatingError("invalid-argument", `Cannot play: ${why}`);
}
