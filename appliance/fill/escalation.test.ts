import assert from "node:assert/strict";
import { test } from "node:test";
import { openSources, type EscalationStep, type RankedSource } from "./escalation.js";

const source = (url: string, scope: RankedSource["scope"], hops: number): RankedSource => ({ url, scope, hops, applianceId: url });
const step = (scope: EscalationStep["scope"], waitSeconds: number, maxHops = 0, maxBytesPerSecond = 0): EscalationStep => ({
  scope,
  waitSeconds,
  maxHops,
  maxBytesPerSecond,
});
const sources = [source("p1", "cluster", 0), source("p2", "cluster", 0), source("s1", "tier", 1), source("s2", "tier", 4)];
const urls = (open: { sources: readonly RankedSource[] }) => open.sources.map(({ url }) => url);

test("openSources() asks everyone at once when there are no steps", () => {
  const open = openSources({ sources, steps: [], validSeconds: 0 }, 0);
  assert.deepEqual(urls(open), ["p1", "p2", "s1", "s2"]);
  assert.deepEqual([open.upstreams, open.nextStepInMs], [true, undefined]);
  assert.deepEqual(urls(openSources({ sources: [], steps: [], validSeconds: 0 }, 0)), []);
});

test("openSources() opens one step after the other as time passes, and says when the next one opens", () => {
  const answer = {
    sources,
    steps: [step("cluster", 0), step("tier", 10, 1), step("tier", 60), step("origin", 300, 0, 5)],
    validSeconds: 0,
  };
  for (const [seconds, expected, upstreams, next] of [
    [0, ["p1", "p2"], false, 10],
    [10, ["p1", "p2", "s1"], false, 50],
    [60, ["p1", "p2", "s1", "s2"], false, 240],
    [300, ["p1", "p2", "s1", "s2"], true, undefined],
  ] as const) {
    const open = openSources(answer, seconds * 1000);
    assert.deepEqual(urls(open), expected);
    assert.deepEqual([open.upstreams, open.nextStepInMs], [upstreams, next && next * 1000]);
  }
});

test("openSources() gives the limit of the first open step that has anyone to ask", () => {
  const steps = [step("cluster", 0, 0, 1), step("tier", 0, 0, 2), step("origin", 0, 0, 3)];
  assert.equal(openSources({ sources, steps, validSeconds: 0 }, 0).maxBytesPerSecond, 1);
  assert.equal(openSources({ sources: sources.slice(2), steps, validSeconds: 0 }, 0).maxBytesPerSecond, 2);
  assert.equal(openSources({ sources: [], steps, validSeconds: 0 }, 0).maxBytesPerSecond, 3);
});

test("openSources() lets sources that are equally near take turns, and nobody else", () => {
  const firsts = [0, 1, 2, 3].map((turn) => urls(openSources({ sources, steps: [], validSeconds: 0 }, 0, turn)).join());
  assert.deepEqual(firsts, ["p1,p2,s1,s2", "p2,p1,s1,s2", "p1,p2,s1,s2", "p2,p1,s1,s2"]);
});
