// In which order the sites are near a client: pure, and made once per set of routes, not per client.

/** How a site is reached by one route. */
export interface RouteAttributes {
  /** Autonomous systems on the way; 0 for what is configured by hand. */
  asPathLength: number;
  /** MULTI_EXIT_DISC, RFC 4271 4.1: lower is better. Compared among all sites, since each speaks for a network of its own. */
  med: number;
}

export interface CoveringRoute extends RouteAttributes {
  siteId: string;
  lengthBits: number;
}

export interface SitePlace {
  siteId: string;
  /** Where the operator puts it among equals: lower first. Infinity for a site that is in no settings. */
  rank: number;
  location?: Location;
}

/** Degrees. */
export interface Location {
  latitude: number;
  longitude: number;
}

export interface OrderedSite {
  siteId: string;
  /** Its best route to the client; undefined when it announces none. */
  route: CoveringRoute | undefined;
  /** To the client; undefined where either place is not known. */
  distanceKm: number | undefined;
}

/** Sites this much nearer or farther count as equally far: a GeoIP database does not know better. */
const distanceStepKm = 100;

/**
 * Sites that announce a prefix of the client before those that do not; then by the length of the prefix (longest first), AS path, MED, distance,
 * the operator's rank, and name.
 */
export function orderSites(sites: Iterable<SitePlace>, routes: readonly CoveringRoute[], client?: Location): OrderedSite[] {
  const best = new Map<string, CoveringRoute>();
  for (const route of routes) {
    const known = best.get(route.siteId);
    if (!known || compareRoutes(route, known) < 0) best.set(route.siteId, route);
  }
  const entries = [...sites].map(({ siteId, rank, location }) => ({
    siteId,
    rank,
    route: best.get(siteId),
    distanceKm: client && location ? distanceKmBetween(client, location) : undefined,
  }));
  entries.sort(
    (a, b) =>
      Number(!a.route) - Number(!b.route) ||
      (a.route && b.route ? compareRoutes(a.route, b.route) : 0) ||
      compareNumbers(stepOf(a.distanceKm), stepOf(b.distanceKm)) ||
      compareNumbers(a.rank, b.rank) ||
      (a.siteId < b.siteId ? -1 : 1),
  );
  return entries.map(({ siteId, route, distanceKm }) => ({ siteId, route, distanceKm }));
}

/** Why a site stands where it stands; `prefixOf` gives the client's prefix of that length. */
export function whyThere({ route, distanceKm }: OrderedSite, prefixOf: (lengthBits: number) => string): string {
  const far = distanceKm === undefined ? "" : `, ${Math.round(distanceKm)} km away`;
  if (!route) return `site announces no prefix of the client${far}`;
  const path = route.asPathLength > 0 ? `, AS path ${route.asPathLength}` : "";
  const med = route.med > 0 ? `, MED ${route.med}` : "";
  return `site announces ${prefixOf(route.lengthBits)}${path}${med}${far}`;
}

function compareRoutes(a: CoveringRoute, b: CoveringRoute): number {
  return b.lengthBits - a.lengthBits || a.asPathLength - b.asPathLength || a.med - b.med;
}

function stepOf(distanceKm: number | undefined): number {
  return distanceKm === undefined ? Infinity : Math.floor(distanceKm / distanceStepKm);
}

/** Infinity - Infinity is not a number. */
function compareNumbers(a: number, b: number): number {
  return a === b ? 0 : a < b ? -1 : 1;
}

const earthRadiusKm = 6371;

/** Along the surface: haversine formula. */
export function distanceKmBetween(a: Location, b: Location): number {
  const radians = Math.PI / 180;
  const half = (degrees: number) => Math.sin((degrees * radians) / 2) ** 2;
  const chord =
    half(b.latitude - a.latitude) + Math.cos(a.latitude * radians) * Math.cos(b.latitude * radians) * half(b.longitude - a.longitude);
  return 2 * earthRadiusKm * Math.asin(Math.min(1, Math.sqrt(chord)));
}
