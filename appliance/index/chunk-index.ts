// The index of one appliance in LMDB: which objects it knows, and in which slot of which disk each chunk lies.
//
// The index is a map of the disks, not the truth: every slot says itself what it holds. One thread writes (fill), every thread
// reads without locks. Databases, all with binary keys in an order that a cursor can use:
//
//   meta      name                                -> value
//   disks     disk number u16                     -> { uuid, path }
//   objects   path                                -> ObjectRecord           the newest known version
//   digests   object key 16                       -> ObjectDigests message
//   versions  object key 16                       -> { path, onDisks }      every version of which a chunk is held
//   chunks    object key 16 | chunk u32           -> disk number u16 | slot u40
//   slots     disk number u16 | slot u40          -> object key 16 | chunk u32 | stored u32, seconds of the wall clock
//   extents   disk number u16 | extent u32        -> pages of its slots u16 | epoch u32    how it is cut, see disk/slab-geometry.ts
//   purges    see purge-rules.ts
//   adopted   object key 16 [| chunk u32]         -> stamp f64              only while an index is made anew from the slots
import { open, type Database, type RootDatabase } from "lmdb";
import { OperatingError, messageOf } from "../../runtime/operating-error.js";
import type { CutExtent } from "../disk/extent-header.js";
import { extentOf, placeInExtentOf, slabGeometryOf, type SlabGeometry } from "../disk/slab-geometry.js";
import { findLmdbDamage } from "./look-at-lmdb-file.js";
import { PurgeRules, type Purge } from "./purge-rules.js";
import { isObjectPath, objectKeyBytes, objectKeyOf, type ObjectRecord, type ObjectVersion } from "../object.js";

/** Raised when a database's meaning changes; an index of another format is refused. */
const formatVersion = 2;
/** Bytes of a chunk's key; a slot's value begins with it. */
const chunkKeyBytes = objectKeyBytes + 4;
/** Where the numbers of the disks that are away stand. */
const awayName = "disksAway";

/** Where a chunk lies. */
export interface SlotPlace {
  diskNumber: number;
  slot: number;
}

/** What lies in a slot. */
export interface SlotContent {
  objectKey: Buffer;
  chunk: number;
}

/** An extent of a disk, and how it is cut. */
export interface CutExtentOfDisk extends CutExtent {
  diskNumber: number;
}

/** A chunk of a version, and where it was written. */
export interface PlacedChunk extends SlotContent, SlotPlace {
  path: string;
  stampUnixMs: number;
}

export interface KnownDisk {
  diskNumber: number;
  uuid: string;
  path: string;
  /** Set by command: "retiring" while its chunks move away, "retired" when it may be pulled. */
  mark?: DiskMark;
}

export type DiskMark = "retiring" | "retired";

/** How much of one version is held, on disks that are not away. */
export interface HeldVersion {
  path: string;
  objectKey: Buffer;
  chunksHeld: number;
}

/**
 * `onDisks` has a disk number and its count of chunks by turns. With a count per disk, a disk that is lost stops counting for every object in
 * one transaction that writes its number, whatever it held.
 */
type VersionValue = { path: string; onDisks: number[] };

/** A slot whose header was read, for an index that is made anew. */
export interface FoundSlot extends SlotPlace {
  object: ObjectVersion;
  objectKey: Buffer;
  chunk: number;
  stampUnixMs: number;
}

/** What the index says against itself; see `findContradictions`. */
export const contradictions = {
  "chunk-without-slot": "a chunk's slot does not name the chunk",
  "slot-without-chunk": "a slot's chunk does not name the slot",
  "slot-in-no-extent": "a slot lies where its extent is not cut",
  "wrong-count": "a version does not hold as many chunks as it says",
  "forgotten-version": "chunks of a version that nobody can ask for any more",
  "digests-of-nothing": "digests of a version that is not there",
} as const;

export interface Contradiction {
  kind: keyof typeof contradictions;
  key: Buffer;
}

