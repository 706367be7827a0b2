import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { fillRulesOf } from "./fill-rules.js";
import { rankSources, sourcesMax, type SourceCandidate } from "./source-ranking.js";

const box = (id: string, rest: Partial<SourceCandidate> = {}): SourceCandidate => ({
  id,
  siteId: "s1",
  clusterId: "c1",
  role: "edge",
  dataUrl: `http://${id}/`,
  weight: 1,
  healthy: true,
  admitsFill: true,
  holds: "all",
  planned: false,
  ...rest,
});
const rules = fillRulesOf({
  masters: 1,
  escalation: { masterOriginWait: 300_000, memberTierWait: 600_000, memberOriginWait: 3_600_000 },
});
const named = (asker: SourceCandidate, candidates: readonly SourceCandidate[]) =>
  rankSources(asker, "p", candidates, rules).sources.map(({ id, scope }) => `${scope} ${id}`);

test("rankSources() gives an edge its holding peers, then storage that holds, then storage that would fetch", () => {
  const candidates = [
    box("me"),
    box("store-cold", { role: "storage", clusterId: "y", holds: "none" }),
    box("store", { role: "storage", clusterId: "x" }),
    box("peer"),
    box("peer-part", { holds: "some" }),
    box("peer-sick", { healthy: false }),
    box("peer-busy", { admitsFill: false }),
    box("other-cluster", { clusterId: "c2" }),
    box("store-sick", { role: "storage", healthy: false }),
  ];
  assert.deepEqual(named(candidates[0]!, candidates), ["cluster peer", "tier store", "tier store-cold"]);
});

test("rankSources() sends storage only to storage that holds the object whole", () => {
  const candidates = [
    box("me", { role: "storage", clusterId: "x", holds: "none" }),
    box("mate", { role: "storage", clusterId: "x" }),
    box("mate-cold", { role: "storage", clusterId: "x", holds: "none" }),
    box("far", { role: "storage", clusterId: "y" }),
    box("edge", { clusterId: "x" }),
  ];
  assert.deepEqual(named(candidates[0]!, candidates), ["cluster mate", "tier far"]);
});

test("rankSources() has no cycle of appliances that all lack the object, never names the asker, the sick or one twice", () => {
  const fleet = fc
    .array(
      fc.record({
        clusterId: fc.constantFrom("c1", "c2"),
        role: fc.constantFrom("edge" as const, "storage" as const),
        healthy: fc.boolean(),
        holds: fc.constantFrom("all" as const, "some" as const, "none" as const),
      }),
      { maxLength: 24 },
    )
    .map((list) => list.map((rest, number) => box(`box-${number}`, rest)));
  fc.assert(
    fc.property(fleet, (candidates) => {
      const byId = new Map(candidates.map((candidate) => [candidate.id, candidate]));
      for (const asker of candidates) {
        const { sources } = rankSources(asker, "p", candidates, rules);
        assert.ok(sources.length <= sourcesMax);
        assert.equal(new Set(sources.map(({ id }) => id)).size, sources.length);
        for (const { id } of sources) {
          assert.notEqual(id, asker.id);
          const source = byId.get(id)!;
          assert.ok(source.healthy && source.admitsFill);
          // One that lacks it asks further: it must stand higher than the asker, or the two could ask each other.
          if (source.holds !== "all") assert.ok(asker.role === "edge" && source.role === "storage");
        }
      }
    }),
  );
});

test("rankSources() elects so many masters of a cluster, among those whose manifest names the object, and others when they die", () => {
  const cluster = Array.from({ length: 8 }, (_, at) => box(`box-${at}`, { holds: "none", planned: at < 5 }));
  const mastersOf = (fleet: readonly SourceCandidate[], masters: number) =>
    fleet.filter((asker) => rankSources(asker, "p", fleet, { ...rules, masters }).isMaster).map(({ id }) => id);
  assert.equal(mastersOf(cluster, 1).length, 1);
  const two = mastersOf(cluster, 2);
  assert.equal(two.length, 2);
  assert.ok(two.every((id) => Number(id.slice(4)) < 5));
  const withoutFirst = cluster.map((one) => (one.id === two[0] ? { ...one, healthy: false } : one));
  const after = mastersOf(withoutFirst, 2);
  assert.equal(after.length, 2);
  assert.ok(!after.includes(two[0]!) && after.includes(two[1]!));
  // Different objects have different masters: the road is shared.
  const all = new Set(
    Array.from({ length: 50 }, (_, at) => cluster.find((asker) => rankSources(asker, `p${at}`, cluster, rules).isMaster)!.id),
  );
  assert.equal(all.size, 5);
});

test("rankSources() lets masters go up at once and the others wait; without a tier the origin takes its place", () => {
  const edges = [box("a", { holds: "none", planned: true }), box("b", { holds: "none", planned: true })];
  const store = box("store", { role: "storage", clusterId: "x", siteId: "x", holds: "none" });
  const waits = (fleet: readonly SourceCandidate[]) =>
    new Map(
      edges.map((asker) => {
        const { isMaster, steps } = rankSources(asker, "p", fleet, rules);
        return [isMaster, steps.map(({ scope, waitSeconds }) => `${scope} ${waitSeconds}`)];
      }),
    );
  assert.deepEqual(waits([...edges, store]).get(true), ["cluster 0", "tier 0", "origin 300"]);
  assert.deepEqual(waits([...edges, store]).get(false), ["cluster 0", "tier 600", "origin 3600"]);
  assert.deepEqual(waits(edges).get(true), ["cluster 0", "tier 0", "origin 0"]);
  assert.deepEqual(waits(edges).get(false), ["cluster 0", "tier 600", "origin 600"]);
  // A storage appliance that is away for a moment is still a tier: the origin is not asked by the whole edge because of it.
  assert.deepEqual(waits([...edges, { ...store, healthy: false }]).get(true), ["cluster 0", "tier 0", "origin 300"]);
});

test("rankSources() sends edges to no storage appliance that would fetch but the masters of its cluster", () => {
  const edge = box("edge", { holds: "none" });
  const stores = Array.from({ length: 5 }, (_, at) => box(`store-${at}`, { role: "storage", clusterId: "x", holds: "none" }));
  const fleet = [edge, ...stores];
  assert.equal(rankSources(edge, "p", fleet, rules).sources.length, 1);
  const [fetcher] = rankSources(edge, "p", fleet, rules).sources;
  assert.ok(
    rankSources(
      stores.find(({ id }) => id === fetcher!.id)!,
      "p",
      fleet,
      rules,
    ).isMaster,
  );
});
