// Each figure of `millrace bench figures` can be had, and what must not happen does not: with small sets, so what is measured says nothing of speed.
import assert from "node:assert/strict";
import { test } from "node:test";
import { measureFigure, medianOf } from "./support/measure-figure.js";

test("figure storage-cold: reads of slots, the disk's raw rate and the event loops' delay", async (t) => {
  const figure = await measureFigure(t, "storage-cold");
  assert.ok(medianOf(figure, "chunk reads") > 0);
  assert.ok(medianOf(figure, "chunk reads ÷ raw") > 0);
  assert.ok(medianOf(figure, "bodies: event-loop delay p99") > 0);
});

test("figure storage-write: fills that are checked, written and indexed", async (t) => {
  assert.ok(medianOf(await measureFigure(t, "storage-write"), "fill ÷ raw") > 0);
});

test("figure spread: a lost or new disk moves its own chunks alone", async (t) => {
  const figure = await measureFigure(t, "spread");
  assert.equal(medianOf(figure, "lost disk: chunks that lay on others and moved"), 0);
  assert.equal(medianOf(figure, "added disk: chunks that moved elsewhere than to it"), 0);
  assert.ok(medianOf(figure, "lost disk: share of all chunks that moved") > 0);
});

test("figure index: a restart with a large index, its memory and a rebuild", async (t) => {
  const figure = await measureFigure(t, "index");
  assert.ok(medianOf(figure, "restart: program start to first byte from a disk") > 0);
  assert.ok(medianOf(figure, "rebuild from slots") > 0);
});
