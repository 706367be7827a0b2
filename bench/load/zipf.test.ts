import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "./seeded-random.js";
import { harmonicNumber, ZipfChooser } from "./zipf.js";

const near = (actual: number, expected: number, tolerance: number) =>
  assert.ok(Math.abs(actual - expected) <= tolerance, `${actual} is not within ${tolerance} of ${expected}`);

test("harmonicNumber() gives the values in the tables", () => {
  near(harmonicNumber(10, 1), 7381 / 2520, 1e-12);
  near(harmonicNumber(100, 1), 5.187377517639621, 1e-12);
  near(harmonicNumber(1_000_000, 1), 14.392726722865723, 1e-9);
  near(harmonicNumber(1000, 2), 1.6439345666815597, 1e-12);
  assert.equal(harmonicNumber(42, 0), 42);
});

test("ZipfChooser gives rank r the probability r^-alpha / H", () => {
  const zipf = new ZipfChooser(100, 1);
  near(zipf.probability(0), 1 / 5.187377517639621, 1e-12);
  near(zipf.probability(9), 0.1 / 5.187377517639621, 1e-12);
  const flat = new ZipfChooser(8, 0);
  for (let rank = 0; rank < 8; rank++) near(flat.probability(rank), 1 / 8, 1e-12);
});

test("ZipfChooser.choose() turns the edges of [0, 1) into the first and the last rank", () => {
  const zipf = new ZipfChooser(3, 1);
  assert.equal(zipf.choose(0), 0);
  assert.equal(zipf.choose(1 - 2 ** -32), 2);
  // 1 / H(3, 1) = 6/11 is where the second rank begins.
  assert.equal(zipf.choose(6 / 11 - 1e-9), 0);
  assert.equal(zipf.choose(6 / 11 + 1e-9), 1);
});

test("ZipfChooser.choose() passes a chi-squared test at alpha 0.8 and 1.2", () => {
  for (const alpha of [0.8, 1.2]) {
    const n = 50;
    const zipf = new ZipfChooser(n, alpha);
    const random = seededRandom(7);
    const draws = 200_000;
    const seen = new Float64Array(n);
    for (let i = 0; i < draws; i++) seen[zipf.choose(random())]!++;
    let chiSquared = 0;
    for (let rank = 0; rank < n; rank++) {
      const expected = draws * zipf.probability(rank);
      chiSquared += (seen[rank]! - expected) ** 2 / expected;
    }
    // The 99.9 % quantile of chi-squared with 49 degrees of freedom is 85.35.
    assert.ok(chiSquared < 85.35, `chi-squared is ${chiSquared} at alpha ${alpha}`);
  }
});
