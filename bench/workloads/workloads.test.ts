import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { countWrongBytes } from "../load/offset-content.js";
import { catalogName, generatedObjects, parseCatalog, readCatalogFile, writeObjectFiles } from "./object-files.js";
import { defaultFlags } from "./workload-flags.js";
import { planOf } from "./workload-plan.js";
import { canonicalWorkloads, findWorkload, flagsOf, flagsText, workloads } from "./workload-table.js";

const target = {
  baseUrl: "http://127.0.0.1/",
  caPem: null,
  insecure: false,
  headers: {},
  objects: generatedObjects(2, 100),
  replay: null,
  workers: 1,
};

test("every workload stands for flags that make a plan", () => {
  for (const workload of [...workloads, ...canonicalWorkloads]) {
    const plan = planOf(flagsOf(workload, {}), target);
    assert.ok(plan.seconds > 0, workload.name);
    assert.ok(flagsText(workload.flags).startsWith("--"), workload.name);
  }
  assert.equal(new Set(workloads.map(({ name }) => name)).size, workloads.length);
});

test("the canonical workloads take less than three minutes", () => {
  const seconds = canonicalWorkloads.reduce((sum, workload) => {
    const flags = flagsOf(workload, {});
    const plan = planOf(flags, target);
    return sum + flags.rounds * (plan.warmupSeconds + plan.seconds);
  }, 0);
  // The rest is for making the files, starting servers and waiting for the last answers.
  assert.ok(seconds <= 120, `${seconds} s`);
});

test("flagsOf() puts what was typed over the workload, and the workload over the defaults", () => {
  const flags = flagsOf(findWorkload("zipf"), { alpha: 0.7 });
  assert.equal(flags.alpha, 0.7);
  assert.equal(flags.curve, "diurnal");
  assert.equal(flags.seed, defaultFlags.seed);
  assert.throws(() => findWorkload("nonsense"), /there are ranges-4k/);
});

test("planOf() names the flag that it can't use", () => {
  assert.throws(
    () => planOf({ ...defaultFlags, objectSize: "1MiB", range: "lots" }, target),
    /Cannot use --range: expected an amount of bytes.*"lots"/,
  );
  assert.throws(() => planOf({ ...defaultFlags, connections: 0 }, target), /Cannot use --connections/);
  assert.throws(() => planOf({ ...defaultFlags, pick: "zipff" }, target), /Cannot use --pick: expected one of uniform, zipf, once/);
  assert.throws(() => planOf({ ...defaultFlags, rate: Number.NaN }, target), /Cannot use --rate/);
});

test("writeObjectFiles() writes objects that verify, and a catalog that reads back", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "millrace-objects-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const objects = generatedObjects(3, 5_000_000);
  await writeObjectFiles(folder, objects);
  for (const object of objects) {
    const bytes = readFileSync(join(folder, object.name));
    assert.equal(bytes.length, 5_000_000);
    assert.equal(countWrongBytes(bytes, 0, bytes.length, object.contentNumber!, 0), 0);
  }
  assert.deepEqual(await readCatalogFile(join(folder, catalogName)), objects);
});

test("parseCatalog() refuses what it can't ask for, and doesn't verify content that it doesn't know", () => {
  assert.throws(() => parseCatalog("{", "c"), /Cannot use catalog c/);
  assert.throws(() => parseCatalog('{"objects":[]}', "c"), /no "objects"/);
  assert.throws(() => parseCatalog('{"objects":[{"name":"a b\\r\\nX: y","bytes":1}]}', "c"), /object 0 has no name/);
  assert.throws(() => parseCatalog('{"objects":[{"name":"a","bytes":-1}]}', "c"), /object 0 has no "bytes"/);
  const foreign = parseCatalog('{"content":"other","objects":[{"name":"/a","bytes":1,"contentNumber":3}]}', "c");
  assert.deepEqual(foreign, [{ name: "a", bytes: 1, contentNumber: null }]);
});
