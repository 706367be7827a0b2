// The header by which appliances know each other's requests: the ids of all that a request has come through.
//
// It is the `Via` of RFC 9110 7.6.3, so that proxies on the road may add their own entries; ours look like
// "1.1 millrace-<appliance id>". A request whose header names the appliance that receives it has gone in a ring.

export const viaHeader = "via";

/** Beyond so many appliances in a row a request is refused, ring or not: tiers are three deep. */
export const viaMax = 8;

/** A request of no appliance: a player's. */
export const noVia: readonly string[] = [];

/** The ids that a header names, first the one that began. Entries of other programs are left out. */
export function parseVia(header: string): readonly string[] {
  if (!header.includes(prefix)) return noVia;
  const ids: string[] = [];
  for (const entry of header.split(",")) {
    const name = entry.trim().split(/\s+/)[1];
    if (name?.startsWith(prefix)) ids.push(name.slice(prefix.length));
  }
  return ids;
}

export function formatVia(ids: readonly string[]): string {
  return ids.map((id) => `1.1 ${prefix}${id}`).join(", ");
}

const prefix = "millrace-";

/** In answers to fill requests: the id of the appliance that answers. */
export const applianceHeader = "millrace-appliance";
/** Where an appliance says in that header who it is, without looking for anything. */
export const appliancePath = ".millrace/appliance";
