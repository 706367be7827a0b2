import assert from "node:assert/strict";
import { test } from "node:test";
import { eachStore } from "../../tests/support/each-store.js";
import { OperationStore } from "./operation-store.js";
import { drainReasonOf } from "./operations.js";

eachStore("OperationStore keeps orders, turn-ups and maintenance for other copies and after a restart", async ({ store, openCopy }) => {
  const operations = new OperationStore(store);
  await operations.orderDrain("a", "new fans");
  await operations.setTurnedUp("a", 5);
  await operations.setTurnedUp("b", 6);
  const window = { maintenanceId: "m", applianceId: "", siteId: "s", fromUnixMs: 2 ** 40, untilUnixMs: 2 ** 40 + 10, reason: "power" };
  await operations.addMaintenance(window);
  const copy = new OperationStore(await openCopy());
  assert.deepEqual(
    (await copy.orders()).sort((a, b) => (a.applianceId < b.applianceId ? -1 : 1)),
    [
      { applianceId: "a", drainReason: "new fans", turnedUp: true },
      { applianceId: "b", drainReason: undefined, turnedUp: true },
    ],
  );
  await copy.orderDrain("a", undefined);
  assert.equal((await operations.orders()).find(({ applianceId }) => applianceId === "a")?.drainReason, undefined);
  assert.deepEqual(await copy.maintenanceAfter(2 ** 40), [window]);
  assert.deepEqual(await copy.maintenanceAfter(2 ** 40 + 10), []);
  assert.equal(await copy.cancelMaintenance("m"), true);
  assert.equal(await copy.cancelMaintenance("m"), false);
});

test("drainReasonOf() goes by the order, then by maintenance of the appliance or its site, while it lasts", () => {
  const box = { applianceId: "a", siteId: "s" };
  const window = (applianceId: string, siteId: string) => [
    { maintenanceId: "m", applianceId, siteId, fromUnixMs: 10, untilUnixMs: 20, reason: "power" },
  ];
  const none = new Map<string, never>();
  assert.equal(drainReasonOf(box, none, [], 10), undefined);
  assert.equal(drainReasonOf(box, none, window("a", ""), 9), undefined);
  assert.match(drainReasonOf(box, none, window("a", ""), 10)!, /^maintenance until 1970-01-01T00:00:00.020Z: power$/);
  assert.match(drainReasonOf(box, none, window("", "s"), 19)!, /power/);
  assert.equal(drainReasonOf(box, none, window("", "s"), 20), undefined);
  assert.equal(drainReasonOf(box, none, window("b", ""), 15), undefined);
  const ordered = new Map([["a", { applianceId: "a", drainReason: "fans", turnedUp: true }]]);
  assert.equal(drainReasonOf(box, ordered, window("a", ""), 15), "fans");
});
