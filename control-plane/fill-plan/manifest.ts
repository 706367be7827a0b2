// The manifest of one appliance: made from its titles, told in full or as changes, in parts that can be resumed.
import { xxh64 } from "@node-rs/xxhash";
import type { FetchManifestRequest, FetchManifestResponse, ManifestEntry } from "../../fill-protocol/generated/millrace/fill/v1/fill.js";
import type { PlacedTitle } from "./place-titles.js";
import type { PlannedCatalog, PlannedObject } from "./planned-catalog.js";

/** Entries in one message: about 100 KB. */
export const entriesPerPart = 1000;
/** New titles that editors announced are filled at any hour for so long. */
const urgentAgeMs = 86_400_000;

export interface ManifestObject {
  object: PlannedObject;
  stratum: number;
  urgent: boolean;
}

export interface Manifest {
  /** Made from the entries: the same for the same, in every copy of the control plane. Never 0. */
  version: bigint;
  /** By path, most wanted first. */
  objects: ReadonlyMap<string, ManifestObject>;
  bytes: number;
}

export const emptyManifest: Manifest = { version: 1n, objects: new Map(), bytes: 0 };

export interface ManifestOptions {
  /** Titles that editors announced. */
  isAnnounced: (titleId: string) => boolean;
  nowUnixMs: number;
}

/**
 * The manifest of an appliance that should hold `titles`, most wanted first. A path that several of them have is in it once, in
 * the newest title's version; the catalog is in that order.
 */
export function makeManifest(titles: readonly PlacedTitle[], catalog: PlannedCatalog, options: ManifestOptions): Manifest {
  const objects = new Map<string, ManifestObject>();
  const newest = new Map<string, number>();
  let version = 0n;
  let bytes = 0;
  for (const { titleId, stratum } of titles) {
    const title = catalog.get(titleId);
    if (!title) continue;
    const ageMs = options.nowUnixMs - title.publishedAtUnixMs;
    const urgent = options.isAnnounced(titleId) && ageMs >= 0 && ageMs < urgentAgeMs;
    // The sum does not depend on the order: a change of order alone is no change.
    version += xxh64(`${titleId}\0${title.contentHash}\0${stratum}\0${urgent}`);
    for (const object of title.objects) {
      const known = objects.get(object.path);
      if (known && newest.get(object.path)! >= title.publishedAtUnixMs) continue;
      if (known) bytes -= known.object.sizeBytes;
      bytes += object.sizeBytes;
      objects.set(object.path, { object, stratum: Math.min(stratum, known?.stratum ?? stratum), urgent });
      newest.set(object.path, title.publishedAtUnixMs);
    }
  }
  version &= 2n ** 64n - 1n;
  return { version: version || 1n, objects, bytes };
}

/** What makes `to` of `from`: first what goes, then what comes or is another. */
export function* changesBetween(from: Manifest, to: Manifest): Generator<ManifestEntry> {
  for (const [path, known] of from.objects) if (!to.objects.has(path)) yield { ...entryOf(known), removed: true };
  for (const [path, wanted] of to.objects) {
    const known = from.objects.get(path);
    const isSame =
      known !== undefined &&
      known.object.etag === wanted.object.etag &&
      known.object.sizeBytes === wanted.object.sizeBytes &&
      known.stratum === wanted.stratum &&
      known.urgent === wanted.urgent;
    if (!isSame) yield entryOf(wanted);
  }
}

/**
 * The answer to a request for `manifest`, where `base` is the one that the appliance has, when it is still known. An answer that
 * was cut off goes on where it ended, if it is still the same answer.
 */
export function* manifestAnswer(
  manifest: Manifest,
  base: Manifest | undefined,
  request: Pick<FetchManifestRequest, "resumeVersion" | "resumeBaseVersion" | "resumeEntries">,
): Generator<FetchManifestResponse> {
  const baseVersion = base?.version ?? 0n;
  const { version } = manifest;
  const changes = base && [...changesBetween(base, manifest)];
  const entriesTotal = changes?.length ?? manifest.objects.size;
  const resumes = request.resumeVersion === version && request.resumeBaseVersion === baseVersion;
  const skipped = resumes && request.resumeEntries <= BigInt(entriesTotal) ? Number(request.resumeEntries) : 0;
  let at = 0;
  let firstEntry = skipped;
  let entries: ManifestEntry[] = [];
  const part = (): FetchManifestResponse => ({
    version,
    baseVersion,
    firstEntry: BigInt(firstEntry),
    entriesTotal: BigInt(entriesTotal),
    entries,
  });
  for (const entry of changes ?? manifest.objects.values()) {
    if (at++ < skipped) continue;
    entries.push("object" in entry ? entryOf(entry) : entry);
    if (entries.length < entriesPerPart) continue;
    yield part();
    firstEntry += entries.length;
    entries = [];
  }
  // An answer without entries is one empty part: without it the appliance would not learn the version.
  if (entries.length > 0 || firstEntry === skipped) yield part();
}

function entryOf({ object, stratum, urgent }: ManifestObject): ManifestEntry {
  return { path: object.path, sizeBytes: BigInt(object.sizeBytes), etag: object.etag, stratum, urgent, removed: false };
}
