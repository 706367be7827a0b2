// `npm run soak`: what takes too long for CI: figures of the storage (an index of 10 million chunks, a rebuild, overhead per chunk), then soak-fill.mjs.
//
//   npm run soak -- [--chunks 10000000] [--rebuild-chunks 200000] [--folder DIR]
import { mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { pathToFileURL } from "node:url";
import { packageRoot } from "./run.mjs";

const { values } = parseArgs({
  options: {
    chunks: { type: "string", default: "10000000" },
    "rebuild-chunks": { type: "string", default: "200000" },
    folder: { type: "string", default: tmpdir() },
  },
});
const load = (path) => import(pathToFileURL(join(packageRoot, "dist", path)).href);
const { ChunkIndex } = await load("appliance/index/chunk-index.js");
const { objectKeyOf } = await load("appliance/object.js");
const { slabGeometryOf } = await load("appliance/disk/slab-geometry.js");
const { SlabFiles } = await load("appliance/disk/slab-files.js");
const { SlotWriter } = await load("appliance/disk/slot-writer.js");
const { openDisks } = await load("appliance/disk/open-disks.js");
const { rebuildIndex } = await load("appliance/index/rebuild-index.js");
const { pino } = await load("../node_modules/pino/pino.js");

const log = pino({ level: "silent" });
const folder = mkdtempSync(join(values.folder, "millrace-soak-"));
const figures = {};
try {
  await measureIndex(Number(values.chunks));
  await measureRebuild(Number(values["rebuild-chunks"]));
  console.log(JSON.stringify({ node: process.version, ...figures }, null, 2));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
await import("./soak-fill.mjs");

function objectOf(number, chunks, chunkBytes) {
  const path = `titles/${number % 1000}/video-${number}.mp4`;
  return { path, sizeBytes: chunks * chunkBytes, etag: `"${number}"`, lastModifiedUnixMs: 0, digested: false, checkedUnixMs: 1 };
}

/** Ten million chunks are 10 TB in chunks of 1 MiB: only the index is real here. */
async function measureIndex(chunks) {
  const path = join(folder, "index");
  mkdirSync(path);
  const chunksPerObject = 1000;
  const objects = Math.ceil(chunks / chunksPerObject);
  let index = new ChunkIndex(path, 2 ** 20);
  const startedAtMs = performance.now();
  const keys = [];
  for (let number = 0; number < objects; number++) {
    const object = objectOf(number, chunksPerObject, 2 ** 20);
    const objectKey = objectKeyOf(object);
    keys.push(objectKey);
    await index.putObject(object, undefined);
    const placed = Array.from({ length: chunksPerObject }, (_, chunk) => {
      const at = number * chunksPerObject + chunk;
      return { path: object.path, objectKey, chunk, diskNumber: at % 12, slot: Math.floor(at / 12) };
    });
    await index.commitChunks(placed);
  }
  figures.commitChunksPerSecond = Math.round((objects * chunksPerObject) / ((performance.now() - startedAtMs) / 1000));
  await index.close();
  figures.indexBytesPerChunk = Math.round(statSync(join(path, "index.mdb")).size / (objects * chunksPerObject));

  const openedAtMs = performance.now();
  index = new ChunkIndex(path, 2 ** 20);
  index.findChunk(keys[0], 0);
  figures.openToFirstLookupMs = round(performance.now() - openedAtMs);
  const allocatorsAtMs = performance.now();
  let used = 0;
  for (let disk = 0; disk < 12; disk++) for (const _ of index.usedSlots(disk)) used++;
  figures.readFreeSlotsMs = round(performance.now() - allocatorsAtMs);
  figures.chunks = used;
  const times = [];
  for (let at = 0; at < 200_000; at++) {
    const key = keys[Math.floor(Math.random() * keys.length)];
    const chunk = Math.floor(Math.random() * chunksPerObject);
    const from = process.hrtime.bigint();
    if (!index.findChunk(key, chunk)) throw new Error("a chunk is missing");
    times.push(Number(process.hrtime.bigint() - from) / 1000);
  }
  times.sort((a, b) => a - b);
  figures.lookupP50Us = round(times[times.length / 2]);
  figures.lookupP99Us = round(times[Math.floor(times.length * 0.99)]);
  figures.residentMiB = Math.round(process.memoryUsage.rss() / 2 ** 20);
  await index.close();
}

/** Small chunks on sparse disks: what counts is the number of headers. */
async function measureRebuild(chunks) {
  const chunkBytes = 4096;
  const geometry = slabGeometryOf(chunkBytes);
  const wanted = [0, 1].map((at) => ({ path: join(folder, `disk${at}`), size: Math.ceil(chunks / 2) * geometry.slotBytes }));
  const path = join(folder, "rebuilt");
  for (const one of [path, ...wanted.map((disk) => disk.path)]) mkdirSync(one);
  const register = new ChunkIndex(path, chunkBytes);
  const disks = await openDisks({ wanted, geometry, register, log });
  await register.close();
  const writer = new SlotWriter(geometry, new SlabFiles(geometry, "write"));
  const bytes = new Uint8Array(chunkBytes).fill(7);
  const startedAtMs = performance.now();
  for (let at = 0; at < chunks; at++) {
    const object = objectOf(Math.floor(at / 1000), 1000, chunkBytes);
    await writer.write({ disk: disks.disks[at % 2], slot: Math.floor(at / 2), object, chunk: at % 1000, bytes, stampUnixMs: 1 });
  }
  figures.slotsWrittenPerSecond = Math.round(chunks / ((performance.now() - startedAtMs) / 1000));
  const report = await rebuildIndex({ path, wanted, geometry, wholeChunks: false, log });
  if (report.chunks !== chunks) throw new Error(`rebuilt ${report.chunks} of ${chunks} chunks`);
  figures.rebuildSlotsPerSecond = Math.round(chunks / report.seconds);
}

function round(value) {
  return Math.round(value * 100) / 100;
}
