import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decideDiskState, diskLimits, goodProbesNeeded, slowLimitMs, type DiskSignals, type ProbeVerdict } from "./decide-disk-state.js";
import { diskStates } from "./disk-set.js";

const well: DiskSignals = {
  state: "online",
  reads: 1000,
  errors: 0,
  badSlots: 0,
  badSlotsLately: 0,
  p99Ms: 12,
  usualP99Ms: 10,
  othersP99Ms: 11,
  lastProbe: { verdict: "good", ms: 2 },
  goodProbesInRow: 0,
  badProbesInRow: 0,
  falls: 0,
};

test("decideDiskState() leaves a disk alone that is as fast as it was and as the others are", () => {
  assert.equal(decideDiskState(well), undefined);
  assert.equal(decideDiskState({ ...well, p99Ms: 99, usualP99Ms: 1, othersP99Ms: 1 }), undefined, "100 ms is never slow");
});

test("decideDiskState() suspects a disk that is slower than it was and than the others, and says by how much", () => {
  const decision = decideDiskState({ ...well, p99Ms: 500 });
  assert.equal(decision?.state, "suspect");
  assert.match(decision!.reason, /p99 is 500\.0 ms over 1000 reads, and 100\.0 ms is its limit \(usually 10\.0 ms, other disks 11\.0 ms\)/);
});

test("decideDiskState() does not suspect a disk while all are slow, nor one that is always slow, nor on a handful of reads", () => {
  assert.equal(decideDiskState({ ...well, p99Ms: 500, othersP99Ms: 200 }), undefined);
  assert.equal(decideDiskState({ ...well, p99Ms: 500, usualP99Ms: 200 }), undefined);
  assert.equal(decideDiskState({ ...well, p99Ms: 500, reads: diskLimits.readsMin - 1 }), undefined);
});

test("decideDiskState() knows a limit for a lone disk without a history", () => {
  const lone = { ...well, usualP99Ms: undefined, othersP99Ms: undefined };
  assert.equal(slowLimitMs(lone), diskLimits.slowMsAlone);
  assert.equal(decideDiskState({ ...lone, p99Ms: 900 }), undefined);
  assert.equal(decideDiskState({ ...lone, p99Ms: 1100 })?.state, "suspect");
});

test("decideDiskState() suspects a disk with errors between good reads, or with probes that are late", () => {
  assert.equal(decideDiskState({ ...well, errors: diskLimits.errorsMax })?.state, "suspect");
  assert.equal(decideDiskState({ ...well, badProbesInRow: 3, lastProbe: { verdict: "late", ms: 5000 } })?.state, "suspect");
});

test("decideDiskState() counts bad slots as errors, and keeps a disk out that has altered many chunks, though its probes are good", () => {
  assert.equal(decideDiskState({ ...well, badSlots: diskLimits.errorsMax - 1, badSlotsLately: 4 }), undefined);
  const decision = decideDiskState({ ...well, errors: 1, badSlots: diskLimits.errorsMax - 1, badSlotsLately: 4 });
  assert.deepEqual(decision, { state: "suspect", reason: "1 errors and 4 bad slots in 10 s" });
  for (const state of ["online", "suspect"] as const) {
    const many = decideDiskState({ ...well, state, badSlotsLately: diskLimits.badSlotsMax });
    assert.equal(many?.state, "offline");
    assert.match(many!.reason, /50 of its slots did not hold their chunks: it alters data/);
  }
  const offline = { ...well, state: "offline", goodProbesInRow: 400 } as const;
  assert.equal(decideDiskState({ ...offline, badSlotsLately: diskLimits.badSlotsMax }), undefined);
  assert.equal(decideDiskState({ ...offline, badSlotsLately: diskLimits.badSlotsMax - 1 })?.state, "online");
});

test("decideDiskState() takes a disk offline that is not there, is another one, or cannot be written to; from any state but retired", () => {
  for (const verdict of ["missing", "other-disk", "read-only"] as const) {
    for (const state of ["online", "suspect"] as const) {
      assert.equal(decideDiskState({ ...well, state, lastProbe: { verdict, ms: 1 } })?.state, "offline");
    }
    assert.equal(decideDiskState({ ...well, state: "offline", lastProbe: { verdict, ms: 1 } }), undefined);
  }
});

test("decideDiskState() takes a suspect disk offline when probes fail, keeps it while they are late, and brings it back when they are good", () => {
  const suspect: DiskSignals = { ...well, state: "suspect", falls: 1 };
  assert.equal(decideDiskState({ ...suspect, badProbesInRow: 3, lastProbe: { verdict: "failing", ms: 1 } })?.state, "offline");
  assert.equal(decideDiskState({ ...suspect, badProbesInRow: 3, lastProbe: { verdict: "late", ms: 5000 } }), undefined);
  assert.equal(decideDiskState({ ...suspect, goodProbesInRow: 4 }), undefined);
  assert.equal(decideDiskState({ ...suspect, goodProbesInRow: 5 })?.state, "online");
});

test("decideDiskState() asks for twice as many good probes after every fall, up to a bound", () => {
  assert.deepEqual([0, 1, 2, 3, 7, 50].map(goodProbesNeeded), [5, 5, 10, 20, 320, 320]);
  assert.equal(decideDiskState({ ...well, state: "offline", falls: 3, goodProbesInRow: 19 }), undefined);
  assert.equal(decideDiskState({ ...well, state: "offline", falls: 3, goodProbesInRow: 20 })?.state, "online");
});

test("decideDiskState() never leaves retired, never decides for the state that is, and always has a reason", () => {
  const maybeMs = fc.option(fc.double({ min: 0, max: 1e5, noNaN: true }), { nil: undefined });
  const verdict = fc.constantFrom<ProbeVerdict[]>("good", "full", "missing", "other-disk", "read-only", "failing", "late");
  fc.assert(
    fc.property(
      fc.record({
        state: fc.constantFrom(...diskStates),
        reads: fc.nat(),
        errors: fc.nat({ max: 20 }),
        badSlots: fc.nat({ max: 20 }),
        badSlotsLately: fc.nat({ max: 100 }),
        p99Ms: maybeMs,
        usualP99Ms: maybeMs,
        othersP99Ms: maybeMs,
        lastProbe: fc.option(fc.record({ verdict, ms: fc.double({ min: 0, max: 1e5, noNaN: true }) }), { nil: undefined }),
        goodProbesInRow: fc.nat({ max: 400 }),
        badProbesInRow: fc.nat({ max: 10 }),
        falls: fc.nat({ max: 20 }),
      }),
      (signals) => {
        const decision = decideDiskState(signals);
        if (signals.state === "retired") assert.equal(decision, undefined);
        if (!decision) return;
        assert.notEqual(decision.state, signals.state);
        assert.notEqual(decision.reason, "");
        assert.ok(decision.state !== "retired");
      },
    ),
  );
});
