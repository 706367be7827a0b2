import assert from "node:assert/strict";
import { test } from "node:test";
import { ApplianceRole, type ApplianceIdentity } from "../../fill-protocol/generated/millrace/fleet/v1/fleet.js";
import { ManualClock } from "../../runtime/manual-clock.js";
import { whyUnhealthy } from "./appliance.js";
import { appliancesMax, FleetRegistry, type Heartbeat } from "./fleet-registry.js";

const identity = (applianceId: string): ApplianceIdentity => ({
  applianceId,
  siteId: "s",
  clusterId: "c",
  role: ApplianceRole.APPLIANCE_ROLE_EDGE,
  dataUrl: "http://127.0.0.1:1/",
  adminUrl: "",
  capacityBytes: 1n,
  chunkBytes: 1,
  softwareVersion: "0",
});

const beat = (applianceId: string, bootId: string, rest: Partial<Heartbeat> = {}): Heartbeat => ({
  applianceId,
  bootId,
  draining: false,
  totals: { requests: 1n, bytesSent: 2n, bytesFilled: 3n, heldBytes: 4n },
  disks: [],
  requestHeadroom: 10,
  fillHeadroom: 1,
  manifest: undefined,
  ...rest,
});

function open() {
  const clock = new ManualClock();
  return { clock, registry: new FleetRegistry({ clock, expiresAfterMs: 6000 }) };
}

test("FleetRegistry takes an appliance out when it is silent for longer than it may be, and not before", () => {
  const { clock, registry } = open();
  assert.equal(registry.register(identity("a"), "boot-1"), "first");
  assert.equal(registry.heartbeat(beat("a", "boot-1")), "accepted");
  clock.turn(6000);
  assert.equal(registry.get("a")?.state, "live");
  assert.deepEqual(registry.takeNewlyOffline(), []);
  clock.turn(1);
  assert.equal(registry.get("a")?.state, "offline");
  assert.deepEqual(
    registry.takeNewlyOffline().map((appliance) => appliance.identity.applianceId),
    ["a"],
  );
  assert.deepEqual(registry.takeNewlyOffline(), [], "told once");
});

test("FleetRegistry tells an expired and an unknown boot to register again, and takes it back", () => {
  const { clock, registry } = open();
  assert.equal(registry.heartbeat(beat("a", "boot-1")), "register-again");
  registry.register(identity("a"), "boot-1");
  clock.turn(6001);
  assert.equal(registry.heartbeat(beat("a", "boot-1")), "register-again");
  assert.equal(registry.get("a")?.state, "offline", "a refused heartbeat is no sign of life");
  assert.equal(registry.register(identity("a"), "boot-1"), "same-boot");
  assert.equal(registry.heartbeat(beat("a", "boot-1")), "accepted");
  assert.equal(registry.get("a")?.state, "live");
});

test("FleetRegistry gives the place to a new boot and refuses the old one for as long as the new one lives", () => {
  const { clock, registry } = open();
  registry.register(identity("a"), "boot-1");
  registry.heartbeat(beat("a", "boot-1"));
  assert.equal(registry.register(identity("a"), "boot-2"), "new-boot");
  assert.equal(registry.get("a")?.totals, undefined, "totals of another boot are not its own");
  assert.equal(registry.heartbeat(beat("a", "boot-1")), "superseded");
  assert.equal(registry.register(identity("a"), "boot-1"), "superseded");
  assert.equal(registry.heartbeat(beat("a", "boot-2")), "accepted");
  assert.ok(registry.isCurrentBoot("a", "boot-2"));
  assert.ok(!registry.isCurrentBoot("a", "boot-1"));
  clock.turn(6001);
  assert.equal(registry.heartbeat(beat("a", "boot-1")), "register-again");
  assert.equal(registry.register(identity("a"), "boot-1"), "new-boot");
  assert.equal(registry.heartbeat(beat("a", "boot-2")), "superseded");
});

test("FleetRegistry lists what was restored as offline until it registers", () => {
  const { registry } = open();
  registry.restore(identity("a"), { leaseId: "l", issuedAtUnixMs: 0, expiresAtUnixMs: 1 });
  assert.deepEqual(
    registry.list().map(({ state }) => state),
    ["offline"],
  );
  assert.deepEqual(registry.takeNewlyOffline(), [], "it was not here, so it has not left");
  assert.equal(registry.heartbeat(beat("a", "boot-1")), "register-again");
  registry.register(identity("a"), "boot-1");
  assert.equal(registry.get("a")?.state, "live");
  assert.equal(registry.leaseOf("a")?.leaseId, "l");
});

test("FleetRegistry refuses more appliances than it can hold, and none that it has", () => {
  const { registry } = open();
  for (let number = 0; number < appliancesMax; number++) registry.register(identity(`a${number}`), "boot");
  assert.equal(registry.register(identity("one-more"), "boot"), "fleet-full");
  assert.equal(registry.register(identity("a7"), "boot-2"), "new-boot");
});

