// From the target of a request to the path of an object.
import { isObjectPath, objectPathBytesMax } from "../object.js";

/** Longest target: a path in which every byte is percent-encoded. */
const targetCharactersMax = 1 + 3 * objectPathBytesMax;

/**
 * The object path that a request target names (as it came, without the query): no leading slash, percent-decoded.
 * Undefined when it can't be one: badly encoded, or not a path that `isObjectPath` takes.
 */
export function parseObjectPath(target: string): string | undefined {
  if (target.length > targetCharactersMax || target.charCodeAt(0) !== 0x2f) return undefined;
  let path = target.slice(1);
  if (path.includes("%")) {
    try {
      path = decodeURIComponent(path);
    } catch {
      return undefined;
    }
  }
  return isObjectPath(path) ? path : undefined;
}
