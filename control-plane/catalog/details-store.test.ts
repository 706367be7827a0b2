import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import * as fc from "fast-check";
import { eachStore } from "../../tests/support/each-store.js";
import { OperatingError } from "../../runtime/operating-error.js";
import { CatalogStore } from "./catalog-store.js";
import { DetailsStore, type DetailsPageEnd } from "./details-store.js";
import { kindNumberOf, type EditorialDetails } from "./title-details.js";

const details = (titleId: string, rest: Partial<EditorialDetails> = {}): EditorialDetails => ({
  titleId,
  kind: "film",
  name: `The ${titleId}`,
  parentId: "",
  number: 0,
  otherNames: ["Ünïcode 🎬"],
  synopsis: "",
  genres: ["drama"],
  people: [],
  releaseYear: 1999,
  maturityAge: 0,
  artwork: [{ purpose: "poster", url: "a/poster.jpg", width: 2, height: 3, language: "" }],
  windows: [{ countries: ["DE"], fromUnixMs: 5, untilUnixMs: 2 ** 47 }],
  ...rest,
});
const family = [
  details("s", { kind: "series" }),
  details("s-1", { kind: "season", parentId: "s", number: 1 }),
  details("s-1-1", { kind: "episode", parentId: "s-1", number: 1 }),
];
const published = (titleId: string, name: string) => ({
  titleId,
  name,
  durationSeconds: 1,
  hlsPath: "",
  dashPath: "",
  sizeBytes: 1,
  objectCount: 1,
  publishedAtUnixMs: 1,
});
const object = { path: "x", sizeBytes: 1, etag: '"1"', chunkBytes: 1 };
const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => "none",
    (error: unknown) => (error instanceof OperatingError ? error.code : String(error)),
  );

eachStore("DetailsStore keeps details exactly, and counts as changed what has changed", async ({ store }) => {
  const titles = new DetailsStore(store);
  assert.equal(await titles.put(family), 3);
  const { media, published: hasObjects, revision, ...kept } = (await titles.get("s-1"))!;
  assert.deepEqual([kept, media, hasObjects], [family[1], undefined, false]);
  assert.equal(await titles.put(family), 0);
  assert.equal((await titles.get("s-1"))!.revision, revision, "what stays as it is has no new revision");
  assert.equal(await titles.put([...family.slice(0, 2), details("s-1-1", { ...family[2]!, name: "Pilot" })]), 1);
  assert.deepEqual(
    (await titles.lineage("s-1-1")).map(({ name }) => name),
    ["Pilot", "The s-1", "The s"],
  );
  assert.deepEqual(await titles.lineage("nothing"), []);
  const { maturityAge: _, ...unrated } = details("s");
  await titles.put([{ ...unrated, kind: "series" }]);
  assert.equal((await titles.get("s"))!.maturityAge, undefined);
});

eachStore(
  "DetailsStore refuses parts of what is not there, and other kinds for what has parts or objects, and writes nothing then",
  async ({ store }) => {
    const titles = new DetailsStore(store);
    const catalog = new CatalogStore(store);
    assert.equal(await codeOf(titles.put([details("good"), family[1]!])), "parent-unknown");
    assert.equal(await titles.get("good"), undefined);
    // Parents must come first, also within one call.
    assert.equal(await codeOf(titles.put([family[1]!, family[0]!])), "parent-unknown");
    await titles.put(family);
    assert.equal(await codeOf(titles.put([details("e", { kind: "season", parentId: "s-1" })])), "parent-unknown");
    assert.equal(await codeOf(titles.put([details("s")])), "title-kind-fixed");
    await catalog.replaceTitle(published("f", "F"), [object]);
    assert.equal(await codeOf(titles.put([details("f", { kind: "series" })])), "title-kind-fixed");
    assert.equal(await codeOf(catalog.replaceTitle(published("s", "S"), [object])), "title-kind-fixed");
    assert.equal(await catalog.getTitle("s"), undefined);
    assert.equal(await titles.put([details("f", { kind: "episode", parentId: "s" })]), 1);
  },
);

