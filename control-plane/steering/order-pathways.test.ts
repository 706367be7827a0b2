import assert from "node:assert/strict";
import { test } from "node:test";
import { orderPathways, ThroughputReports } from "./order-pathways.js";
import { SteeringSessions } from "./steering-sessions.js";
import type { Box } from "./steering-fleet.js";

const box = (id: string, siteId: string, rest: Partial<Box> = {}): Box => ({
  id,
  siteId,
  number: 0,
  hash: 0,
  role: "edge",
  dataUrl: "",
  capacityBytes: 1,
  nicBitsPerSecond: 0,
  weight: 1,
  unhealthy: undefined,
  strained: undefined,
  silentAtMs: 0,
  reserved: 0,
  isOverShare: false,
  ...rest,
});
const ranked = [box("a", "near"), box("b", "near"), box("c", "far")];
const ids = (boxes: readonly Box[], boxId: string | undefined, reports: Record<string, number> = {}) =>
  orderPathways(boxes, { boxId, bitsPerSecond: 5e6, reports: new Map(Object.entries(reports)) })
    .map(({ id }) => id)
    .join("");

test("orderPathways() keeps a session where it is while that is at the nearest site, and moves it otherwise", () => {
  assert.equal(ids(ranked, undefined), "abc");
  assert.equal(ids(ranked, "b"), "bac", "another box of the same site is no reason to move");
  assert.equal(ids(ranked, "c"), "abc", "a nearer site is");
  assert.equal(ids(ranked, "gone"), "abc");
  assert.equal(ids([ranked[0]!, box("b", "near", { isOverShare: true }), ranked[2]!], "b"), "abc");
});

test("orderPathways() leaves a box that is too slow for one that is faster or not tried, and stays when none is", () => {
  assert.equal(ids(ranked, "a", { a: 1e6 }), "bca");
  assert.equal(ids(ranked, "b", { a: 1e6, b: 1e6 }), "cba");
  assert.equal(ids(ranked, "c", { a: 1e6, b: 1e6, c: 9e6 }), "cab");
  assert.equal(ids(ranked, "a", { a: 1e6, b: 1.1e6, c: 0.9e6 }), "abc", "a slow line is slow everywhere");
  assert.equal(ids(ranked, "a", { a: 4.9e6 }), "abc");
});

test("ThroughputReports counts a box from its second report on: the first is what a player starts from", () => {
  const reports = new ThroughputReports();
  reports.note("s", "a", 500_000);
  assert.deepEqual(reports.of("s"), new Map());
  reports.note("s", "a", 600_000);
  reports.note("s", "b", 600_000);
  assert.deepEqual(reports.of("s"), new Map([["a", 600_000]]));
});

test("SteeringSessions takes back its own names until they expire, and nothing else", () => {
  const sessions = new SteeringSessions("a secret of some length");
  const session = { id: "i", titleId: "t", bitsPerSecond: 5e6, expiresUnixMs: 2000 };
  const name = sessions.nameOf(session);
  assert.deepEqual(sessions.parse(name, 1999), session);
  assert.equal(sessions.parse(name, 2000), undefined);
  assert.equal(new SteeringSessions("another secret").parse(name, 0), undefined);
  for (const wrong of ["", ".", `${name}x`, `x${name}`, name.split(".")[0]!, `${name}.${name}`, "a".repeat(10_000)]) {
    assert.equal(sessions.parse(wrong, 0), undefined, wrong.slice(0, 50));
  }
});
