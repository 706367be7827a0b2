// What a player says of its next request, in CMCD (CTA-5004): keys nor (next object) and nrr (next range).

/** Longest text that is looked at. */
const cmcdCharactersMax = 2048;

export interface NextRequest {
  /** A URL relative to the one that was asked for; undefined for the same. */
  nextObject: string | undefined;
  /** "first-last" or "first-"; undefined for the whole object. */
  nextRange: string | undefined;
}

/** Reads `text`: the CMCD of a query, decoded, or the CMCD-Request header. Undefined when it says nothing of a next request. Never throws. */
export function parseNextRequest(text: string): NextRequest | undefined {
  if (text.length > cmcdCharactersMax) return undefined;
  const object = /(?:^|,)\s*nor="([^"]*)"/.exec(text)?.[1];
  const nextRange = /(?:^|,)\s*nrr="(\d{1,15}-\d{0,15})"/.exec(text)?.[1];
  if (object === undefined && nextRange === undefined) return undefined;
  let nextObject: string | undefined;
  try {
    nextObject = object === undefined ? undefined : decodeURIComponent(object);
  } catch {
    return undefined;
  }
  return { nextObject, nextRange };
}

/** The path of the next object, seen from that of this one. Undefined when it is on another host or no path. */
export function resolveNextPath(path: string, nextObject: string | undefined): string | undefined {
  if (nextObject === undefined) return path;
  // Only relative ones: a player that is bound to this appliance names no host.
  if (/^(?:[a-z][a-z0-9+.-]*:|\/\/|\\)/i.test(nextObject)) return undefined;
  try {
    const url = new URL(nextObject, `http://x/${path.split("/").map(encodeURIComponent).join("/")}`);
    return url.host === "x" ? decodeURIComponent(url.pathname.slice(1)) : undefined;
  } catch {
    return undefined;
  }
}
