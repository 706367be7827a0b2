// What an operator can do to the storage of a running appliance: list its disks, add one, retire one, purge objects.
import { existsSync } from "node:fs";
import { basename, resolve } from "node:path";
import { z } from "zod";
import { formatByteSize } from "../../runtime/byte-size.js";
import type { Log } from "../../runtime/log.js";
import { messageOf, OperatingError } from "../../runtime/operating-error.js";
import { byteSizeSetting } from "../../runtime/settings-file.js";
import { readDiskIdentity } from "../disk/disk-identity.js";
import type { DiskMonitor } from "../disk/disk-monitor.js";
import type { DiskDescription, DiskSet } from "../disk/disk-set.js";
import { writePurge } from "../disk/purge-journal.js";
import { slabPathOf, extentCountOf, type SlabGeometry } from "../disk/slab-geometry.js";
import type { EmptyingProgress } from "../fill-messages.js";
import type { ChunkIndex } from "../index/chunk-index.js";
import { prefixRulesMax } from "../index/purge-rules.js";
import { isObjectPath, objectPathBytesMax } from "../object.js";

export interface StorageControlOptions {
  disks: DiskSet;
  geometry: SlabGeometry;
  index: ChunkIndex;
  monitor: DiskMonitor;
  /** Tells every thread that a disk has come; resolves when they know. */
  announceDisk: (disk: DiskDescription) => void;
  /** Tells the fill worker to move a disk's chunks away. */
  startEmptying: (diskNumber: number) => void;
  /** Tells every thread that something was purged; resolves when none of them can answer from before. */
  announcePurge: () => Promise<void>;
  log: Log;
}

const addRequest = z.strictObject({ path: z.string().min(1), size: byteSizeSetting() });
const retireRequest = z.strictObject({ path: z.string().min(1) });
const purgeRequest = z.union([
  z.strictObject({ all: z.literal(true) }),
  z.strictObject({ path: z.string().min(1).max(objectPathBytesMax) }),
  z.strictObject({ prefix: z.string().min(1).max(objectPathBytesMax) }),
]);

export class StorageControl {
  readonly #options: StorageControlOptions;
  #purging: Promise<unknown> = Promise.resolve();
  readonly #emptying = new Map<number, EmptyingProgress>();

  constructor(options: StorageControlOptions) {
    this.#options = options;
  }

  /** One row per disk, for /status and `millrace disk list`. */
  statuses() {
    const { disks, monitor } = this.#options;
    return disks.disks.map(({ diskNumber, uuid, path, capacityBytes }) => {
      const emptying = this.#emptying.get(diskNumber);
      return {
        path,
        uuid,
        state: disks.stateOf(diskNumber),
        retiring: disks.isRetiring(diskNumber),
        full: disks.isFull(diskNumber),
        capacityBytes,
        usedBytes: disks.usedBytesOf(diskNumber),
        chunks: disks.usedSlotsOf(diskNumber),
        /** Of the used bytes, what the manifest names; the rest may be evicted. */
        keptBytes: disks.keptBytesOf(diskNumber),
        errors: disks.errorsOf(diskNumber),
        badSlots: disks.badSlotsOf(diskNumber),
        lateReads: disks.lateReadsOf(diskNumber),
        scrubbed: disks.scrubbedOf(diskNumber),
        emptying: emptying ? { moved: emptying.moved, lost: emptying.lost, left: emptying.left } : null,
        ...monitor.healthOf(diskNumber),
      };
    });
  }

  /** @throws OperatingError "request-refused", "disk-refused", "disk-missing". */
  async addDisk(body: unknown): Promise<unknown> {
    const { announceDisk, disks, geometry, index, log, monitor } = this.#options;
    const { path, size } = parse(addRequest, body, "add a disk");
    const refuse = (reason: string) => new OperatingError("disk-refused", `Cannot add disk ${path}: ${reason}`, { source: path });
    if (size < geometry.extentBytes) throw refuse(`${formatByteSize(size)} is not room for one extent of ${geometry.extentBytes} bytes`);
    const found = readDiskIdentity(path, geometry.chunkBytes);
    if (found.state === "missing") throw new OperatingError("disk-missing", `Cannot add disk ${path}: ${found.reason}`, { source: path });
    const { uuid } = found.identity;
    const known = disks.disks.find((disk) => disk.uuid === uuid);
    if (known && known.path !== path) throw refuse(`it is the same disk as ${known.path}`);
    if (known && disks.stateOf(known.diskNumber) !== "retired") throw refuse("it is in use already");
    const other = disks.disks.find((disk) => resolve(disk.path) === resolve(path) && disk.uuid !== uuid);
    if (other && disks.stateOf(other.diskNumber) !== "retired") throw refuse("another disk is in use there");
    if (!known && !disks.hasRoom) throw refuse("too many disks were added; restart the appliance");
    const diskNumber = await index.enrolDisk(uuid, path);
    await index.markDisk(diskNumber, undefined);
    const disk = known ?? { diskNumber, uuid, path, capacityBytes: size, extentCount: extentCountOf(geometry, size) };
    if (known) {
      disks.setRetiring(diskNumber, false);
      this.#emptying.delete(diskNumber);
    } else disks.add(disk);
    announceDisk(disk);
    monitor.setState(disk, "online", "added by command");
    const foreign = !known && existsSync(slabPathOf(path, 0));
    log.info({ disk: path, uuid, capacityBytes: disk.capacityBytes, foreign }, "a disk was added");
    const notes = [`Add it to \`disks\` in the settings file too: { path: ${path}, size: ${formatByteSize(disk.capacityBytes)} }`];
    if (foreign) notes.push("It holds chunks from before, which the index does not know: only `millrace index rebuild` takes them over.");
    return { path, uuid, capacityBytes: disk.capacityBytes, notes };
  }

