import assert from "node:assert/strict";
import { appendFileSync, cpSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { openLog } from "../../runtime/log.js";
import { ManualClock } from "../../runtime/manual-clock.js";
import type { ObjectHeatSums } from "../heat-table.js";
import { HeatJournal, reportsKeptMs } from "./heat-journal.js";

const intervalMs = 60_000;
const log = openLog("test", "silent");

function folderOf(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "millrace-heat-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
const open = (folder: string, clock = new ManualClock()) => new HeatJournal({ folder, clock, log, intervalMs });
const heatOf = (served: Record<string, number>) =>
  new Map<string, ObjectHeatSums>(
    Object.entries(served).map(([path, bytes]) => [path, { served: bytes, readThrough: 1, divertedContent: 0, divertedHealth: 0 }]),
  );
/** Sends all that waits; what the control plane would have counted. */
function sendAll(journal: HeatJournal, counted = new Map<string, number>(), known = new Set<string>()) {
  for (let report = journal.next(); report; report = journal.next()) {
    const number = `${journal.journalId} ${report.sequence}`;
    if (!known.has(number)) for (const [path, served] of report.objects) counted.set(path, (counted.get(path) ?? 0) + served);
    known.add(number);
    journal.acknowledge(report.sequence);
  }
  return counted;
}

test("HeatJournal reports an interval when its time has come, once", (context) => {
  const clock = new ManualClock();
  const journal = open(folderOf(context), clock);
  journal.record(heatOf({ a: 5 }), 0);
  assert.equal(journal.next(), undefined);
  clock.turn(intervalMs);
  journal.record(heatOf({ a: 2, b: 1 }), 7);
  const report = journal.next()!;
  assert.deepEqual(report.objects, [
    ["a", 7, 2, 0, 0],
    ["b", 1, 1, 0, 0],
  ]);
  assert.equal(report.otherBytes, 7);
  assert.equal(report.toUnixMs - report.fromUnixMs, intervalMs);
  assert.deepEqual(journal.next(), report, "it is there until it is acknowledged");
  journal.acknowledge(report.sequence);
  assert.equal(journal.next(), undefined);
  clock.turn(intervalMs * 3);
  journal.record(new Map(), 0);
  assert.equal(journal.next(), undefined, "nothing was served: nothing is told");
});

test("HeatJournal splits what is too much for one report", (context) => {
  const journal = open(folderOf(context));
  journal.record(heatOf(Object.fromEntries(Array.from({ length: 12_001 }, (_, at) => [`o${at}`, 1]))), 0);
  journal.endInterval();
  assert.equal(journal.counts.waiting, 3);
  assert.equal(sendAll(journal).size, 12_001);
});

test("HeatJournal counts once wherever it is killed: every state of its folder is opened again", (context) => {
  const clock = new ManualClock();
  const folder = folderOf(context);
  const journal = open(folder, clock);
  const states: { copy: string; told: Map<string, number>; known: Set<string>; wanted: number }[] = [];
  const counted = new Map<string, number>();
  const known = new Set<string>();
  let wanted = 0;
  const remember = () => {
    const copy = folderOf(context);
    cpSync(folder, copy, { recursive: true });
    states.push({ copy, told: new Map(counted), known: new Set(known), wanted });
  };
  for (let round = 0; round < 6; round++) {
    journal.record(heatOf({ a: 1, [`b${round}`]: 1 }), 0);
    wanted++;
    remember();
    clock.turn(intervalMs);
    journal.record(heatOf({ a: 1 }), 0);
    wanted++;
    remember();
    const report = journal.next()!;
    for (const [path, served] of report.objects) counted.set(path, (counted.get(path) ?? 0) + served);
    known.add(`${journal.journalId} ${report.sequence}`);
    // The control plane has it, and the appliance is killed before it knows.
    remember();
    journal.acknowledge(report.sequence);
    remember();
  }
  for (const { copy, told, known, wanted } of states) {
    const again = open(copy, clock);
    sendAll(again, told, known);
    assert.equal(told.get("a"), wanted);
    // And goes on with numbers that were not used.
    again.record(heatOf({ a: 1 }), 0);
    again.endInterval();
    sendAll(again, told, known);
    assert.equal(told.get("a"), wanted + 1);
  }
});

test("HeatJournal writes the same reports again when it was killed while it ended an interval, and takes no torn line", (context) => {
  const clock = new ManualClock();
  const folder = folderOf(context);
  const journal = open(folder, clock);
  journal.record(heatOf({ a: 3 }), 0);
  const before = folderOf(context);
  cpSync(folder, before, { recursive: true });
  journal.endInterval();
  const report = readdirSync(folder).find((name) => name.endsWith(".report"))!;
  // The report is written, the open file is still there, and its next line was cut by the kill.
  cpSync(join(folder, report), join(before, report));
  appendFileSync(join(before, report.replace("report", "open")), '{"t":5,"other":0,"o":[["a",4');
  const again = open(before, clock);
  assert.deepEqual([...sendAll(again)], [["a", 3]]);
});

test("HeatJournal drops what waits for more than 7 days, the oldest first, and says so", (context) => {
  const clock = new ManualClock();
  const folder = folderOf(context);
  const journal = open(folder, clock);
  for (let day = 0; day < 10; day++) {
    journal.record(heatOf({ [`day${day}`]: 1 }), 0);
    clock.turn(86_400_000);
    journal.record(new Map(), 0);
    const newest = Math.max(...readdirSync(folder).map((name) => Number(/^(\d+)\.report$/.exec(name)?.[1] ?? 0)));
    // The files' own times are the machine's, not this clock's.
    utimesSync(join(folder, `${newest}.report`), clock.unixMs() / 1000, clock.unixMs() / 1000);
  }
  const waiting = [...sendAll(journal).keys()];
  assert.ok(waiting.length >= 7 && waiting.length <= 8, waiting.join(" "));
  assert.equal(waiting.at(-1), "day9");
  assert.equal(journal.counts.dropped, 10 - waiting.length);
  assert.equal(reportsKeptMs, 7 * 86_400_000);
});

test("HeatJournal begins a journal of another name when it cannot read its own, and passes over a report that is no report", (context) => {
  const folder = folderOf(context);
  const first = open(folder);
  first.record(heatOf({ a: 1 }), 0);
  first.endInterval();
  for (const name of readdirSync(folder).filter((name) => name.endsWith(".report"))) writeFileSync(join(folder, name), "not JSON");
  assert.equal(first.next(), undefined);
  assert.equal(first.counts.dropped, 1);
  writeFileSync(join(folder, "journal.json"), "{");
  const second = open(folder);
  assert.notEqual(second.journalId, first.journalId);
  second.record(heatOf({ a: 1 }), 0);
  second.endInterval();
  assert.equal(sendAll(second).get("a"), 1);
});

test("HeatJournal goes on when its disk fails", (context) => {
  const folder = folderOf(context);
  const journal = open(folder);
  rmSync(folder, { recursive: true });
  journal.record(heatOf({ a: 1 }), 0);
  assert.equal(journal.next(), undefined);
});
