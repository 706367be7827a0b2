// Takes the chunks of a seed into the disks. Whoever brought it is not believed: which version of an object is the right one, this appliance's manifest, its
// index or its upstreams say, and every chunk is checked against the origin's digests of that version before it is stored.
import { setTimeout as wait } from "node:timers/promises";
import type { ObjectDigests } from "../../fill-protocol/generated/millrace/object/v1/object_digests.js";
import { matchesDigest, parseObjectDigests } from "../../fill-protocol/object-digests.js";
import { noVia } from "../../fill-protocol/via-header.js";
import { counterPlace } from "../counters.js";
import { orderDisks } from "../disk/choose-disk.js";
import type { DiskSet } from "../disk/disk-set.js";
import type { ChunkIndex } from "../index/chunk-index.js";
import type { FrameArena } from "../memory/frame-arena.js";
import { chunkLengthOf, isObjectPath, isRebuilt, objectKeyOf, objectKeyWords, type ObjectRecord } from "../object.js";
import type { ChunkStore } from "./chunk-store.js";
import type { KeptObjects } from "./kept-objects.js";
import type { ObjectDescriber } from "./object-describer.js";
import { SeedDamage } from "./seed-folder.js";
import type { SeedChunk, SeedObject, SeedSource } from "./seed-source.js";
import type { SeedTally } from "./seed-tally.js";

/** Paths of our own. */
const reservedPrefix = ".millrace/";
/** While every frame is pinned: how often, and how long, one is waited for. */
const frameTriesMax = 200;
const frameAgainMs = 50;
/** Chunks that were given to the store and have not been seen on a disk; then they are waited for. */
const unconfirmedMax = 1024;
const confirmEvery = 64;
/** Chunks that the disks did not take, until the import is given up. */
const notStoredMax = 16;
/** What is not in the manifest is put into free space only: nothing is evicted for it. The last extents of a disk are taken with care. */
const nearEnd = 4;

export interface SeedImporterOptions {
  arena: FrameArena;
  chunkBytes: number;
  counters: Float64Array;
  describer: ObjectDescriber;
  disks: DiskSet;
  index: ChunkIndex;
  isOver: () => boolean;
  kept: KeptObjects;
  source: SeedSource;
  store: ChunkStore;
  tally: SeedTally;
}

interface GivenChunk {
  key: Buffer;
  path: string;
  chunk: number;
  bytes: number;
}

type Proof = { object: ObjectRecord; digests: ObjectDigests } | string;

export class SeedImporter {
  readonly #options: SeedImporterOptions;
  readonly #proofs = new WeakMap<SeedObject, Promise<Proof>>();
  #unconfirmed: GivenChunk[] = [];
  #notStored = 0;
  #gaveUp: string | undefined;

  constructor(options: SeedImporterOptions) {
    this.#options = options;
  }

