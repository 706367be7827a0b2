// Which objects are kept on the disks whatever requests bring in: the manifest's, best first, as far as they fit.
import { chunkCountOf } from "../object.js";
import type { ManifestItem } from "../manifest-file.js";

/** The part of a manifest that is kept, and how much was left out. */
export interface ManifestCut {
  items: ManifestItem[];
  chunks: number;
  objectsCut: number;
  bytesCut: number;
  /** How many chunks of the manifest the disks have room for. */
  chunksMax: number;
}

/**
 * Cuts a manifest, which is in order of rank, to `chunksMax` chunks. The first object that does not fit any more ends it, with all of lower rank, so that
 * a little more or less room moves little. An object that would not fit if it were alone is passed over: it must not take the place of all others.
 */
export function cutManifest(manifest: readonly ManifestItem[], chunksMax: number, chunkBytes: number): ManifestCut {
  const cut: ManifestCut = { items: [], chunks: 0, objectsCut: 0, bytesCut: 0, chunksMax };
  let isFull = false;
  for (const item of manifest) {
    const chunks = chunkCountOf(item.sizeBytes, chunkBytes);
    const fits = chunks <= chunksMax && cut.chunks + chunks <= chunksMax;
    if (chunks <= chunksMax && !fits) isFull = true;
    if (fits && !isFull) {
      cut.items.push(item);
      cut.chunks += chunks;
    } else {
      cut.objectsCut++;
      cut.bytesCut += item.sizeBytes;
    }
  }
  return cut;
}

/** What the index remembers of it: a path and its tag each. */
export type KeptList = readonly (readonly [path: string, etag: string])[];

export class KeptObjects {
  #etags: Map<string, string>;

  constructor(list: KeptList) {
    this.#etags = new Map(list);
  }

  get size(): number {
    return this.#etags.size;
  }

  has({ path, etag }: { path: string; etag: string }): boolean {
    return this.#etags.get(path) === etag;
  }

  list(): KeptList {
    return [...this.#etags];
  }

  /** Keeps these from now on. Returns what is kept newly, and what is not any more. */
  replace(items: readonly { path: string; etag: string }[]): { added: KeptList; removed: KeptList } {
    const before = this.#etags;
    this.#etags = new Map(items.map(({ path, etag }) => [path, etag]));
    return {
      added: this.list().filter(([path, etag]) => before.get(path) !== etag),
      removed: [...before].filter(([path, etag]) => this.#etags.get(path) !== etag),
    };
  }
}
