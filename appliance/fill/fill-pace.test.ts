import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../runtime/manual-clock.js";
import { DiskSet } from "../disk/disk-set.js";
import { ByteRate, WriteBudgets } from "./fill-pace.js";

const MiB = 2 ** 20;

test("ByteRate lets bytes through at its rate, whatever the sizes, and saves nothing up", () => {
  const clock = new ManualClock();
  const rate = new ByteRate(1000, clock);
  let moved = 0;
  for (let count = 0; count < 50; count++) {
    clock.turn(rate.take(100 + count));
    moved += 100 + count;
  }
  assert.ok(Math.abs(clock.monotonicMs() - moved) < 400, `${moved} bytes in ${clock.monotonicMs()} ms`);
  clock.turn(3_600_000);
  rate.take(1000);
  assert.ok(rate.take(1) >= 700, "an hour of rest is no hour's credit");
  assert.equal(new ByteRate(0, clock).take(1e12), 0, "0 is no limit");
});

test("WriteBudgets gives way while reads are slow, and takes the rate back slowly after", () => {
  for (const bytesPerSecondMax of [0, 400 * MiB]) {
    const clock = new ManualClock();
    const disks = new DiskSet([{ diskNumber: 3, uuid: "u", path: "p", capacityBytes: 1, extentCount: 1 }]);
    const budgets = new WriteBudgets({ clock, disks, bytesPerSecondMax, readP99LimitMs: 50 });
    /** A second in which 100 MiB are offered, and reads take `readMs`. */
    const second = (readMs: number) => {
      for (let count = 0; count < 100; count++) disks.countRead(3, readMs, true);
      for (let count = 0; count < 10; count++) {
        clock.turn(100);
        budgets.take(3, 10 * MiB);
      }
      return budgets.bytesPerSecondOf(3);
    };
    assert.equal(second(5), bytesPerSecondMax);
    const slower = [second(200), second(200), second(200)];
    assert.ok(slower[0]! <= 60 * MiB && slower[0]! > 30 * MiB, `${slower[0]}`);
    assert.ok(slower[2]! < slower[0]! / 2);
    for (let count = 0; count < 20; count++) second(200);
    assert.equal(budgets.bytesPerSecondOf(3), 4 * MiB, "never nothing");
    const first = second(5);
    assert.ok(first > 4 * MiB && first < 6 * MiB, "not all at once");
    for (let count = 0; count < 40; count++) second(5);
    assert.equal(budgets.bytesPerSecondOf(3), bytesPerSecondMax);
  }
});

test("WriteBudgets does not take a few slow reads, or none, for a busy disk", () => {
  const clock = new ManualClock();
  const disks = new DiskSet([{ diskNumber: 0, uuid: "u", path: "p", capacityBytes: 1, extentCount: 1 }]);
  const budgets = new WriteBudgets({ clock, disks, bytesPerSecondMax: 100 * MiB, readP99LimitMs: 50 });
  for (let count = 0; count < 10; count++) {
    for (let read = 0; read < 5; read++) disks.countRead(0, 500, true);
    clock.turn(1000);
    budgets.take(0, MiB);
  }
  assert.equal(budgets.bytesPerSecondOf(0), 100 * MiB);
});
