// Keeps the head of the manifest in memory: its chunks are read from disk and stay pinned, so that no rush for other things drives them out.
import type { DiskSet } from "../disk/disk-set.js";
import { slotShapeOf, type SlabGeometry } from "../disk/slab-geometry.js";
import type { SlotReader, SlotReadOutcome } from "../disk/slot-reader.js";
import type { ChunkIndex } from "../index/chunk-index.js";
import type { FrameArena } from "../memory/frame-arena.js";
import { chunkCountOf, chunkLengthOf, objectKeyOf, objectKeyWords, type ObjectRecord } from "../object.js";

/** How often it is looked whether the head is still what is kept: after a fill, a new version, a purge. */
const lookEveryMs = 5000;

export interface ManifestPinnerOptions {
  arena: FrameArena;
  chunkBytes: number;
  disks: DiskSet;
  index: ChunkIndex;
  geometry: SlabGeometry;
  reader: SlotReader;
  /** Chunks that are kept, in bytes. */
  bytesMax: number;
  onPinned: (kept: { chunks: number; bytes: number }) => void;
}

export class ManifestPinner {
  readonly #options: ManifestPinnerOptions;
  readonly #timer: NodeJS.Timeout;
  #paths: readonly string[] = [];
  /** Frames that are pinned once by us. */
  #kept: number[] = [];
  #running: Promise<void> | undefined;
  #stopped = false;

  constructor(options: ManifestPinnerOptions) {
    this.#options = options;
    this.#timer = setInterval(() => void this.look(), lookEveryMs).unref();
  }

  /** Objects of the manifest, best first. */
  setManifest(paths: readonly string[]): void {
    this.#paths = paths;
    void this.look();
  }

  /** Lets go of every frame. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    await this.#running;
    for (const frame of this.#kept.splice(0)) this.#options.arena.unpin(frame);
  }

  /** Pins what is to be kept now, then lets go of what was kept before: what is in both is never without a pin. */
  look(): Promise<void> {
    this.#running ??= this.#look().finally(() => (this.#running = undefined));
    return this.#running;
  }

  async #look(): Promise<void> {
    const { arena, bytesMax, chunkBytes, index, onPinned } = this.#options;
    const paths = this.#paths;
    const next: number[] = [];
    let bytes = 0;
    index.seeLatest();
    for (const path of paths) {
      if (bytes >= bytesMax || this.#stopped) break;
      const object = index.findObject(path);
      if (!object) continue;
      const chunks = chunkCountOf(object.sizeBytes, chunkBytes);
      for (let chunk = 0; chunk < chunks && !this.#stopped; chunk++) {
        const lengthBytes = chunkLengthOf(object.sizeBytes, chunkBytes, chunk);
        if (bytes + lengthBytes > bytesMax) break;
        const frame = await this.#pin(object, chunk);
        if (frame < 0) continue;
        next.push(frame);
        bytes += lengthBytes;
      }
    }
    for (const frame of this.#kept) arena.unpin(frame);
    this.#kept = next;
    onPinned({ chunks: next.length, bytes });
  }

  /** The chunk's frame, pinned; -1 when it is not here, or cannot be read: requests find out why, and do something about it. */
  async #pin(object: ObjectRecord, chunk: number): Promise<number> {
    const { arena, chunkBytes, disks, geometry, index, reader } = this.#options;
    const objectKey = objectKeyOf(object);
    const words = objectKeyWords(objectKey);
    const atHand = arena.pinChunkSurely(words, chunk);
    if (atHand >= 0) return atHand;
    const place = index.findChunk(objectKey, chunk);
    if (!place || !disks.isOnline(place.diskNumber)) return -1;
    const lengthBytes = chunkLengthOf(object.sizeBytes, chunkBytes, chunk);
    const { headerBytes } = slotShapeOf(geometry, lengthBytes, object);
    let frame = -1;
    const into = () => {
      frame = arena.allocate(lengthBytes);
      return frame < 0 ? undefined : arena.wholeFrame(frame);
    };
    const giveBack = () => {
      if (frame >= 0) arena.giveBack(frame);
    };
    const outcome = await new Promise<SlotReadOutcome>((resolve) =>
      reader.read({ ...place, objectKey, chunk, lengthBytes, headerBytes, into, onLateEnd: giveBack }, resolve),
    );
    if (outcome === "ok") return arena.publish(frame, words, chunk, lengthBytes);
    if (outcome !== "late") giveBack();
    return -1;
  }
}
