// What figures need of the appliance's own code: digests, the index from inside.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pino } from "pino";
import { openDisks } from "../../appliance/disk/open-disks.js";
import { SlabFiles } from "../../appliance/disk/slab-files.js";
import { fullSlotsPerExtent, slabGeometryOf, slotAt, slotShapeOf, slotsPerExtentOf } from "../../appliance/disk/slab-geometry.js";
import { SlotWriter } from "../../appliance/disk/slot-writer.js";
import { ChunkIndex } from "../../appliance/index/chunk-index.js";
import { rebuildIndex } from "../../appliance/index/rebuild-index.js";
import { objectKeyOf, type ObjectRecord } from "../../appliance/object.js";
import type { ApplianceInside } from "../../bench/figures/figure-maker.js";
import { digestChunk, digestsPathOf, encodeObjectDigests, makeObjectDigests } from "../../fill-protocol/object-digests.js";

const digestBytes = 2 ** 20;
const chunksPerObject = 1000;
/** Chunks that are committed in one transaction. */
const commitChunks = 20_000;
/** Slots of a disk that grown indexes leave to what is really on it. */
const slotsForReal = 100;
const rebuildChunkBytes = 4096;
const silent = pino({ level: "silent" });

export const applianceInside: ApplianceInside = {
  writeDigests: async (folder, names) => {
    for (const path of names) {
      const bytes = await readFile(join(folder, path));
      const pieces = Array.from({ length: Math.ceil(bytes.length / digestBytes) }, (_, at) =>
        bytes.subarray(at * digestBytes, (at + 1) * digestBytes),
      );
      const digests = makeObjectDigests({
        path,
        sizeBytes: bytes.length,
        chunkBytes: digestBytes,
        chunkDigests: pieces.map(digestChunk),
        lastModifiedUnixMs: 0,
      });
      const file = join(folder, digestsPathOf(path));
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, encodeObjectDigests(digests));
    }
  },

  readPlaces: async (indexFolder, chunkBytes) => {
    const index = new ChunkIndex(indexFolder, chunkBytes);
    const places = new Map<string, number>();
    for (const { diskNumber } of index.knownDisks()) {
      for (const slot of index.usedSlots(diskNumber)) {
        const { objectKey, chunk } = index.findSlot({ diskNumber, slot })!;
        // A chunk that was stored anew because its disk is away may still be named by that disk's slot: the chunk's own entry counts.
        places.set(`${objectKey.toString("hex")}:${chunk}`, index.findChunk(objectKey, chunk)!.diskNumber);
      }
    }
    await index.close();
    return places;
  },

  growIndex: async (indexFolder, { chunkBytes, chunks, disks, onProgress }) => {
    const index = new ChunkIndex(indexFolder, chunkBytes);
    const geometry = slabGeometryOf(chunkBytes);
    let object = grownObject(0, chunkBytes);
    let objectKey = objectKeyOf(object);
    for (let done = 0; done < chunks;) {
      const end = Math.min(chunks, done + commitChunks);
      const placed = [];
      const cut = [];
      for (; done < end; done++) {
        const chunk = done % chunksPerObject;
        if (chunk === 0) {
          object = grownObject(Math.floor(done / chunksPerObject), chunkBytes);
          objectKey = objectKeyOf(object);
          await index.putObject(object, undefined);
        }
        const diskNumber = done % disks;
        const nth = slotsForReal + Math.floor(done / disks);
        const [extent, place] = [Math.floor(nth / fullSlotsPerExtent), nth % fullSlotsPerExtent];
        if (place === 0) cut.push({ diskNumber, extent, slotPages: geometry.fullSlotPages, epoch: 1 });
        const slot = slotAt(geometry, extent, geometry.fullSlotPages, place);
        placed.push({ path: object.path, objectKey, chunk, stampUnixMs: 1, diskNumber, slot });
      }
      await index.commitChunks(placed, cut);
      if (!onProgress(done)) break;
    }
    await index.close();
  },

  timeLookups: async (indexFolder, { chunkBytes, lookups }) => {
    const index = new ChunkIndex(indexFolder, chunkBytes);
    const keys = [...index.heldVersions()].filter(({ chunksHeld }) => chunksHeld === chunksPerObject).map(({ objectKey }) => objectKey);
    const times = new Float64Array(lookups);
    for (let at = 0; at < lookups; at++) {
      const key = keys[Math.floor(Math.random() * keys.length)]!;
      const chunk = Math.floor(Math.random() * chunksPerObject);
      const from = process.hrtime.bigint();
      const place = index.findChunk(key, chunk);
      times[at] = Number(process.hrtime.bigint() - from) / 1000;
      if (!place) throw new Error("a chunk of the index is missing");
    }
    await index.close();
    return times.sort();
  },

  timeRebuild: async (folder, slots) => {
    const geometry = slabGeometryOf(rebuildChunkBytes);
    const { slotPages } = slotShapeOf(geometry, rebuildChunkBytes, grownObject(0, rebuildChunkBytes));
    const slotsPerExtent = slotsPerExtentOf(geometry, slotPages);
    const wanted = [0, 1].map((at) => ({
      path: join(folder, `rebuild${at}`),
      size: Math.ceil(slots / 2 / slotsPerExtent) * geometry.extentBytes,
    }));
    const path = join(folder, "rebuilt");
    for (const one of [path, ...wanted.map((disk) => disk.path)]) await mkdir(one, { recursive: true });
    const register = new ChunkIndex(path, rebuildChunkBytes);
    const disks = await openDisks({ wanted, geometry, register, log: silent });
    await register.close();
    const writer = new SlotWriter(geometry, new SlabFiles(geometry, "write"));
    const bytes = new Uint8Array(rebuildChunkBytes).fill(7);
    for (let at = 0; at < slots; at++) {
      const object = grownObject(Math.floor(at / chunksPerObject), rebuildChunkBytes);
      const disk = disks.disks[at % 2]!;
      const place = Math.floor(at / 2) % slotsPerExtent;
      const extent = Math.floor(Math.floor(at / 2) / slotsPerExtent);
      if (place === 0) await writer.cut(disk, { extent, slotPages, epoch: 1 });
      await writer.write({
        disk,
        slot: slotAt(geometry, extent, slotPages, place),
        epoch: 1,
        object,
        chunk: at % chunksPerObject,
        bytes,
        stampUnixMs: 1,
      });
    }
    const report = await rebuildIndex({ path, wanted, geometry, wholeChunks: false, log: silent });
    if (report.chunks !== slots) throw new Error(`rebuilt ${report.chunks} of ${slots} chunks`);
    return slots / report.seconds;
  },
};

function grownObject(number: number, chunkBytes: number): ObjectRecord {
  const path = `titles/${number % 1000}/video-${number}.mp4`;
  return { path, sizeBytes: chunksPerObject * chunkBytes, etag: `"${number}"`, lastModifiedUnixMs: 0, digested: false, checkedUnixMs: 1 };
}
