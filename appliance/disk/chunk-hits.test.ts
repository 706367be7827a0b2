import assert from "node:assert/strict";
import { test } from "node:test";
import { chunkHashOf } from "../chunk-hash.js";
import { allocateChunkHits, ChunkHits, hitsMax, tickMs } from "./chunk-hits.js";

function openHits() {
  let nowMs = 1e12;
  const memory = allocateChunkHits(100);
  const clock = { unixMs: () => nowMs, monotonicMs: () => 0 };
  return { worker: new ChunkHits(memory, clock), fill: new ChunkHits(memory, clock), pass: (ms: number) => void (nowMs += ms) };
}

test("ChunkHits counts what one thread notes for another, once per tick and up to its bound", () => {
  const { worker, fill, pass } = openHits();
  const hash = chunkHashOf(77, 3);
  fill.begin(hash);
  for (let part = 0; part < 16; part++) worker.note(77, 3);
  assert.equal(fill.countOf(hash), 0, "whoever brought it in is no hit, in as many parts as it may ask");
  for (let viewer = 1; viewer <= 5; viewer++) {
    pass(tickMs);
    for (let part = 0; part < 16; part++) worker.note(77, 3);
    assert.equal(fill.countOf(hash), Math.min(viewer, hitsMax));
  }
  assert.equal(fill.countOf(chunkHashOf(77, 4)), 0);
});

test("ChunkHits forgets hits that were taken away, and counts on from there", () => {
  const { worker, fill, pass } = openHits();
  const hash = chunkHashOf(5, 0);
  for (let viewer = 0; viewer < 3; viewer++) {
    worker.note(5, 0);
    pass(tickMs);
  }
  fill.setCount(hash, 1);
  assert.equal(fill.countOf(hash), 1);
  worker.note(5, 0);
  assert.equal(fill.countOf(hash), 2);
});

test("allocateChunkHits() has two bytes for a slot, and bounds", () => {
  assert.equal(allocateChunkHits(1).byteLength, 2 ** 16);
  assert.equal(allocateChunkHits(1_000_000).byteLength, 2 ** 21);
  assert.equal(allocateChunkHits(1e9).byteLength, 2 ** 26);
});