eachStore(
  "a title that is published is a film by the file's name until a person describes it; encodes come and go with the objects",
  async ({ store }) => {
    const titles = new DetailsStore(store);
    const catalog = new CatalogStore(store);
    const media = JSON.stringify({ encodes: [], audioLanguages: ["de"], subtitleLanguages: [] });
    await catalog.replaceTitle(published("f", "f.mkv"), [object], media);
    const found = (await titles.get("f"))!;
    assert.deepEqual([found.kind, found.name, found.published, found.media?.audioLanguages], ["film", "f.mkv", true, ["de"]]);
    await titles.put([details("f", { name: "Fanny" })]);
    assert.deepEqual([(await titles.get("f"))!.media?.audioLanguages, (await catalog.getTitle("f"))!.title.name], [["de"], "Fanny"]);
    assert.equal((await catalog.replaceTitle(published("f", "f2.mkv"), [object])).name, "Fanny");
    const again = (await titles.get("f"))!;
    assert.deepEqual([again.name, again.genres, again.media], ["Fanny", ["drama"], undefined]);
    // Details first, objects later.
    await titles.put(family);
    await catalog.replaceTitle(published("s-1-1", "file"), [object], media);
    const episode = (await titles.get("s-1-1"))!;
    assert.deepEqual([episode.kind, episode.name, episode.published, episode.parentId], ["episode", "The s-1-1", true, "s-1"]);
  },
);

eachStore("DetailsStore pages through all titles once, parents before their parts, whatever the page size", async ({ store }) => {
  const titles = new DetailsStore(store);
  const films = Array.from({ length: 9 }, (_, number) => details(`z-${(number * 7) % 9}`));
  const episodes = Array.from({ length: 12 }, (_, number) =>
    details(`s-1-${number}`, { ...family[2]!, titleId: `s-1-${number}`, number: 12 - number }),
  );
  await titles.put([...family, ...films, ...episodes]);
  const walk = async (limit: number, parentId?: string) => {
    const seen: string[] = [];
    let after: DetailsPageEnd | undefined;
    for (;;) {
      const page = await titles.list(limit, { ...(parentId !== undefined && { parentId }), after });
      seen.push(...page.map(({ titleId }) => titleId));
      const last = page.at(-1);
      if (!last || seen.length > 100) return seen;
      after = { order: parentId === undefined ? kindNumberOf(last.kind) : last.number, titleId: last.titleId };
    }
  };
  const all = [...films.map(({ titleId }) => titleId).sort(), "s", "s-1", ...episodes.map(({ titleId }) => titleId).sort()];
  const parts = episodes.toSorted((a, b) => a.number - b.number || (a.titleId < b.titleId ? -1 : 1)).map(({ titleId }) => titleId);
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 30 }), async (limit) => {
      assert.deepEqual(await walk(limit), all);
      assert.deepEqual(await walk(limit, "s-1"), parts);
    }),
    { numRuns: 8 },
  );
});

eachStore("DetailsStore: writers of two copies lose nothing, and who follows the revision sees every change", async ({ openCopy }) => {
  const copies = [new DetailsStore(await openCopy()), new DetailsStore(await openCopy())];
  const reader = new DetailsStore(await openCopy());
  const seen = new Map<string, string>();
  let at = { revision: -1, titleId: "" };
  const follow = async () => {
    for (const title of await reader.listChanged(3, at)) {
      seen.set(title.titleId, title.name);
      at = { revision: title.revision, titleId: title.titleId };
    }
  };
  const writes = Array.from({ length: 20 }, (_, number) => number);
  const writing = Promise.all(
    copies.map(async (titles, copy) => {
      for (const number of writes) await titles.put([details(`t-${number % 5}-${copy}`, { name: `${number}` })]);
    }),
  );
  let done = false;
  void writing.finally(() => (done = true)).catch(() => undefined);
  while (!done) {
    await follow();
    // SQLite answers without ever giving way to timers.
    await setImmediate();
  }
  await writing;
  for (let round = 0; round < 10; round++) await follow();
  const expected = [0, 1].flatMap((copy) => [0, 1, 2, 3, 4].map((number) => [`t-${number}-${copy}`, `${number + 15}`]));
  assert.deepEqual([...seen].sort(), expected.sort());
});
