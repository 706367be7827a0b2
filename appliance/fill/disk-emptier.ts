// Moves the chunks of a retiring disk to the others, and says when it may be pulled. What was moved is in the index at once, so a restart goes on
// where it was.
import { setTimeout as wait } from "node:timers/promises";
import type { Log } from "../../runtime/log.js";
import { messageOf } from "../../runtime/operating-error.js";
import type { DiskDescription, DiskSet } from "../disk/disk-set.js";
import { slotShapeOf, type SlabGeometry } from "../disk/slab-geometry.js";
import type { SlotReader, SlotReadOutcome } from "../disk/slot-reader.js";
import type { ChunkIndex, SlotContent, SlotPlace } from "../index/chunk-index.js";
import type { FrameArena } from "../memory/frame-arena.js";
import { chunkLengthOf, objectKeyOf, objectKeyWords } from "../object.js";
import type { EmptyingProgress } from "../fill-messages.js";
import type { ChunkStore } from "./chunk-store.js";

/** Chunks that are read and written together; each holds a frame. */
const chunksAtOnce = 16;
/** Slots forgotten in one transaction, of a disk that cannot be read any more. */
const slotsForgottenAtOnce = 1000;
/** After a round in which nothing could be moved: the other disks are full, away or busy. */
const pauseMs = 1000;

export interface DiskEmptierOptions {
  arena: FrameArena;
  chunkBytes: number;
  disks: DiskSet;
  geometry: SlabGeometry;
  index: ChunkIndex;
  reader: SlotReader;
  store: ChunkStore;
  onProgress: (progress: EmptyingProgress) => void;
  onHeldChanged: (paths: readonly string[]) => void;
  log: Log;
}

export class DiskEmptier {
  readonly #options: DiskEmptierOptions;
  readonly #running = new Map<number, Promise<void>>();
  #stopped = false;

  constructor(options: DiskEmptierOptions) {
    this.#options = options;
  }

  /** Begins, or goes on. The disk is marked as retiring already, so nothing new comes to it. */
  empty(disk: DiskDescription): void {
    if (this.#running.has(disk.diskNumber)) return;
    const run = this.#run(disk).catch((error: unknown) => {
      this.#options.log.error({ disk: disk.path, error: messageOf(error) }, "a disk could not be emptied; the next start goes on with it");
    });
    this.#running.set(disk.diskNumber, run);
    void run.finally(() => this.#running.delete(disk.diskNumber));
  }

  /** Forgets what the index says of disks that are not in the settings any more: nobody will read them, and upstream has it. */
  forgetDisksGone(): void {
    const { disks, index, log } = this.#options;
    for (const { diskNumber, path, uuid } of index.knownDisks()) {
      if (disks.find(diskNumber) || !index.findSlotFrom({ diskNumber, slot: 0 })) continue;
      const run = (async () => {
        let chunks = 0;
        for (let forgotten = 1; forgotten > 0 && !this.#stopped; chunks += forgotten) forgotten = await this.#forgetSome(diskNumber);
        log.warn({ disk: path, uuid, chunks }, "a disk is not in the settings any more; what it held is forgotten");
      })().catch((error: unknown) => log.error({ disk: path, error: messageOf(error) }, "a disk could not be forgotten"));
      this.#running.set(diskNumber, run);
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#running.values());
  }

  async #run(disk: DiskDescription): Promise<void> {
    const { disks, index, store, onProgress, log } = this.#options;
    const { diskNumber } = disk;
    const progress: EmptyingProgress = { diskNumber, moved: 0, lost: 0, left: 0, done: false };
    for (let from = 0; !this.#stopped && disks.isRetiring(diskNumber);) {
      index.seeLatest();
      if (disks.stateOf(diskNumber) === "offline") {
        progress.lost += await this.#forgetSome(diskNumber);
      } else {
        const batch: (SlotContent & SlotPlace)[] = [];
        while (batch.length < Math.min(chunksAtOnce, Math.max(1, store.roomLeft))) {
          const next = index.findSlotFrom({ diskNumber, slot: from });
          if (!next) break;
          batch.push(next);
          from = next.slot + 1;
        }
        const bad = await Promise.all(batch.map((content) => this.#move(content)));
        await store.flush();
        index.seeLatest();
        const still = batch.filter(({ slot }) => index.findSlot({ diskNumber, slot }) !== undefined).length;
        const lost = bad.filter(Boolean).length;
        progress.lost += lost;
        progress.moved += batch.length - still - lost;
        if (batch.length > 0 && still === batch.length) await wait(pauseMs);
      }
      const first = index.findSlotFrom({ diskNumber, slot: 0 });
      progress.left = first ? disks.usedSlotsOf(diskNumber) : 0;
      if (!first) {
        // Nothing is under way to it any more: new chunks go elsewhere, and the last batch is done.
        await store.flush();
        log.info({ disk: disk.path, moved: progress.moved, lost: progress.lost }, "a disk is empty");
        onProgress({ ...progress, done: true });
        return;
      }
      onProgress({ ...progress });
      if (!index.findSlotFrom({ diskNumber, slot: from })) from = 0;
    }
  }

  /** Hands one chunk to the store, which puts it on another disk. Resolves to whether it was bad, and is forgotten. */
  async #move({ objectKey, chunk, diskNumber, slot }: SlotContent & SlotPlace): Promise<boolean> {
    const { arena, chunkBytes, geometry, index, reader, store } = this.#options;
    const path = index.findPath(objectKey);
    const object = path === undefined ? undefined : index.findObject(path);
    if (!object || !objectKeyOf(object).equals(objectKey)) {
      store.freeSlots([{ diskNumber, slot }]);
      await index.forgetSlots([{ diskNumber, slot }]);
      return false;
    }
    const words = objectKeyWords(objectKey);
    let frame = arena.pinChunkSurely(words, chunk);
    if (frame < 0) {
      const lengthBytes = chunkLengthOf(object.sizeBytes, chunkBytes, chunk);
      const read = arena.allocate(lengthBytes);
      if (read < 0) return false;
      const { headerBytes } = slotShapeOf(geometry, lengthBytes, object);
      const into = arena.wholeFrame(read);
      const outcome = await new Promise<SlotReadOutcome>((resolve) =>
        reader.read(
          { diskNumber, slot, objectKey, chunk, lengthBytes, headerBytes, into, evenSuspect: true, onLateEnd: () => arena.giveBack(read) },
          resolve,
        ),
      );
      if (outcome !== "ok") {
        if (outcome !== "late") arena.giveBack(read);
        if (outcome !== "torn" && outcome !== "other-chunk" && outcome !== "wrong-bytes") return false;
        await store.dropChunk(objectKey, chunk, { diskNumber, slot });
        return true;
      }
      frame = arena.publish(read, words, chunk, lengthBytes);
    }
    store.store(object, chunk, frame);
    arena.unpin(frame);
    return false;
  }

  /** Resolves to how many slots were forgotten. */
  async #forgetSome(diskNumber: number): Promise<number> {
    const { index, onHeldChanged, store } = this.#options;
    const places: SlotPlace[] = [];
    for (const slot of index.usedSlots(diskNumber)) {
      places.push({ diskNumber, slot });
      if (places.length === slotsForgottenAtOnce) break;
    }
    const versions = await index.forgetSlots(places);
    store.freeSlots(places);
    onHeldChanged(versions.map(({ path }) => path));
    return places.length;
  }
}