export class ChunkIndex {
  readonly #root: RootDatabase;
  readonly #meta: Database<unknown, string>;
  readonly #disks: Database<Omit<KnownDisk, "diskNumber">, number>;
  readonly #objects: Database<ObjectRecord, string>;
  readonly #digests: Database<Buffer, Buffer>;
  readonly #versions: Database<VersionValue, Buffer>;
  readonly #chunks: Database<Buffer, Buffer>;
  readonly #slots: Database<Buffer, Buffer>;
  readonly #extents: Database<Buffer, Buffer>;
  readonly #purges: PurgeRules;
  readonly #geometry: SlabGeometry;
  readonly #chunkKey = Buffer.alloc(objectKeyBytes + 4);

  /**
   * Opens the index in folder `path`, and makes it when there is none.
   *
   * @throws OperatingError "index-unusable" when the folder is not an index, is of another format, or was made for another chunk size.
   */
  constructor(path: string, chunkBytes: number) {
    this.#geometry = slabGeometryOf(chunkBytes);
    try {
      const damage = findLmdbDamage(`${path}/index.mdb`);
      if (damage) throw new Error(`${damage}. \`millrace index rebuild --config FILE\` makes it anew from the disks`);
      this.#root = open({ path: `${path}/index.mdb`, noSubdir: true, maxDbs: 16, compression: false });
    } catch (error) {
      throw new OperatingError("index-unusable", `Cannot open the index in ${path}: ${messageOf(error)}`, { source: path, cause: error });
    }
    this.#meta = this.#root.openDB({ name: "meta" });
    this.#disks = this.#root.openDB({ name: "disks", keyEncoding: "uint32" });
    this.#objects = this.#root.openDB({ name: "objects" });
    this.#digests = this.#root.openDB({ name: "digests", keyEncoding: "binary", encoding: "binary" });
    this.#versions = this.#root.openDB({ name: "versions", keyEncoding: "binary" });
    this.#chunks = this.#root.openDB({ name: "chunks", keyEncoding: "binary", encoding: "binary" });
    this.#slots = this.#root.openDB({ name: "slots", keyEncoding: "binary", encoding: "binary" });
    this.#extents = this.#root.openDB({ name: "extents", keyEncoding: "binary", encoding: "binary" });
    this.#purges = new PurgeRules(this.#meta, this.#root.openDB({ name: "purges" }));
    const format = this.#meta.get("format") as { version: number; chunkBytes: number } | undefined;
    if (format === undefined) {
      this.#meta.putSync("format", { version: formatVersion, chunkBytes });
    } else if (format.version !== formatVersion || format.chunkBytes !== chunkBytes) {
      void this.#root.close();
      throw new OperatingError(
        "index-unusable",
        `Cannot use the index in ${path}: it is of format ${format.version} with chunks of ${format.chunkBytes} bytes, ` +
          `and this appliance has format ${formatVersion} with chunks of ${chunkBytes} bytes. ` +
          "`millrace index rebuild --config FILE` makes it anew from the disks, if these are of this chunk size",
        { source: path },
      );
    }
  }

  getMeta<Value>(name: string): Value | undefined {
    return this.#meta.get(name) as Value | undefined;
  }

  async putMeta(name: string, value: unknown): Promise<void> {
    await this.#meta.put(name, value);
  }

