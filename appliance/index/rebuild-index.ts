// Makes an index anew from the headers of all slots: the disks are the truth, the index is a map of them.
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Log } from "../../runtime/log.js";
import { messageOf } from "../../runtime/operating-error.js";
import { openDisks } from "../disk/open-disks.js";
import { readPurges } from "../disk/purge-journal.js";
import { scanSlots } from "../disk/scan-slots.js";
import type { SlabGeometry } from "../disk/slab-geometry.js";
import { ChunkIndex, type CutExtentOfDisk, type FoundSlot } from "./chunk-index.js";

/** Slots that are taken over in one transaction. */
const slotsPerTransaction = 2000;
/** What of the old index is kept where it can be read: it cannot be had from the slots. */
const metaKept = ["applianceId"];

export interface RebuildReport {
  slots: number;
  chunks: number;
  objects: number;
  /** Slots whose header or, where chunks were read, whose bytes are not whole. */
  unusable: number;
  /** Why nothing could be taken over from the old index; the appliance is then a new one to its control plane. */
  oldIndexUnreadable: string | undefined;
  disksAway: string[];
  seconds: number;
}

export interface RebuildOptions {
  /** Folder of the index. Nobody may use it meanwhile. */
  path: string;
  wanted: readonly { path: string; size: number }[];
  geometry: SlabGeometry;
  /** Reads every chunk, not only its header. */
  wholeChunks: boolean;
  log: Log;
  onProgress?: (extents: number, ofExtents: number) => void;
}

/**
 * The old index stays as it is until the new one is whole; a kill in between loses only the work.
 *
 * @throws OperatingError "disk-refused" or "disk-missing", as at the start of an appliance.
 */
export async function rebuildIndex({ path, wanted, geometry, wholeChunks, log, onProgress }: RebuildOptions): Promise<RebuildReport> {
  const startedAtMs = performance.now();
  const building = join(path, "rebuilding");
  rmSync(building, { recursive: true, force: true });
  mkdirSync(building, { recursive: true });
  const index = new ChunkIndex(building, geometry.chunkBytes);
  const report = { slots: 0, chunks: 0, objects: 0, unusable: 0, disksAway: [] as string[] };
  const oldIndexUnreadable = await keepFromOldIndex(path, index, geometry.chunkBytes);
  try {
    const disks = await openDisks({ wanted, geometry, register: index, log, adopts: true });
    // A purge stands on every disk that was there at the time: one is enough.
    for (const { diskNumber, path: diskPath } of disks.disks) {
      if (disks.isOnline(diskNumber)) await index.importPurges(await readPurges(diskPath));
    }
    let extents = 0;
    const ofExtents = disks.disks.reduce((sum, { extentCount }) => sum + extentCount, 0);
    let waiting: FoundSlot[] = [];
    let cuts: CutExtentOfDisk[] = [];
    const adopt = async () => {
      const [batch, cut] = [waiting, cuts];
      waiting = [];
      cuts = [];
      await index.putExtents(cut);
      // Read after the wait: disks adopt side by side.
      const added = await index.adoptSlots(batch);
      report.chunks += added;
    };
    await Promise.all(
      disks.disks.map(async (disk) => {
        if (!disks.isOnline(disk.diskNumber)) {
          report.disksAway.push(disk.path);
          return;
        }
        await scanSlots({
          disk,
          geometry,
          wholeChunks,
          onExtent: async ({ cut, slots }) => {
            onProgress?.(++extents, ofExtents);
            report.slots += slots.length;
            if (cut) cuts.push({ diskNumber: disk.diskNumber, ...cut });
            for (const scanned of slots) {
              if ("header" in scanned) waiting.push({ diskNumber: disk.diskNumber, slot: scanned.slot, ...scanned.header });
              else if (scanned.why !== "empty") report.unusable++;
            }
            if (waiting.length >= slotsPerTransaction) await adopt();
          },
        });
      }),
    );
    await adopt();
    report.objects = index.countObjects();
    await index.endAdopting();
  } finally {
    await index.close();
  }
  renameSync(join(building, "index.mdb"), join(path, "index.mdb"));
  // The lock file speaks of readers of the old one.
  rmSync(join(path, "index.mdb-lock"), { force: true });
  rmSync(building, { recursive: true, force: true });
  return { ...report, oldIndexUnreadable, seconds: (performance.now() - startedAtMs) / 1000 };
}

async function keepFromOldIndex(path: string, next: ChunkIndex, chunkBytes: number): Promise<string | undefined> {
  if (!existsSync(join(path, "index.mdb"))) return "there is none";
  try {
    const old = new ChunkIndex(path, chunkBytes);
    try {
      for (const name of metaKept) {
        const value = old.getMeta(name);
        if (value !== undefined) await next.putMeta(name, value);
      }
      // A disk that was being retired, or is, stays so.
      for (const { uuid, path: diskPath, mark } of old.knownDisks()) {
        if (mark) await next.markDisk(await next.enrolDisk(uuid, diskPath), mark);
      }
    } finally {
      await old.close();
    }
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}
