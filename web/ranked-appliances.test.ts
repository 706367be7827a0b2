// Tests of the choice of the next appliance.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { RankedAppliances, type RankedUrl } from "./ranked-appliances.js";

function ranked(applianceId: string, hls = `http://${applianceId}.test/clock/master.m3u8`): RankedUrl {
  return { applianceId, siteId: `site-of-${applianceId}`, hls, holds: "all" };
}

function three(): RankedAppliances {
  const appliances = new RankedAppliances();
  appliances.replace([ranked("a"), ranked("b"), ranked("c")]);
  return appliances;
}

function states(appliances: RankedAppliances): string {
  return appliances
    .list()
    .map((row) => `${row.applianceId}:${row.state}`)
    .join(" ");
}

test("nextBase() is the highest ranked appliance that has not failed", () => {
  const appliances = three();
  assert.equal(appliances.nextBase()?.applianceId, "a");
  appliances.markFailed("a", "connection lost", 1000);
  assert.equal(appliances.nextBase()?.applianceId, "b");
  appliances.markFailed("b", "connection lost", 1001);
  assert.equal(appliances.nextBase()?.applianceId, "c");
  assert.equal(states(appliances), "a:failed b:failed c:serving");
});

test("nextBase() is undefined when all have failed, and when none is known", () => {
  const appliances = three();
  for (const id of ["a", "b", "c"]) appliances.markFailed(id, "HTTP 503", 1000);
  assert.equal(appliances.nextBase(), undefined);
  assert.equal(appliances.exhausted, true);
  assert.equal(new RankedAppliances().exhausted, true);
});

test("failovers counts one when another appliance has served, however many requests died with the first", () => {
  const appliances = three();
  appliances.markServed("a", 1, 900);
  appliances.markFailed("c", "probe", 999);
  appliances.markFailed("a", "connection lost", 1000);
  appliances.markFailed("a", "connection lost", 1400);
  assert.equal(appliances.list()[0]?.failedAtMs, 1000);
  appliances.markServed("a", 1, 1450);
  assert.equal(appliances.failovers, 0, "an answer of the failed one that was on its way");
  appliances.markServed("b", 1, 1500);
  appliances.markServed("b", 1, 1600);
  assert.equal(appliances.failovers, 1);
  appliances.markRecovered("a");
  appliances.markServed("a", 1, 1700);
  assert.equal(appliances.failovers, 1, "going back to a better one is no failover");
});

test("failovers counts nothing while all are away, and nothing when the same one comes back", () => {
  const appliances = three();
  appliances.markServed("a", 1, 0);
  for (let round = 1; round < 5; round++) {
    for (const id of ["a", "b", "c"]) appliances.markFailed(id, "connection lost", round * 1000);
    appliances.forgiveAll();
  }
  appliances.markServed("a", 1, 9000);
  appliances.markServed("b", 1, 9000);
  assert.equal(appliances.failovers, 0);
});

test("dueForProbe() names a failed appliance after 10 s, then 20 s, then 40 s, at most 300 s", () => {
  const appliances = three();
  appliances.markFailed("a", "connection lost", 0);
  assert.deepEqual(appliances.dueForProbe(9_999), []);
  let nowMs = 10_000;
  for (const nextWaitMs of [20_000, 40_000, 80_000, 160_000, 300_000, 300_000]) {
    assert.deepEqual(
      appliances.dueForProbe(nowMs).map((url) => url.applianceId),
      ["a"],
    );
    appliances.markProbeFailed("a", nowMs);
    assert.deepEqual(appliances.dueForProbe(nowMs + nextWaitMs - 1), []);
    nowMs += nextWaitMs;
  }
});

test("markRecovered() puts an appliance back at its rank, with its failures remembered until it has served for two minutes", () => {
  const appliances = three();
  appliances.markFailed("a", "connection lost", 0);
  appliances.markRecovered("a");
  assert.equal(states(appliances), "a:serving b:standby c:standby");
  appliances.markFailed("a", "connection lost", 1_000);
  assert.deepEqual(appliances.dueForProbe(20_999), [], "the second wait is doubled");
  appliances.markRecovered("a");
  appliances.markServed("a", 10, 121_000);
  appliances.markFailed("a", "connection lost", 200_000);
  assert.equal(appliances.dueForProbe(210_000).length, 1, "the wait is short again");
});

test("replace() keeps what is known of an appliance at the same URL, and forgets the failure of one that has moved", () => {
  const appliances = three();
  appliances.markServed("a", 7, 0);
  appliances.markFailed("a", "connection lost", 1000);
  appliances.markFailed("b", "connection lost", 1000);
  appliances.replace([ranked("b"), ranked("a", "http://moved.test/clock/master.m3u8"), ranked("d"), ranked("d"), ranked("e", "")]);
  assert.equal(states(appliances), "b:failed a:serving d:standby");
  assert.equal(appliances.list()[1]?.bytes, 7);
});

test("forgiveAll() starts again at the top", () => {
  const appliances = three();
  for (const id of ["a", "b", "c"]) appliances.markFailed(id, "HTTP 503", 1000);
  appliances.forgiveAll();
  assert.equal(states(appliances), "a:serving b:standby c:standby");
});

test("RankedAppliances never serves from one that failed, and gives up only when all did", () => {
  const action = fc.record({
    kind: fc.constantFrom("failed", "served", "recovered", "probe"),
    id: fc.constantFrom("a", "b", "c", "unknown"),
  });
  fc.assert(
    fc.property(fc.array(action, { maxLength: 40 }), (actions) => {
      const appliances = three();
      let nowMs = 0;
      for (const { kind, id } of actions) {
        nowMs += 1000;
        if (kind === "failed") appliances.markFailed(id, "x", nowMs);
        if (kind === "served") appliances.markServed(id, 1, nowMs);
        if (kind === "recovered") appliances.markRecovered(id);
        if (kind === "probe") appliances.markProbeFailed(id, nowMs);
        const list = appliances.list();
        const next = appliances.nextBase();
        assert.equal(next === undefined, appliances.exhausted);
        assert.equal(list.filter((row) => row.state === "serving").length, next ? 1 : 0);
        assert.equal(list.find((row) => row.state !== "failed")?.applianceId, next?.applianceId);
      }
    }),
  );
});