  knownDisks(): KnownDisk[] {
    return [...this.#disks.getRange()].map(({ key, value }) => ({ diskNumber: key, ...value }));
  }

  /** The number of the disk `uuid` in this index: an old one, or the next. Remembers where it is mounted now. */
  async enrolDisk(uuid: string, path: string): Promise<number> {
    const known = this.knownDisks();
    const earlier = known.find((disk) => disk.uuid === uuid);
    const diskNumber = earlier?.diskNumber ?? known.reduce((next, disk) => Math.max(next, disk.diskNumber + 1), 0);
    await this.#disks.put(diskNumber, { ...(earlier?.mark && { mark: earlier.mark }), uuid, path });
    return diskNumber;
  }

  /** Remembers how far a disk's retirement is; undefined ends it. */
  async markDisk(diskNumber: number, mark: DiskMark | undefined): Promise<void> {
    const { uuid, path } = this.#disks.get(diskNumber)!;
    await this.#disks.put(diskNumber, { uuid, path, ...(mark && { mark }) });
    await this.#root.flushed;
  }

  /**
   * From the commit on, nothing that lies on these disks, and only on these, counts as held. It counts again when its disk is not named any more.
   * Resolves to whether that was news.
   */
  async setDisksAway(diskNumbers: Iterable<number>): Promise<boolean> {
    const next = [...new Set(diskNumbers)].sort((a, b) => a - b);
    if (String(next) === String([...this.disksAway()])) return false;
    await this.#meta.put(awayName, next);
    await this.#root.flushed;
    return true;
  }

  disksAway(): ReadonlySet<number> {
    return new Set((this.#meta.get(awayName) as number[] | undefined) ?? []);
  }

  /** The newest version of a path; undefined when it is not known, or was purged since it was described. */
  findObject(path: string): ObjectRecord | undefined {
    // LMDB throws at a key that is too long, and a throw in a request's handler ends the process.
    const object = isObjectPath(path) ? this.#objects.get(path) : undefined;
    return object && this.#isPurged(object) ? undefined : object;
  }

  /** The path of a version of which chunks are held. */
  findPath(objectKey: Buffer): string | undefined {
    return this.#versions.get(objectKey)?.path;
  }

  /** What records of `path` that are made from now on carry as their generation. */
  generationOf(path: string): number {
    return this.#purges.generationOf(path);
  }

  /** Makes everything that matches unfindable. Resolves, when that is on the disk, to the purge; undefined: there are too many prefixes. */
  async purge(kind: Purge["kind"], value: string): Promise<Purge | undefined> {
    const purge = await this.#root.transaction(() => {
      const next = { number: this.#purges.last + 1, kind, value };
      return this.#purges.add(next) ? next : undefined;
    });
    await this.#root.flushed;
    return purge;
  }

  /** Takes purges over that stand on disks. */
  async importPurges(purges: readonly Purge[]): Promise<void> {
    await this.#root.transaction(() => {
      for (const purge of [...purges].sort((a, b) => a.number - b.number)) this.#purges.add(purge);
    });
  }

