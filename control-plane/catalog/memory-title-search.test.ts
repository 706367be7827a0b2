import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { eachStore } from "../../tests/support/each-store.js";
import { waitUntil } from "../../tests/support/wait-until.js";
import { openLog } from "../../runtime/log.js";
import { ManualClock } from "../../runtime/manual-clock.js";
import { DetailsStore } from "./details-store.js";
import { MemoryTitleSearch } from "./memory-title-search.js";
import { wordsOf } from "./search-words.js";
import type { EditorialDetails } from "./title-details.js";
import type { TitleQuery } from "./title-search.js";

const details = (titleId: string, name: string, rest: Partial<EditorialDetails> = {}): EditorialDetails => ({
  titleId,
  kind: "film",
  name,
  parentId: "",
  number: 0,
  otherNames: [],
  synopsis: "",
  genres: [],
  people: [],
  releaseYear: 0,
  maturityAge: 0,
  artwork: [],
  windows: [],
  ...rest,
});
const unrated = ({ maturityAge: _maturityAge, ...rest }: EditorialDetails): EditorialDetails => rest;
const titles = [
  details("matrix", "The Matrix", { people: ["Keanu Reeves", "Carrie-Anne Moss"], genres: ["science fiction"], maturityAge: 16 }),
  details("matrix-2", "The Matrix Reloaded", { people: ["Keanu Reeves"], maturityAge: 16 }),
  details("wick", "John Wick", { people: ["Keanu Reeves"], maturityAge: 18 }),
  details("casablanca", "Casablanca", { people: ["Ingrid Bergman", "Humphrey Bogart"] }),
  details("amelie", "Le Fabuleux Destin d’Amélie Poulain", { otherNames: ["Amélie"] }),
  details("spirited", "千と千尋の神隠し", { otherNames: ["Spirited Away"], people: ["宮崎 駿"] }),
  details("it", "It"),
  details("italian", "The Italian Job"),
  details("dark", "Dark", { kind: "series", maturityAge: 16, windows: [{ countries: ["DE"], fromUnixMs: 0, untilUnixMs: 0 }] }),
  unrated(details("dark-1", "Season 1", { kind: "season", parentId: "dark", number: 1 })),
  unrated(details("dark-1-1", "Secrets", { kind: "episode", parentId: "dark-1", number: 1 })),
  details("knight", "The Dark Knight", { maturityAge: 12 }),
];
const query = (text: string, rest: Partial<TitleQuery> = {}): TitleQuery => ({
  text,
  limit: 20,
  offset: 0,
  country: undefined,
  maturityMaxAge: undefined,
  kinds: [],
  ...rest,
});

const openSearch = (store: Pick<DetailsStore, "listChanged" | "readRevision">, titlesMax?: number) => {
  const clock = new ManualClock();
  const search = new MemoryTitleSearch({
    store,
    clock,
    log: openLog("control-plane", "silent"),
    ...(titlesMax !== undefined && { titlesMax }),
  });
  search.start();
  const loaded = () => waitUntil("the search has loaded", () => search.search(query("x")));
  const ids = async (text: string, rest: Partial<TitleQuery> = {}) =>
    (await search.search(query(text, rest))).hits.map(({ titleId }) => titleId);
  return { search, clock, loaded, ids };
};

eachStore("MemoryTitleSearch finds by typos, prefixes, accents and people, the likeliest first", async ({ store }) => {
  const kept = new DetailsStore(store);
  await kept.put(titles);
  const { ids, loaded } = openSearch(kept);
  await loaded();
  const firsts: [text: string, titleId: string][] = [
    ["matrix", "matrix"],
    ["the matrix", "matrix"],
    ["matirx", "matrix"],
    ["matrx", "matrix"],
    ["mat", "matrix"],
    ["the matrix rel", "matrix-2"],
    ["casablnca", "casablanca"],
    ["kasablanka", "casablanca"],
    ["CASABLANCA!", "casablanca"],
    ["amelie", "amelie"],
    ["fabuleux destin damelie", "amelie"],
    ["千尋", "spirited"],
    ["宮崎", "spirited"],
    ["spirited awya", "spirited"],
    ["it", "it"],
    ["ital", "italian"],
    ["dark", "dark"],
    ["dark kn", "knight"],
    ["dork knight", "knight"],
    ["bergman bogart", "casablanca"],
    ["secret", "dark-1-1"],
  ];
  for (const [text, titleId] of firsts) assert.equal((await ids(text))[0], titleId, text);
  assert.deepEqual((await ids("keanu reves")).sort(), ["matrix", "matrix-2", "wick"]);
  // No title has both words: rather one of them than nothing.
  assert.ok((await ids("casablanca zzzzzzzz")).includes("casablanca"));
  for (const text of ["", "   ", "?!", "qqqqqqqq"]) assert.deepEqual(await ids(text), [], text);
});

