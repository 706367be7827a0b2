import assert from "node:assert/strict";
import { test } from "node:test";
import { FillWindows, isTimeZone, parseTimeOfDay } from "./fill-window.js";

const at = (text: string) => Date.parse(text);
const windows = (timeZone: string, ...times: [string, string][]) =>
  new FillWindows(
    times.map(([from, to]) => ({ fromMinute: parseTimeOfDay(from)!, toMinute: parseTimeOfDay(to)! })),
    timeZone,
  );

/** Minutes of that day's 24 UTC hours, from `start`, in which it is open. */
function minutesOpen(of: FillWindows, start: string): number {
  let open = 0;
  for (let minute = 0; minute < 24 * 60; minute++) if (of.isOpen(at(start) + minute * 60_000)) open++;
  return open;
}

test("FillWindows is always open without windows, and with one of a whole day", () => {
  for (const of of [windows("UTC"), windows("Asia/Kolkata", ["05:00", "05:00"]), windows("UTC", ["00:00", "24:00"])]) {
    assert.equal(minutesOpen(of, "2026-11-23T00:00:00Z"), 24 * 60);
    assert.equal(of.nextOpen(1234), 1234);
  }
});

test("FillWindows goes by the wall clock of its time zone: the start belongs to it, the end does not", () => {
  const berlin = windows("Europe/Berlin", ["02:00", "14:00"]);
  assert.equal(berlin.isOpen(at("2026-11-23T00:59:59Z")), false);
  assert.equal(berlin.isOpen(at("2026-11-23T01:00:00Z")), true);
  assert.equal(berlin.isOpen(at("2026-11-23T12:59:59Z")), true);
  assert.equal(berlin.isOpen(at("2026-11-23T13:00:00Z")), false);
  assert.equal(berlin.nextOpen(at("2026-11-23T13:00:30Z")), at("2026-11-24T01:00:00Z"));
  // Half hours of difference are hours too.
  assert.equal(windows("Asia/Kathmandu", ["02:00", "03:00"]).nextOpen(at("2026-11-23T00:00:00Z")), at("2026-11-23T20:15:00Z"));
});

test("FillWindows goes over midnight", () => {
  const night = windows("America/New_York", ["22:30", "06:00"]);
  for (const [text, open] of [
    ["2026-11-24T03:29:00Z", false],
    ["2026-11-24T03:30:00Z", true],
    ["2026-11-24T05:00:00Z", true],
    ["2026-11-24T10:59:00Z", true],
    ["2026-11-24T11:00:00Z", false],
  ] as const)
    assert.equal(night.isOpen(at(text)), open, text);
});

test("FillWindows has the hour twice in autumn, and lacks it in spring", () => {
  const berlin = windows("Europe/Berlin", ["01:30", "03:30"]);
  assert.equal(minutesOpen(berlin, "2026-11-22T22:00:00Z"), 120);
  assert.equal(minutesOpen(berlin, "2026-10-24T22:00:00Z"), 180, "02:00 to 03:00 came twice");
  assert.equal(minutesOpen(berlin, "2026-03-28T23:00:00Z"), 60, "02:00 to 03:00 was left out");
  // A window that is wholly in the hour that is left out is not open that day, and is the next.
  const lost = windows("Europe/Berlin", ["02:10", "02:50"]);
  assert.equal(minutesOpen(lost, "2026-03-28T23:00:00Z"), 0);
  assert.equal(lost.nextOpen(at("2026-03-28T23:00:00Z")), at("2026-03-30T00:10:00Z"));
  // In the hour that comes twice it is open in both.
  assert.equal(minutesOpen(lost, "2026-10-24T22:00:00Z"), 80);
});

test("parseTimeOfDay() takes HH:MM to 24:00, and isTimeZone() the names that there are", () => {
  assert.deepEqual(["00:00", "02:30", "24:00"].map(parseTimeOfDay), [0, 150, 1440]);
  for (const text of ["", "2:00", "24:01", "12:60", "12", "99:00", "aa:bb"]) assert.equal(parseTimeOfDay(text), undefined, text);
  assert.deepEqual(["UTC", "Europe/Berlin", "Mars/Base"].map(isTimeZone), [true, true, false]);
});
