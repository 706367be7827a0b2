// At the start: which disks are there, who they are, and which number the index gives each.
import { existsSync } from "node:fs";
import type { Log } from "../../runtime/log.js";
import { OperatingError } from "../../runtime/operating-error.js";
import { readDiskIdentity } from "./disk-identity.js";
import { DiskSet, type DiskDescription, type DiskState } from "./disk-set.js";
import { slabPathOf, extentCountOf, type SlabGeometry } from "./slab-geometry.js";

/** What the index remembers of disks. */
export interface DiskRegister {
  knownDisks(): { diskNumber: number; uuid: string; path: string; mark?: "retiring" | "retired" }[];
  enrolDisk(uuid: string, path: string): Promise<number>;
}

export interface OpenDisksOptions {
  wanted: readonly { path: string; size: number }[];
  geometry: SlabGeometry;
  register: DiskRegister;
  log: Log;
  /** The caller reads what the disks hold: chunks that the index does not know are no surprise. */
  adopts?: boolean;
  /** Nothing is changed on the disks: an empty folder does not become one, and is left out when it never was. */
  looksOnly?: boolean;
}

/**
 * The disks of the settings. One that was here before and is missing now starts offline: the others serve, and what it held is fetched
 * again when it is asked for.
 *
 * @throws OperatingError "disk-missing" for a path that is not there and never was, or when no disk at all is there; "disk-refused" for one that holds something else.
 */
export async function openDisks({ wanted, geometry, register, log, adopts, looksOnly = false }: OpenDisksOptions): Promise<DiskSet> {
  const disks: DiskDescription[] = [];
  const states: DiskState[] = [];
  const retiring: number[] = [];
  const uuids = new Map<string, string>();
  const findings = wanted.map((disk) => ({ ...disk, found: readDiskIdentity(disk.path, geometry.chunkBytes, { looksOnly }) }));
  const present = new Set(findings.flatMap(({ found }) => (found.state === "ready" ? [found.identity.uuid] : [])));
  for (const { path, size, found } of findings) {
    const capacity = { path, capacityBytes: size, extentCount: extentCountOf(geometry, size) };
    if (found.state === "missing") {
      const known = register.knownDisks().find((disk) => disk.path === path);
      if (!known && looksOnly) {
        log.warn({ disk: path, reason: found.reason }, "a disk is missing; going on without it");
        continue;
      }
      if (!known) throw new OperatingError("disk-missing", `Cannot use disk ${path}: ${found.reason}`, { source: path });
      log.error({ disk: path, uuid: known.uuid, reason: found.reason }, "a disk is missing; starting without it");
      // The disk that was here is mounted elsewhere now: it must not stand in the set twice.
      if (present.has(known.uuid)) continue;
      disks.push({ diskNumber: known.diskNumber, uuid: known.uuid, ...capacity });
      states.push("offline");
      continue;
    }
    const { uuid } = found.identity;
    const twin = uuids.get(uuid);
    if (twin) throw new OperatingError("disk-refused", `Cannot use disk ${path}: it is the same disk as ${twin}`, { source: path });
    uuids.set(uuid, path);
    const before = register.knownDisks().find((disk) => disk.uuid === uuid);
    const diskNumber = await register.enrolDisk(uuid, path);
    disks.push({ diskNumber, uuid, ...capacity });
    states.push(before?.mark === "retired" ? "retired" : "online");
    if (before?.mark === "retiring") retiring.push(diskNumber);
    if (before?.mark === "retired") log.warn({ disk: path, uuid }, "a disk was retired; it is not used. `millrace disk add` takes it back");
    if (!before && adopts !== true && existsSync(slabPathOf(path, 0))) {
      log.warn(
        { disk: path, uuid },
        "a disk holds chunks that this index does not know; they are written over. `millrace index rebuild` takes them over instead",
      );
    }
  }
  if (!states.includes("online")) throw new OperatingError("disk-missing", "Cannot start: none of the disks is there");
  const set = new DiskSet(disks);
  for (const diskNumber of retiring) set.setRetiring(diskNumber, true);
  for (const [place, { diskNumber }] of disks.entries()) set.setState(diskNumber, states[place]!);
  return set;
}
