import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../../runtime/clock.js";
import { ManualClock } from "../../../runtime/manual-clock.js";
import { openLog } from "../../../runtime/log.js";
import { OperatingError } from "../../../runtime/operating-error.js";
import { waitUntil } from "../../../tests/support/wait-until.js";
import { ControlPlaneClient } from "../../control-plane-client.js";
import { openGrpcServer } from "../../server.js";
import { mayRepeat } from "./call-table.js";
import { ControlPlaneCopies } from "./control-plane-copies.js";
import { RecentFaults } from "./recent-faults.js";
import { RetryBudget } from "./retry-budget.js";
import { ServiceGuard, type CallOutcome, type GuardSettings } from "./service-guard.js";

const away = () => Promise.reject(new OperatingError("control-plane-away", "Cannot ask"));
const refused = () => Promise.reject(new OperatingError("title-unknown", "Cannot find it"));

function openGuard(settings: Partial<GuardSettings> = {}) {
  const outcomes: CallOutcome[] = [];
  const states: string[] = [];
  const guard = new ServiceGuard({
    service: "catalog",
    settings: {
      timeout: 5000,
      callsAtOnce: 5,
      retries: 2,
      retryShare: 0.1,
      breaker: { over: 60_000, callsMin: 4, faultShare: 0.5, openFor: 50 },
      ...settings,
    },
    clock: systemClock,
    onOutcome: (outcome) => outcomes.push(outcome),
    onRetry: () => {},
    onBreaker: (state) => states.push(state),
  });
  return { guard, outcomes, states };
}

test("RecentFaults opens above its share, not before it has seen enough, and forgets what is long past", () => {
  const clock = new ManualClock();
  const faults = new RecentFaults({ clock, overMs: 1000, callsMin: 4, shareMax: 0.5 });
  for (let call = 0; call < 3; call++) assert.equal(faults.failure(), false, "too few calls");
  assert.equal(faults.failure(), true);
  clock.turn(2000);
  assert.equal(faults.failure(), false, "all of them are past");
  for (let call = 0; call < 4; call++) faults.success(0);
  for (let call = 0; call < 3; call++) assert.equal(faults.failure(), false, "half of them failed");
  assert.equal(faults.failure(), true);
  faults.success(2);
  assert.equal(faults.failure(), false, "the service is back");
});

test("RetryBudget gives a share of the calls, and some in advance", () => {
  const budget = new RetryBudget(0.1);
  let spent = 0;
  while (budget.spend()) spent++;
  assert.equal(spent, 10);
  for (let call = 0; call < 95; call++) {
    budget.earn();
    if (budget.spend()) spent++;
  }
  assert.ok(spent >= 18 && spent <= 20, `${spent}`);
});

test("ServiceGuard passes refusals on, however many, and stays closed", async () => {
  const { guard, outcomes } = openGuard();
  for (let call = 0; call < 20; call++) await assert.rejects(guard.ask(true, refused), { code: "title-unknown" });
  assert.equal(guard.state, "closed");
  assert.deepEqual([...new Set(outcomes)], ["refused"]);
});

test("ServiceGuard repeats what may be repeated, and nothing else", async () => {
  const { guard } = openGuard();
  let tries = 0;
  const third = () => (++tries < 3 ? away() : Promise.resolve("answer"));
  assert.equal(await guard.ask(true, third), "answer");
  assert.equal(tries, 3);
  tries = 0;
  await assert.rejects(guard.ask(false, third), { code: "control-plane-away" });
  assert.equal(tries, 1);
  assert.equal(mayRepeat("subscribe", "key"), true);
  assert.equal(mayRepeat("subscribe", ""), false);
  assert.equal(mayRepeat("signIn", "key"), false);
});

test("ServiceGuard opens after faults, refuses at once with when to come back, lets one call try, and closes", async () => {
  const { guard, states } = openGuard({ retries: 0 });
  for (let call = 0; call < 4; call++) await assert.rejects(guard.ask(true, away), { code: "control-plane-away" });
  assert.equal(guard.state, "open");
  let tried = false;
  await assert.rejects(
    guard.ask(true, () => {
      tried = true;
      return Promise.resolve();
    }),
    (error: OperatingError) => error.code === "control-plane-away" && error.retryAfterMs !== undefined && error.retryAfterMs <= 50,
  );
  assert.equal(tried, false);
  let release: ((answer: string) => void) | undefined;
  let probe: Promise<string> | undefined;
  await waitUntil("half open", () => {
    // The service is tried by whoever comes first after the breaker's time.
    const asked = guard.ask(true, () => new Promise<string>((resolve) => (release = resolve)));
    asked.catch(() => {});
    probe = asked;
    return guard.state === "half-open";
  });
  await assert.rejects(
    guard.ask(true, () => Promise.resolve("second")),
    { code: "control-plane-away" },
  );
  release!("back");
  assert.equal(await probe, "back");
  assert.equal(guard.state, "closed");
  assert.deepEqual(states, ["open", "half-open", "closed"]);
});

test("ServiceGuard lets no more calls through at once than its bulkhead has room for", async () => {
  const { guard } = openGuard();
  let release = () => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  const running = Array.from({ length: 5 }, () => guard.ask(true, () => held));
  assert.equal(guard.running, 5);
  await assert.rejects(
    guard.ask(true, () => held),
    { code: "gateway-busy" },
  );
  release();
  await Promise.all(running);
  assert.equal(guard.running, 0);
  await guard.ask(true, () => Promise.resolve());
});

test("ControlPlaneCopies follows a host name's addresses, goes by health, and never asks the same copy twice while there is another", async () => {
  const servers = [await openGrpcServer({ host: "127.0.0.1", port: 0 }, [])];
  const { port } = servers[0]!;
  // Another address of this machine, the same port.
  servers.push(await openGrpcServer({ host: "127.0.0.2", port }, []));
  let addresses: string[] | Error = ["127.0.0.1"];
  const copies = new ControlPlaneCopies({
    urls: [`grpc://control-plane.example:${port}`],
    openClient: (url) => new ControlPlaneClient(url),
    discoverEveryMs: 20,
    healthEveryMs: 20,
    log: openLog("gateway", "silent"),
    resolve: () => (addresses instanceof Error ? Promise.reject(addresses) : Promise.resolve(addresses)),
  });
  const serving = () =>
    copies
      .list()
      .filter(({ state }) => state === "serving")
      .map(({ url }) => new URL(url.replace("grpc:", "http:")).hostname);
  try {
    await copies.start();
    await waitUntil("the first copy", () => copies.isConnected() && serving().length === 1);
    addresses = ["127.0.0.1", "127.0.0.2"];
    await waitUntil("the second copy", () => copies.isConnected() && serving().length === 2);
    await waitUntil("both connected", () => copies.pick(new Set()).others === 1);
    const first = copies.pick(new Set()).client;
    for (let turn = 0; turn < 10; turn++) assert.notEqual(copies.pick(new Set([first])).client, first);
    addresses = new Error("the name server is away");
    await servers[0]!.drain();
    await waitUntil("the first one away", () => serving().join() === "127.0.0.2");
    for (let turn = 0; turn < 10; turn++) assert.match(copies.pick(new Set()).client.url, /127\.0\.0\.2/);
    assert.equal(copies.list().length, 2, "while names can't be looked up, those at hand stay");
    addresses = ["127.0.0.2"];
    await waitUntil("the first one forgotten", () => copies.list().length === 1);
  } finally {
    copies.close();
    await servers[1]!.drain();
  }
});