  /** Begins to empty a disk. `statuses` shows how far it is. @throws OperatingError "request-refused", "disk-refused". */
  async retireDisk(body: unknown): Promise<unknown> {
    const { disks, index, log, startEmptying } = this.#options;
    const { path } = parse(retireRequest, body, "retire a disk");
    const disk = disks.disks.find((one) => one.path === path || one.uuid === path || basename(one.path) === path);
    const refuse = (reason: string) => new OperatingError("disk-refused", `Cannot retire disk ${path}: ${reason}`, { source: path });
    if (!disk) throw refuse(`it is none of ${disks.disks.map((one) => one.path).join(", ")}`);
    const { diskNumber, uuid } = disk;
    const others = disks.disks.filter((one) => one.diskNumber !== diskNumber && disks.takesChunks(one.diskNumber));
    if (others.length === 0) throw refuse("no other disk is online to take its chunks");
    if (disks.stateOf(diskNumber) !== "retired" && !disks.isRetiring(diskNumber)) {
      await index.markDisk(diskNumber, "retiring");
      disks.setRetiring(diskNumber, true);
      log.info({ disk: disk.path, uuid }, "a disk is being retired: its chunks move to the others");
      startEmptying(diskNumber);
    }
    return { path: disk.path, uuid, chunks: disks.usedSlotsOf(diskNumber) };
  }

  /** Goes on with what a restart has interrupted. */
  resumeEmptying(): void {
    const { disks, startEmptying } = this.#options;
    for (const { diskNumber } of disks.disks) if (disks.isRetiring(diskNumber)) startEmptying(diskNumber);
  }

  async noteEmptying(progress: EmptyingProgress): Promise<void> {
    const { disks, index, monitor } = this.#options;
    this.#emptying.set(progress.diskNumber, progress);
    if (!progress.done) return;
    await index.markDisk(progress.diskNumber, "retired");
    monitor.setState(disks.find(progress.diskNumber)!, "retired", "it is empty, and may be pulled");
    disks.setRetiring(progress.diskNumber, false);
  }

  /** Resolves when nothing that matches is served any more. @throws OperatingError "request-refused", "purge-refused". */
  purge(body: unknown): Promise<unknown> {
    // One after another: each waits for all threads to have seen it.
    const purge = this.#purging.then(() => this.#purge(body));
    this.#purging = purge.catch(() => {});
    return purge;
  }

  async #purge(body: unknown): Promise<unknown> {
    const { announcePurge, disks, index, log } = this.#options;
    const request = parse(purgeRequest, body, "purge");
    const [kind, value] =
      "all" in request
        ? (["all", ""] as const)
        : "path" in request
          ? (["object", request.path] as const)
          : (["prefix", request.prefix] as const);
    if (kind === "object" && !isObjectPath(value))
      throw new OperatingError("request-refused", `Cannot purge ${value}: it is not the path of an object; it has no leading slash`);
    const purge = await index.purge(kind, value);
    if (!purge) {
      throw new OperatingError(
        "purge-refused",
        `Cannot purge ${value}: ${prefixRulesMax} prefixes were purged already; purge everything to begin anew`,
      );
    }
    await announcePurge();
    // The index has it; the disks have it for an index that is made anew. One that cannot be written to is no reason to refuse.
    const kept = await Promise.allSettled(
      disks.disks.filter(({ diskNumber }) => disks.isOnline(diskNumber)).map(({ path }) => writePurge(path, purge)),
    );
    for (const one of kept) {
      if (one.status === "rejected")
        log.warn({ purge: purge.number, error: messageOf(one.reason) }, "a purge could not be written to a disk");
    }
    log.info({ purge: purge.number, kind, value }, "purged");
    return { number: purge.number, kind, value, disks: kept.filter(({ status }) => status === "fulfilled").length };
  }
}

function parse<Request>(schema: z.ZodType<Request>, body: unknown, what: string): Request {
  const parsed = schema.safeParse(body);
  if (!parsed.success) throw new OperatingError("request-refused", `Cannot ${what}: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}
