// Puts chunks on one disk in batches: slots are written, synced, and only then known to the index. Every disk has its own, so a slow one holds up no other.
//
// A batch goes through four steps; a kill or a power cut between any two leaves an index that points at whole chunks only:
//
//   1. the index forgets what lay in the slots that will be written again      (kill: the old chunks are lost, they were to go)
//   2. headers of extents that are cut anew, of chunks, and chunks are written (kill: slots that nobody points at)
//   3. fdatasync of the slabs                                                   (kill: the same)
//   4. the index remembers the new chunks                                       (kill: they are there)
import type { Clock } from "../../runtime/clock.js";
import type { Log } from "../../runtime/log.js";
import { errnoOf, messageOf } from "../../runtime/operating-error.js";
import { chunkHashOf } from "../chunk-hash.js";
import { counterPlace } from "../counters.js";
import type { ChunkHits } from "../disk/chunk-hits.js";
import type { DiskDescription, DiskSet } from "../disk/disk-set.js";
import type { AllocatedSlot, SlotAllocator } from "../disk/slot-allocator.js";
import { slotShapeOf, type SlabGeometry } from "../disk/slab-geometry.js";
import type { SlotWriter } from "../disk/slot-writer.js";
import type { ChunkIndex, PlacedChunk, SlotPlace } from "../index/chunk-index.js";
import type { FrameArena } from "../memory/frame-arena.js";
import { objectKeyOf, type ObjectRecord } from "../object.js";
import type { KeptObjects } from "./kept-objects.js";

/** A disk whose file system is full gets nothing in new places for so long. */
const fullForMs = 10_000;

/** A chunk in a frame that is pinned for it until `done`. */
export interface WaitingChunk {
  name: string;
  object: ObjectRecord;
  chunk: number;
  frame: number;
  /** What part of a whole frame its frame takes. */
  frameShare: number;
  /** It was placed before, and its disk did not take it. */
  placedAgain: boolean;
}

interface PlacedWaitingChunk extends WaitingChunk, AllocatedSlot {
  /** Header and chunk are on the disk, and synced. */
  written: boolean;
  /** The file system had no room for it. */
  refused: boolean;
}

export interface SyncRules {
  /** A batch this large is written and synced at once. */
  bytes: number;
  /** A chunk waits no longer than this for others to join its batch. */
  everyMs: number;
  /** A batch that takes longer is stuck: its disk gets no more chunks until it ends. */
  deadlineMs: number;
}

export interface DiskBatchesOptions {
  arena: FrameArena;
  clock: Clock;
  counters: Float64Array;
  disks: DiskSet;
  geometry: SlabGeometry;
  hits: ChunkHits;
  index: ChunkIndex;
  kept: KeptObjects;
  log: Log;
  /** These paths are held more, or less, than before. */
  onHeldChanged: (paths: readonly string[]) => void;
  sync: SyncRules;
  writer: SlotWriter;
}

/** What one disk's batches tell the store. */
export interface DiskBatchesOutcome {
  /** The chunk is stored, or given up; its frame is not needed any more. */
  done: (chunk: WaitingChunk) => void;
  /** The disk did not take the chunk; another may. */
  returned: (chunk: WaitingChunk) => void;
  /** Chunks lay here before they came to this disk; the index has forgotten these slots. */
  freed: (places: SlotPlace[]) => void;
}

export class DiskBatches {
  readonly disk: DiskDescription;
  readonly allocator: SlotAllocator;
  readonly #options: DiskBatchesOptions;
  readonly #outcome: DiskBatchesOutcome;
  #waiting: PlacedWaitingChunk[] = [];
  #waitingBytes = 0;
  #oldestMs = 0;
  #underWay = 0;
  /** Whole frames that the chunks take that wait, and that are in the batch under way. */
  #framesWaiting = 0;
  #framesUnderWay = 0;
  #hurried = false;
  #due: (() => void) | undefined;
  #running: Promise<void> | undefined;
  #idle: (() => void)[] = [];
  #fullUntilMs = 0;
  #stoppedUntilMs = 0;
  /** The batch under way does not end. */
  isStuck = false;

  constructor(disk: DiskDescription, allocator: SlotAllocator, options: DiskBatchesOptions, outcome: DiskBatchesOutcome) {
    this.disk = disk;
    this.allocator = allocator;
    this.#options = options;
    this.#outcome = outcome;
  }

  /** Chunks that wait, or are in the batch under way. */
  get chunkCount(): number {
    return this.#waiting.length + this.#underWay;
  }

  /** Whole frames that these take. */
  get frames(): number {
    return this.#framesWaiting + this.#framesUnderWay;
  }

  /** Whether the disk takes chunks now. One whose file system was full a while ago is tried again. */
  isOpen(): boolean {
    const now = this.#options.clock.monotonicMs();
    this.allocator.grows = this.#fullUntilMs <= now;
    return !this.isStuck && this.#stoppedUntilMs <= now && this.#options.disks.takesChunks(this.disk.diskNumber);
  }

