import assert from "node:assert/strict";
import { ManualClock } from "../../runtime/manual-clock.js";
import { eachStore } from "../../tests/support/each-store.js";
import { dayMs, ratesPerDay } from "./heat-level.js";
import { HeatStore, type HeatReport } from "./heat-store.js";

const report = (clock: ManualClock, rest: Partial<HeatReport> = {}): HeatReport => ({
  applianceId: "box",
  regionId: "site",
  countsForHeat: true,
  journalId: "j1",
  sequence: 1,
  toUnixMs: clock.unixMs(),
  titles: new Map([["film", { bytesServed: 1000, contentBytes: 100, healthBytes: 10 }]]),
  ...rest,
});
const all = { fromUnixMs: 0, toUnixMs: Number.MAX_SAFE_INTEGER, applianceId: "", titleId: "", limit: 100 };

eachStore(
  "HeatStore applies a report once, also when two control planes get it at once, and a new journal from its start",
  async ({ store, openCopy }) => {
    const clock = new ManualClock();
    const other = await openCopy();
    const [here, there] = [new HeatStore(store, clock), new HeatStore(other, clock)];
    const tried = await Promise.allSettled([here.apply(report(clock)), there.apply(report(clock)), here.apply(report(clock))]);
    // One that met the other in the database is sent again by the appliance.
    const again = await here.apply(report(clock));
    assert.equal(again, false);
    assert.equal(tried.filter((one) => one.status === "fulfilled" && one.value).length, 1);
    const served = async () => (await here.listMisses(all)).reduce((sum, row) => sum + row.bytes_served, 0);
    assert.equal(await served(), 1000);
    assert.ok(await here.apply(report(clock, { sequence: 7 })), "what the appliance has dropped is not waited for");
    assert.equal(await here.apply(report(clock, { sequence: 6 })), false);
    assert.ok(await here.apply(report(clock, { journalId: "j2", sequence: 1 })));
    assert.equal(await served(), 3000);
    assert.equal((await here.readRegion("site")).titles.get("film")!.slow, 3000);
  },
);

eachStore("HeatStore counts a late report as old, and the heat of players only", async ({ store }) => {
  const clock = new ManualClock();
  const heat = new HeatStore(store, clock);
  await heat.apply(report(clock, { toUnixMs: clock.unixMs() - 2 * dayMs }));
  const { titles, days } = await heat.readRegion("site");
  assert.equal(titles.get("film")!.fast, 1000);
  assert.equal(titles.get("film")!.atMs, clock.unixMs() - 2 * dayMs);
  assert.equal(days[0]!.unixDay, Math.floor((clock.unixMs() - 2 * dayMs) / dayMs));
  await heat.apply(report(clock, { applianceId: "store", countsForHeat: false }));
  assert.equal((await heat.readRegion("site")).titles.get("film")!.slow, 1000);
  assert.equal((await heat.listMisses(all)).length, 2);
  await heat.apply(report(clock, { sequence: 2, titles: new Map([["", { bytesServed: 5, contentBytes: 0, healthBytes: 0 }]]) }));
  assert.equal((await heat.readRegion("site")).titles.size, 1, "what is in no title is not forecast");
});

eachStore("HeatStore takes the weekday out of what it adds up", async ({ store }) => {
  const clock = new ManualClock(20_003 * dayMs);
  const heat = new HeatStore(store, clock);
  for (let day = 0; day < 28; day++) {
    const weekend = [0, 6].includes((20_003 + day + 4) % 7);
    const bytesServed = weekend ? 2000 : 1000;
    await heat.apply(report(clock, { sequence: day + 1, titles: new Map([["film", { bytesServed, contentBytes: 0, healthBytes: 0 }]]) }));
    clock.turn(dayMs);
  }
  const { titles, days } = await heat.readRegion("site");
  assert.equal(days.length, 28);
  const { fast, slow } = ratesPerDay(titles.get("film")!, clock.unixMs());
  // The last days were a working day or a weekend: the rate is the week's either way.
  assert.ok(Math.abs(fast / slow - 1) < 0.4, `${fast} ${slow}`);
});

eachStore("HeatStore lists misses by size, and forgets the old ones", async ({ store }) => {
  const clock = new ManualClock();
  const heat = new HeatStore(store, clock);
  const titles = new Map(["a", "b", "c"].map((titleId, at) => [titleId, { bytesServed: 100, contentBytes: at * 10, healthBytes: 0 }]));
  await heat.apply(report(clock, { titles }));
  clock.turn(3_600_000);
  await heat.apply(report(clock, { sequence: 2, titles }));
  assert.deepEqual(
    (await heat.listMisses(all)).map(({ title_id, content_bytes }) => `${title_id} ${content_bytes}`),
    ["c 20", "c 20", "b 10", "b 10"],
  );
  assert.equal((await heat.listMisses({ ...all, titleId: "b" })).length, 2);
  clock.turn(36 * dayMs);
  await heat.forgetOld();
  assert.deepEqual(await heat.listMisses(all), []);
});