test("whyUnhealthy() passes only a live appliance with headroom that has sent a heartbeat", () => {
  const { clock, registry } = open();
  const why = () => whyUnhealthy(registry.get("a")!);
  registry.register(identity("a"), "boot-1");
  assert.match(why() ?? "", /^starting/);
  registry.heartbeat(beat("a", "boot-1"));
  assert.equal(why(), undefined);
  registry.heartbeat(beat("a", "boot-1", { requestHeadroom: 0 }));
  assert.match(why() ?? "", /^full/);
  registry.heartbeat(beat("a", "boot-1", { draining: true }));
  assert.match(why() ?? "", /^draining/);
  clock.turn(6001);
  assert.match(why() ?? "", /^offline/);
});

test("FleetRegistry keeps everyone when most heartbeats stop at once, for a while, and strikes off the few that stop", () => {
  const clock = new ManualClock();
  const preservation = { share: 0.5, atLeast: 5, forMs: 60_000 };
  const registry = new FleetRegistry({ clock, expiresAfterMs: 6000, heartbeatEveryMs: 2000, preservation });
  const ids = Array.from({ length: 10 }, (_, number) => `box-${number}`);
  for (const id of ids) {
    registry.register(identity(id), "boot");
    registry.heartbeat(beat(id, "boot"));
    // Heartbeats are spread over their interval.
    clock.turn(150);
  }
  const liveCount = () => registry.list().filter(({ state }) => state === "live").length;
  const run = (ms: number, beating: string[]) => {
    for (let at = 0; at < ms; at += 500) {
      clock.turn(500);
      for (const id of beating) registry.heartbeat(beat(id, "boot"));
    }
  };
  run(8000, ids.slice(4));
  assert.equal(liveCount(), 6, "4 of 10 are dead boxes");
  run(20_000, []);
  assert.equal(liveCount(), 6, "all of the rest at once are not");
  assert.equal(registry.isPreserving(), true);
  run(2000, ids.slice(4));
  assert.equal(registry.isPreserving(), false);
  assert.equal(liveCount(), 6);
  run(80_000, []);
  assert.equal(liveCount(), 6);
  clock.turn(60_001);
  registry.list();
  clock.turn(200);
  assert.equal(liveCount(), 0, "it does not last for ever");
});

test("FleetRegistry calls one that drains drained when nobody has asked it for anything for a while", () => {
  const clock = new ManualClock();
  const registry = new FleetRegistry({ clock, expiresAfterMs: 1e9, drainedAfterMs: 30_000 });
  registry.register(identity("a"), "boot");
  const asked = (requests: bigint) => {
    registry.heartbeat(beat("a", "boot", { totals: { requests, bytesSent: 0n, bytesFilled: 0n, heldBytes: 0n } }));
    return registry.get("a")!.state;
  };
  assert.equal(asked(1n), "live");
  clock.turn(60_000);
  registry.orderDrain("a", "fans");
  assert.equal(asked(1n), "draining");
  assert.equal(registry.drainedInSeconds("a"), 30);
  clock.turn(20_000);
  assert.equal(asked(2n), "draining");
  clock.turn(29_999);
  assert.equal(asked(2n), "draining");
  clock.turn(1);
  assert.equal(asked(2n), "drained");
  assert.equal(registry.drainedInSeconds("a"), 0);
  registry.orderDrain("a", undefined);
  assert.equal(asked(2n), "live");
});

test("FleetRegistry tells only what has changed since a version, and everything to those with a version of another process", () => {
  const clock = new ManualClock();
  const registry = new FleetRegistry({ clock, expiresAfterMs: 6000 });
  for (const id of ["a", "b"]) {
    registry.register(identity(id), "boot");
    registry.heartbeat(beat(id, "boot"));
  }
  const ids = (known: number) => {
    const { version, whole, appliances } = registry.changesSince(known);
    return { version, whole, ids: appliances.map((appliance) => appliance.identity.applianceId) };
  };
  const first = ids(0);
  assert.deepEqual({ ...first, version: 0 }, { version: 0, whole: true, ids: ["a", "b"] });
  registry.heartbeat(beat("a", "boot", { totals: { requests: 9n, bytesSent: 9n, bytesFilled: 9n, heldBytes: 9n } }));
  assert.deepEqual(ids(first.version), { version: first.version, whole: false, ids: [] }, "totals are no change");
  registry.orderDrain("b", "fans");
  const second = ids(first.version);
  assert.deepEqual({ whole: second.whole, ids: second.ids }, { whole: false, ids: ["b"] });
  assert.deepEqual(ids(first.version - 1000).ids, ["a", "b"]);
  assert.equal(ids(second.version + 1).whole, true);
});