  /** The number of the last purge, and of the last whose objects have no slots any more. */
  get purgeProgress(): { last: number; swept: number } {
    return { last: this.#purges.last, swept: (this.#meta.get("swept") as number | undefined) ?? 0 };
  }

  /** All objects were looked at since the purge `number`. */
  async noteSwept(number: number): Promise<void> {
    await this.#meta.put("swept", number);
  }

  /**
   * Forgets purged objects among the next `count` paths after `after`. Resolves, when that is committed, to what is free now, and where to go on;
   * `next` undefined: that was the last.
   */
  async sweepPurged(after: string, count: number): Promise<{ paths: string[]; freed: SlotPlace[]; next: string | undefined }> {
    return this.#root.transaction(() => {
      const batch = [...this.#objects.getRange({ start: after, exclusiveStart: after !== "", limit: count })];
      const paths: string[] = [];
      const freed: SlotPlace[] = [];
      for (const { key, value } of batch) {
        if (!this.#isPurged(value)) continue;
        void this.#objects.remove(key);
        paths.push(key);
        freed.push(...this.#forgetVersion(objectKeyOf(value)));
      }
      const next = batch.length < count ? undefined : batch.at(-1)!.key;
      return { paths, freed, next };
    });
  }

  /** This thread sees what was committed by now, not what it saw when its turn began. */
  seeLatest(): void {
    this.#root.resetReadTxn();
  }

  countObjects(): number {
    return this.#objects.getKeysCount();
  }

  /** The encoded digests of a version. */
  findDigests(objectKey: Buffer): Buffer | undefined {
    return this.#digests.getBinary(objectKey);
  }

  /** Where a chunk lies, as far as this thread's snapshot knows. Its slot has the last word. */
  findChunk(objectKey: Uint8Array, chunk: number): SlotPlace | undefined {
    this.#chunkKey.set(objectKey);
    this.#chunkKey.writeUInt32BE(chunk, objectKeyBytes);
    const value = this.#chunks.getBinaryFast(this.#chunkKey);
    return value && placeOf(value);
  }

  findSlot(place: SlotPlace): SlotContent | undefined {
    const value = this.#slots.getBinary(slotKeyOf(place));
    return value && contentOf(value);
  }

  /** Chunks of a version on disks that are not away. */
  chunksHeldOf(objectKey: Buffer): number {
    const version = this.#versions.get(objectKey);
    return version ? chunksOn(version, this.disksAway()) : 0;
  }

  /** Every version of which a chunk is held, if on disks that are away only: then `chunksHeld` is 0. */
  *heldVersions(): Generator<HeldVersion> {
    const away = this.disksAway();
    for (const { key, value } of this.#versions.getRange())
      yield { objectKey: Buffer.from(key), path: value.path, chunksHeld: chunksOn(value, away) };
  }

  /** The paths of `count` versions after the key `after`, with the disks that they have chunks on; for walks in slices. */
  versionsAfter(after: Buffer | undefined, count: number): { objectKey: Buffer; path: string; diskNumbers: number[] }[] {
    const range = this.#versions.getRange({ ...(after && { start: after, exclusiveStart: true }), limit: count });
    return [...range].map(({ key, value: { path, onDisks } }) => {
      return { objectKey: Buffer.from(key), path, diskNumbers: onDisks.filter((_, at) => at % 2 === 0) };
    });
  }

  /** Where the held chunks of a version lie. */
  placesOf(objectKey: Buffer): { chunk: number; place: SlotPlace }[] {
    return [...this.#chunks.getRange(chunkRangeOf(objectKey))].map(({ key, value }) => ({
      chunk: contentOf(key).chunk,
      place: placeOf(value),
    }));
  }

  /** The slots of one disk that hold a chunk, in order. */
  *usedSlots(diskNumber: number): Generator<number> {
    for (const key of this.#slots.getKeys(slotRangeOf(diskNumber))) yield key.readUIntBE(2, 5);
  }

  /** How the extents of one disk are cut, in order: all that were ever used. */
  *cutExtents(diskNumber: number): Generator<CutExtent> {
    const range = { start: extentKeyOf({ diskNumber, extent: 0 }), end: extentKeyOf({ diskNumber: diskNumber + 1, extent: 0 }) };
    for (const { key, value } of this.#extents.getRange(range)) yield { extent: key.readUInt32BE(2), ...cutOf(value) };
  }

  findExtent(place: { diskNumber: number; extent: number }): CutExtent | undefined {
    const value = this.#extents.getBinary(extentKeyOf(place));
    return value && { extent: place.extent, ...cutOf(value) };
  }

  /** The slots of one extent that hold a chunk. */
  *slotsOfExtent({ diskNumber, extent }: { diskNumber: number; extent: number }): Generator<SlotContent & SlotPlace> {
    const { extentPages } = this.#geometry;
    const start = slotKeyOf({ diskNumber, slot: extent * extentPages });
    const end = slotKeyOf({ diskNumber, slot: (extent + 1) * extentPages });
    for (const { key, value } of this.#slots.getRange({ start, end })) yield { ...placeOf(key), ...contentOf(value) };
  }

  /** Takes over how extents are cut, from what stands on their disks. What lay in their slots by another cut is forgotten. */
  async putExtents(extents: readonly CutExtentOfDisk[]): Promise<void> {
    await this.#root.transaction(() => {
      for (const extent of extents) this.#cut(extent);
    });
  }

  /** The first slot from `slot` on that holds a chunk, with the chunk. */
  findSlotFrom({ diskNumber, slot }: SlotPlace): (SlotContent & SlotPlace) | undefined {
    const { end } = slotRangeOf(diskNumber);
    for (const { key, value } of this.#slots.getRange({ start: slotKeyOf({ diskNumber, slot }), end, limit: 1 }))
      return { ...placeOf(key), ...contentOf(value) };
    return undefined;
  }

  /**
   * Remembers the newest version of a path, with its digests where the origin has them, and forgets the version before.
   * Resolves, when that is committed, to the slots that are free now.
   */
  async putObject(object: ObjectRecord, digests: Buffer | undefined): Promise<SlotPlace[]> {
    return this.#root.transaction(() => {
      const earlier = this.#objects.get(object.path);
      const key = objectKeyOf(object);
      void this.#objects.put(object.path, object);
      // They belong to the version, which is looked at again every minute; those of a large object are megabytes.
      if (digests && !this.#digests.doesExist(key)) void this.#digests.put(key, digests);
      if (earlier) {
        const earlierKey = objectKeyOf(earlier);
        if (!earlierKey.equals(key)) return this.#forgetVersion(earlierKey);
      }
      return [];
    });
  }

  /** Forgets a path and every chunk of it. Resolves, when that is committed, to the slots that are free now. */
  async removeObject(path: string): Promise<SlotPlace[]> {
    return this.#root.transaction(() => {
      const earlier = this.#objects.get(path);
      if (!earlier) return [];
      void this.#objects.remove(path);
      return this.#forgetVersion(objectKeyOf(earlier));
    });
  }

