// The bitrate rules on situations worked by hand.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { RuleSituation } from "./bitrate-rule.js";
import { BolaRule } from "./bola-rule.js";
import { ruleNames } from "./rule-names.js";
import { ruleTable } from "./rule-table.js";
import { ThroughputRule } from "./throughput-rule.js";

const situation: RuleSituation = { bitsPerSecond: [1e6, 2e6, 4e6], bufferSeconds: 0, segmentSeconds: 4, bufferMaxSeconds: 40 };

for (const name of ruleNames) {
  test(`${name}: a player that knows nothing and holds nothing takes the lowest rung`, () => {
    assert.equal(ruleTable[name].create().choose(situation), 0);
  });
  test(`${name}: one rung is the choice`, () => {
    const rule = ruleTable[name].create();
    rule.observe(1, 100);
    assert.equal(rule.choose({ ...situation, bitsPerSecond: [5e6], bufferSeconds: 3 }), 0);
  });
}

test("throughput: takes the highest rung under 0.9 of the estimate", () => {
  const choiceAt = (bitsPerSecond: number) => {
    const rule = new ThroughputRule();
    rule.observe(bitsPerSecond / 8, 1);
    return rule.choose(situation);
  };
  assert.equal(choiceAt(0.5e6), 0);
  assert.equal(choiceAt(2.2e6), 0);
  assert.equal(choiceAt(2.23e6), 1);
  assert.equal(choiceAt(4.4e6), 1);
  assert.equal(choiceAt(4.45e6), 2);
});

test("throughput: the estimate is the harmonic mean of the last five segments", () => {
  const rule = new ThroughputRule();
  assert.equal(rule.estimateBitsPerSecond(), undefined);
  rule.observe(1e6, 1);
  rule.observe(1e6, 4);
  // 8 Mb/s and 2 Mb/s: 2 ÷ (1/8 + 1/2) = 3.2 Mb/s.
  assert.ok(Math.abs(rule.estimateBitsPerSecond()! - 3.2e6) < 1);
  for (let segment = 0; segment < 5; segment++) rule.observe(500_000, 1);
  assert.ok(Math.abs(rule.estimateBitsPerSecond()! - 4e6) < 1);
  rule.observe(0, 1);
  rule.observe(10, 0);
  assert.ok(Math.abs(rule.estimateBitsPerSecond()! - 4e6) < 1);
});

test("bola: changes rungs at the buffer levels that the formula gives", () => {
  // Q_max = 10 segments, v = 0, ln 2, ln 4, V = 9 / (ln 4 + 5) = 1.40926. Equal scores of neighbours: 2 (5 V − Q) = V (ln 2 + 5) − Q gives
  // Q = 6.0695 segments = 24.28 s; 2 (V (ln 2 + 5) − Q) = V (ln 4 + 5) − Q gives Q = 7.0463 segments = 28.19 s; no score above 0 from
  // Q = 9 segments = 36 s on.
  const rule = new BolaRule();
  const at = (bufferSeconds: number) => rule.choose({ ...situation, bufferSeconds });
  assert.equal(at(24.2), 0);
  assert.equal(at(24.4), 1);
  assert.equal(at(28.1), 1);
  assert.equal(at(28.3), 2);
  assert.equal(at(35.99), 2);
  assert.equal(at(36.01), "wait");
});

test("bola: what was measured does not matter", () => {
  const rule = new BolaRule();
  rule.observe();
  assert.equal(rule.choose({ ...situation, bufferSeconds: 30 }), 2);
});
