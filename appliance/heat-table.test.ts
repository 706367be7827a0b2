import assert from "node:assert/strict";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import * as fc from "fast-check";
import { allocateHeat, HeatCollector, HeatCounter, heatObjectsMax, type ObjectHeatSums } from "./heat-table.js";
import { objectKeyOf, objectKeyWords } from "./object.js";

const objectOf = (path: string) => ({
  record: { path },
  keyWords: objectKeyWords(objectKeyOf({ path, etag: '"1"', sizeBytes: 1, lastModifiedUnixMs: 0 })),
});

test("HeatCounter counts bytes by object and letter, and HeatCollector takes them out once", () => {
  const memory = allocateHeat(2);
  const [one, two] = [new HeatCounter(memory, 0), new HeatCounter(memory, 1)];
  const collector = new HeatCollector(memory, 2);
  one.add(objectOf("a"), 100, 40);
  two.add(objectOf("a"), 10, 0, "C");
  two.add(objectOf("ä/ö"), 5, 0, "H");
  const heat = new Map<string, ObjectHeatSums>();
  assert.equal(collector.collect(heat), 0);
  assert.deepEqual(
    heat,
    new Map([
      ["a", { served: 110, readThrough: 40, divertedContent: 10, divertedHealth: 0 }],
      ["ä/ö", { served: 5, readThrough: 0, divertedContent: 0, divertedHealth: 5 }],
    ]),
  );
  for (let round = 0; round < 3; round++) {
    const next = new Map<string, ObjectHeatSums>();
    collector.collect(next);
    assert.equal(next.size, 0);
  }
});

test("HeatCounter loses no byte, whatever is added between collections", () => {
  const adds = fc.array(
    fc.record({ worker: fc.nat(2), object: fc.nat(40), bytes: fc.integer({ min: 1, max: 1e9 }), collect: fc.boolean() }),
    {
      maxLength: 300,
      size: "max",
    },
  );
  const objects = Array.from({ length: 41 }, (_, at) => objectOf(`o${at}`));
  fc.assert(
    fc.property(adds, (steps) => {
      const memory = allocateHeat(3);
      const counters = [0, 1, 2].map((worker) => new HeatCounter(memory, worker));
      const collector = new HeatCollector(memory, 3);
      const heat = new Map<string, ObjectHeatSums>();
      const wanted = new Map<string, number>();
      for (const { worker, object, bytes, collect } of steps) {
        counters[worker]!.add(objects[object]!, bytes, 0);
        wanted.set(`o${object}`, (wanted.get(`o${object}`) ?? 0) + bytes);
        if (collect) collector.collect(heat);
      }
      collector.collect(heat);
      collector.collect(heat);
      assert.deepEqual(new Map([...heat].map(([path, { served }]) => [path, served])), wanted);
    }),
    { numRuns: 20 },
  );
});

test("HeatCounter counts what has no room together, and a full table is empty again after its collection", () => {
  const memory = allocateHeat(1);
  const counter = new HeatCounter(memory, 0);
  const collector = new HeatCollector(memory, 1);
  const long = "x".repeat(100);
  for (let at = 0; at < 2 * heatObjectsMax; at++) counter.add(objectOf(`${long}${at}`), 1, 0);
  const heat = new Map<string, ObjectHeatSums>();
  const other = collector.collect(heat);
  assert.equal(heat.size, heatObjectsMax);
  assert.equal(other, heatObjectsMax);
  counter.add(objectOf("a"), 1, 0);
  collector.collect(heat);
  assert.equal(heat.get("a")!.served, 1);
});

test("HeatCounter never cuts a path to what is left of its room", () => {
  const memory = allocateHeat(1);
  const counter = new HeatCounter(memory, 0);
  const collector = new HeatCollector(memory, 1);
  const paths = Array.from({ length: 2000 }, (_, at) => `${"é".repeat(900)}${at}`);
  for (const path of paths) counter.add(objectOf(path), 1, 0);
  const heat = new Map<string, ObjectHeatSums>();
  const other = collector.collect(heat);
  assert.equal(heat.size + other, 2000);
  for (const path of heat.keys()) assert.ok(paths.includes(path));
});

test("HeatCollector counts every byte once while two threads add as fast as they can", { timeout: 60_000 }, async () => {
  const memory = allocateHeat(2);
  const collector = new HeatCollector(memory, 2);
  const addsEach = 300_000;
  const code = `
    const { workerData, parentPort } = require("node:worker_threads");
    import(workerData.table).then(({ HeatCounter }) => {
      const counter = new HeatCounter(workerData.memory, workerData.worker);
      for (let at = 0; at < ${addsEach}; at++) counter.add(workerData.objects[at % workerData.objects.length], 3, 1);
      parentPort.postMessage("done");
    });`;
  const objects = Array.from({ length: 500 }, (_, at) => objectOf(`o${at}`));
  const table = new URL("heat-table.js", import.meta.url).href;
  const heat = new Map<string, ObjectHeatSums>();
  let other = 0;
  await Promise.all(
    [0, 1].map(async (worker) => {
      const thread = new Worker(code, { eval: true, workerData: { memory, worker, objects, table } });
      let done = false;
      thread.once("message", () => (done = true));
      while (!done) {
        other += collector.collect(heat);
        await new Promise((resolve) => setImmediate(resolve));
      }
      await thread.terminate();
    }),
  );
  other += collector.collect(heat) + collector.collect(heat);
  const sum = (name: keyof ObjectHeatSums) => [...heat.values()].reduce((all, one) => all + one[name], 0);
  assert.equal(sum("served") + other, 2 * addsEach * 3);
  assert.equal(sum("readThrough") + other / 3, 2 * addsEach);
});
