// From the target of a request to the path of an object.

/** Longest path, in bytes as they came. */
export const objectPathBytesMax = 2048;

/**
 * The object path that a request target names (as it came, without the query): no leading slash, percent-decoded.
 * Undefined when it can't be one: empty, too long, badly encoded, with an empty, "." or ".." part, a backslash or a control character. Such a path
 * is never asked for upstream, so no trick with dots reaches a folder that was not meant.
 */
export function parseObjectPath(target: string): string | undefined {
  if (target.length < 2 || target.length > objectPathBytesMax || target.charCodeAt(0) !== 0x2f) return undefined;
  let path = target.slice(1);
  if (path.includes("%")) {
    try {
      path = decodeURIComponent(path);
    } catch {
      return undefined;
    }
  }
  // eslint-disable-next-line no-control-regex
  if (/[\u0000-\u001f\u007f\\]/.test(path)) return undefined;
  if (!/(?:^|\/)\.{0,2}(?:\/|$)/.test(path)) return path;
  return undefined;
}
