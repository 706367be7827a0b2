import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { ManualClock } from "../../runtime/manual-clock.js";
import { planManifest, type PlanObject } from "./manifest-plan.js";
import { ManifestPlanner } from "./manifest-planner.js";

const object = (titleId: string, path: string, sizeBytes: number, etag = '"1"'): PlanObject => ({ titleId, path, sizeBytes, etag });
const pathsOf = (objects: PlanObject[], capacityBytes: number, chunkBytes = 1) =>
  planManifest(objects, { capacityBytes, chunkBytes }).entries.map(({ path }) => path);

const catalog = [
  object("new", "new/a", 60),
  object("new", "new/b", 30),
  object("mid", "mid/a", 50),
  object("mid", "shared", 10),
  object("old", "old/a", 5),
  object("old", "shared", 10, '"0"'),
];

test("planManifest() takes whole titles, newest first, and passes over one that does not fit", () => {
  assert.deepEqual(pathsOf(catalog, 1000), ["new/a", "new/b", "mid/a", "shared", "old/a"]);
  assert.deepEqual(pathsOf(catalog, 105), ["new/a", "new/b", "old/a", "shared"]);
  assert.deepEqual(pathsOf(catalog, 89), ["mid/a", "shared", "old/a"]);
  assert.deepEqual(pathsOf(catalog, 0), []);
});

test("planManifest() counts whole slots", () => {
  assert.deepEqual(pathsOf([object("t", "a", 1), object("t", "b", 101)], 399, 100), ["a", "b"]);
  assert.deepEqual(pathsOf([object("t", "a", 1), object("t", "b", 101)], 299, 100), []);
});

test("planManifest() takes the newest title's version of a path that two have", () => {
  const { entries } = planManifest(catalog, { capacityBytes: 1000, chunkBytes: 1 });
  assert.deepEqual(
    entries.filter(({ path }) => path === "shared").map(({ etag }) => etag),
    ['"1"'],
  );
});

test("planManifest() gives another version when, and only when, the entries are others", () => {
  const small = fc.record({
    titleId: fc.constant("t"),
    path: fc.constantFrom("a", "b"),
    sizeBytes: fc.nat(2),
    etag: fc.constantFrom('"1"', '"2"'),
  });
  fc.assert(
    fc.property(fc.array(small, { maxLength: 3 }), fc.array(small, { maxLength: 3 }), (one, other) => {
      const [planOne, planOther] = [one, other].map((objects) => planManifest(objects, { capacityBytes: 100, chunkBytes: 1 }));
      assert.equal(planOne!.version === planOther!.version, JSON.stringify(planOne!.entries) === JSON.stringify(planOther!.entries));
      assert.notEqual(planOne!.version, 0n);
    }),
  );
});

function openPlanner() {
  const clock = new ManualClock();
  const store = { revision: 1, objects: [object("t", "a", 1)], reads: 0 };
  const planner = new ManifestPlanner(
    {
      readRevision: () => Promise.resolve(store.revision),
      listObjectsNewestFirst: () => {
        store.reads++;
        return Promise.resolve(store.objects.map((each) => ({ ...each, chunkBytes: 1 })));
      },
    },
    clock,
  );
  return { clock, store, planner };
}

const size = { capacityBytes: 100, chunkBytes: 1 };

test("ManifestPlanner makes a plan once per catalog, and looks for a new catalog after a second", async () => {
  const { clock, store, planner } = openPlanner();
  const first = await planner.planFor(size);
  assert.equal(await planner.planFor(size), first);
  store.revision = 2;
  store.objects = [object("t", "b", 1)];
  assert.equal(await planner.planFor(size), first);
  clock.turn(1001);
  assert.deepEqual(
    (await planner.planFor(size)).entries.map(({ path }) => path),
    ["b"],
  );
  assert.equal(store.reads, 2);
});

test("ManifestPlanner sees at once what this process has published", async () => {
  const { store, planner } = openPlanner();
  const first = await planner.planFor(size);
  store.revision = 2;
  store.objects = [object("t", "b", 1)];
  planner.catalogChanged();
  assert.notEqual((await planner.planFor(size)).version, first.version);
});
