// Copies held chunks into a seed, best first: what the manifest keeps, in its order, then what is asked for most.
import { setImmediate as turn } from "node:timers/promises";
import { chunkHashOf } from "../chunk-hash.js";
import type { ChunkHits } from "../disk/chunk-hits.js";
import type { DiskSet } from "../disk/disk-set.js";
import { slotShapeOf, type SlabGeometry } from "../disk/slab-geometry.js";
import type { SlotReader, SlotReadOutcome } from "../disk/slot-reader.js";
import type { SeedSelection } from "../fill-messages.js";
import type { ChunkIndex, SlotPlace } from "../index/chunk-index.js";
import { chunkLengthOf, objectKeyOf, type ObjectRecord } from "../object.js";
import type { KeptObjects } from "./kept-objects.js";
import type { SeedTally } from "./seed-tally.js";
import type { SeedWriter } from "./seed-writer.js";

/** Chunks read together; each takes its memory. */
const chunksAtOnce = 8;
/** Versions looked at in one turn. */
const versionsPerTurn = 1000;
/** How much an object is asked for is told from its first chunks. */
const chunksSampled = 8;

export interface SeedExporterOptions {
  chunkBytes: number;
  disks: DiskSet;
  geometry: SlabGeometry;
  hits: ChunkHits;
  index: ChunkIndex;
  isOver: () => boolean;
  kept: KeptObjects;
  reader: SlotReader;
  tally: SeedTally;
}

export class SeedExporter {
  readonly #options: SeedExporterOptions;

  constructor(options: SeedExporterOptions) {
    this.#options = options;
  }

  /** Resolves to whether `bytesMax` is what it ended at. @throws the system's error when the folder takes no more. */
  async run(writer: SeedWriter, selection: SeedSelection, bytesMax: number | null): Promise<boolean> {
    const { index, isOver, tally } = this.#options;
    const paths = await this.#choose(selection);
    const expected = await this.#sumHeld(paths);
    tally.bytesTotal = bytesMax === null ? expected : Math.min(expected, bytesMax);
    for (const path of paths) {
      if (isOver()) return false;
      index.seeLatest();
      const object = index.findObject(path);
      if (!object) continue;
      const digests = object.digested ? index.findDigests(objectKeyOf(object)) : undefined;
      if (!digests) {
        tally.refuse(object, "the origin publishes no digests of it: nobody could tell whether its bytes are right", 0);
        continue;
      }
      if (await this.#exportObject(writer, object, digests, bytesMax)) return true;
    }
    return false;
  }

  async #exportObject(writer: SeedWriter, object: ObjectRecord, digests: Buffer, bytesMax: number | null): Promise<boolean> {
    const { chunkBytes, disks, index, isOver, tally } = this.#options;
    const places: { chunk: number; place: SlotPlace }[] = [];
    for (const one of index.placesOf(objectKeyOf(object))) {
      if (disks.isAway(one.place.diskNumber)) continue;
      if (writer.has(object, one.chunk)) tally.pass(chunkLengthOf(object.sizeBytes, chunkBytes, one.chunk));
      else places.push(one);
    }
    for (let at = 0; at < places.length && !isOver(); at += chunksAtOnce) {
      const batch = places.slice(at, at + chunksAtOnce);
      const read = await Promise.all(batch.map(({ chunk, place }) => this.#read(object, chunk, place)));
      for (const [nth, { chunk }] of batch.entries()) {
        const bytes = read[nth]!;
        if (typeof bytes === "string") {
          tally.fail(object.path, `chunk ${chunk} cannot be read: ${bytes}`, chunkLengthOf(object.sizeBytes, chunkBytes, chunk));
          continue;
        }
        if (bytesMax !== null && writer.bytes + bytes.length > bytesMax) return true;
        await writer.add(object, digests, chunk, bytes);
        tally.move(bytes.length);
      }
    }
    return false;
  }

  /** The chunk, checked against its slot's header; or why not. */
  async #read(object: ObjectRecord, chunk: number, { diskNumber, slot }: SlotPlace): Promise<Uint8Array | string> {
    const { chunkBytes, geometry, reader } = this.#options;
    const objectKey = objectKeyOf(object);
    const lengthBytes = chunkLengthOf(object.sizeBytes, chunkBytes, chunk);
    const { headerBytes } = slotShapeOf(geometry, lengthBytes, object);
    // Memory of its own for each: a late read may still write to it.
    const into = new Uint8Array(lengthBytes);
    const outcome = await new Promise<SlotReadOutcome>((resolve) =>
      reader.read({ diskNumber, slot, objectKey, chunk, lengthBytes, headerBytes, into, evenSuspect: true }, resolve),
    );
    return outcome === "ok" ? into : outcome;
  }

  async #choose(selection: SeedSelection): Promise<string[]> {
    const { index, kept } = this.#options;
    const paths = new Set<string>();
    for (const [path, etag] of kept.list()) {
      if (selection.what === "prefix" && !path.startsWith(selection.prefix)) continue;
      if (index.findObject(path)?.etag === etag) paths.add(path);
    }
    if (selection.what === "manifest") return [...paths];
    const others: { path: string; hits: number }[] = [];
    for (let after: Buffer | undefined; ;) {
      const versions = index.versionsAfter(after, versionsPerTurn);
      for (const { objectKey, path } of versions) {
        if (selection.what === "prefix" && !path.startsWith(selection.prefix)) continue;
        if (!paths.has(path)) others.push({ path, hits: this.#hitsOf(objectKey) });
      }
      after = versions.at(-1)?.objectKey;
      if (versions.length < versionsPerTurn) break;
      await turn();
    }
    others.sort((a, b) => b.hits - a.hits);
    for (const { path } of others) paths.add(path);
    return [...paths];
  }

  #hitsOf(objectKey: Buffer): number {
    let hits = 0;
    for (let chunk = 0; chunk < chunksSampled; chunk++) hits += this.#options.hits.countOf(chunkHashOf(objectKey.readInt32LE(0), chunk));
    return hits;
  }

  /** About: the last chunk of an object may be shorter. */
  async #sumHeld(paths: readonly string[]): Promise<number> {
    const { chunkBytes, index } = this.#options;
    let bytes = 0;
    for (const [at, path] of paths.entries()) {
      const object = index.findObject(path);
      if (object?.digested) bytes += Math.min(object.sizeBytes, index.chunksHeldOf(objectKeyOf(object)) * chunkBytes);
      if (at % versionsPerTurn === versionsPerTurn - 1) await turn();
    }
    return bytes;
  }
}
