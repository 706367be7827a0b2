import assert from "node:assert/strict";
import { ApplianceRole, type ApplianceIdentity } from "../../fill-protocol/generated/millrace/fleet/v1/fleet.js";
import { openStore } from "../store/database.js";
import { eachStore } from "../../tests/support/each-store.js";
import { ApplianceStore } from "./appliance-store.js";

const identity: ApplianceIdentity = {
  applianceId: "a",
  siteId: "s",
  clusterId: "c",
  role: ApplianceRole.APPLIANCE_ROLE_STORAGE,
  dataUrl: "http://127.0.0.1:1/",
  adminUrl: "http://127.0.0.1:2/",
  capacityBytes: 2n ** 52n,
  chunkBytes: 1048576,
  softwareVersion: "0.1.0",
};
const lease = { leaseId: "l", issuedAtUnixMs: 1_700_000_000_000, expiresAtUnixMs: 1_700_600_000_000 };

eachStore("ApplianceStore keeps identity and lease over a restart, the last one saved", async ({ store, url }) => {
  const appliances = new ApplianceStore(store);
  await appliances.save({ identity, lease }, 1);
  await appliances.save({ identity: { ...identity, siteId: "moved" }, lease }, 2);
  const again = await openStore(url);
  assert.deepEqual(await new ApplianceStore(again).list(), [{ identity: { ...identity, siteId: "moved" }, lease }]);
  await again.destroy();
});

eachStore("ApplianceStore writes only what has changed, also after a restart", async ({ store }) => {
  const writtenAt = async () =>
    (await store.selectFrom("appliance").select("registered_at_unix_ms").executeTakeFirst())?.registered_at_unix_ms;
  await new ApplianceStore(store).save({ identity, lease }, 1);
  const restarted = new ApplianceStore(store);
  await restarted.list();
  await restarted.save({ identity, lease }, 2);
  assert.equal(await writtenAt(), 1);
  await restarted.save({ identity, lease: { ...lease, expiresAtUnixMs: lease.expiresAtUnixMs + 1 } }, 3);
  assert.equal(await writtenAt(), 3);
});
