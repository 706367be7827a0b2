import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { HoldingsReporter, type HoldingsReport } from "./holdings-reporter.js";

/** The receiving side as fill.proto has it: a number counts once, and only the first part of a full report may skip numbers. */
class Receiver {
  readonly held = new Map<string, number>();
  sequence = 0n;
  complete = false;

  /** What is acknowledged; undefined when a report is missing before this one. */
  take(report: HoldingsReport): bigint | undefined {
    if (report.sequence <= this.sequence) return this.sequence;
    if (!report.replaceAll && report.sequence !== this.sequence + 1n) {
      this.complete = false;
      return undefined;
    }
    if (report.replaceAll) {
      this.held.clear();
      this.complete = true;
    }
    for (const { path, chunksHeld } of report.holdings) {
      if (chunksHeld === 0) this.held.delete(path);
      else this.held.set(path, chunksHeld);
    }
    this.sequence = report.sequence;
    return this.sequence;
  }
}

function openReporter(held: Map<string, number>): HoldingsReporter {
  const readHolding = (path: string) => ({ path, etag: "", chunksHeld: held.get(path) ?? 0, chunksTotal: 9 });
  return new HoldingsReporter(readHolding, () => held.keys());
}

test("HoldingsReporter begins with a full report, also when nothing is held", () => {
  const reporter = openReporter(new Map());
  reporter.reportAll();
  assert.deepEqual(reporter.next(), { sequence: 1n, replaceAll: true, holdings: [] });
  reporter.acknowledge(1n);
  assert.equal(reporter.next(), undefined);
  assert.equal(reporter.acknowledgedSequence, 1n);
});

test("HoldingsReporter sends a report again as it was until it is acknowledged, and what changed meanwhile after it", () => {
  const held = new Map([["a", 1]]);
  const reporter = openReporter(held);
  reporter.reportAll();
  const first = reporter.next();
  held.set("a", 2);
  reporter.noteChanged(["a"]);
  assert.equal(reporter.next(), first);
  reporter.acknowledge(7n);
  assert.equal(reporter.next(), first, "another report's acknowledgement is not this one's");
  reporter.acknowledge(1n);
  assert.deepEqual(reporter.next(), {
    sequence: 2n,
    replaceAll: false,
    holdings: [{ path: "a", etag: "", chunksHeld: 2, chunksTotal: 9 }],
  });
});

test("HoldingsReporter cuts a long report into parts of 1000, of which only the first replaces all", () => {
  const reporter = openReporter(new Map(Array.from({ length: 2500 }, (_, at) => [`p${at}`, 1])));
  reporter.reportAll();
  const parts: [bigint, boolean, number][] = [];
  for (let report = reporter.next(); report; report = reporter.next()) {
    parts.push([report.sequence, report.replaceAll, report.holdings.length]);
    reporter.acknowledge(report.sequence);
  }
  assert.deepEqual(parts, [
    [1n, true, 1000],
    [2n, false, 1000],
    [3n, false, 500],
  ]);
});

test("HoldingsReporter's full report counts at a control plane that still knows the boot's earlier numbers", () => {
  const held = new Map([["a", 1]]);
  const reporter = openReporter(held);
  const receiver = new Receiver();
  const sendAll = () => {
    for (let report = reporter.next(), tries = 0; report && tries < 20; report = reporter.next(), tries++) {
      const acknowledged = receiver.take(report);
      if (acknowledged !== undefined) reporter.acknowledge(acknowledged);
    }
  };
  for (let count = 1; count <= 3; count++) {
    held.set("a", count);
    reporter.noteChanged(["a"]);
    sendAll();
  }
  held.set("b", 5);
  reporter.reportAll();
  sendAll();
  assert.deepEqual(receiver.held, held);
  assert.equal(reporter.next(), undefined);
});

test("a control plane ends up knowing exactly what is held, however reports and answers are lost, and whenever it forgets", () => {
  const step = fc.oneof(
    fc.record({ what: fc.constant("change" as const), path: fc.constantFrom("a", "b", "c"), chunks: fc.nat({ max: 3 }) }),
    fc.record({ what: fc.constantFrom("beat", "lose-report", "lose-answer", "control-plane-restarts", "registers-again") }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const held = new Map<string, number>();
      const reporter = openReporter(held);
      let receiver = new Receiver();
      const beat = (lost?: "report" | "answer") => {
        const behind = reporter.acknowledgedSequence;
        if (!receiver.complete || (behind !== receiver.sequence && behind !== receiver.sequence - 1n)) reporter.reportAll();
        for (let count = 0; count < 5; count++) {
          const report = reporter.next();
          if (!report || lost === "report") return;
          const acknowledged = receiver.take(report);
          if (acknowledged === undefined || lost === "answer") return;
          reporter.acknowledge(acknowledged);
        }
      };
      for (const each of steps) {
        if (each.what === "change") {
          if (each.chunks === 0) held.delete(each.path);
          else held.set(each.path, each.chunks);
          reporter.noteChanged([each.path]);
        } else if (each.what === "control-plane-restarts") receiver = new Receiver();
        else if (each.what === "registers-again") reporter.reportAll();
        else beat(each.what === "lose-report" ? "report" : each.what === "lose-answer" ? "answer" : undefined);
      }
      beat();
      beat();
      assert.deepEqual(new Map([...receiver.held].sort()), new Map([...held].sort()));
      assert.equal(reporter.acknowledgedSequence, receiver.sequence);
    }),
    { numRuns: 500 },
  );
});
