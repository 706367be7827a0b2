import assert from "node:assert/strict";
import { openLog } from "../../runtime/log.js";
import { ManualClock } from "../../runtime/manual-clock.js";
import { openStore, type Store } from "../store/database.js";
import { eachStore } from "../../tests/support/each-store.js";
import { TokenKeyStore } from "./token-key-store.js";
import { TokenKeys } from "./token-keys.js";

const dayMs = 86_400_000;
const calendar = { rotateEveryMs: 7 * dayMs, urlsValidForMs: dayMs, leaseValidForMs: 7 * dayMs };
const open = (store: Store, clock: ManualClock) =>
  new TokenKeys({ store: new TokenKeyStore(store), clock, calendar, log: openLog("test", "silent") });

eachStore(
  "TokenKeys rotates with overlap: the next key is known a period before it signs, and the old one stays until its last token is over",
  async ({ store }) => {
    {
      const clock = new ManualClock();
      const keys = open(store, clock);
      await keys.refresh();
      const first = keys.signingKey();
      const { version } = keys.current;
      assert.equal(keys.current.keys.length, 2);
      const next = keys.current.keys[1]!;
      await keys.refresh();
      assert.equal(keys.current.version, version, "nothing has changed");
      clock.turn(next.signsFromUnixMs - clock.unixMs());
      await keys.refresh();
      assert.equal(keys.signingKey().id, next.id);
      assert.equal(keys.signingKey().secret, next.secret);
      assert.ok(keys.current.keys.some(({ id }) => id === first.id));
      assert.notEqual(keys.current.version, version);
      clock.turn(3 * calendar.rotateEveryMs);
      await keys.refresh();
      assert.ok(!keys.current.keys.some(({ id }) => id === first.id));
    }
  },
);

eachStore(
  "two copies of the control plane come to the same keys, whoever makes them, and see each other's revocations",
  async ({ store, url }) => {
    {
      const clock = new ManualClock();
      const otherStore = await openStore(url);
      const [one, other] = [open(store, clock), open(otherStore, clock)];
      await Promise.all([one.refresh(), other.refresh()]);
      await Promise.all([one.refresh(), other.refresh()]);
      assert.deepEqual(one.current, other.current);
      await one.revoke("s-1");
      await other.refresh();
      assert.deepEqual(other.current.revokedSessions, ["s-1"]);
      assert.equal(other.current.version, one.current.version);
      clock.turn(calendar.urlsValidForMs);
      await other.refresh();
      assert.deepEqual(other.current.revokedSessions, [], "its last token has expired");
      await assert.rejects(one.revoke("two words"), /visible ASCII/);
      await otherStore.destroy();
    }
  },
);

eachStore("a database that is away leaves the keys at hand in force", async ({ store }) => {
  const keys = open(store, new ManualClock());
  await keys.refresh();
  const before = keys.current;
  await store.schema.dropTable("token_key").execute();
  await assert.rejects(keys.refresh());
  assert.equal(keys.current, before);
  assert.ok(keys.signingKey());
});
