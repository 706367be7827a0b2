import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import type { Holding } from "../../fill-protocol/generated/millrace/fill/v1/fill.js";
import { HoldingsRegister, type HoldingsReport } from "./holdings-register.js";

const whole = (path: string, etag = '"1"'): Holding => ({ path, etag, chunksHeld: 4, chunksTotal: 4 });
const part = (path: string, etag = '"1"'): Holding => ({ path, etag, chunksHeld: 1, chunksTotal: 4 });
const gone = (path: string): Holding => ({ path, etag: '"1"', chunksHeld: 0, chunksTotal: 4 });
const report = (sequence: number, holdings: Holding[], rest: Partial<HoldingsReport> = {}): HoldingsReport => ({
  applianceId: "a",
  bootId: "boot-1",
  sequence,
  replaceAll: false,
  holdings,
  ...rest,
});

function open() {
  const holdings = new HoldingsRegister();
  holdings.startBoot("a", "boot-1");
  return holdings;
}

test("HoldingsRegister applies reports in order, and a report that was sent before only once", () => {
  const holdings = open();
  assert.equal(holdings.apply(report(1, [whole("x"), part("y")], { replaceAll: true })), "applied");
  assert.equal(holdings.apply(report(2, [whole("y"), gone("x")])), "applied");
  assert.equal(holdings.wholeCountOf("a"), 1);
  assert.equal(holdings.apply(report(1, [whole("x"), part("y")], { replaceAll: true })), "sent-before");
  assert.equal(holdings.wholeCountOf("a"), 1);
  assert.equal(holdings.sequenceOf("a"), 2);
  assert.equal(holdings.holdsOf("a", [{ path: "y" }]), "all");
  assert.equal(holdings.holdsOf("a", [{ path: "x" }]), "none");
});

test("HoldingsRegister asks for everything after a gap, until it has it", () => {
  const holdings = open();
  holdings.apply(report(1, [whole("x")], { replaceAll: true }));
  assert.equal(holdings.mustReportAll("a", 1), false);
  assert.equal(holdings.apply(report(3, [whole("y")])), "gap");
  assert.equal(holdings.wholeCountOf("a"), 1, "nothing of it is applied");
  assert.equal(holdings.mustReportAll("a", 1), true);
  assert.equal(holdings.apply(report(3, [whole("y")], { replaceAll: true })), "applied", "a first part may skip");
  assert.equal(holdings.apply(report(4, [whole("z")])), "applied");
  assert.equal(holdings.mustReportAll("a", 4), false);
  assert.equal(holdings.holdsOf("a", [{ path: "x" }]), "none");
});

test("HoldingsRegister asks a boot for everything until it has reported in full", () => {
  const holdings = open();
  assert.equal(holdings.mustReportAll("a", 0), true);
  assert.equal(holdings.apply(report(1, [], { replaceAll: true })), "applied", "an empty box reports nothing, in full");
  assert.equal(holdings.mustReportAll("a", 1), false);
  // A control plane that was restarted knows nothing and hears of report 17.
  const restarted = open();
  assert.equal(restarted.mustReportAll("a", 17), true);
  assert.equal(restarted.apply(report(18, [whole("x")], { replaceAll: true })), "applied");
  assert.equal(restarted.mustReportAll("a", 18), false);
});

test("HoldingsRegister takes an acknowledgement on its way for no difference, and a number from the future for one", () => {
  const holdings = open();
  holdings.apply(report(1, [], { replaceAll: true }));
  holdings.apply(report(2, [whole("x")]));
  assert.equal(holdings.mustReportAll("a", 1), false);
  assert.equal(holdings.mustReportAll("a", 0), true);
  assert.equal(holdings.mustReportAll("a", 3), true);
});

test("HoldingsRegister forgets a boot when the next begins, and takes no report of the old one", () => {
  const holdings = open();
  holdings.apply(report(1, [whole("x")], { replaceAll: true }));
  holdings.startBoot("a", "boot-1");
  assert.equal(holdings.wholeCountOf("a"), 1, "the same boot again is no new boot");
  holdings.startBoot("a", "boot-2");
  assert.equal(holdings.wholeCountOf("a"), 0);
  assert.equal(holdings.apply(report(2, [whole("x")])), "unknown-boot");
  assert.equal(holdings.apply(report(1, [], { applianceId: "b" })), "unknown-boot");
});

