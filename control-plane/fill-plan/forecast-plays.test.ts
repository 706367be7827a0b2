import assert from "node:assert/strict";
import { test } from "node:test";
import { forecastPlays, type TitleHistory } from "./forecast-plays.js";
import { addPlays, dayMs, type HeatLevel } from "./heat-level.js";

const nowMs = 100 * dayMs;
const played = (playsPerDay: number, days = 60): HeatLevel => {
  let level: HeatLevel | undefined;
  for (let day = 0; day < days; day++) level = addPlays(level, playsPerDay, nowMs - (day + 0.5) * dayMs);
  return level!;
};
const title = (titleId: string, rest: Partial<TitleHistory> = {}): TitleHistory => ({
  titleId,
  ageDays: 400,
  own: undefined,
  network: undefined,
  editorialPlaysPerDay: 0,
  ...rest,
});
const forecast = (titles: TitleHistory[], weekdayFactor = 1) =>
  new Map(forecastPlays(titles, { nowMs, weekdayFactor }).map((one) => [one.titleId, one]));

test("forecastPlays() goes by what a busy cluster has seen", () => {
  const of = forecast([title("a", { own: played(5000), network: played(9000) }), title("b", { own: played(9000), network: played(5000) })]);
  assert.ok(of.get("b")!.playsPerDay > of.get("a")!.playsPerDay);
  assert.ok(Math.abs(of.get("b")!.playsPerDay - 9000) < 900);
});

test("forecastPlays() goes by the network where a cluster has seen little or nothing", () => {
  const network = { a: played(900), b: played(100) };
  const quiet = forecast([title("a", { network: network.a }), title("b", { network: network.b, own: played(0.5) })]);
  assert.ok(quiet.get("a")!.playsPerDay > quiet.get("b")!.playsPerDay);
  const cold = forecast([title("a", { network: network.a }), title("b", { network: network.b })]);
  assert.ok(cold.get("a")!.playsPerDay > 5 * cold.get("b")!.playsPerDay);
});

test("forecastPlays() expects of a new title what new titles get, more where editors say so, and forgets that with age", () => {
  const seen = Array.from({ length: 20 }, (_, at) =>
    title(`old-${at}`, { own: played(1000 / (at + 1)), network: played(1000 / (at + 1)) }),
  );
  const of = forecast([
    ...seen,
    title("new", { ageDays: 0 }),
    title("premiere", { ageDays: 0, editorialPlaysPerDay: 5000 }),
    title("flop", { ageDays: 20, editorialPlaysPerDay: 5000, own: played(1, 20), network: played(1, 20) }),
  ]);
  assert.ok(of.get("new")!.playsPerDay > of.get("old-9")!.playsPerDay);
  assert.ok(of.get("premiere")!.playsPerDay > of.get("old-0")!.playsPerDay);
  assert.ok(of.get("flop")!.playsPerDay < of.get("old-9")!.playsPerDay);
  assert.ok(of.get("new")!.fromPrior > 0);
  assert.equal(of.get("old-0")!.fromPrior, 0);
});

test("forecastPlays() puts an unseen catalog in order of age", () => {
  const of = forecast([0, 1, 5, 20, 900].map((ageDays) => title(`t${ageDays}`, { ageDays })));
  const plays = [0, 1, 5, 20, 900].map((ageDays) => of.get(`t${ageDays}`)!.playsPerDay);
  assert.deepEqual(
    plays,
    plays.toSorted((a, b) => b - a),
  );
  assert.ok(plays.at(-1)! > 0);
  // A clock that was set back by a year: all are new, none is lost.
  assert.ok(forecast([title("future", { ageDays: -365 })]).get("future")!.playsPerDay > 0);
});

test("forecastPlays() scales by the day of the week and changes no order by it", () => {
  const titles = [title("a", { own: played(10), network: played(10) }), title("b", { own: played(20), network: played(20) })];
  assert.equal(forecast(titles, 1.5).get("a")!.playsPerDay, 1.5 * forecast(titles).get("a")!.playsPerDay);
});
