// Who may see a title, where and when: pure.
import type { TitleWindow } from "./title-details.js";

/** What is neither rated itself nor part of something rated is kept from children. */
export const maturityAgeUnrated = 18;

/** The rules in force for a title: its own, or those of what it is part of. */
export interface AvailabilityRules {
  maturityAge: number;
  /** None: everywhere, at all times. */
  windows: readonly TitleWindow[];
}

export interface Viewer {
  /** ISO 3166-1 alpha-2; undefined where nobody knows. */
  country: string | undefined;
  /** Of the profile; undefined for any age. */
  maturityMaxAge: number | undefined;
  nowUnixMs: number;
}

export type Unavailability =
  | { code: "title-not-in-country" | "title-country-unknown" | "title-over-age"; why: string }
  | { code: "title-not-yet" | "title-no-longer"; why: string };

interface OwnRules {
  maturityAge?: number | undefined;
  windows: readonly TitleWindow[];
}

/** `lineage` is the title, then what it is part of, outwards. */
export function rulesInForce(lineage: readonly OwnRules[]): AvailabilityRules {
  return {
    maturityAge: lineage.find(({ maturityAge }) => maturityAge !== undefined)?.maturityAge ?? maturityAgeUnrated,
    windows: lineage.find(({ windows }) => windows.length > 0)?.windows ?? [],
  };
}

/** Undefined when the viewer may have the title. */
export function whyUnavailable({ maturityAge, windows }: AvailabilityRules, viewer: Viewer): Unavailability | undefined {
  const { country, maturityMaxAge, nowUnixMs } = viewer;
  if (maturityMaxAge !== undefined && maturityAge > maturityMaxAge) {
    return { code: "title-over-age", why: `it is for ${maturityAge} years and older, and the profile is for ${maturityMaxAge}` };
  }
  if (windows.length === 0) return undefined;
  const here = windows.filter(({ countries }) => countries.length === 0 || (country !== undefined && countries.includes(country)));
  if (here.length === 0) {
    return country === undefined
      ? { code: "title-country-unknown", why: "it is for some countries only, and where the player is is not known" }
      : { code: "title-not-in-country", why: `it is not available in ${country}` };
  }
  const isOpen = ({ fromUnixMs, untilUnixMs }: TitleWindow) => fromUnixMs <= nowUnixMs && (untilUnixMs === 0 || nowUnixMs < untilUnixMs);
  if (here.some(isOpen)) return undefined;
  const comingUnixMs = Math.min(...here.map(({ fromUnixMs }) => fromUnixMs).filter((fromUnixMs) => fromUnixMs > nowUnixMs));
  if (Number.isFinite(comingUnixMs)) return { code: "title-not-yet", why: `it is available from ${new Date(comingUnixMs).toISOString()}` };
  const goneUnixMs = Math.max(...here.map(({ untilUnixMs }) => untilUnixMs));
  return { code: "title-no-longer", why: `it was available until ${new Date(goneUnixMs).toISOString()}` };
}
