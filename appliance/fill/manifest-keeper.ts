// Makes the disks keep what the manifest names: cuts it to their room, and tells the store which chunks are kept and which are not any more.
import { setImmediate as turn } from "node:timers/promises";
import type { Log } from "../../runtime/log.js";
import { messageOf } from "../../runtime/operating-error.js";
import type { DiskSet } from "../disk/disk-set.js";
import type { ManifestItem } from "../manifest-file.js";
import type { ChunkIndex } from "../index/chunk-index.js";
import { objectKeyOf } from "../object.js";
import type { ChunkStore } from "./chunk-store.js";
import { cutManifest, type KeptList, type KeptObjects, type ManifestCut } from "./kept-objects.js";

/** In the index: a restart must not evict the manifest's chunks before the control plane is reached. */
export const keptName = "kept";
/** Objects whose chunks are told apart in one turn; a large one has some thousand. */
const objectsPerTurn = 20;

export interface ManifestKeeperOptions {
  chunkBytes: number;
  disks: DiskSet;
  index: ChunkIndex;
  kept: KeptObjects;
  store: ChunkStore;
  /** Told of every cut: which part of the manifest is to be filled. */
  onCut: (version: string, cut: ManifestCut) => void;
  log: Log;
}

export class ManifestKeeper {
  readonly #options: ManifestKeeperOptions;
  #manifest: { version: string; items: readonly ManifestItem[] } | undefined;
  #room = "";
  #marking: Promise<void> = Promise.resolve();

  constructor(options: ManifestKeeperOptions) {
    this.#options = options;
  }

  setManifest(version: string, items: readonly ManifestItem[]): void {
    this.#manifest = { version, items };
    this.#room = this.#roomNow();
    this.#cut();
  }

  /**
   * Called every second or so. When a disk was lost or has come back, or has no room any more, the manifest is cut anew, and what is missing of it
   * is filled again.
   */
  look(): void {
    if (!this.#manifest) return;
    const room = this.#roomNow();
    if (room === this.#room) return;
    this.#room = room;
    this.#cut();
  }

  /** Resolves when every chunk is told apart. */
  async settled(): Promise<void> {
    await this.#marking;
  }

  #roomNow(): string {
    const { disks, store } = this.#options;
    const lost = disks.disks.filter(({ diskNumber }) => disks.isLost(diskNumber)).map(({ diskNumber }) => diskNumber);
    return `${store.keptChunksMax} without ${lost.join()}`;
  }

  #cut(): void {
    const { chunkBytes, index, kept, log, onCut, store } = this.#options;
    const { version, items } = this.#manifest!;
    const cut = cutManifest(items, store.keptChunksMax, chunkBytes);
    if (cut.objectsCut > 0) {
      const { objectsCut, bytesCut, chunks, chunksMax } = cut;
      log.warn(
        { manifestVersion: version, objects: cut.items.length, objectsCut, bytesCut, chunks, chunksMax },
        "the manifest is larger than its share of the disks: what is last in it is not kept",
      );
    }
    const { added, removed } = kept.replace(cut.items);
    if (added.length + removed.length > 0) {
      this.#marking = this.#marking
        .then(() => store.loadDisks())
        .then(() => Promise.all([this.#mark(removed, false), this.#mark(added, true), index.putMeta(keptName, kept.list())]))
        .then(
          () => {},
          (error: unknown) => log.error({ error: messageOf(error) }, "the manifest's chunks could not be told apart"),
        );
    }
    onCut(version, cut);
  }

  async #mark(objects: KeptList, isKept: boolean): Promise<void> {
    const { index, kept, store } = this.#options;
    for (let at = 0; at < objects.length; at += objectsPerTurn) {
      index.seeLatest();
      for (const [path, etag] of objects.slice(at, at + objectsPerTurn)) {
        const object = index.findObject(path);
        // A manifest that came meanwhile may have taken it back.
        if (object?.etag !== etag || kept.has(object) !== isKept) continue;
        store.setKept(objectKeyOf(object), isKept);
      }
      await turn();
    }
  }
}