  /**
   * Remembers chunks whose slots are on their disks, and `cut`, the extents that were cut anew for them. Resolves, when that is committed, to the ones that were not remembered: nobody
   * can ask for them, since their path has another version by now, or is gone.
   */
  async commitChunks(placed: readonly PlacedChunk[], cut: readonly CutExtentOfDisk[] = []): Promise<PlacedChunk[]> {
    return this.#root.transaction(() => {
      for (const extent of cut) this.#cut(extent);
      const outdated: PlacedChunk[] = [];
      // Chunks of one object come one after another: a fifth of the time of a commit went into asking this for each.
      let object: { path: string; objectKey: Buffer; isNewest: boolean } = { path: "", objectKey: Buffer.alloc(0), isNewest: false };
      for (const one of placed) {
        const { path, objectKey, chunk, diskNumber, slot, stampUnixMs } = one;
        if (object.path !== path || !object.objectKey.equals(objectKey))
          object = { path, objectKey, isNewest: this.#isNewest(path, objectKey) };
        const place = { diskNumber, slot };
        const key = chunkKeyOf(objectKey, chunk);
        // A transaction that failed before this one may have left the slot with what it held: that is overwritten by now.
        const overwritten = this.findSlot(place);
        if (overwritten) this.#forgetSlot(place, overwritten);
        if (!object.isNewest) {
          outdated.push(one);
          continue;
        }
        const earlier = this.findChunk(objectKey, chunk);
        // Counted at its new place first: a version that is held nowhere is forgotten.
        this.#addHeld(objectKey, path, diskNumber, 1);
        if (earlier) {
          void this.#slots.remove(slotKeyOf(earlier));
          this.#addHeld(objectKey, path, earlier.diskNumber, -1);
        }
        const value = slotKeyOf(place);
        void this.#chunks.put(key, value);
        void this.#slots.put(value, slotValueOf(key, stampUnixMs));
      }
      return outdated;
    });
  }

  /**
   * Forgets what lies in slots, before they are written again. Resolves, when that is committed, to the versions that are held less.
   */
  async forgetSlots(places: readonly SlotPlace[]): Promise<HeldVersion[]> {
    const changed = new Map<string, HeldVersion>();
    await this.#root.transaction(() => {
      for (const place of places) {
        const content = this.findSlot(place);
        if (!content) continue;
        const version = this.#forgetSlot(place, content);
        if (version) changed.set(content.objectKey.toString("hex"), this.#heldOf(content.objectKey, version));
      }
    });
    return [...changed.values()];
  }

  /**
   * Forgets one chunk, if it is still said to lie at `place`. Resolves, when that is committed, to the version it was of;
   * undefined when the index says something else by now.
   */
  async forgetChunk(objectKey: Buffer, chunk: number, place: SlotPlace): Promise<HeldVersion | undefined> {
    return this.#root.transaction(() => {
      const now = this.findChunk(objectKey, chunk);
      if (!now || now.diskNumber !== place.diskNumber || now.slot !== place.slot) return undefined;
      void this.#slots.remove(slotKeyOf(place));
      void this.#chunks.remove(chunkKeyOf(objectKey, chunk));
      const version = this.#addHeld(objectKey, "", place.diskNumber, -1);
      return version && this.#heldOf(objectKey, version);
    });
  }

  /**
   * Calls `visit` for the next `count` slots of a disk that hold a chunk, from a slot on, in order; for walks in slices. Answers where to go on;
   * undefined: that was the last. `content` begins with the object's key and is read during the call only. No object is made for a slot: ten
   * million are walked at every start.
   */
  visitUsedSlots({ diskNumber, slot }: SlotPlace, count: number, visit: (slot: number, stampUnixMs: number, content: Buffer) => void) {
    const { end } = slotRangeOf(diskNumber);
    let visited = 0;
    let last = slot;
    for (const { key, value } of this.#slots.getRange({ start: slotKeyOf({ diskNumber, slot }), end, limit: count })) {
      last = key.readUIntBE(2, 5);
      visit(last, value.readUInt32BE(chunkKeyBytes) * 1000, value);
      visited++;
    }
    return visited < count ? undefined : last + 1;
  }

  /** Every chunk, in the order of keys. */
  *chunks(): Generator<SlotContent & SlotPlace> {
    for (const { key, value } of this.#chunks.getRange()) yield { ...contentOf(key), ...placeOf(value) };
  }

  /**
   * Walks the whole index and yields what contradicts itself; at most once per key and kind. Nothing may write meanwhile. The same
   * finding, handed to `repair`, is put right.
   */
  *findContradictions(): Generator<Contradiction> {
    const counted = new Map<string, Map<number, number>>();
    for (const { key, value } of this.#chunks.getRange()) {
      const back = this.#slots.getBinary(value);
      if (!back?.subarray(0, chunkKeyBytes).equals(key)) yield { kind: "chunk-without-slot", key: Buffer.from(key) };
      // Keys come in order, so a version is complete when the next begins; the map holds two at most.
      const name = key.toString("latin1", 0, objectKeyBytes);
      if (!counted.has(name)) {
        yield* this.#findWrongCounts(counted);
        counted.clear();
      }
      const onDisks = counted.get(name) ?? new Map<number, number>();
      const { diskNumber } = placeOf(value);
      counted.set(name, onDisks.set(diskNumber, (onDisks.get(diskNumber) ?? 0) + 1));
    }
    yield* this.#findWrongCounts(counted);
    for (const { key, value } of this.#slots.getRange()) {
      const back = this.#chunks.getBinary(value.subarray(0, chunkKeyBytes));
      if (!back?.equals(key)) yield { kind: "slot-without-chunk", key: Buffer.from(key) };
      else if (!this.#liesInExtent(placeOf(key))) yield { kind: "slot-in-no-extent", key: Buffer.from(key) };
    }
    for (const { key, value } of this.#versions.getRange()) {
      const first = [...this.#chunks.getKeys({ ...chunkRangeOf(key), limit: 1 })];
      if (first.length === 0) yield { kind: "wrong-count", key: Buffer.from(key) };
      const newest = this.#objects.get(value.path);
      // One that was purged, and is not swept yet, is not forgotten.
      if (!newest || !objectKeyOf(newest).equals(key)) yield { kind: "forgotten-version", key: Buffer.from(key) };
    }
    // What objects name is collected first: digests have no path to ask for. 32 bytes an object.
    const named = new Set<string>();
    for (const { value } of this.#objects.getRange()) named.add(objectKeyOf(value).toString("latin1"));
    for (const key of this.#digests.getKeys()) {
      if (!named.has(key.toString("latin1"))) yield { kind: "digests-of-nothing", key: Buffer.from(key) };
    }
  }

  /** Puts findings of `findContradictions` right: what is in doubt is forgotten, since upstream has it. */
  async repair(found: readonly Contradiction[]): Promise<void> {
    await this.#root.transaction(() => {
      for (const { kind, key } of found) {
        if (kind === "chunk-without-slot") void this.#chunks.remove(key);
        else if (kind === "slot-without-chunk") void this.#slots.remove(key);
        else if (kind === "slot-in-no-extent") {
          const content = this.findSlot(placeOf(key));
          if (content) this.#forgetSlot(placeOf(key), content);
        } else if (kind === "digests-of-nothing") void this.#digests.remove(key);
        else if (kind === "forgotten-version") this.#forgetVersion(key);
      }
      // Counts last: what was forgotten above has changed them.
      for (const { key } of found) this.#countAnew(key.subarray(0, objectKeyBytes));
    });
  }

  /**
   * Takes slots into an index that is made anew. Of two slots with one chunk, and of two versions of one path, the one with the later
   * stamp stays. Resolves to how many chunks the index has more. `endAdopting` comes after the last.
   */
  async adoptSlots(found: readonly FoundSlot[]): Promise<number> {
    const stamps = this.#stamps();
    let added = 0;
    await this.#root.transaction(() => {
      for (const { object, objectKey, chunk, stampUnixMs, diskNumber, slot } of found) {
        if (this.#isPurged(object)) continue;
        const current = this.#objects.get(object.path);
        const currentKey = current && objectKeyOf(current);
        if (currentKey && !currentKey.equals(objectKey)) {
          if ((stamps.get(currentKey) ?? 0) >= stampUnixMs) continue;
          added -= this.#forgetVersion(currentKey).length;
        }
        if (!currentKey?.equals(objectKey)) {
          // Never checked: upstream is asked before anything more of it is fetched, since its digests are not in the slots.
          void this.#objects.put(object.path, { ...object, digested: false, checkedUnixMs: 0 });
        }
        if ((stamps.get(objectKey) ?? 0) < stampUnixMs) void stamps.put(objectKey, stampUnixMs);
        const key = chunkKeyOf(objectKey, chunk);
        const earlier = this.findChunk(objectKey, chunk);
        if (earlier && (stamps.get(key) ?? 0) >= stampUnixMs) continue;
        this.#addHeld(objectKey, object.path, diskNumber, 1);
        if (earlier) {
          void this.#slots.remove(slotKeyOf(earlier));
          this.#addHeld(objectKey, object.path, earlier.diskNumber, -1);
        } else added++;
        const place = slotKeyOf({ diskNumber, slot });
        void stamps.put(key, stampUnixMs);
        void this.#chunks.put(key, place);
        void this.#slots.put(place, slotValueOf(key, stampUnixMs));
      }
    });
    return added;
  }

  /** Drops what only adopting needs. */
  async endAdopting(): Promise<void> {
    await this.#stamps().drop();
    await this.#root.flushed;
  }

  async close(): Promise<void> {
    await this.#root.close();
  }

  /** Inside a transaction. */
  #forgetSlot(place: SlotPlace, { objectKey, chunk }: SlotContent): VersionValue | undefined {
    void this.#slots.remove(slotKeyOf(place));
    void this.#chunks.remove(chunkKeyOf(objectKey, chunk));
    return this.#addHeld(objectKey, "", place.diskNumber, -1);
  }

  /** Inside a transaction. What lay in the extent was forgotten before; a transaction that failed may have left some of it. */
  #cut(cut: CutExtentOfDisk): void {
    const earlier = this.findExtent(cut);
    if (earlier?.slotPages === cut.slotPages && earlier.epoch === cut.epoch) return;
    // All of them are read before the first is forgotten: the cursor of the reading must not meet the writing.
    const lefts = Array.from(this.slotsOfExtent(cut));
    for (const left of lefts) this.#forgetSlot(left, left);
    void this.#extents.put(extentKeyOf(cut), cutValueOf(cut));
  }

  #liesInExtent({ diskNumber, slot }: SlotPlace): boolean {
    const cut = this.findExtent({ diskNumber, extent: extentOf(this.#geometry, slot) });
    return cut !== undefined && placeInExtentOf(this.#geometry, slot, cut.slotPages) >= 0;
  }

  #stamps(): Database<number, Buffer> {
    return this.#root.openDB({ name: "adopted", keyEncoding: "binary" });
  }

  *#findWrongCounts(counted: ReadonlyMap<string, ReadonlyMap<number, number>>): Generator<Contradiction> {
    for (const [name, onDisks] of counted) {
      const key = Buffer.from(name, "latin1");
      const said = this.#versions.get(key)?.onDisks ?? [];
      const right = said.length === onDisks.size * 2 && said.every((number, at) => at % 2 === 1 || onDisks.get(number) === said[at + 1]);
      if (!right) yield { kind: "wrong-count", key };
    }
  }

  /** Whether `key` is the version that `path` is answered from. */
  #isNewest(path: string, key: Buffer): boolean {
    const newest = this.#objects.get(path);
    return newest !== undefined && objectKeyOf(newest).equals(key) && !this.#isPurged(newest);
  }

  #isPurged({ path, generation = 0 }: Pick<ObjectRecord, "path" | "generation">): boolean {
    return generation < this.#purges.generationOf(path);
  }

  /** Inside a transaction. A version without a path in the index cannot be counted for: its chunks are forgotten. */
  #countAnew(objectKey: Buffer): void {
    if (objectKey.length < objectKeyBytes) return;
    const version = this.#versions.get(objectKey);
    if (!version) return void this.#forgetVersion(objectKey);
    void this.#versions.remove(objectKey);
    for (const { place } of this.placesOf(objectKey)) this.#addHeld(objectKey, version.path, place.diskNumber, 1);
  }

  /** Inside a transaction. */
  #addHeld(objectKey: Buffer, path: string, diskNumber: number, difference: number): VersionValue | undefined {
    const version = this.#versions.get(objectKey) ?? (path === "" ? undefined : { path, onDisks: [] });
    if (!version) return undefined;
    const onDisks: number[] = [];
    let left = difference;
    for (let at = 0; at < version.onDisks.length; at += 2) {
      const [disk, count] = [version.onDisks[at]!, version.onDisks[at + 1]!];
      const next = disk === diskNumber ? count + left : count;
      if (disk === diskNumber) left = 0;
      if (next > 0) onDisks.push(disk, next);
    }
    if (left > 0) onDisks.push(diskNumber, left);
    const next = { path: version.path, onDisks };
    if (onDisks.length > 0) void this.#versions.put(objectKey, next);
    else void this.#versions.remove(objectKey);
    return next;
  }

  #heldOf(objectKey: Buffer, version: VersionValue): HeldVersion {
    return { objectKey, path: version.path, chunksHeld: chunksOn(version, this.disksAway()) };
  }

  /** Inside a transaction: chunks and digests of a version that a newer one has replaced. */
  #forgetVersion(objectKey: Buffer): SlotPlace[] {
    const freed: SlotPlace[] = [];
    void this.#digests.remove(objectKey);
    void this.#versions.remove(objectKey);
    const keys = [...this.#chunks.getKeys(chunkRangeOf(objectKey))];
    for (const key of keys) {
      const value = this.#chunks.getBinary(key);
      if (value) {
        freed.push(placeOf(value));
        void this.#slots.remove(value);
      }
      void this.#chunks.remove(key);
    }
    return freed;
  }
}

