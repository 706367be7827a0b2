// Where fetched chunks are put: chooses the disk for each, hands it to that disk's batches, and knows which slots are whose.
import { setImmediate as turn } from "node:timers/promises";
import { chunkHashOf } from "../chunk-hash.js";
import { counterPlace } from "../counters.js";
import { orderDisks } from "../disk/choose-disk.js";
import type { DiskDescription } from "../disk/disk-set.js";
import { fullSlotsPerExtent } from "../disk/slab-geometry.js";
import { keptSlotsMax, SlotAllocator } from "../disk/slot-allocator.js";
import type { SlotPlace } from "../index/chunk-index.js";
import { objectKeyBytes, objectKeyOf, type ObjectRecord } from "../object.js";
import { DiskBatches, type DiskBatchesOptions, type WaitingChunk } from "./disk-batches.js";

/** Used slots that are read in one turn at the start: about 3 ms. Requests that need this thread come between. */
const slotsPerTurn = 2048;
/** Part of the waiting chunks that one of several disks may have: the others go on when it is stuck. */
const waitingShareOfDisk = 0.5;

export interface ChunkStoreOptions extends DiskBatchesOptions {
  /** Part of every disk, 0 to 1, that chunks of the manifest leave to those that requests bring in. */
  demandShare: number;
  /** Chunks that wait for their batch hold a frame each; beyond so many whole frames, or as many small ones as take the same memory, chunks are not stored. */
  waitingMax: number;
}

export class ChunkStore {
  readonly #options: ChunkStoreOptions;
  readonly #batches = new Map<number, DiskBatches>();
  /** Disks whose slots are known. */
  readonly #loaded = new Set<number>();
  #loading: Promise<void> | undefined;
  #isLoaded = false;
  /** What came before the slots of the disks were known. */
  #unplaced: WaitingChunk[] = [];
  /** What waits, or is in a batch under way. */
  readonly #names = new Set<string>();
  /** Whole frames that these take. */
  #framesWaiting = 0;

  constructor(options: ChunkStoreOptions) {
    this.#options = options;
  }

  /**
   * Reads from the index which slots are free, a few at a time: at ten million chunks it takes seconds, and meanwhile chunks are fetched and
   * served. They are placed on disks when this is done.
   */
  loadDisks(): Promise<void> {
    this.#loading ??= (async () => {
      for (const disk of this.#options.disks.disks) await this.#load(disk);
      this.#isLoaded = true;
      this.#countUsed();
      for (const chunk of this.#unplaced.splice(0)) this.#place(chunk);
    })();
    return this.#loading;
  }

  /** A disk that came while the appliance runs, or that came back with nothing. */
  addDisk(disk: DiskDescription): void {
    this.#batches.delete(disk.diskNumber);
    this.#loaded.delete(disk.diskNumber);
    this.#loading = this.loadDisks().then(() => this.#load(disk));
  }

  /** So many more whole chunks can wait for a disk now. */
  get roomLeft(): number {
    return this.#options.waitingMax - Math.floor(this.#framesWaiting);
  }

  /** Whether a chunk that is given now will wait for a disk, and not be turned away. */
  get hasRoom(): boolean {
    return this.roomLeft > 0;
  }

