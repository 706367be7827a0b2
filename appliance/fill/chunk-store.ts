// Puts fetched chunks on disks in batches: slots are written, synced, and only then known to the index.
//
// A batch goes through four steps; a kill between any two leaves an index that points at whole chunks only:
//
//   1. the index forgets what lay in the slots that will be written again      (kill: the old chunks are lost, they were to go)
//   2. headers and chunks are written                                          (kill: slots that nobody points at)
//   3. fdatasync of the slabs                                                   (kill: the same)
//   4. the index remembers the new chunks                                       (kill: they are there)
import { setImmediate as turn } from "node:timers/promises";
import type { Clock } from "../../runtime/clock.js";
import type { Log } from "../../runtime/log.js";
import { errnoOf, messageOf } from "../../runtime/operating-error.js";
import { counterPlace } from "../counters.js";
import { orderDisks } from "../disk/choose-disk.js";
import type { DiskDescription, DiskSet } from "../disk/disk-set.js";
import type { CutExtent } from "../disk/extent-header.js";
import { slotShapeOf, type SlabGeometry } from "../disk/slab-geometry.js";
import { SlotAllocator, type GivenSlot } from "../disk/slot-allocator.js";
import type { SlotWriter } from "../disk/slot-writer.js";
import type { ChunkIndex, CutExtentOfDisk, PlacedChunk, SlotPlace } from "../index/chunk-index.js";
import type { FrameArena } from "../memory/frame-arena.js";
import { objectKeyOf, type ObjectRecord } from "../object.js";

/** A disk whose file system is full is not written to for so long. */
const fullForMs = 10_000;

export interface ChunkStoreOptions {
  arena: FrameArena;
  index: ChunkIndex;
  disks: DiskSet;
  geometry: SlabGeometry;
  writer: SlotWriter;
  /** Chunks that wait for their batch hold a frame each; beyond this many, chunks are not stored. */
  waitingMax: number;
  clock: Clock;
  /** These paths are held more, or less, than before. */
  onHeldChanged: (paths: readonly string[]) => void;
  counters: Float64Array;
  log: Log;
}

interface WaitingChunk {
  name: string;
  object: ObjectRecord;
  chunk: number;
  frame: number;
}

interface PlacedWaitingChunk extends WaitingChunk {
  disk: DiskDescription;
  slot: number;
  epoch: number;
  /** The extent that is cut anew for it. */
  cut: CutExtent | undefined;
  /** Header and chunk are on the disk. */
  written: boolean;
  commit?: PlacedChunk;
  /** The index knows it. */
  committed: boolean;
}

export class ChunkStore {
  readonly #options: ChunkStoreOptions;
  readonly #allocators = new Map<number, SlotAllocator>();
  readonly #fullUntilMs = new Map<number, number>();
  #waiting: WaitingChunk[] = [];
  /** What waits, or is in the batch under way. */
  readonly #names = new Set<string>();
  #running: Promise<void> | undefined;

  constructor(options: ChunkStoreOptions) {
    this.#options = options;
  }

  /**
   * Reads from the index which slots are free; a disk that is written to before is read then. At ten million chunks that takes seconds, and requests
   * need none of it, so it comes after the start.
   */
  async loadDisks(): Promise<void> {
    for (const disk of this.#options.disks.disks) {
      this.#allocatorOf(disk);
      await turn();
    }
  }

  /** A disk that came while the appliance runs, or that came back with nothing. */
  addDisk(disk: DiskDescription): void {
    this.#allocators.delete(disk.diskNumber);
    this.#allocatorOf(disk);
  }

  /** So many more chunks can wait for a disk now. */
  get roomLeft(): number {
    return this.#options.waitingMax - this.#waiting.length;
  }

  /** Whether a chunk that is given now will wait for a disk, and not be turned away. */
  get hasRoom(): boolean {
    return this.roomLeft > 0;
  }

  /** Whether any disk takes chunks now: none does when all are full, or lost. */
  get hasWritableDisk(): boolean {
    return this.#writableDisks().length > 0;
  }

