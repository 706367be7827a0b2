import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { rankSources, sourcesMax, type SourceCandidate } from "./source-ranking.js";

const box = (id: string, rest: Partial<SourceCandidate> = {}): SourceCandidate => ({
  id,
  clusterId: "c1",
  role: "edge",
  dataUrl: `http://${id}/`,
  weight: 1,
  healthy: true,
  holds: "all",
  ...rest,
});

test("rankSources() gives an edge its holding peers, then storage that holds, then storage that would fetch", () => {
  const candidates = [
    box("me"),
    box("store-cold", { role: "storage", clusterId: "x", holds: "none" }),
    box("store", { role: "storage", clusterId: "x" }),
    box("peer"),
    box("peer-part", { holds: "some" }),
    box("peer-sick", { healthy: false }),
    box("other-cluster", { clusterId: "c2" }),
    box("store-sick", { role: "storage", healthy: false }),
  ];
  assert.deepEqual(
    rankSources(candidates[0]!, "p", candidates).map(({ id, scope }) => `${scope} ${id}`),
    ["cluster peer", "tier store", "tier store-cold"],
  );
});

test("rankSources() sends storage only to storage that holds the object whole", () => {
  const candidates = [
    box("me", { role: "storage", clusterId: "x", holds: "none" }),
    box("mate", { role: "storage", clusterId: "x" }),
    box("mate-cold", { role: "storage", clusterId: "x", holds: "none" }),
    box("far", { role: "storage", clusterId: "y" }),
    box("edge", { clusterId: "x" }),
  ];
  assert.deepEqual(
    rankSources(candidates[0]!, "p", candidates).map(({ id, scope }) => `${scope} ${id}`),
    ["cluster mate", "tier far"],
  );
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
        const sources = rankSources(asker, "p", candidates);
        assert.ok(sources.length <= sourcesMax);
        assert.equal(new Set(sources.map(({ id }) => id)).size, sources.length);
        for (const { id } of sources) {
          assert.notEqual(id, asker.id);
          const source = byId.get(id)!;
          assert.ok(source.healthy);
          // One that lacks it asks further: it must stand higher than the asker, or the two could ask each other.
          if (source.holds !== "all") assert.ok(asker.role === "edge" && source.role === "storage");
        }
      }
    }),
  );
});
