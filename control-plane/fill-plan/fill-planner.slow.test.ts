import assert from "node:assert/strict";
import { ApplianceRole, type ApplianceIdentity } from "../../fill-protocol/generated/millrace/fleet/v1/fleet.js";
import { openLog } from "../../runtime/log.js";
import { ManualClock } from "../../runtime/manual-clock.js";
import { CatalogStore } from "../catalog/catalog-store.js";
import { ApplianceStore } from "../fleet/appliance-store.js";
import { controlPlaneSettings } from "../settings.js";
import type { Store } from "../store/database.js";
import { eachStore } from "../../tests/support/each-store.js";
import { FillPlanner } from "./fill-planner.js";
import { dayMs } from "./heat-level.js";
import { HeatStore } from "./heat-store.js";
import { PlanStore } from "./plan-store.js";

const hourMs = 3_600_000;

function open(store: Store, clock: ManualClock) {
  const catalog = new CatalogStore(store);
  const appliances = new ApplianceStore(store);
  const heat = new HeatStore(store, clock);
  const plans = new PlanStore(store);
  const { fillPlan } = controlPlaneSettings.parse({});
  const planner = new FillPlanner({ catalog, appliances, heat, plans, settings: fillPlan, clock, log: openLog("test", "silent") });
  const join = async (applianceId: string, rest: Partial<ApplianceIdentity> = {}) => {
    const identity: ApplianceIdentity = {
      applianceId,
      siteId: "site",
      clusterId: "cluster",
      role: ApplianceRole.APPLIANCE_ROLE_EDGE,
      dataUrl: "http://x/",
      adminUrl: "",
      capacityBytes: 1000n,
      chunkBytes: 10,
      softwareVersion: "0",
      ...rest,
    };
    const lease = { leaseId: "l", issuedAtUnixMs: clock.unixMs(), expiresAtUnixMs: clock.unixMs() + 7 * dayMs };
    await appliances.save({ identity, lease }, clock.unixMs());
    planner.changed();
  };
  const publish = async (titleId: string, sizeBytes = 100) => {
    const title = {
      titleId,
      name: titleId,
      durationSeconds: 1,
      hlsPath: "",
      dashPath: "",
      sizeBytes,
      objectCount: 1,
      publishedAtUnixMs: clock.unixMs(),
    };
    await catalog.replaceTitle(title, [{ path: `${titleId}/v`, sizeBytes, etag: '"1"', chunkBytes: 10 }]);
    planner.changed();
  };
  let sequence = 0;
  const play = (titles: Record<string, number>, regionId = "site") =>
    heat.apply({
      applianceId: `reporter-${regionId}`,
      regionId,
      countsForHeat: true,
      journalId: "j",
      sequence: ++sequence,
      toUnixMs: clock.unixMs(),
      titles: new Map(
        Object.entries(titles).map(([titleId, plays]) => [titleId, { bytesServed: plays * 100, contentBytes: 0, healthBytes: 0 }]),
      ),
    });
  const held = async (applianceId: string) =>
    [...(await planner.manifestOf(applianceId)).objects.keys()].map((path) => path.split("/")[0]!);
  return { planner, plans, join, publish, play, held };
}

eachStore("FillPlanner fills nine tenths of a box with what is played, and follows a change within the day's churn", async ({ store }) => {
  const clock = new ManualClock();
  const { planner, join, publish, play, held } = open(store, clock);
  await join("a");
  for (let at = 0; at < 20; at++) await publish(`t${at}`);
  clock.turn(40 * dayMs);
  await join("a");
  await play(Object.fromEntries(Array.from({ length: 20 }, (_, at) => [`t${at}`, 100 - at])));
  await planner.planNow();
  assert.equal((await held("a")).length, 9);
  // What it began with is replaced by what is played as time goes on: 5 % of 900 bytes are a title in two days.
  for (let day = 0; day < 30; day++) {
    clock.turn(dayMs);
    await join("a");
    const before = new Set(await held("a"));
    await play(Object.fromEntries(Array.from({ length: 20 }, (_, at) => [`t${at}`, at < 10 ? 1 : 500])));
    clock.turn(1001);
    await planner.planNow();
    assert.ok((await held("a")).filter((titleId) => !before.has(titleId)).length <= 1);
  }
  assert.ok(
    (await held("a")).every((titleId) => Number(titleId.slice(1)) >= 10),
    (await held("a")).join(" "),
  );
});

