import assert from "node:assert/strict";
import { test } from "node:test";
import { headroomBetween, HeadroomMeter, type LoadSample } from "./headroom.js";

const idle: LoadSample = {
  atMs: 0,
  processCpuMs: 0,
  sentBytes: 0,
  nicBitsPerSecond: 1e9,
  diskBusyMs: [0, 0],
};

test("headroomBetween() tells what is free of the network, the busiest disk, and the processors", () => {
  const after = { ...idle, atMs: 1000, processCpuMs: 1000, sentBytes: 50e6, diskBusyMs: [100, 950] };
  assert.deepEqual(headroomBetween(idle, after, 4), {
    nicBitsPerSecond: 1_000_000_000n,
    nicFreePermille: 600,
    diskFreePermille: 50,
    cpuFreePermille: 750,
  });
});

test("headroomBetween() says nothing of a network whose speed is not known, and never more than all or less than nothing", () => {
  const after = { ...idle, atMs: 1000, nicBitsPerSecond: undefined, sentBytes: 1e12, diskBusyMs: [5000, 0], processCpuMs: 9999 };
  assert.deepEqual(headroomBetween(idle, after, 1), {
    nicBitsPerSecond: 0n,
    nicFreePermille: 1000,
    diskFreePermille: 0,
    cpuFreePermille: 0,
  });
});

test("HeadroomMeter reads this machine", () => {
  const meter = new HeadroomMeter(() => ["/", "/nowhere"], 200);
  const startedAtMs = performance.now();
  while (performance.now() - startedAtMs < 210); // Busy on purpose: it is measured.
  const headroom = meter.read();
  assert.ok(headroom && headroom.cpuFreePermille < 1000, String(headroom?.cpuFreePermille));
  assert.equal(meter.read(), headroom, "the same until there is something new to tell");
});
