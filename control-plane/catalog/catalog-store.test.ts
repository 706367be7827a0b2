import assert from "node:assert/strict";
import * as fc from "fast-check";
import { eachStore } from "../../tests/support/each-store.js";
import { CatalogStore, type StoredObject, type StoredTitle } from "./catalog-store.js";

const title = (titleId: string, publishedAtUnixMs: number, rest: Partial<StoredTitle> = {}): StoredTitle => ({
  titleId,
  name: `The ${titleId}`,
  durationSeconds: 60,
  hlsPath: "",
  dashPath: "",
  sizeBytes: 2 ** 53 - 1,
  objectCount: 1,
  publishedAtUnixMs,
  ...rest,
});
const object = (path: string, etag = '"1"', sizeBytes = 2 ** 53 - 1): StoredObject => ({ path, sizeBytes, etag, chunkBytes: 2 ** 20 });

eachStore("CatalogStore keeps titles and objects exactly, in the order published", async ({ store }) => {
  const catalog = new CatalogStore(store);
  const objects = Array.from({ length: 2500 }, (_, number) => object(`ä/${(number * 7919) % 2500}`));
  await catalog.replaceTitle(title("a", 1), objects);
  assert.deepEqual(await catalog.getTitle("a"), { title: title("a", 1), objects });
  assert.equal(await catalog.getTitle("b"), undefined);
});

eachStore("CatalogStore replaces a title with all its objects, and counts each change", async ({ store }) => {
  const catalog = new CatalogStore(store);
  assert.equal(await catalog.readRevision(), 0);
  await catalog.replaceTitle(title("a", 1), [object("x"), object("y")]);
  await catalog.replaceTitle(title("a", 2, { name: "Other" }), [object("y", '"2"'), object("z")]);
  const found = await catalog.getTitle("a");
  assert.equal(found?.title.name, "Other");
  assert.deepEqual(
    found.objects.map(({ path, etag }) => path + etag),
    ['y"2"', 'z"1"'],
  );
  assert.equal(await catalog.readRevision(), 2);
});

eachStore("CatalogStore changes nothing when a part of a title can't be written", async ({ store }) => {
  const catalog = new CatalogStore(store);
  await catalog.replaceTitle(title("a", 1), [object("x")]);
  await assert.rejects(catalog.replaceTitle(title("a", 2), [object("y"), object("y")]), /unique|duplicate/i);
  assert.deepEqual(await catalog.getTitle("a"), { title: title("a", 1), objects: [object("x")] });
  assert.equal(await catalog.readRevision(), 1);
});

eachStore("CatalogStore pages through all titles once, newest first, whatever the page size", async ({ store }) => {
  const catalog = new CatalogStore(store);
  // Several titles share a moment.
  const titles = Array.from({ length: 23 }, (_, number) => title(`t-${(number * 7) % 23}`, Math.floor(number / 4)));
  for (const each of titles) await catalog.replaceTitle(each, [object(each.titleId)]);
  const expected = titles
    .toSorted((a, b) => b.publishedAtUnixMs - a.publishedAtUnixMs || (a.titleId < b.titleId ? -1 : 1))
    .map(({ titleId }) => titleId);
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 30 }), async (pageSize) => {
      const seen: string[] = [];
      let last: StoredTitle | undefined;
      do {
        const page = await catalog.listTitles(pageSize, last);
        seen.push(...page.map(({ titleId }) => titleId));
        last = page.at(-1);
      } while (last && seen.length <= titles.length);
      assert.deepEqual(seen, expected);
    }),
  );
});

eachStore("CatalogStore gives the entity tag of the newest title that has a path", async ({ store }) => {
  const catalog = new CatalogStore(store);
  await catalog.replaceTitle(title("new", 2), [object("shared", '"new"')]);
  await catalog.replaceTitle(title("old", 1), [object("shared", '"old"'), object("own", '"own"')]);
  assert.deepEqual(
    await catalog.etagsOf(["shared", "own", "absent"]),
    new Map([
      ["shared", '"new"'],
      ["own", '"own"'],
    ]),
  );
  assert.deepEqual(
    (await catalog.listObjectsOf(["old", "new"])).map(({ titleId, path }) => `${titleId} ${path}`),
    ["new shared", "old shared", "old own"],
  );
});