function chunkKeyOf(objectKey: Uint8Array, chunk: number): Buffer {
  const key = Buffer.alloc(chunkKeyBytes);
  key.set(objectKey);
  key.writeUInt32BE(chunk, objectKeyBytes);
  return key;
}

function slotKeyOf({ diskNumber, slot }: SlotPlace): Buffer {
  const key = Buffer.alloc(7);
  key.writeUInt16BE(diskNumber, 0);
  key.writeUIntBE(slot, 2, 5);
  return key;
}

function extentKeyOf({ diskNumber, extent }: { diskNumber: number; extent: number }): Buffer {
  const key = Buffer.alloc(6);
  key.writeUInt16BE(diskNumber, 0);
  key.writeUInt32BE(extent, 2);
  return key;
}

function cutValueOf({ slotPages, epoch }: CutExtent): Buffer {
  const value = Buffer.alloc(6);
  value.writeUInt16BE(slotPages, 0);
  value.writeUInt32BE(epoch, 2);
  return value;
}

function cutOf(value: Buffer): { slotPages: number; epoch: number } {
  return { slotPages: value.readUInt16BE(0), epoch: value.readUInt32BE(2) };
}

function slotValueOf(chunkKey: Buffer, stampUnixMs: number): Buffer {
  const value = Buffer.alloc(chunkKeyBytes + 4);
  value.set(chunkKey);
  value.writeUInt32BE(Math.max(0, Math.floor(stampUnixMs / 1000)) >>> 0, chunkKeyBytes);
  return value;
}

function chunksOn({ onDisks }: VersionValue, away: ReadonlySet<number>): number {
  let chunks = 0;
  for (let at = 0; at < onDisks.length; at += 2) if (!away.has(onDisks[at]!)) chunks += onDisks[at + 1]!;
  return chunks;
}

function chunkRangeOf(objectKey: Uint8Array): { start: Buffer; end: Buffer } {
  return { start: chunkKeyOf(objectKey, 0), end: Buffer.concat([chunkKeyOf(objectKey, 0xffffffff), Buffer.of(0)]) };
}

function slotRangeOf(diskNumber: number): { start: Buffer; end: Buffer } {
  return { start: slotKeyOf({ diskNumber, slot: 0 }), end: slotKeyOf({ diskNumber: diskNumber + 1, slot: 0 }) };
}

function placeOf(value: Buffer): SlotPlace {
  return { diskNumber: value.readUInt16BE(0), slot: value.readUIntBE(2, 5) };
}

function contentOf(value: Buffer): SlotContent {
  return { objectKey: Buffer.from(value.subarray(0, objectKeyBytes)), chunk: value.readUInt32BE(objectKeyBytes) };
}
