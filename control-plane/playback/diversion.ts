// Why bytes do not come from where they should: the letter that a playback's URL carries, so that the appliance accounts for them.

/** C: content, H: health. */
export type DiversionLetter = "C" | "H";

interface Rejected {
  candidate: { siteId: string };
  letter: DiversionLetter;
}

/**
 * The letter for a URL at `siteId`; undefined when the site announces the player's address, or when none that does has an appliance. Else
 * the appliances of the announcing sites were passed over: for health if any was, otherwise for content.
 */
export function diversionOf(
  siteId: string,
  announcingSiteIds: readonly string[],
  rejected: readonly Rejected[],
): DiversionLetter | undefined {
  if (announcingSiteIds.includes(siteId)) return undefined;
  const passedOver = rejected.filter(({ candidate }) => announcingSiteIds.includes(candidate.siteId));
  if (passedOver.length === 0) return undefined;
  return passedOver.some(({ letter }) => letter === "H") ? "H" : "C";
}
