// Reads every slot of every disk over some days, so that bytes that went bad are found before somebody wants them.
import type { Log } from "../../runtime/log.js";
import { messageOf } from "../../runtime/operating-error.js";
import type { DiskDescription, DiskSet } from "../disk/disk-set.js";
import { slotShapeOf, type SlabGeometry } from "../disk/slab-geometry.js";
import type { SlotReader, SlotReadOutcome } from "../disk/slot-reader.js";
import type { ChunkIndex, SlotContent, SlotPlace } from "../index/chunk-index.js";
import { chunkLengthOf, objectKeyOf } from "../object.js";
import type { ChunkStore } from "./chunk-store.js";

const tickMs = 1000;
/** Slots read in one tick of one disk, at most: what was not read while a disk was away is not made up for in a rush. */
const slotsPerTickMax = 64;
/** The place where a disk's scrub stands is written down this often; a restart repeats at most so much. */
const saveEveryMs = 60_000;

export interface DiskScrubberOptions {
  chunkBytes: number;
  disks: DiskSet;
  geometry: SlabGeometry;
  index: ChunkIndex;
  reader: SlotReader;
  store: ChunkStore;
  /** Every slot is read once in this time. */
  roundMs: number;
  log: Log;
}

interface Scrub {
  slot: number;
  /** Slots that are due by now; a fraction is kept for the next tick. */
  due: number;
  running: boolean;
  savedAtMs: number;
  startedUnixMs: number;
  findings: number;
}

interface SavedScrub {
  slot: number;
  startedUnixMs: number;
  findings: number;
}

export class DiskScrubber {
  readonly #options: DiskScrubberOptions;
  readonly #scrubs = new Map<number, Scrub>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: DiskScrubberOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = setInterval(() => this.tick(tickMs), tickMs).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Starts what is due on every disk after another `passedMs`. */
  tick(passedMs: number): void {
    const { disks, log, roundMs } = this.#options;
    for (const disk of disks.disks) {
      if (!disks.takesChunks(disk.diskNumber)) continue;
      const scrub = this.#scrubOf(disk);
      scrub.due = Math.min(slotsPerTickMax, scrub.due + (disks.usedSlotsOf(disk.diskNumber) * passedMs) / roundMs);
      if (scrub.running || scrub.due < 1) continue;
      scrub.running = true;
      this.#run(disk, scrub)
        // Such as an index whose file system is full: requests go on, and so does the scrub, later.
        .catch((error: unknown) =>
          log.error({ disk: disk.path, error: messageOf(error) }, "a disk could not be scrubbed; it is tried again"),
        )
        .finally(() => (scrub.running = false));
    }
  }

  #scrubOf(disk: DiskDescription): Scrub {
    let scrub = this.#scrubs.get(disk.diskNumber);
    if (!scrub) {
      const saved = this.#options.index.getMeta<SavedScrub>(`scrub:${disk.uuid}`);
      scrub = { slot: 0, startedUnixMs: Date.now(), findings: 0, ...saved, due: 0, running: false, savedAtMs: performance.now() };
      this.#scrubs.set(disk.diskNumber, scrub);
    }
    return scrub;
  }

  async #run(disk: DiskDescription, scrub: Scrub): Promise<void> {
    const { disks, index, log } = this.#options;
    for (; scrub.due >= 1 && disks.takesChunks(disk.diskNumber); scrub.due--) {
      const next = index.findSlotFrom({ diskNumber: disk.diskNumber, slot: scrub.slot });
      if (!next) {
        log.info({ disk: disk.path, findings: scrub.findings, startedUnixMs: scrub.startedUnixMs }, "every slot of a disk was scrubbed");
        Object.assign(scrub, { slot: 0, findings: 0, startedUnixMs: Date.now(), savedAtMs: Number.NEGATIVE_INFINITY });
      } else {
        scrub.slot = next.slot + 1;
        if (!(await this.#isRight(next))) scrub.findings++;
      }
      if (performance.now() - scrub.savedAtMs >= saveEveryMs) {
        scrub.savedAtMs = performance.now();
        const { slot, startedUnixMs, findings } = scrub;
        await index.putMeta(`scrub:${disk.uuid}`, { slot, startedUnixMs, findings } satisfies SavedScrub);
      }
      if (!next) return;
    }
  }

  async #isRight(place: SlotContent & SlotPlace): Promise<boolean> {
    const { chunkBytes, disks, geometry, index, reader, store } = this.#options;
    const { diskNumber, slot, objectKey, chunk } = place;
    const path = index.findPath(objectKey);
    const object = path === undefined ? undefined : index.findObject(path);
    // Purged or replaced a moment ago: its slot is about to be free.
    if (!object || !objectKeyOf(object).equals(objectKey)) return true;
    const lengthBytes = chunkLengthOf(object.sizeBytes, chunkBytes, chunk);
    const { headerBytes } = slotShapeOf(geometry, lengthBytes, object);
    // Its own buffer for each read: a late one may still be written to.
    const into = new Uint8Array(lengthBytes);
    const outcome = await new Promise<SlotReadOutcome>((resolve) =>
      reader.read({ diskNumber, slot, objectKey, chunk, lengthBytes, headerBytes, into }, resolve),
    );
    if (outcome === "ok") {
      disks.countScrubbed(diskNumber, true);
      return true;
    }
    if (outcome !== "torn" && outcome !== "other-chunk" && outcome !== "wrong-bytes") return true;
    // It may have been written anew since it was looked up.
    index.seeLatest();
    const now = index.findChunk(objectKey, chunk);
    if (now?.diskNumber !== diskNumber || now.slot !== slot) return true;
    disks.countScrubbed(diskNumber, false);
    await store.dropChunk(objectKey, chunk, place);
    return false;
  }
}
