import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { allocateClientLimiter, ClientLimiter, type ClientLimits } from "./client-limiter.js";

const none = { connections: Infinity, requests: Infinity, requestsPerSecond: Infinity };
const ipv4 = (number: number) => Uint8Array.from([10, (number >> 16) & 255, (number >> 8) & 255, number & 255]);

function open(limits: Partial<ClientLimits>, workers = 2) {
  const time = { nowMs: 100_000 };
  const memory = allocateClientLimiter(workers);
  const limiters = Array.from(
    { length: workers },
    (_, thread) => new ClientLimiter(memory, { limits: { ...none, ...limits }, thread, nowMs: () => time.nowMs }),
  );
  return { time, limiters: limiters as [ClientLimiter, ClientLimiter] };
}

test("ClientLimiter counts requests under way over all workers, by client, and lets the next one in when one ends", () => {
  const { limiters } = open({ requests: 2 });
  const [one, other] = limiters;
  const first = one.admit(ipv4(1)) as number;
  one.begin(first);
  other.begin(other.admit(ipv4(1)) as number);
  assert.equal(one.admit(ipv4(1)), "client-requests");
  assert.equal(typeof one.admit(ipv4(2)), "number", "another client");
  one.end(first);
  assert.equal(typeof other.admit(ipv4(1)), "number");
});

test("ClientLimiter: one client is an address of IPv4, in either form, or a /64 of IPv6", () => {
  const { limiters } = open({ requests: 1 });
  const [one] = limiters;
  one.begin(one.admit(Uint8Array.from([192, 0, 2, 1])) as number);
  assert.equal(one.admit(Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 1])), "client-requests");
  const ipv6 = (fourth: number, last: number) => Uint8Array.from([32, 1, 13, 184, 0, 0, 0, fourth, 0, 0, 0, 0, 0, 0, 0, last]);
  one.begin(one.admit(ipv6(1, 1)) as number);
  assert.equal(one.admit(ipv6(1, 2)), "client-requests");
  assert.equal(typeof one.admit(ipv6(2, 1)), "number");
});

test("ClientLimiter: in no second more than the rate is let in, and a client within it is never refused", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 20 }), fc.array(fc.nat(400), { minLength: 20, maxLength: 200, size: "max" }), (rate, pauses) => {
      const { limiters, time } = open({ requestsPerSecond: rate });
      const seen: { atMs: number; letIn: boolean }[] = [];
      for (const [at, pauseMs] of pauses.entries()) {
        time.nowMs += pauseMs;
        const letIn = limiters[at % 2]!.admit(ipv4(7)) !== "client-rate";
        seen.push({ atMs: time.nowMs, letIn });
        const lately = seen.filter(({ atMs }) => time.nowMs - atMs < 2000).length;
        if (lately <= rate) assert.ok(letIn, "within the rate for two seconds");
        const inThisSecond = seen.filter((each) => each.letIn && Math.floor(each.atMs / 1000) === Math.floor(time.nowMs / 1000)).length;
        assert.ok(inThisSecond <= rate, `${inThisSecond} let in in one second`);
      }
    }),
  );
});

test("ClientLimiter takes back what a worker that died had under way, and nothing of the others'", () => {
  const { limiters } = open({ requests: 2 });
  const [one, other] = limiters;
  for (const limiter of limiters) limiter.begin(limiter.admit(ipv4(1)) as number);
  assert.equal(one.admit(ipv4(1)), "client-requests");
  one.takeBack();
  other.begin(other.admit(ipv4(1)) as number);
  assert.equal(other.admit(ipv4(1)), "client-requests");
});

test("ClientLimiter refuses clients with too many connections, until they have fewer", () => {
  const { limiters } = open({ connections: 3 });
  const [one, other] = limiters;
  one.setConnections([
    [ipv4(1), 4],
    [ipv4(2), 3],
  ]);
  assert.equal(other.admit(ipv4(1)), "client-connections");
  assert.equal(typeof other.admit(ipv4(2)), "number");
  one.setConnections([[ipv4(1), 3]]);
  assert.equal(typeof other.admit(ipv4(1)), "number");
});

test("ClientLimiter: a million clients pass through its table, and one that hammers is held to its rate all the while", () => {
  const { limiters, time } = open({ requestsPerSecond: 5 });
  const [one] = limiters;
  let letIn = 0;
  for (let number = 0; number < 1_000_000; number++) {
    assert.notEqual(one.admit(ipv4(number)), "client-requests");
    if (number % 100 === 0) {
      time.nowMs += 1;
      if (one.admit(Uint8Array.from([192, 0, 2, 1])) !== "client-rate") letIn++;
    }
  }
  // Ten seconds went by.
  assert.ok(letIn <= 60, `${letIn} of ten thousand were let in`);
});
