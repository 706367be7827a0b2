import assert from "node:assert/strict";
import { test } from "node:test";
import { benchResultSchema } from "../report/bench-result.js";
import { formatFigures } from "../report/figures-table.js";
import type { FiguresResult } from "../report/figures-result.js";
import { renderHtmlReport } from "../report/html-report.js";
import { FigureBuilder } from "./figure-builder.js";

function resultOf(builder: FigureBuilder): FiguresResult {
  return {
    schema: benchResultSchema,
    tool: "millrace bench",
    kind: "figures",
    quick: false,
    complete: true,
    startedAt: "2026-01-01T00:00:00.000Z",
    finishedAt: "2026-01-01T00:00:10.000Z",
    commit: null,
    arguments: ["bench", "figures"],
    notes: [],
    machine: { cpuModel: "<cpu>", cores: 2, memoryBytes: 2 ** 30, kernel: "Linux", node: "v20", loadAverageAtStart: 0 },
    verdict: { ok: true, text: "OK" },
    figures: [builder.figure],
  };
}

test("FigureBuilder takes the median of the rounds, and tells whether it reaches its aim", () => {
  const builder = new FigureBuilder("cold", "cold reads");
  for (const share of [0.8, 0.95, 0.92]) builder.add("share", "share", share, { atLeast: 0.9 });
  for (const ms of [4, 6, 7]) builder.add("delay", "ms", ms, { atMost: 5 });
  builder.add("rate", "bytes/s", 1e9);
  const [share, delay, rate] = builder.figure.values;
  assert.deepEqual([share!.spread.median, share!.reached], [0.92, true]);
  assert.deepEqual([delay!.spread, delay!.reached], [{ median: 6, min: 4, max: 7 }, false]);
  assert.deepEqual([rate!.target, rate!.reached], [null, null]);
});

test("a table and a page of figures show values with aims, faults and notes, and escape what they show", () => {
  const builder = new FigureBuilder("cold", "cold <reads>");
  builder.add("share", "share", 0.5, { atLeast: 0.9 });
  builder.fault("3 wrong bytes");
  builder.fault("3 wrong bytes");
  const table = formatFigures(resultOf(builder));
  assert.match(table, /50\.0 % .*≥ 90\.0 % .*MISSED/);
  assert.equal(table.match(/FAULT: 3 wrong bytes/g)?.length, 1);
  const page = renderHtmlReport([resultOf(builder)]);
  assert.match(page, /FAULT: 3 wrong bytes/);
  assert.ok(!page.includes("<reads>") && !page.includes("<cpu>"));
});
