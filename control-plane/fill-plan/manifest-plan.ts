// What an appliance should hold: whole titles, newest first, as far as its capacity goes.
import { Xxh64 } from "@node-rs/xxhash";

export interface PlanObject {
  titleId: string;
  path: string;
  sizeBytes: number;
  etag: string;
}

export interface ManifestPlan {
  /** Made from the entries, so it changes when and only when they do, and is the same in every copy of the control plane. */
  version: bigint;
  entries: readonly PlanObject[];
}

/**
 * The plan for `capacityBytes` of slots of `chunkBytes`.
 *
 * A title is taken whole or not at all, since a film with a missing rendition plays from elsewhere anyway; one that does not
 * fit is passed over and a smaller, older one may still be taken. An object takes whole slots. A path that several titles
 * have is taken once, in the newest title's version.
 *
 * @param objectsNewestFirst the objects of one title stand together.
 */
export function planManifest(
  objectsNewestFirst: readonly PlanObject[],
  { capacityBytes, chunkBytes }: { capacityBytes: number; chunkBytes: number },
): ManifestPlan {
  const entries: PlanObject[] = [];
  const planned = new Set<string>();
  let freeBytes = capacityBytes;
  for (let at = 0; at < objectsNewestFirst.length;) {
    const { titleId } = objectsNewestFirst[at]!;
    const lacking: PlanObject[] = [];
    let titleBytes = 0;
    for (; at < objectsNewestFirst.length && objectsNewestFirst[at]!.titleId === titleId; at++) {
      const object = objectsNewestFirst[at]!;
      if (planned.has(object.path)) continue;
      lacking.push(object);
      titleBytes += Math.ceil(object.sizeBytes / chunkBytes) * chunkBytes;
    }
    if (titleBytes > freeBytes) continue;
    freeBytes -= titleBytes;
    for (const object of lacking) {
      planned.add(object.path);
      entries.push(object);
    }
  }
  return { version: versionOf(entries), entries };
}

function versionOf(entries: readonly PlanObject[]): bigint {
  const hash = new Xxh64();
  for (const { path, sizeBytes, etag } of entries) hash.update(`${path}\0${sizeBytes}\0${etag}\n`);
  // 0 is "knows no manifest".
  return hash.digest() || 1n;
}
