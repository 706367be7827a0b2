// What a player says of itself and its next request, in CMCD (CTA-5004, version 1): the keys that count here.

/** Longest text that is looked at. */
const cmcdCharactersMax = 2048;
/** CTA-5004: sid and cid are at most 64 characters. */
const nameCharactersMax = 64;

/** Undefined where the player does not say. */
export interface Cmcd {
  /** nor: a URL relative to the one that was asked for; undefined for the same. */
  nextObject?: string;
  /** nrr: "first-last" or "first-"; undefined for the whole object. */
  nextRange?: string;
  /** rtp: what the player thinks is enough, in kbit/s. */
  wishKbps?: number;
  /** sid: this playback. */
  sessionId?: string;
  /** cid: what is played. */
  contentId?: string;
  /** bs: its buffer has run empty since its last request. */
  starved?: true;
}

/** One pair of a dictionary of structured fields: key, key="text with \" and \\" or key=token. */
const pairPattern = /[ \t]*([a-z][a-z0-9_.*-]*)(?:=(?:"((?:[^"\\]|\\["\\])*)"|([^,"\s]*)))?[ \t]*(?:,|$)/y;

/**
 * Reads the CMCD of a query, decoded, or the CMCD headers put together with commas. Of a key that comes twice the last one counts; what follows
 * a mistake is not read. Undefined for text that says nothing that counts here. Never throws.
 */
export function parseCmcd(text: string): Cmcd | undefined {
  if (text === "" || text.length > cmcdCharactersMax) return undefined;
  let found: Cmcd | undefined;
  pairPattern.lastIndex = 0;
  while (pairPattern.lastIndex < text.length) {
    const pair = pairPattern.exec(text);
    if (!pair) break;
    const [, key, quoted, bare] = pair;
    const name = quoted === undefined ? bare : quoted.replace(/\\(.)/g, "$1");
    if (key === "bs") {
      if (name === undefined) (found ??= {}).starved = true;
    } else if (key === "rtp") {
      if (/^\d{1,9}$/.test(bare ?? "")) (found ??= {}).wishKbps = Number(bare);
    } else if (quoted === undefined || name === undefined) continue;
    else if (key === "nor") {
      const nextObject = decoded(name);
      if (nextObject !== undefined) (found ??= {}).nextObject = nextObject;
    } else if (key === "nrr") {
      if (/^\d{1,15}-\d{0,15}$/.test(name)) (found ??= {}).nextRange = name;
    } else if (key === "sid" || key === "cid") {
      if (name !== "" && name.length <= nameCharactersMax) (found ??= {})[key === "sid" ? "sessionId" : "contentId"] = name;
    }
  }
  return found;
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

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
