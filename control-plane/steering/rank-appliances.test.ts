import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { rankAppliances, type SteeringCandidate, type SteeringRules } from "./rank-appliances.js";
import { parseAddress, SitePrefixes } from "./site-prefixes.js";

const rules: SteeringRules = {
  sites: new SitePrefixes([
    { id: "near", prefixes: ["10.0.0.0/8"] },
    { id: "wide", prefixes: ["0.0.0.0/0"] },
  ]),
  siteRanks: new Map([
    ["near", 50],
    ["wide", 50],
    ["far-b", 1],
    ["far-a", 2],
  ]),
  minUrls: 3,
  maxUrls: 10,
  minSites: 2,
};

const box = (id: string, siteId: string, rest: Partial<SteeringCandidate> = {}): SteeringCandidate => ({
  id,
  siteId,
  role: "edge",
  dataUrl: `http://${id}/`,
  weight: 1,
  unhealthy: undefined,
  holds: "all",
  ...rest,
});

const rank = (candidates: SteeringCandidate[], rest: Partial<SteeringRules> = {}, titleKey = "t/master.m3u8") =>
  rankAppliances({ address: parseAddress("10.1.2.3")!, titleKey }, candidates, { ...rules, ...rest });
const idsOf = (answer: ReturnType<typeof rank>) => answer.ranked.map(({ candidate }) => candidate.id);

test("rankAppliances() puts sites in order of prefix length, then rank, then name, and unlisted sites last", () => {
  const candidates = ["nowhere", "far-a", "far-b", "wide", "near"].map((site) => box(site, site));
  const answer = rank(candidates);
  assert.deepEqual(idsOf(answer), ["near", "wide", "far-b", "far-a", "nowhere"]);
  assert.equal(answer.matchedPrefix?.prefix, "10.0.0.0/8");
  assert.deepEqual(answer.rejected, []);
});

test("rankAppliances() puts edges before storage and holders before those that read through", () => {
  const answer = rank([
    box("storage-cold", "near", { role: "storage", holds: "none" }),
    box("storage", "near", { role: "storage" }),
    box("edge-cold", "near", { holds: "some" }),
    box("edge-far", "far-a"),
    box("edge", "near"),
  ]);
  assert.deepEqual(idsOf(answer), ["edge", "edge-far", "edge-cold", "storage", "storage-cold"]);
  assert.deepEqual(
    answer.rejected.map(({ candidate, letter }) => `${letter} ${candidate.id}`),
    ["C edge-cold", "C storage-cold"],
  );
});

test("rankAppliances() names what is wrong with each unhealthy appliance and never ranks it", () => {
  const answer = rank([box("a", "near", { unhealthy: "draining: no new players", holds: "none" }), box("b", "far-a")]);
  assert.deepEqual(idsOf(answer), ["b"]);
  assert.deepEqual(
    answer.rejected.map(({ candidate, letter, reason }) => [candidate.id, letter, reason]),
    [["a", "H", "draining: no new players"]],
  );
});

test("rankAppliances() has the second site among the first minUrls, so that a dead site is left early", () => {
  const near = Array.from({ length: 12 }, (_, number) => box(`near-${number}`, "near"));
  const answer = rank([...near, box("far", "far-a"), box("store", "exchange", { role: "storage" })]);
  assert.equal(answer.ranked.length, 10);
  assert.deepEqual(
    answer.ranked.slice(0, 3).map(({ candidate }) => candidate.siteId),
    ["near", "near", "far-a"],
  );
});

test("rankAppliances() gives what there is when there is little", () => {
  assert.deepEqual(idsOf(rank([])), []);
  assert.deepEqual(idsOf(rank([box("a", "near")])), ["a"]);
  assert.equal(rank([box("a", "near"), box("b", "near"), box("c", "near"), box("d", "near")]).ranked.length, 4);
});

const candidates = fc
  .array(
    fc.record({
      siteId: fc.constantFrom("near", "wide", "far-a", "nowhere"),
      role: fc.constantFrom("edge" as const, "storage" as const),
      weight: fc.integer({ min: 1, max: 4 }),
      unhealthy: fc.option(fc.constant("full"), { nil: undefined, freq: 2 }),
      holds: fc.constantFrom("all" as const, "some" as const, "none" as const),
    }),
    { maxLength: 30 },
  )
  .map((list) => list.map(({ siteId, ...rest }, number) => box(`box-${number}`, siteId, rest)));
const limits = fc
  .tuple(fc.integer({ min: 1, max: 4 }), fc.nat(3), fc.nat(8))
  .map(([minSites, more, yetMore]) => ({ minSites, minUrls: minSites + more, maxUrls: minSites + more + yetMore }));

test("rankAppliances() never ranks the unhealthy or one twice, ranks as many as it may, and spans the sites it must", () => {
  fc.assert(
    fc.property(candidates, limits, fc.string(), (list, some, titleKey) => {
      const { ranked, rejected } = rank(list, some, titleKey);
      const ids = ranked.map(({ candidate }) => candidate.id);
      assert.equal(new Set(ids).size, ids.length);
      assert.ok(ranked.every(({ candidate }) => candidate.unhealthy === undefined));
      const healthy = list.filter(({ unhealthy }) => unhealthy === undefined);
      assert.equal(ranked.length, Math.min(healthy.length, some.maxUrls));
      const sitesIn = (boxes: SteeringCandidate[]) => new Set(boxes.map(({ siteId }) => siteId)).size;
      const head = ranked.slice(0, some.minUrls).map(({ candidate }) => candidate);
      assert.ok(sitesIn(head) >= Math.min(some.minSites, sitesIn(healthy)));
      const letters = new Map(rejected.map(({ candidate, letter }) => [candidate.id, letter]));
      for (const { id, unhealthy, holds } of list) {
        assert.equal(letters.get(id), unhealthy !== undefined ? "H" : holds !== "all" ? "C" : undefined);
      }
    }),
    { numRuns: 500 },
  );
});

test("rankAppliances() does not depend on the order in which it is given the fleet", () => {
  fc.assert(
    fc.property(candidates, fc.string(), (list, titleKey) => {
      assert.deepEqual(idsOf(rank(list, {}, titleKey)), idsOf(rank(list.toReversed(), {}, titleKey)));
    }),
  );
});

test("rankAppliances() moves only a box's own titles when it comes or goes", () => {
  const boxes = Array.from({ length: 8 }, (_, number) => box(`box-${number}`, "near"));
  let moved = 0;
  for (let number = 0; number < 1000; number++) {
    const before = idsOf(rank(boxes, {}, `title-${number}`));
    const after = idsOf(rank(boxes.slice(1), {}, `title-${number}`));
    assert.deepEqual(
      after,
      before.filter((id) => id !== "box-0"),
    );
    if (after[0] !== before[0]) moved++;
  }
  // 1/8 of the titles, ± 3 standard deviations of 1 %.
  assert.ok(moved > 93 && moved < 157, String(moved));
});
