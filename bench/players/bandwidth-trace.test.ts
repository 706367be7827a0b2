// Bandwidth traces and the token bucket that they fill.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { packageRoot } from "../../runtime/package-root.js";
import { bytesBetween, meanBitsPerSecond, parseBandwidthTrace } from "./bandwidth-trace.js";
import { burstBytes, ShapedLink } from "./shaped-link.js";

test("parseBandwidthTrace() reads seconds and Mbps; the last line holds as long as the one before", () => {
  const trace = parseBandwidthTrace("t", "# made by hand\n10 8\n11.5\t4\n\n13,0\n");
  assert.deepEqual(Array.from(trace.startSeconds), [0, 1.5, 3]);
  assert.deepEqual(Array.from(trace.bytesPerSecond), [1e6, 5e5, 0]);
  assert.equal(trace.periodSeconds, 4.5);
  assert.equal(trace.periodBytes, 1.5e6 + 0.75e6);
  assert.equal(meanBitsPerSecond(trace), 4e6);
});

test("parseBandwidthTrace() names the line of a mistake", () => {
  const mistakes: [string, RegExp][] = [
    ["", /it has no line/],
    ["0 1\n1 fast\n", /line 2: "1 fast" is not "seconds Mbps"/],
    ["0 1\n# x\n1\n", /line 3: "1" is not/],
    ["0 1 2\n", /line 1: /],
    ["0 1\n0 2\n", /line 2: the time is not later/],
    ["0 -1\n", /line 1: the rate is below 0/],
    ["0 0\n1 0\n", /never carries anything/],
  ];
  for (const [text, message] of mistakes) assert.throws(() => parseBandwidthTrace("t", text), message, text);
});

test("bytesBetween() is the sum over small steps, over the end of the trace too", () => {
  const lines = fc.array(fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 0, max: 20 })), {
    minLength: 1,
    maxLength: 8,
    size: "max",
  });
  fc.assert(
    fc.property(lines, fc.nat(100), fc.nat(100), (gaps, a, b) => {
      let seconds = 0;
      const text = gaps.map(([gap, mbps]) => `${(seconds += gap)} ${mbps}`).join("\n");
      fc.pre(gaps.some(([, mbps]) => mbps > 0));
      const trace = parseBandwidthTrace("t", text);
      const [from, to] = [Math.min(a, b), Math.max(a, b)];
      // Times are whole seconds, so that a step of a second lies in one interval.
      let expected = 0;
      for (let second = from; second < to; second++) {
        const within = second % trace.periodSeconds;
        expected += trace.bytesPerSecond[trace.startSeconds.findLastIndex((start) => start <= within)]!;
      }
      assert.ok(Math.abs(bytesBetween(trace, from, to) - expected) < 1e-3 + expected * 1e-12);
    }),
  );
});

test("the committed traces can be read and last five minutes", () => {
  const folder = join(packageRoot, "bench/players/traces");
  const names = readdirSync(folder).filter((name) => name.endsWith(".txt"));
  assert.ok(names.length >= 4);
  for (const name of names) {
    assert.equal(parseBandwidthTrace(name, readFileSync(join(folder, name), "utf8")).periodSeconds, 300);
  }
});

const oneMegabit = parseBandwidthTrace("1 Mb/s", "0 1\n1 1\n");

test("ShapedLink lets through what the trace carries, from a full bucket on", () => {
  const link = new ShapedLink(oneMegabit, 100, 0);
  assert.equal(link.availableBytes(100), burstBytes);
  link.take(burstBytes);
  assert.equal(link.availableBytes(100), 0);
  assert.equal(link.availableBytes(102), 250_000);
  link.take(100_000);
  assert.equal(link.availableBytes(103), 275_000);
});

test("ShapedLink saves up no more than the bucket while its reader is idle", () => {
  const link = new ShapedLink(oneMegabit, 0, 0);
  link.leaveIdle(60);
  assert.equal(link.availableBytes(60), burstBytes);
  assert.equal(link.availableBytes(61), burstBytes + 125_000);
});

test("ShapedLink begins at its place in the trace", () => {
  const trace = parseBandwidthTrace("t", "0 8\n10 0\n");
  const link = new ShapedLink(trace, 50, 5);
  link.take(burstBytes);
  assert.equal(link.availableBytes(52), 2e6);
  assert.equal(link.availableBytes(60), 5e6);
  assert.equal(link.availableBytes(66), 6e6);
});