eachStore("MemoryTitleSearch shows what the age and the country may see, with the rules of what a title is part of", async ({ store }) => {
  const kept = new DetailsStore(store);
  await kept.put(titles);
  const { ids, loaded } = openSearch(kept);
  await loaded();
  assert.deepEqual((await ids("keanu", { maturityMaxAge: 17 })).sort(), ["matrix", "matrix-2"]);
  assert.deepEqual(await ids("keanu", { maturityMaxAge: 6 }), []);
  assert.deepEqual(await ids("secrets", { maturityMaxAge: 12 }), []);
  assert.deepEqual(await ids("secrets", { maturityMaxAge: 16, country: "DE" }), ["dark-1-1"]);
  assert.deepEqual(await ids("secrets", { country: "US" }), []);
  assert.deepEqual(await ids("dark", { country: "US" }), ["knight"]);
  assert.deepEqual(await ids("dark", { kinds: ["film"] }), ["knight"]);
});

eachStore(
  "MemoryTitleSearch sees what this copy writes at once and what another writes within a second, and goes on without the database",
  async ({ openCopy, kind }) => {
    const [own, other] = [await openCopy(), await openCopy()];
    const kept = new DetailsStore(own);
    const { ids, loaded, search, clock } = openSearch(kept);
    await loaded();
    assert.deepEqual(await ids("casablanca"), []);
    await kept.put(titles);
    search.changed();
    assert.deepEqual(await ids("casablanca"), ["casablanca"]);
    await new DetailsStore(other).put([details("casablanca", "Rick’s Café"), details("new", "Metropolis")]);
    clock.turn(1000);
    assert.deepEqual([await ids("casablanca"), await ids("ricks cafe"), await ids("metropolis")], [[], ["casablanca"], ["new"]]);
    // SQLite is never away.
    if (kind === "sqlite") return;
    await own.destroy();
    clock.turn(10_000);
    assert.deepEqual(await ids("metropolis"), ["new"]);
  },
);

test("MemoryTitleSearch pages without gaps, says how many there are, and stays within its bound", async () => {
  const rows = Array.from({ length: 60 }, (_, number) => ({
    ...details(`t-${number}`, `Common word ${"x".repeat(1 + (number % 30))}`),
    media: undefined,
    published: true,
    revision: number,
  }));
  const store = {
    readRevision: () => Promise.resolve(59),
    listChanged: (limit: number, after: { revision: number }) =>
      Promise.resolve(rows.filter(({ revision }) => revision > after.revision).slice(0, limit)),
  };
  const { search, loaded } = openSearch(store, 50);
  await loaded();
  const all = await search.search(query("common", { limit: 100 }));
  assert.equal(all.total, 50);
  const paged: string[] = [];
  for (let offset = 0; offset < 50; offset += 7) {
    paged.push(...(await search.search(query("common", { limit: 7, offset }))).hits.map(({ titleId }) => titleId));
  }
  assert.deepEqual(
    paged,
    all.hits.map(({ titleId }) => titleId),
  );
});

test("MemoryTitleSearch says that it loads until it has read the titles, and tries again when the database was away", async () => {
  let away = true;
  const store = {
    readRevision: () => Promise.resolve(0),
    listChanged: () => (away ? Promise.reject(new Error("away")) : Promise.resolve([])),
  };
  const { search, loaded } = openSearch(store);
  for (let round = 0; round < 3; round++) await assert.rejects(search.search(query("x")), { code: "search-loading", retryable: true });
  away = false;
  assert.deepEqual(await loaded(), { hits: [], total: 0 });
});

test("wordsOf() gives few, short, folded words of any text", () => {
  assert.deepEqual(wordsOf("L’Été à la Straße 7, ＦＵＬＬ"), ["lete", "a", "la", "strasse", "7", "full"]);
  assert.deepEqual(wordsOf("千と千尋"), ["千と", "と千", "千尋"]);
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 2000 }), (text) => {
      const words = wordsOf(text);
      assert.ok(words.length <= 200 && words.every((word) => word !== "" && word.length <= 80));
      assert.deepEqual(wordsOf(words.slice(0, 8).join(" ")).length >= Math.min(1, words.length), true);
    }),
  );
});
