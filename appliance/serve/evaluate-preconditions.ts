// The conditional headers of a request (RFC 9110 13).

/** The headers that make a request conditional; "" for one that is not there. */
export interface ConditionalHeaders {
  ifMatch: string;
  ifNoneMatch: string;
  ifModifiedSince: string;
  ifUnmodifiedSince: string;
  ifRange: string;
}

/** What conditions are held against. */
export interface Validators {
  /** "" when the object has none. */
  etag: string;
  /** 0 when the object's date is not known. */
  lastModifiedUnixMs: number;
}

/** Whether the request is to be performed, or which status answers it. The order is that of RFC 9110 13.2.2. */
export function evaluatePreconditions(headers: ConditionalHeaders, object: Validators): "perform" | 304 | 412 {
  if (headers.ifMatch !== "") {
    if (!listMatches(headers.ifMatch, object.etag, "strong")) return 412;
  } else if (headers.ifUnmodifiedSince !== "") {
    const since = parseHttpDate(headers.ifUnmodifiedSince);
    if (since !== undefined && object.lastModifiedUnixMs !== 0 && wholeSeconds(object.lastModifiedUnixMs) > since) return 412;
  }
  if (headers.ifNoneMatch !== "") return listMatches(headers.ifNoneMatch, object.etag, "weak") ? 304 : "perform";
  if (headers.ifModifiedSince !== "") {
    const since = parseHttpDate(headers.ifModifiedSince);
    if (since !== undefined && object.lastModifiedUnixMs !== 0 && wholeSeconds(object.lastModifiedUnixMs) <= since) return 304;
  }
  return "perform";
}

/** Whether a Range header counts (RFC 9110 13.1.5): a tag must be the same and strong, a date the same to the second. */
export function ifRangeHolds(ifRange: string, object: Validators): boolean {
  if (ifRange === "") return true;
  if (ifRange.startsWith('"') || ifRange.startsWith("W/")) return !isWeak(object.etag) && ifRange === object.etag;
  const date = parseHttpDate(ifRange);
  return date !== undefined && object.lastModifiedUnixMs !== 0 && wholeSeconds(object.lastModifiedUnixMs) === date;
}

function listMatches(list: string, etag: string, comparison: "strong" | "weak"): boolean {
  // "*" asks for any version at all, and there is one.
  if (list.trim() === "*") return true;
  if (etag === "") return false;
  if (comparison === "strong" && isWeak(etag)) return false;
  for (const [tag] of list.matchAll(/(?:W\/)?"[^"]*"/g)) {
    if (comparison === "strong" ? tag === etag : opaqueOf(tag) === opaqueOf(etag)) return true;
  }
  return false;
}

function isWeak(etag: string): boolean {
  return etag.startsWith("W/");
}

function opaqueOf(etag: string): string {
  return isWeak(etag) ? etag.slice(2) : etag;
}

/** Milliseconds; a date has no parts of a second on the wire. */
function wholeSeconds(unixMs: number): number {
  return Math.floor(unixMs / 1000) * 1000;
}

/** Undefined for what is no date: the header is then ignored (RFC 9110 13.1.3). */
function parseHttpDate(text: string): number | undefined {
  // Every form of RFC 9110 5.6.7 starts with a weekday; Date.parse alone takes far more.
  if (!/^[A-Z][a-z]{2,8}[, ]/.test(text)) return undefined;
  const unixMs = Date.parse(text.endsWith("GMT") ? text : `${text} GMT`);
  return Number.isNaN(unixMs) ? undefined : unixMs;
}
