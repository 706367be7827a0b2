// The same object's URL on another appliance.

/**
 * `url`, which was made from `fromManifestUrl` (by a relative reference in a playlist), as it stands below `toManifestUrl`.
 *
 * Two manifest URLs of one title end in the same path; what differs before that (scheme, host, port, a `~token` folder) is the base, and is
 * exchanged. `undefined` when `url` lies outside the base: it belongs to another server, and no appliance can stand in for that one.
 * All three are absolute URLs.
 */
export function rebaseUrl(url: string, fromManifestUrl: string, toManifestUrl: string): string | undefined {
  if (url === fromManifestUrl) return toManifestUrl;
  const from = baseSegments(fromManifestUrl);
  const to = baseSegments(toManifestUrl);
  while (from.path.length > 0 && to.path.length > 0 && from.path.at(-1) === to.path.at(-1)) {
    from.path.pop();
    to.path.pop();
  }
  const fromBase = joinBase(from);
  if (!url.startsWith(fromBase)) return undefined;
  return joinBase(to) + url.slice(fromBase.length);
}

function baseSegments(manifestUrl: string): { origin: string; path: string[] } {
  const { origin, pathname } = new URL(manifestUrl);
  return { origin, path: pathname.split("/").slice(1) };
}

function joinBase({ origin, path }: { origin: string; path: readonly string[] }): string {
  return `${[origin, ...path].join("/")}/`;
}
