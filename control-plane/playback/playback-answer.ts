// From a title and ranked appliances to what a player opens.
import type { StoredTitle } from "../catalog/catalog-store.js";

interface SizedObject {
  path: string;
  sizeBytes: number | bigint;
}

/**
 * Everything that playing a title may fetch, its entry document first: that path stands for the title in steering. Empty
 * objects are left out, since an appliance has no chunk of them to hold.
 */
export function objectsForPlayback<Sized extends SizedObject>(
  title: Pick<StoredTitle, "hlsPath" | "dashPath">,
  objects: readonly Sized[],
): Sized[] {
  const entry = entryPathOf(title);
  return objects.filter(({ sizeBytes }) => sizeBytes > 0).sort((a, b) => Number(b.path === entry) - Number(a.path === entry));
}

/** The document that a player opens first; undefined when the title has none. */
export function entryPathOf({ hlsPath, dashPath }: Pick<StoredTitle, "hlsPath" | "dashPath">): string | undefined {
  return hlsPath || dashPath || undefined;
}

/** The URL of the object at `path` on the appliance that answers at `dataUrl`; empty for an empty path. */
export function urlOf(dataUrl: string, path: string): string {
  return path === "" ? "" : dataUrl + path.split("/").map(encodeURIComponent).join("/");
}