  /** False: there is no slot for it. */
  give(chunk: WaitingChunk): boolean {
    const isKept = this.#options.kept.has(chunk.object);
    const { arena, geometry } = this.#options;
    const lengthBytes = arena.bytesOf(chunk.frame).length;
    const slot = this.allocator.allocate(slotShapeOf(geometry, lengthBytes, chunk.object).slotPages, isKept);
    if (!slot) return false;
    if (this.#waiting.length === 0) this.#oldestMs = this.#options.clock.monotonicMs();
    this.#waiting.push({ ...chunk, ...slot, written: false, refused: false });
    this.#waitingBytes += lengthBytes;
    this.#framesWaiting += chunk.frameShare;
    if (this.#waitingBytes >= this.#options.sync.bytes) this.#due?.();
    this.#running ??= this.#run();
    return true;
  }

  /** What waits is written now, whatever else might join it. */
  hurry(): void {
    if (this.#waiting.length === 0) return;
    this.#hurried = true;
    this.#due?.();
  }

  /** Resolves when nothing waits or is under way, or when the disk is stuck. */
  async idle(): Promise<void> {
    if (!this.#running || this.isStuck) return;
    this.hurry();
    await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      await this.#untilDue();
      const batch = this.#waiting;
      this.#waiting = [];
      this.#waitingBytes = 0;
      const frames = this.#framesWaiting;
      this.#framesWaiting = 0;
      if (!this.#options.disks.takesChunks(this.disk.diskNumber)) {
        await this.#giveBack(batch);
        continue;
      }
      this.#underWay = batch.length;
      this.#framesUnderWay = frames;
      this.#hurried = this.#idle.length > 0;
      const stuck = setTimeout(() => this.#noteStuck(), this.#options.sync.deadlineMs);
      try {
        await this.#runBatch(batch);
      } catch (error) {
        this.#options.log.error({ disk: this.disk.path, error: messageOf(error) }, "chunks could not be stored");
      } finally {
        clearTimeout(stuck);
        if (this.isStuck) this.#options.log.info({ disk: this.disk.path }, "a disk has done a write that it was stuck in");
        this.isStuck = false;
        this.#underWay = 0;
        this.#framesUnderWay = 0;
        // Last, and in one go: whoever is told may give more at once.
        for (const chunk of batch) {
          if (chunk.refused && !chunk.placedAgain) this.#outcome.returned({ ...chunk, placedAgain: true });
          else this.#outcome.done(chunk);
        }
      }
    }
    this.#running = undefined;
    this.#tellIdle();
  }

  #tellIdle(): void {
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** A sync costs a spinning disk some tens of milliseconds whatever it holds, so chunks wait for company; but not for long. */
  async #untilDue(): Promise<void> {
    const { clock, sync } = this.#options;
    // All that are given in one turn are in one batch at least.
    await Promise.resolve();
    const leftMs = this.#oldestMs + sync.everyMs - clock.monotonicMs();
    if (this.#hurried || this.#waitingBytes >= sync.bytes || leftMs <= 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, leftMs);
      this.#due = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#due = undefined;
  }

  /** Its write may never end. What has not begun goes to other disks, and nobody waits for this one. */
  #noteStuck(): void {
    this.isStuck = true;
    const { disks, log, sync } = this.#options;
    const waiting = this.#waiting.splice(0);
    this.#waitingBytes = 0;
    this.#framesWaiting = 0;
    const chunks = this.#underWay;
    log.warn({ disk: this.disk.path, chunks, deadlineMs: sync.deadlineMs }, "a disk is stuck in a write; it gets no more until that ends");
    disks.countLate(this.disk.diskNumber);
    this.#tellIdle();
    void this.#giveBack(waiting);
  }

  /** Slots that were to be evicted are forgotten all the same: what is free here must be free in the index. */
  async #giveBack(chunks: readonly PlacedWaitingChunk[]): Promise<void> {
    try {
      await this.#forgetEvicted(chunks);
    } catch (error) {
      this.#options.log.error({ disk: this.disk.path, error: messageOf(error) }, "the index could not forget slots");
    } finally {
      for (const { slot, reused } of chunks) this.allocator.settle(slot, undefined, reused);
      for (const chunk of chunks) this.#outcome.returned({ ...chunk, placedAgain: true });
    }
  }

  async #forgetEvicted(chunks: readonly PlacedWaitingChunk[]): Promise<void> {
    const { counters, index, onHeldChanged } = this.#options;
    const evicted = chunks.flatMap(({ evicts }) => evicts.map((slot) => ({ diskNumber: this.disk.diskNumber, slot })));
    if (evicted.length === 0) return;
    const versions = await index.forgetSlots(evicted);
    counters[counterPlace.chunksEvicted]! += evicted.length;
    onHeldChanged(versions.map(({ path }) => path));
  }

  async #runBatch(batch: readonly PlacedWaitingChunk[]): Promise<void> {
    const { clock, counters, hits, index, kept, onHeldChanged } = this.#options;
    const { diskNumber } = this.disk;
    const committed = new Set<PlacedWaitingChunk>();
    try {
      await this.#forgetEvicted(batch);
      const stampUnixMs = clock.unixMs();
      await this.#write(batch, stampUnixMs);
      const written = batch.filter((chunk) => chunk.written);
      const commits = written.map(({ object, chunk, slot }): PlacedChunk => ({
        path: object.path,
        objectKey: objectKeyOf(object),
        chunk,
        diskNumber,
        slot,
        stampUnixMs,
      }));
      // Where chunks lay that are moved: on a disk that is away, or that is being emptied.
      const earlier = commits.map(({ objectKey, chunk }) => index.findChunk(objectKey, chunk));
      const cuts = written.flatMap(({ cut }) => (cut ? [{ diskNumber, ...cut }] : []));
      const outdated = new Set(await index.commitChunks(commits, cuts));
      for (const cut of cuts) this.allocator.noteCut(cut);
      this.#outcome.freed(earlier.flatMap((place, at) => (place && !outdated.has(commits[at]!) ? [place] : [])));
      for (const [at, chunk] of written.entries()) if (!outdated.has(commits[at]!)) committed.add(chunk);
    } finally {
      for (const chunk of batch) {
        const { object, slot, reused, refused } = chunk;
        const isCommitted = committed.has(chunk);
        const hash = chunkHashOf(objectKeyOf(object).readInt32LE(0), chunk.chunk);
        if (isCommitted) hits.begin(hash);
        this.allocator.settle(slot, isCommitted ? { isKept: kept.has(object), hash } : undefined, reused || !refused);
        if (isCommitted || !refused || chunk.placedAgain) {
          counters[isCommitted ? counterPlace.chunksStored : counterPlace.chunksNotStored]!++;
        }
      }
      if (committed.size > 0) onHeldChanged([...new Set([...committed].map(({ object }) => object.path))]);
    }
  }