  /** Whether any disk takes chunks now: none does when all are lost, or full of what must be kept. */
  get hasWritableDisk(): boolean {
    if (!this.#isLoaded) return this.#options.disks.disks.some(({ diskNumber }) => this.#options.disks.takesChunks(diskNumber));
    return this.#openDisks().some(({ allocator }) => allocator.hasSlot);
  }

  /** Extents of a disk that are empty, once its slots are known. */
  emptyExtentsOf(diskNumber: number): number {
    return this.#loaded.has(diskNumber) ? this.#batches.get(diskNumber)!.allocator.emptyExtents : 0;
  }

  /** Chunks of the manifest that there is room for, on the disks that are not lost. */
  get keptChunksMax(): number {
    const { demandShare, disks } = this.#options;
    return disks.disks
      .filter(({ diskNumber }) => !disks.isLost(diskNumber))
      .reduce(
        (sum, { diskNumber, extentCount }) =>
          sum + (this.#batches.get(diskNumber)?.allocator.keptMax ?? keptSlotsMax(extentCount * fullSlotsPerExtent, demandShare)),
        0,
      );
  }

  /** Whether a disk that can be read has the chunk. One that lies on a lost disk is stored again. */
  holds(objectKey: Buffer, chunk: number): boolean {
    const place = this.#options.index.findChunk(objectKey, chunk);
    return place !== undefined && !this.#options.disks.isLost(place.diskNumber);
  }

  /** Stores the chunk in a frame that the caller has pinned; the store takes a pin of its own. One that waits already is not taken twice. */
  store(object: ObjectRecord, chunk: number, frame: number): void {
    const key = objectKeyOf(object);
    const name = `${key.toString("latin1")}${chunk}`;
    if (this.#names.has(name) || this.holds(key, chunk)) return;
    if (!this.hasRoom) {
      this.#options.counters[counterPlace.chunksNotStored]!++;
      return;
    }
    this.#options.arena.pinAgain(frame);
    this.#names.add(name);
    const frameShare = this.#options.arena.shareOf(frame);
    this.#framesWaiting += frameShare;
    const waiting = { name, object, chunk, frame, frameShare, placedAgain: false };
    if (this.#isLoaded) this.#place(waiting);
    else {
      this.#unplaced.push(waiting);
      void this.loadDisks();
    }
    // What waits for company would wait for nothing when nobody else gets in.
    if (!this.hasRoom) for (const batches of this.#batches.values()) batches.hurry();
  }

  /** A slot does not hold the chunk that the index names it for. Ignored when the index has been told something newer. */
  async dropChunk(objectKey: Buffer, chunk: number, place: SlotPlace): Promise<void> {
    const { counters, disks, index, log, onHeldChanged } = this.#options;
    const version = await index.forgetChunk(objectKey, chunk, place);
    if (!version) return;
    counters[counterPlace.slotsBad]!++;
    disks.countBadSlot(place.diskNumber);
    log.warn({ path: version.path, chunk, disk: disks.find(place.diskNumber)?.path, slot: place.slot }, "a slot did not hold its chunk");
    this.freeSlots([place]);
    onHeldChanged([version.path]);
  }

  /** The index has forgotten these slots. */
  freeSlots(places: readonly SlotPlace[]): void {
    for (const { diskNumber, slot } of places) this.#batches.get(diskNumber)?.allocator.free(slot);
    this.#countUsed();
  }

  /** The manifest has the object now, or not any more: its chunks are never evicted, or may be. */
  setKept(objectKey: Buffer, isKept: boolean): void {
    for (const { chunk, place } of this.#options.index.placesOf(objectKey)) {
      const hash = chunkHashOf(objectKey.readInt32LE(0), chunk);
      this.#batches.get(place.diskNumber)?.allocator.setKept(place.slot, isKept, hash);
    }
    this.#countUsed();
  }

  /** Resolves when everything that was given is stored, or given up. What a disk is stuck in is not waited for. */
  async flush(): Promise<void> {
    if (this.#unplaced.length > 0) await this.loadDisks();
    for (;;) {
      const busy = [...this.#batches.values()].filter((batches) => batches.chunkCount > 0 && !batches.isStuck);
      if (busy.length === 0) return;
      await Promise.all(busy.map((batches) => batches.idle()));
    }
  }

  #place(chunk: WaitingChunk): void {
    const open = this.#openDisks();
    const ofDiskMax = open.length > 1 ? Math.max(1, Math.floor(this.#options.waitingMax * waitingShareOfDisk)) : this.#options.waitingMax;
    const weighed = open
      .filter(({ frames }) => frames < ofDiskMax)
      .map((batches) => ({ batches, uuid: batches.disk.uuid, weight: batches.disk.extentCount }));
    for (const { batches } of orderDisks(weighed, objectKeyOf(chunk.object), chunk.chunk)) {
      if (!batches.give(chunk)) continue;
      // Before its share is full and chunks are turned away.
      if (batches.frames * 2 >= ofDiskMax) batches.hurry();
      return;
    }
    this.#options.counters[counterPlace.chunksNotStored]!++;
    this.#letGo(chunk);
  }

  #letGo({ name, frame, frameShare }: WaitingChunk): void {
    this.#names.delete(name);
    this.#framesWaiting -= frameShare;
    this.#options.arena.unpin(frame);
    this.#countUsed();
  }

  #openDisks(): DiskBatches[] {
    return [...this.#batches.values()].filter(
      (batches) => this.#loaded.has(batches.disk.diskNumber) && batches.disk.extentCount > 0 && batches.isOpen(),
    );
  }

  async #load(disk: DiskDescription): Promise<void> {
    const { clock, demandShare, geometry, hits, index } = this.#options;
    const { diskNumber, extentCount } = disk;
    const hashOf = (slot: number) => {
      const content = index.findSlot({ diskNumber, slot });
      return content && chunkHashOf(content.objectKey.readInt32LE(0), content.chunk);
    };
    const cut = index.cutExtents(diskNumber);
    const allocator = new SlotAllocator({ geometry, extentCount, cut, demandShare, hashOf, hits });
    this.#batches.set(
      diskNumber,
      new DiskBatches(disk, allocator, this.#options, {
        done: (chunk) => this.#letGo(chunk),
        returned: (chunk) => this.#place(chunk),
        freed: (places) => this.freeSlots(places),
      }),
    );
    const keptKeys = this.#keptKeys();
    const nowMs = clock.unixMs();
    for (let from: number | undefined = 0; from !== undefined;) {
      // What was freed meanwhile was freed here too, if it had been read before.
      index.seeLatest();
      from = index.visitUsedSlots({ diskNumber, slot: from }, slotsPerTurn, (slot, stampUnixMs, content) => {
        const isKept = keptKeys.size > 0 && keptKeys.has(content.toString("latin1", 0, objectKeyBytes));
        allocator.load(slot, isKept, Math.max(0, nowMs - stampUnixMs) / 1000);
      });
      await turn();
    }
    allocator.endLoad();
    this.#loaded.add(diskNumber);
    this.#countUsed();
    await turn();
  }

  #keptKeys(): Set<string> {
    const { index, kept } = this.#options;
    const keys = new Set<string>();
    for (const [path] of kept.list()) {
      const object = index.findObject(path);
      if (object && kept.has(object)) keys.add(objectKeyOf(object).toString("latin1"));
    }
    return keys;
  }

  #countUsed(): void {
    const { disks } = this.#options;
    for (const [diskNumber, { allocator }] of this.#batches) disks.setSlots(diskNumber, allocator);
  }
}
