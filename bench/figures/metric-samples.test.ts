import assert from "node:assert/strict";
import { test } from "node:test";
import { quantileBetween, readSamples } from "./metric-samples.js";

test("readSamples() sums by labels and tells values by a label", () => {
  const samples = readSamples('# HELP a b\na{disk="/d1",state="online"} 1\na{disk="/d 2",state="online"} 2e3\nb 5\n');
  assert.equal(samples.sum("a"), 2001);
  assert.equal(samples.sum("a", { disk: "/d1" }), 1);
  assert.equal(samples.sum("missing"), 0);
  assert.deepEqual(
    [...samples.by("a", "disk")],
    [
      ["/d1", 1],
      ["/d 2", 2000],
    ],
  );
});

test("quantileBetween() counts only what came between the readings, over all workers", () => {
  const text = (counts: readonly [number, number, number][]) =>
    counts
      .map(
        ([a, b, c], worker) =>
          `h_bucket{worker="${worker}",le="0.001"} ${a}\nh_bucket{worker="${worker}",le="0.005"} ${b}\nh_bucket{worker="${worker}",le="+Inf"} ${c}\n`,
      )
      .join("");
  const from = readSamples(
    text([
      [100, 200, 300],
      [0, 0, 0],
    ]),
  );
  const to = readSamples(
    text([
      [150, 290, 390],
      [9, 10, 10],
    ]),
  );
  assert.equal(quantileBetween("h", 0.5, { from, to }), 0.001);
  assert.equal(quantileBetween("h", 0.99, { from, to }), 0.005);
  assert.equal(quantileBetween("h", 0.5, { from: to, to }), undefined);
  const late = readSamples(
    text([
      [150, 290, 490],
      [9, 10, 10],
    ]),
  );
  assert.equal(quantileBetween("h", 0.99, { from, to: late }), Infinity);
});
