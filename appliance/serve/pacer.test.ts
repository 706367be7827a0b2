import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { choosePace } from "./choose-pace.js";
import { PaceWheel, wheelTickMs, wheelWaitMaxMs } from "./pace-wheel.js";
import { Pacer } from "./pacer.js";

test("Pacer: never more than the burst and the rate allow, never a stall, and the rate over all is within 10 %", () => {
  const options = fc.record({
    bytesPerSecond: fc.integer({ min: 1000, max: 10 ** 9 }),
    burstBytes: fc.integer({ min: 1, max: 10 ** 7 }),
    seconds: fc.integer({ min: 20, max: 60 }),
  });
  // How late each wake-up is, and how much of a piece the socket takes.
  const lateness = fc.array(fc.tuple(fc.integer({ min: 0, max: 30 }), fc.double({ min: 0.3, max: 1, noNaN: true })), {
    minLength: 5,
    maxLength: 20,
  });
  fc.assert(
    fc.property(options, lateness, ({ bytesPerSecond, burstBytes, seconds }, late) => {
      const totalBytes = burstBytes + bytesPerSecond * seconds;
      const pacer = new Pacer({ bytesPerSecond, burstBytes }, 0);
      let nowMs = 0;
      let sent = 0;
      for (let step = 0; sent < totalBytes; step++) {
        assert.ok(step < 100_000, "it does not end");
        const leftBytes = totalBytes - sent;
        const allowed = pacer.allow(nowMs, { offsetBytes: sent, leftBytes });
        const [lateMs, share] = late[step % late.length]!;
        if (allowed === 0) nowMs += pacer.waitMs(leftBytes) + lateMs;
        else {
          sent += Math.max(1, Math.floor(allowed * share));
          assert.ok(sent <= burstBytes + (bytesPerSecond * nowMs) / 1000 + 1, "more than was allowed");
        }
      }
      const expectedMs = seconds * 1000;
      assert.ok(Math.abs(nowMs - expectedMs) <= expectedMs * 0.1, `${nowMs} ms instead of ${expectedMs}`);
    }),
    { numRuns: 300 },
  );
});

test("Pacer: after a stall no more than one burst comes at once, or half a second's bytes where those are more", () => {
  const pacer = new Pacer({ bytesPerSecond: 1000, burstBytes: 500 }, 0);
  assert.equal(pacer.allow(0, { offsetBytes: 0, leftBytes: 10_000 }), 500);
  assert.equal(pacer.allow(0, { offsetBytes: 500, leftBytes: 9500 }), 0);
  assert.equal(pacer.allow(60_000, { offsetBytes: 500, leftBytes: 9500 }), 500);
  const tight = new Pacer({ bytesPerSecond: 1000, burstBytes: 1 }, 0);
  assert.equal(tight.allow(0, { offsetBytes: 0, leftBytes: 10_000 }), 1, "the head goes out at once");
  assert.equal(tight.allow(0, { offsetBytes: 1, leftBytes: 9999 }), 0);
  assert.equal(tight.allow(60_000, { offsetBytes: 1, leftBytes: 9999 }), 500);
});

test("PaceWheel calls each waiter once, never early, and at most a tick late by its clock; one timer for all", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(3000), fc.nat(200)), { minLength: 1, maxLength: 60, size: "max" }), (rows) => {
      let nowMs = 12_345.6;
      const timers: { atMs: number; callback: () => void }[] = [];
      const wheel = new PaceWheel({
        nowMs: () => nowMs,
        setTimer: (callback, delayMs) => timers.push({ atMs: nowMs + delayMs, callback }),
      });
      const calls: number[] = [];
      const expected: { dueMs: number; place: number }[] = [];
      const turnTo = (endMs: number) => {
        while (timers.length > 0 && timers[0]!.atMs <= endMs) {
          assert.equal(timers.length, 1, "one timer for all");
          const timer = timers.shift()!;
          nowMs = timer.atMs;
          timer.callback();
        }
        nowMs = endMs;
      };
      for (const [place, [delayMs, pauseMs]] of rows.entries()) {
        expected.push({ dueMs: nowMs + Math.min(delayMs, wheelWaitMaxMs - wheelTickMs), place });
        wheel.wait(delayMs, () => {
          const { dueMs } = expected[place]!;
          assert.ok(nowMs >= dueMs - 1e-6 && nowMs <= dueMs + 2 * wheelTickMs, `due ${dueMs}, called ${nowMs}`);
          calls.push(place);
        });
        turnTo(nowMs + pauseMs);
      }
      turnTo(nowMs + 5000);
      assert.equal(wheel.waiting, 0);
      assert.deepEqual(
        calls.toSorted((a, b) => a - b),
        [...rows.keys()],
      );
      assert.equal(timers.length, 0, "it stands still while nobody waits");
    }),
  );
});

test("PaceWheel: a thread that was held up for minutes calls everyone, once", () => {
  let nowMs = 0;
  let callback = () => {};
  const wheel = new PaceWheel({ nowMs: () => nowMs, setTimer: (next) => (callback = next) });
  let calls = 0;
  for (let delayMs = 0; delayMs < 2000; delayMs += 7) wheel.wait(delayMs, () => calls++);
  nowMs = 300_000;
  callback();
  assert.equal(calls, Math.ceil(2000 / 7));
});

test("choosePace(): the token's rate goes before the settings', and a player may only ask for less", () => {
  const rules = { bytesPerSecond: 1_000_000, burstBytes: 5, followPlayers: true };
  const rows: [token: number | undefined, wishKbps: number | undefined, expected: number | undefined][] = [
    [undefined, undefined, 1_000_000],
    [2_000_000, undefined, 2_000_000],
    [undefined, 4000, 500_000],
    [undefined, 80_000, 1_000_000],
    [100_000, 4000, 100_000],
    [undefined, 0, 12_500],
  ];
  for (const [tokenBytesPerSecond, wishKbps, expected] of rows) {
    assert.deepEqual(choosePace(rules, { tokenBytesPerSecond, wishKbps }), { bytesPerSecond: expected, burstBytes: 5 });
  }
  const none = { bytesPerSecond: undefined, burstBytes: 5, followPlayers: false };
  assert.equal(choosePace(none, { tokenBytesPerSecond: undefined, wishKbps: 4000 }), undefined);
  assert.equal(choosePace({ ...none, followPlayers: true }, { tokenBytesPerSecond: undefined, wishKbps: 4000 })!.bytesPerSecond, 500_000);
});