test("HoldingsRegister tells all from some from none, by version", () => {
  const holdings = open();
  holdings.apply(report(1, [whole("x"), part("y"), whole("old", '"0"')], { replaceAll: true }));
  assert.equal(holdings.holdsOf("a", [{ path: "x", etag: '"1"' }]), "all");
  assert.equal(holdings.holdsOf("a", [{ path: "x" }, { path: "y" }]), "some");
  assert.equal(holdings.holdsOf("a", [{ path: "y" }]), "some");
  assert.equal(holdings.holdsOf("a", [{ path: "old", etag: '"1"' }]), "none");
  assert.equal(holdings.holdsOf("a", [{ path: "old" }]), "all");
  assert.equal(holdings.holdsOf("a", []), "none");
  assert.equal(holdings.holdsOf("nobody", [{ path: "x" }]), "none");
});

test("HoldingsRegister agrees with a plain replay of all reports, whatever is repeated on the way", () => {
  const holding = fc.record({
    path: fc.constantFrom("p", "q", "r", "s"),
    etag: fc.constantFrom('"1"', '"2"'),
    chunksHeld: fc.nat(3),
    chunksTotal: fc.constant(3),
  });
  const sent = fc.array(fc.record({ holdings: fc.array(holding, { maxLength: 5 }), replaceAll: fc.boolean() }), { maxLength: 12 });
  fc.assert(
    fc.property(sent, fc.array(fc.nat(11)), (reports, repeats) => {
      const holdings = open();
      const model = new Map<string, Holding>();
      reports.forEach(({ holdings: list, replaceAll }, at) => {
        assert.equal(holdings.apply(report(at + 1, list, { replaceAll })), "applied");
        if (replaceAll) model.clear();
        for (const item of list) model.set(item.path, item);
        const repeated = repeats[at];
        const again = repeated !== undefined && repeated <= at ? reports[repeated] : undefined;
        if (again) assert.equal(holdings.apply(report(repeated! + 1, again.holdings, { replaceAll: again.replaceAll })), "sent-before");
      });
      const wholes = [...model.values()].filter(({ chunksHeld, chunksTotal }) => chunksHeld === chunksTotal);
      assert.equal(holdings.wholeCountOf("a"), wholes.length);
      for (const { path, etag, chunksHeld } of model.values()) {
        assert.equal(holdings.holdsOf("a", [{ path, etag }]), chunksHeld === 3 ? "all" : chunksHeld > 0 ? "some" : "none");
      }
    }),
  );
});

test("HoldingsRegister's groups count as holdsOf() does, over random reports, boots and growing fleets", () => {
  const paths = ["x", "y", "z"];
  const step = fc.record({
    box: fc.constantFrom(...Array.from({ length: 40 }, (_, number) => `box-${number}`)),
    boot: fc.constantFrom("1", "1", "1", "2"),
    replaceAll: fc.boolean(),
    holdings: fc.array(
      fc.tuple(fc.constantFrom(...paths), fc.constantFrom('"1"', '"2"'), fc.nat(4)).map(([path, etag, chunksHeld]) => ({
        path,
        etag,
        chunksHeld,
        chunksTotal: 4,
      })),
    ),
  });
  const wanted = [
    [{ path: "x", etag: '"1"' }],
    [{ path: "x" }],
    paths.map((path) => ({ path, etag: '"1"' })),
    [{ path: "y", etag: '"2"' }, { path: "z" }],
  ];
  fc.assert(
    fc.property(fc.array(step, { size: "max", maxLength: 40 }), fc.nat(40), (steps, groupsFrom) => {
      const holdings = new HoldingsRegister();
      const groupOf = (at: number) => holdings.groupOf(String(at), () => wanted[at]!);
      steps.forEach(({ box, boot, replaceAll, holdings: some }, at) => {
        // Some groups are there before the reports, some come after.
        if (at === groupsFrom) groupOf(0);
        holdings.startBoot(box, boot);
        const sequence = holdings.sequenceOf(box) + 1;
        holdings.apply({ applianceId: box, bootId: boot, sequence, replaceAll, holdings: some });
      });
      wanted.forEach((set, at) => {
        const group = groupOf(at);
        for (const { box } of steps) assert.equal(holdings.holdsOfGroup(box, group), holdings.holdsOf(box, set), `${box} ${at}`);
      });
    }),
    { numRuns: 200 },
  );
});