  /** Whether a disk that can be read has the chunk. One that lies on a lost disk is stored again. */
  holds(objectKey: Buffer, chunk: number): boolean {
    const place = this.#options.index.findChunk(objectKey, chunk);
    return place !== undefined && !this.#options.disks.isLost(place.diskNumber);
  }

  /** Stores the chunk in a frame that the caller has pinned; the store takes a pin of its own. One that waits already is not taken twice. */
  store(object: ObjectRecord, chunk: number, frame: number): void {
    const name = `${objectKeyOf(object).toString("hex")}:${chunk}`;
    if (this.#names.has(name)) return;
    if (!this.hasRoom) {
      this.#options.counters[counterPlace.chunksNotStored]!++;
      return;
    }
    this.#options.arena.pinAgain(frame);
    this.#names.add(name);
    this.#waiting.push({ name, object, chunk, frame });
    this.#running ??= this.#runBatches();
  }

  /** A slot does not hold the chunk that the index names it for. Ignored when the index has been told something newer. */
  async dropChunk(objectKey: Buffer, chunk: number, place: SlotPlace): Promise<void> {
    const { counters, disks, index, log, onHeldChanged } = this.#options;
    const version = await index.forgetChunk(objectKey, chunk, place);
    if (!version) return;
    counters[counterPlace.slotsBad]!++;
    log.warn({ path: version.path, chunk, disk: disks.find(place.diskNumber)?.path, slot: place.slot }, "a slot did not hold its chunk");
    this.freeSlots([place]);
    onHeldChanged([version.path]);
  }

  /** The index has forgotten these slots. */
  freeSlots(places: readonly SlotPlace[]): void {
    for (const { diskNumber, slot } of places) this.#allocators.get(diskNumber)?.free(slot);
    this.#countUsed();
  }

  /** Resolves when everything that was given is stored, or given up. */
  async flush(): Promise<void> {
    while (this.#running) await this.#running;
  }

  async #runBatches(): Promise<void> {
    // Whatever came while a batch was under way is the next batch: batches grow by themselves when disks are slow.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      try {
        await this.#runBatch(batch);
      } catch (error) {
        this.#options.log.error({ error: messageOf(error) }, "chunks could not be stored");
      } finally {
        for (const { name, frame } of batch) {
          this.#names.delete(name);
          this.#options.arena.unpin(frame);
        }
      }
    }
    this.#running = undefined;
  }

  async #runBatch(batch: readonly WaitingChunk[]): Promise<void> {
    const { index, counters } = this.#options;
    const placed: PlacedWaitingChunk[] = [];
    const evicted: SlotPlace[] = [];
    for (const waiting of batch) {
      if (this.holds(objectKeyOf(waiting.object), waiting.chunk)) continue;
      const place = this.#choosePlace(waiting);
      if (!place) {
        counters[counterPlace.chunksNotStored]!++;
        continue;
      }
      const { disk, slot, epoch, cut, evicts } = place;
      for (const one of evicts) evicted.push({ diskNumber: disk.diskNumber, slot: one });
      placed.push({ ...waiting, disk, slot, epoch, cut, written: false, committed: false });
    }
    const changed = new Set<string>();
    try {
      if (evicted.length > 0) {
        for (const { path } of await index.forgetSlots(evicted)) changed.add(path);
        counters[counterPlace.chunksEvicted]! += evicted.length;
      }
      const byDisk = new Map<DiskDescription, PlacedWaitingChunk[]>();
      for (const chunk of placed) byDisk.set(chunk.disk, [...(byDisk.get(chunk.disk) ?? []), chunk]);
      await Promise.all([...byDisk].map(([disk, chunks]) => this.#writeToDisk(disk, chunks)));
      const commits: PlacedChunk[] = [];
      const cuts: CutExtentOfDisk[] = [];
      for (const place of placed) {
        if (!place.written) continue;
        const { object, chunk, disk, slot, cut } = place;
        if (cut) cuts.push({ diskNumber: disk.diskNumber, ...cut });
        place.commit = { path: object.path, objectKey: objectKeyOf(object), chunk, diskNumber: disk.diskNumber, slot };
        commits.push(place.commit);
        changed.add(object.path);
      }
      // Where chunks lay that are moved: on a disk that is away, or that is being emptied.
      const earlier = commits.map(({ objectKey, chunk }) => index.findChunk(objectKey, chunk));
      const outdated = new Set(await index.commitChunks(commits, cuts));
      this.freeSlots(earlier.flatMap((place, at) => (place && !outdated.has(commits[at]!) ? [place] : [])));
      for (const place of placed) place.committed = place.written && !(place.commit && outdated.has(place.commit));
    } finally {
      for (const { disk, slot, committed } of placed) {
        this.#allocators.get(disk.diskNumber)!.settle(slot, committed);
        counters[committed ? counterPlace.chunksStored : counterPlace.chunksNotStored]!++;
      }
      this.#countUsed();
      if (changed.size > 0) this.#options.onHeldChanged([...changed]);
    }
  }

  /** One chunk after another to one disk, then one sync: disks work side by side, and none is given a storm. */
  async #writeToDisk(disk: DiskDescription, chunks: readonly PlacedWaitingChunk[]): Promise<void> {
    const { arena, clock, disks, log, writer } = this.#options;
    try {
      for (const { cut, object, chunk, epoch, frame, slot } of chunks) {
        if (cut) await writer.cut(disk, cut);
        await writer.write({ disk, slot, epoch, object, chunk, bytes: arena.bytesOf(frame), stampUnixMs: clock.unixMs() });
      }
      await writer.sync(
        disk,
        chunks.map(({ slot }) => slot),
      );
      for (const chunk of chunks) chunk.written = true;
      disks.countSuccess(disk.diskNumber);
      disks.setFull(disk.diskNumber, false);
    } catch (error) {
      const code = errnoOf(error);
      if (code === "ENOSPC" || code === "EDQUOT") {
        this.#fullUntilMs.set(disk.diskNumber, clock.monotonicMs() + fullForMs);
        disks.setFull(disk.diskNumber, true);
        log.warn({ disk: disk.path, code }, "the file system of a disk is full; nothing is stored on it for a while");
      } else {
        const lost = disks.countError(disk.diskNumber);
        log.error(
          { disk: disk.path, code, error: messageOf(error), lost },
          lost ? "a disk is offline after errors" : "a disk failed to write",
        );
      }
    }
  }

  #writableDisks(): DiskDescription[] {
    const { clock, disks } = this.#options;
    const now = clock.monotonicMs();
    return disks.disks.filter(
      ({ diskNumber, extentCount }) => extentCount > 0 && disks.takesChunks(diskNumber) && (this.#fullUntilMs.get(diskNumber) ?? 0) <= now,
    );
  }

  #choosePlace(waiting: WaitingChunk): (GivenSlot & { disk: DiskDescription }) | undefined {
    const { arena, geometry } = this.#options;
    const { slotPages } = slotShapeOf(geometry, arena.bytesOf(waiting.frame).length, waiting.object);
    const weighed = this.#writableDisks().map((disk) => ({ disk, uuid: disk.uuid, weight: disk.extentCount }));
    for (const { disk } of orderDisks(weighed, objectKeyOf(waiting.object), waiting.chunk)) {
      const place = this.#allocatorOf(disk).allocate(slotPages);
      if (place) return { disk, ...place };
    }
    return undefined;
  }

  #allocatorOf(disk: DiskDescription): SlotAllocator {
    const { geometry, index } = this.#options;
    let allocator = this.#allocators.get(disk.diskNumber);
    if (!allocator) {
      // What was freed a moment ago was told to nobody, since there was no allocator.
      index.seeLatest();
      const { diskNumber, extentCount } = disk;
      const [cut, used] = [index.cutExtents(diskNumber), index.usedSlots(diskNumber)];
      allocator = new SlotAllocator({ geometry, extentCount, cut, used });
      this.#allocators.set(diskNumber, allocator);
      this.#noteUsed(diskNumber, allocator);
    }
    return allocator;
  }

  #countUsed(): void {
    for (const [diskNumber, allocator] of this.#allocators) this.#noteUsed(diskNumber, allocator);
  }

  #noteUsed(diskNumber: number, { usedCount, usedBytes }: SlotAllocator): void {
    this.#options.disks.setUsed(diskNumber, { slots: usedCount, bytes: usedBytes });
  }
}