  /** One chunk after another, then one sync: disks work side by side, and none is given a storm. */
  async #write(batch: readonly PlacedWaitingChunk[], stampUnixMs: number): Promise<void> {
    const { arena, disks, writer } = this.#options;
    const { disk } = this;
    const written: PlacedWaitingChunk[] = [];
    const cutHere = new Set<number>();
    try {
      try {
        for (const chunk of batch) {
          const { cut, epoch, object, frame, slot } = chunk;
          // Chunks that share an extent may all bring its cut; the same header again is no harm, and is spared.
          if (cut && !cutHere.has(cut.epoch)) {
            await writer.cut(disk, cut);
            cutHere.add(cut.epoch);
          }
          await writer.write({ disk, slot, epoch, object, chunk: chunk.chunk, bytes: arena.bytesOf(frame), stampUnixMs });
          written.push(chunk);
        }
      } catch (error) {
        if (!isNoRoom(error)) throw error;
        this.#noteFull(batch.slice(written.length), errnoOf(error));
      }
      if (written.length === 0) return;
      await writer.sync(
        disk,
        written.map(({ slot }) => slot),
      );
      for (const chunk of written) chunk.written = true;
      disks.countSuccess(disk.diskNumber);
      if (written.some(({ reused }) => !reused) && written.length === batch.length) disks.setFull(disk.diskNumber, false);
    } catch (error) {
      // Some file systems say only at the sync that there is no room.
      if (isNoRoom(error)) return this.#noteFull(batch, errnoOf(error));
      const lost = disks.countError(disk.diskNumber);
      const fields = { disk: disk.path, code: errnoOf(error), error: messageOf(error), lost };
      this.#options.log.error(fields, lost ? "a disk is offline after errors" : "a disk failed to write");
    }
  }

  /** From now on only slots that have their place are written again; when there was no room even for that, none is. */
  #noteFull(refused: readonly PlacedWaitingChunk[], code: string | undefined): void {
    const { clock, disks, log } = this.#options;
    const until = clock.monotonicMs() + fullForMs;
    this.#fullUntilMs = until;
    this.allocator.grows = false;
    const stops = refused[0]?.reused === true;
    if (stops) this.#stoppedUntilMs = until;
    for (const chunk of refused) chunk.refused = true;
    if (!disks.isFull(this.disk.diskNumber)) {
      log.warn(
        { disk: this.disk.path, code },
        stops
          ? "the file system of a disk is full; nothing is stored on it for a while"
          : "the file system of a disk is full; new chunks take the place of old ones for a while",
      );
    }
    disks.setFull(this.disk.diskNumber, true);
  }
}

function isNoRoom(error: unknown): boolean {
  const code = errnoOf(error);
  return code === "ENOSPC" || code === "EDQUOT";
}
