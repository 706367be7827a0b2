// What an object of one small chunk costs in the index and in the tables of free slots. Writes an index of --objects objects into --folder.
//
//   npm run measure:small-objects -- [--objects 1000000] [--folder DIR]
import { mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { pathToFileURL } from "node:url";
import { packageRoot } from "./run.mjs";

const { values } = parseArgs({
  options: { objects: { type: "string", default: "1000000" }, folder: { type: "string", default: tmpdir() } },
});
const load = (path) => import(pathToFileURL(join(packageRoot, "dist", path)).href);
const { ChunkIndex } = await load("appliance/index/chunk-index.js");
const { objectKeyOf } = await load("appliance/object.js");
const { extentCountOf, pageBytes, slabGeometryOf, slotAt, slotShapeOf, slotsPerExtentOf } = await load("appliance/disk/slab-geometry.js");
const { SlotAllocator } = await load("appliance/disk/slot-allocator.js");

const folder = mkdtempSync(join(values.folder, "millrace-small-"));
const figures = {};
try {
  await measureSmallObjects(Number(values.objects));
  console.log(JSON.stringify({ node: process.version, ...figures }, null, 2));
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** Objects of one chunk each, as large as web pages' parts are: what an object costs, and what its chunk costs. */
async function measureSmallObjects(objects) {
  const path = join(folder, "small-index");
  mkdirSync(path);
  const chunkBytes = 2 ** 20;
  const geometry = slabGeometryOf(chunkBytes);
  const index = new ChunkIndex(path, chunkBytes);
  const { slotPages } = slotShapeOf(geometry, 6000, { path: "titles/100/small-1000000.jpg", etag: '"1000000"' });
  const slotsPerExtent = slotsPerExtentOf(geometry, slotPages);
  const slotOf = (at) => slotAt(geometry, Math.floor(at / slotsPerExtent), slotPages, at % slotsPerExtent);
  const batch = 1000;
  for (let from = 0; from < objects; from += batch) {
    const some = Array.from({ length: Math.min(batch, objects - from) }, (_, at) => {
      const number = from + at;
      const path = `titles/${number % 1000}/small-${number}.jpg`;
      return { path, sizeBytes: 6000, etag: `"${number}"`, lastModifiedUnixMs: 1e12, digested: false, checkedUnixMs: 1e12 };
    });
    await Promise.all(some.map((object) => index.putObject(object, undefined)));
    const cut = [];
    for (let at = from; at < from + some.length; at++)
      if (at % slotsPerExtent === 0) cut.push({ diskNumber: 0, extent: at / slotsPerExtent, slotPages, epoch: 1 + at });
    const placed = some.map((object, at) => {
      return { path: object.path, objectKey: objectKeyOf(object), chunk: 0, diskNumber: 0, slot: slotOf(from + at), stampUnixMs: 1e12 };
    });
    await index.commitChunks(placed, cut);
  }
  figures.objects = objects;
  figures.indexBytesPerObject = round(statSync(join(path, "index.mdb")).size / objects);
  globalThis.gc?.();
  const before = process.memoryUsage();
  const extentCount = Math.ceil(objects / slotsPerExtent);
  const allocatorAtMs = performance.now();
  const allocator = new SlotAllocator({
    geometry,
    extentCount,
    cut: index.cutExtents(0),
    demandShare: 0.1,
    hashOf: () => 0,
    hits: { countOf: () => 0, setCount: () => {} },
  });
  for (const slot of index.usedSlots(0)) allocator.load(slot, false, 0);
  allocator.endLoad();
  globalThis.gc?.();
  const after = process.memoryUsage();
  figures.freeSlotTableBytesPerObject = round((after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers) / objects);
  figures.readFreeSlotsMs = round(performance.now() - allocatorAtMs);
  figures.slotBytesOf6000 = slotPages * pageBytes;
  const whole = new SlotAllocator({
    geometry,
    extentCount: extentCountOf(geometry, 2 ** 40),
    cut: [],
    demandShare: 0.1,
    hashOf: () => 0,
    hits: { countOf: () => 0, setCount: () => {} },
  });
  globalThis.gc?.();
  figures.freeSlotTableBytesPerWholeSlot = round(
    (process.memoryUsage().arrayBuffers - after.arrayBuffers) / (extentCountOf(geometry, 2 ** 40) * 4),
  );
  if (whole.usedCount !== 0 || allocator.usedCount !== objects) throw new Error("the allocator has lost count");
  await index.close();
}

function round(value) {
  return Math.round(value * 100) / 100;
}