eachStore("FillPlanner keeps its plan over a restart, and two copies of it agree", async ({ store }) => {
  const clock = new ManualClock();
  const one = open(store, clock);
  for (const id of ["a", "b", "c"]) await one.join(id);
  for (let at = 0; at < 40; at++) await one.publish(`t${at}`);
  await one.planner.refresh();
  const two = open(store, clock);
  for (const id of ["a", "b", "c"]) {
    assert.equal((await two.planner.manifestOf(id)).version, (await one.planner.manifestOf(id)).version);
  }
  clock.turn(5 * dayMs);
  await two.publish("news");
  await two.planner.refresh();
  clock.turn(1001);
  for (const id of ["a", "b", "c"]) {
    assert.equal((await one.planner.manifestOf(id)).version, (await two.planner.manifestOf(id)).version);
  }
  assert.ok((await Promise.all(["a", "b", "c"].map(one.held))).flat().includes("news"));
});

eachStore(
  "FillPlanner leaves a box that is away in the plan while its lease lasts, and gives its titles to others afterwards",
  async ({ store }) => {
    const clock = new ManualClock();
    const { planner, join, publish, held } = open(store, clock);
    await join("a");
    await join("b");
    for (let at = 0; at < 9; at++) await publish(`t${at}`);
    const before = await held("a");
    clock.turn(6 * dayMs);
    await join("b");
    assert.deepEqual(await held("a"), before);
    clock.turn(2 * dayMs);
    await planner.planNow();
    assert.equal((await planner.manifestOf("a")).objects.size, 0);
    assert.equal((await held("b")).length, 9);
  },
);

eachStore("FillPlanner plans storage for the whole network, and an edge for its site", async ({ store }) => {
  const clock = new ManualClock();
  const { join, publish, play, planner, held } = open(store, clock);
  const titles = Array.from({ length: 30 }, (_, at) => `t${at}`);
  for (const titleId of titles) await publish(titleId);
  clock.turn(40 * dayMs);
  await play(Object.fromEntries(titles.map((titleId, at) => [titleId, at < 15 ? 1000 + at : 1])), "east");
  await play(Object.fromEntries(titles.map((titleId, at) => [titleId, at < 15 ? 1 : 1000 + at])), "west");
  await join("east", { siteId: "east", clusterId: "east" });
  await join("west", { siteId: "west", clusterId: "west" });
  await join("store", { siteId: "x", clusterId: "x", role: ApplianceRole.APPLIANCE_ROLE_STORAGE, capacityBytes: 4000n });
  await planner.planNow();
  assert.ok((await held("east")).every((titleId) => Number(titleId.slice(1)) < 15));
  assert.ok((await held("west")).every((titleId) => Number(titleId.slice(1)) >= 15));
  assert.equal((await held("store")).length, 30);
});

eachStore(
  "FillPlanner keeps what editors pin, marks what they announce as urgent, and changes nothing by a clock that jumps",
  async ({ store }) => {
    const clock = new ManualClock();
    const { join, publish, plans, planner, play, held } = open(store, clock);
    await join("a");
    await publish("old");
    for (let at = 0; at < 20; at++) await publish(`t${at}`);
    clock.turn(hourMs);
    await play(Object.fromEntries(Array.from({ length: 20 }, (_, at) => [`t${at}`, 1000 - at])));
    await plans.setEditorial("old", { pinnedCopies: 1, expectedPlaysPerDay: 0 });
    await publish("premiere");
    await plans.setEditorial("premiere", { pinnedCopies: 0, expectedPlaysPerDay: 1e6 });
    await planner.planNow();
    const manifest = await planner.manifestOf("a");
    assert.ok(manifest.objects.has("old/v"));
    assert.equal(manifest.objects.get("premiere/v")!.urgent, true);
    const before = await held("a");
    clock.turn(365 * dayMs);
    await join("a");
    await planner.planNow();
    const moved = (await held("a")).filter((titleId) => !before.includes(titleId));
    assert.ok(moved.length <= 1, moved.join(" "));
  },
);
