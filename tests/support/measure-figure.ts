// Measures one figure of the bench with small sets, as a person would.
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { Figure, FiguresResult } from "../../bench/report/figures-result.js";
import { startBench } from "./run-bench.js";

/** Fails when something happened that must not, or when anything is left behind. */
export async function measureFigure(t: TestContext, name: string): Promise<Figure> {
  const folder = mkdtempSync(join(tmpdir(), "millrace-figures-test-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const { code, stdout, stderr } = await startBench(["figures", name, "--quick", "--json", "--folder", folder]).end;
  assert.equal(code, 0, `${stdout}\n${stderr}`);
  const result = JSON.parse(stdout) as FiguresResult;
  assert.equal(result.verdict.ok, true);
  assert.deepEqual(readdirSync(folder), [], "the sets were left behind");
  const figure = result.figures[0]!;
  assert.equal(figure.name, name);
  for (const value of figure.values) assert.ok(Number.isFinite(value.spread.median), `${value.name} is ${value.spread.median}`);
  return figure;
}

/** The median of a value by its name. */
export function medianOf({ values }: Figure, name: string): number {
  const value = values.find((one) => one.name === name);
  assert.ok(value, `there is no "${name}" among ${values.map((one) => one.name).join(", ")}`);
  return value.spread.median;
}
