// How an answer came about, as its headers tell it: X-Cache-Status, and Cache-Status (RFC 9211).

interface CacheOutcomeRow {
  /** Of nginx's values, those that can occur here: freshness is asked for in the background, so nothing is EXPIRED, REVALIDATED or a BYPASS. */
  xCacheStatus: "HIT" | "MISS" | "UPDATING" | "STALE";
  /** Behind the name of the cache. */
  cacheStatus: string;
  /** Whether the time that is left of the object's freshness follows; below 0 when it is over. */
  hasTtl: boolean;
}

/** The chunk that an answer begins with decides. */
export const cacheOutcomes = {
  /** Nothing but the object's description was needed. */
  described: { xCacheStatus: "HIT", cacheStatus: "hit", hasTtl: true },
  memory: { xCacheStatus: "HIT", cacheStatus: "hit; detail=memory", hasTtl: true },
  disk: { xCacheStatus: "HIT", cacheStatus: "hit; detail=disk", hasTtl: true },
  /** From here, though it is time to look for a newer version: that is being done. */
  updating: { xCacheStatus: "UPDATING", cacheStatus: "hit; detail=updating", hasTtl: true },
  /** From here, though it is time to look for a newer version: no upstream answers. */
  stale: { xCacheStatus: "STALE", cacheStatus: "hit; detail=upstream-away", hasTtl: true },
  /** Nothing was known of the object. */
  miss: { xCacheStatus: "MISS", cacheStatus: "fwd=uri-miss; stored", hasTtl: false },
  missCollapsed: { xCacheStatus: "MISS", cacheStatus: "fwd=uri-miss; stored; collapsed", hasTtl: false },
  /** The object was known, this chunk of it was not here. */
  partial: { xCacheStatus: "MISS", cacheStatus: "fwd=partial; stored", hasTtl: false },
  /** The same, and another request had asked upstream for it already. */
  partialCollapsed: { xCacheStatus: "MISS", cacheStatus: "fwd=partial; stored; collapsed", hasTtl: false },
} as const satisfies Record<string, CacheOutcomeRow>;

export type CacheOutcome = keyof typeof cacheOutcomes;

const cacheName = "millrace";

export const cacheOutcomeNames = Object.keys(cacheOutcomes) as CacheOutcome[];

/** Before the seconds of a ttl. */
export const ttlMark = "; ttl=";
const ttlWidth = 8;
const ttlMax = 10 ** (ttlWidth - 1) - 1;

/**
 * What follows the mark, of one length whatever the seconds, so that they can be replaced in place: the next header's value has so many more blanks
 * before it, which count for nothing there (RFC 9110 5.5).
 */
export function ttlTextOf(outcome: CacheOutcome, ttlS: number): string {
  const ttl = String(Math.max(-ttlMax, Math.min(ttlMax, ttlS)));
  return `${ttl}\r\nX-Cache-Status:${" ".repeat(1 + ttlWidth - ttl.length)}${cacheOutcomes[outcome].xCacheStatus}`;
}

/** Both headers, each behind a line's end. `ttlS`: seconds until the object has to be looked for anew. */
export function cacheLinesOf(outcome: CacheOutcome, ttlS: number): string {
  const { cacheStatus, hasTtl, xCacheStatus } = cacheOutcomes[outcome];
  return `\r\nCache-Status: ${cacheName}; ${cacheStatus}${hasTtl ? ttlMark + ttlTextOf(outcome, ttlS) : `\r\nX-Cache-Status: ${xCacheStatus}`}`;
}

/** Of an answer that has nothing of the object to give, because its upstreams have not. */
export function failedCacheLineOf(failure: string): string {
  const why = failure === "not-found" ? "fwd-status=404" : `detail=${failure}`;
  return `\r\nCache-Status: ${cacheName}; fwd=uri-miss; ${why}`;
}