  /** Resolves when all is stored, or it was stopped. @throws SeedDamage when the seed cannot be gone on with, or the disks take no more. */
  async run(): Promise<void> {
    const { isOver, source, store, tally } = this.#options;
    const chunks = source.chunks();
    const takeLine = async () => {
      while (!isOver() && this.#gaveUp === undefined) {
        const next = await chunks.next();
        if (next.done) return;
        tally.bytesTotal = source.bytesTotal;
        await this.#take(next.value);
      }
    };
    const lines = await Promise.allSettled(Array.from({ length: source.readsMax }, takeLine));
    await chunks.return(undefined);
    await store.flush();
    this.#confirm(this.#unconfirmed, true);
    for (const line of lines) if (line.status === "rejected") throw line.reason;
    if (this.#gaveUp !== undefined) throw new SeedDamage(this.#gaveUp);
  }

  async #take({ object: claimed, chunk, read }: SeedChunk): Promise<void> {
    const { arena, chunkBytes, counters, store, tally } = this.#options;
    let proving = this.#proofs.get(claimed);
    if (!proving) this.#proofs.set(claimed, (proving = this.#prove(claimed)));
    const proof = await proving;
    const bytes = chunkLengthOf(claimed.sizeBytes, chunkBytes, chunk);
    if (typeof proof === "string") return tally.refuse(claimed, proof, bytes);
    const { digests, object } = proof;
    const key = objectKeyOf(object);
    if (store.holds(key, chunk)) return tally.pass(bytes);
    await this.#awaitStore();
    if (!store.hasWritableDisk) return this.#giveUp("no disk takes chunks: they are full of what the manifest keeps, or away");
    if (!(await this.#hasRoomFor(object, key, chunk)))
      return tally.fail(object.path, "it is not in the manifest, and the disks have no free space for it", bytes);
    const words = objectKeyWords(key);
    let frame = arena.pinChunkSurely(words, chunk);
    if (frame < 0) {
      const empty = await this.#allocate(bytes);
      if (empty < 0) return tally.fail(object.path, "all memory is in use", bytes);
      const into = arena.wholeFrame(empty).subarray(0, bytes);
      const failure = await read(object, into);
      const wrong = failure?.failure === "wrong-bytes" || (!failure && !matches(digests, chunk * chunkBytes, into));
      if (failure || wrong) {
        arena.giveBack(empty);
        if (wrong) counters[counterPlace.chunksWrong]!++;
        return tally.fail(object.path, failure?.detail ?? `chunk ${chunk} does not match the origin's digests`, bytes);
      }
      counters[counterPlace.fetchedBytes]! += bytes;
      frame = arena.publish(empty, words, chunk, bytes);
    }
    await this.#awaitStore();
    store.store(object, chunk, frame);
    arena.unpin(frame);
    this.#unconfirmed.push({ key, path: object.path, chunk, bytes });
    if (this.#unconfirmed.length >= unconfirmedMax) {
      const given = this.#unconfirmed;
      this.#unconfirmed = [];
      await store.flush();
      this.#confirm(given, true);
    } else if (this.#unconfirmed.length % confirmEvery === 0) this.#unconfirmed = this.#confirm(this.#unconfirmed, false);
  }

  /** What is known of the object from someone who is believed, when that is the version that the seed has. */
  async #prove(claimed: SeedObject): Promise<Proof> {
    const { describer, index, kept } = this.#options;
    const { path, etag, sizeBytes } = claimed;
    if (!isObjectPath(path) || path.startsWith(reservedPrefix)) return "that is not the path of an object";
    let object = index.findObject(path);
    if ((!object || object.etag !== etag || isRebuilt(object)) && kept.has(claimed)) object = await describer.learn(claimed, claimed);
    if (!object || object.etag !== etag || isRebuilt(object)) {
      const outcome = await describer.describe(path, { via: noVia, refresh: true });
      if ("failure" in outcome) return `it is not in the manifest, and the upstreams do not say what it is: ${outcome.failure}`;
      object = outcome.object;
    }
    if (object.etag !== etag || object.sizeBytes !== sizeBytes || isRebuilt(object)) return "it is another version than the upstreams have";
    index.seeLatest();
    const encoded = object.digested ? index.findDigests(objectKeyOf(object)) : undefined;
    const digests = encoded && parseObjectDigests(encoded, path);
    return digests ? { object, digests } : "the origin publishes no digests of it: its bytes cannot be checked";
  }

  /** Whether a chunk may be stored without another having to go for it. What the manifest names may evict what it does not. */
  async #hasRoomFor(object: ObjectRecord, key: Buffer, chunk: number): Promise<boolean> {
    const { disks, kept, source, store } = this.#options;
    if (kept.has(object)) return true;
    const open = disks.disks
      .filter(({ diskNumber }) => disks.takesChunks(diskNumber))
      .map(({ diskNumber, uuid, extentCount }) => ({ diskNumber, uuid, weight: Math.max(1, extentCount) }));
    const [disk] = orderDisks(open, key, chunk);
    if (!disk) return false;
    // Near the end what is under way is waited for, so that it is counted.
    if (store.emptyExtentsOf(disk.diskNumber) < source.readsMax * nearEnd) await store.flush();
    // Each chunk that is read meanwhile may need an extent for its own size.
    return store.emptyExtentsOf(disk.diskNumber) >= source.readsMax;
  }

  async #awaitStore(): Promise<void> {
    const { store } = this.#options;
    while (!store.hasRoom) await store.flush();
  }

  async #allocate(bytes: number): Promise<number> {
    const { arena, isOver } = this.#options;
    for (let tries = 1; ; tries++) {
      const frame = arena.allocate(bytes);
      if (frame >= 0 || tries >= frameTriesMax || isOver()) return frame;
      await wait(frameAgainMs);
    }
  }

  /** Counts what is on a disk by now; the answer is what is not. `flushed`: it will not be. */
  #confirm(given: readonly GivenChunk[], flushed: boolean): GivenChunk[] {
    const { store, tally } = this.#options;
    const waiting: GivenChunk[] = [];
    for (const one of given) {
      if (store.holds(one.key, one.chunk)) tally.move(one.bytes);
      else if (!flushed) waiting.push(one);
      else {
        tally.fail(one.path, `no disk has taken chunk ${one.chunk}`, one.bytes);
        if (++this.#notStored >= notStoredMax) this.#giveUp("the disks take no more chunks");
      }
    }
    return waiting;
  }

  #giveUp(reason: string): void {
    this.#gaveUp ??= reason;
  }
}

/** Whether all pieces of a chunk are right. The digests are of pieces that chunks are made of, else the object would not count as digested. */
function matches(digests: ObjectDigests, offsetBytes: number, bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length; at += digests.chunkBytes) {
    const piece = bytes.subarray(at, Math.min(at + digests.chunkBytes, bytes.length));
    if (!matchesDigest(digests, Math.floor((offsetBytes + at) / digests.chunkBytes), piece)) return false;
  }
  return true;
}
