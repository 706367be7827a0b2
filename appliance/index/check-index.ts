// Checks an index against itself and against the slots of every disk, in both directions, and puts right what it finds.
import type { DiskSet } from "../disk/disk-set.js";
import { scanSlots } from "../disk/scan-slots.js";
import { extentOf, type SlabGeometry } from "../disk/slab-geometry.js";
import { objectKeyOf } from "../object.js";
import {
  contradictions,
  type ChunkIndex,
  type Contradiction,
  type CutExtentOfDisk,
  type FoundSlot,
  type SlotPlace,
} from "./chunk-index.js";

/** Findings that are put right in one transaction. */
const repairsAtOnce = 1000;
const examplesMax = 5;

/** Everything that a check can find, with what it means. */
export const findingKinds = {
  ...contradictions,
  empty: "a slot that should hold a chunk was never written, or its slab is gone",
  torn: "a slot that should hold a chunk has no whole header",
  "wrong-bytes": "a slot's bytes do not match its checksum",
  "other-disk": "a slot was written for another disk",
  "other-chunk": "a slot holds another chunk than the index says",
  "other-cut": "a slot lies in an extent that is cut into slots of another size, or anew",
  "beyond-disk": "chunks that lie behind the end of a disk",
} as const;
export type FindingKind = keyof typeof findingKinds;

export interface CheckReport {
  chunks: number;
  slots: number;
  seconds: number;
  findings: { kind: FindingKind; count: number; examples: string[] }[];
  /** Chunks that the index names on disks that are not there now; nothing is known of them. */
  chunksOnDisksAway: number;
  /** Free slots that still hold a chunk which nothing else holds; with `fix` they were taken back. */
  chunksToTakeBack: number;
  fixed: boolean;
}

export interface CheckOptions {
  index: ChunkIndex;
  disks: DiskSet;
  geometry: SlabGeometry;
  fix: boolean;
  /** Reads every chunk, not only its header. */
  wholeChunks: boolean;
  onProgress?: (extents: number, ofExtents: number) => void;
}

/** Nothing may write to the index meanwhile. Throws the system's error when a disk that is there cannot be read. */
export async function checkIndex({ index, disks, geometry, fix, wholeChunks, onProgress }: CheckOptions): Promise<CheckReport> {
  const startedAtMs = performance.now();
  const findings = new Map<FindingKind, { count: number; examples: string[] }>();
  const note = (kind: FindingKind, example: string) => {
    const finding = findings.get(kind) ?? { count: 0, examples: [] };
    findings.set(kind, finding);
    finding.count++;
    if (finding.examples.length < examplesMax) finding.examples.push(example);
  };

  const contradicting: Contradiction[] = [];
  for (const one of index.findContradictions()) {
    note(one.kind, one.key.toString("hex"));
    contradicting.push(one);
  }
  if (fix) {
    for (let at = 0; at < contradicting.length; at += repairsAtOnce) await index.repair(contradicting.slice(at, at + repairsAtOnce));
  }

  const report = { chunks: 0, slots: 0, chunksOnDisksAway: 0, chunksToTakeBack: 0 };
  const bad: SlotPlace[] = [];
  const orphans: FoundSlot[] = [];
  const cuts: CutExtentOfDisk[] = [];
  let extents = 0;
  const ofExtents = disks.disks.reduce((sum, { extentCount }) => sum + extentCount, 0);
  const checkDisk = async (disk: (typeof disks.disks)[number]) => {
    const { diskNumber } = disk;
    await scanSlots({
      disk,
      geometry,
      wholeChunks,
      onExtent: ({ extent, cut, slots }) => {
        onProgress?.(++extents, ofExtents);
        report.slots += slots.length;
        const expected = new Map([...index.slotsOfExtent({ diskNumber, extent })].map((content) => [content.slot, content]));
        report.chunks += expected.size;
        const known = index.findExtent({ diskNumber, extent });
        const cutAsKnown = cut !== undefined && cut.slotPages === known?.slotPages && cut.epoch === known.epoch;
        if (cut && !cutAsKnown) cuts.push({ diskNumber, ...cut });
        for (const scanned of slots) {
          const place = { diskNumber, slot: scanned.slot };
          const named = cutAsKnown ? expected.get(scanned.slot) : undefined;
          if (!named) {
            if ("why" in scanned) continue;
            const { header } = scanned;
            const newest = index.findObject(header.object.path);
            // What was evicted, replaced or moved lies in free slots until they are written again.
            const isWanted = newest && objectKeyOf(newest).equals(header.objectKey);
            const held = index.findChunk(header.objectKey, header.chunk);
            const isHeld = held && (cutAsKnown || held.diskNumber !== diskNumber || extentOf(geometry, held.slot) !== extent);
            if (!isWanted || isHeld) continue;
            report.chunksToTakeBack++;
            if (fix) orphans.push({ ...place, ...header });
            continue;
          }
          expected.delete(scanned.slot);
          if ("header" in scanned && scanned.header.objectKey.equals(named.objectKey) && scanned.header.chunk === named.chunk) continue;
          note("why" in scanned ? scanned.why : "other-chunk", `${disk.path} slot ${scanned.slot}`);
          bad.push(place);
        }
        for (const { slot } of expected.values()) {
          note(cut ? "other-cut" : "empty", `${disk.path} slot ${slot}`);
          bad.push({ diskNumber, slot });
        }
      },
    });
    for (const slot of index.usedSlots(disk.diskNumber)) {
      if (extentOf(geometry, slot) < disk.extentCount) continue;
      report.chunks++;
      note("beyond-disk", `${disk.path} slot ${slot}`);
      bad.push({ diskNumber: disk.diskNumber, slot });
    }
  };
  await Promise.all(disks.disks.filter(({ diskNumber }) => disks.isOnline(diskNumber)).map(checkDisk));
  const checked = new Set(disks.disks.filter(({ diskNumber }) => disks.isOnline(diskNumber)).map(({ diskNumber }) => diskNumber));
  for (const { diskNumber } of index.knownDisks()) {
    if (checked.has(diskNumber)) continue;
    for (const _ of index.usedSlots(diskNumber)) report.chunksOnDisksAway++;
  }

  if (fix) {
    for (let at = 0; at < bad.length; at += repairsAtOnce) await index.forgetSlots(bad.slice(at, at + repairsAtOnce));
    for (let at = 0; at < cuts.length; at += repairsAtOnce) await index.putExtents(cuts.slice(at, at + repairsAtOnce));
    for (let at = 0; at < orphans.length; at += repairsAtOnce) {
      const batch = orphans.slice(at, at + repairsAtOnce);
      await index.commitChunks(batch.map(({ object, ...place }) => ({ ...place, path: object.path })));
    }
  }
  return {
    ...report,
    seconds: (performance.now() - startedAtMs) / 1000,
    findings: [...findings].map(([kind, finding]) => ({ kind, ...finding })),
    fixed: fix,
  };
}
