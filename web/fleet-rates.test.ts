// Tests of the rates that the console shows.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { FleetRates } from "./fleet-rates.js";
import type { FleetAppliance } from "./gateway-answers.js";

function appliance(changes: Partial<FleetAppliance> = {}): FleetAppliance {
  return {
    id: "edge-1",
    siteId: "isp-1",
    clusterId: "isp-1-a",
    role: "edge",
    state: "live",
    dataUrl: "http://127.0.0.1:8080",
    adminUrl: "http://127.0.0.1:8081",
    lastHeartbeatUnixMs: 1_000_000,
    requests: 0,
    bytesSent: 0,
    bytesFilled: 0,
    heldBytes: 0,
    capacityBytes: 0,
    objectsHeld: 0,
    requestHeadroom: 1,
    disks: [],
    ...changes,
  };
}

test("FleetRates knows nothing after one heartbeat, and divides by the time between two", () => {
  const rates = new FleetRates();
  rates.observe([appliance({ requests: 100, bytesSent: 5_000 })], 0);
  assert.equal(rates.of("edge-1"), undefined);
  rates.observe([appliance({ requests: 120, bytesSent: 9_000, bytesFilled: 400, lastHeartbeatUnixMs: 1_004_000 })], 2_000);
  assert.deepEqual(rates.of("edge-1"), { requestsPerSecond: 5, bytesSentPerSecond: 1_000, bytesFilledPerSecond: 100 });
});

test("FleetRates keeps the rate while polls see the same heartbeat, and calls it zero after 15 s of silence", () => {
  const rates = new FleetRates();
  rates.observe([appliance()], 0);
  const second = appliance({ requests: 10, lastHeartbeatUnixMs: 1_002_000 });
  rates.observe([second], 2_000);
  rates.observe([second], 4_000);
  assert.equal(rates.of("edge-1")?.requestsPerSecond, 5);
  rates.observe([second], 16_999);
  assert.equal(rates.of("edge-1")?.requestsPerSecond, 5);
  rates.observe([second], 17_000);
  assert.equal(rates.of("edge-1")?.requestsPerSecond, 0);
});

test("FleetRates calls the rate of an appliance zero as soon as it is offline", () => {
  const rates = new FleetRates();
  rates.observe([appliance()], 0);
  rates.observe([appliance({ requests: 10, lastHeartbeatUnixMs: 1_002_000 })], 2_000);
  rates.observe([appliance({ requests: 10, lastHeartbeatUnixMs: 1_002_000, state: "offline" })], 4_000);
  assert.equal(rates.of("edge-1")?.requestsPerSecond, 0);
});

test("FleetRates reads totals that fall as a restart, never as a negative rate", () => {
  const rates = new FleetRates();
  rates.observe([appliance({ requests: 1_000, bytesSent: 70_000 })], 0);
  rates.observe([appliance({ requests: 6, bytesSent: 80, lastHeartbeatUnixMs: 1_002_000 })], 2_000);
  assert.deepEqual(rates.of("edge-1"), { requestsPerSecond: 3, bytesSentPerSecond: 40, bytesFilledPerSecond: 0 });
  assert.equal(rates.restartsOf("edge-1"), 1);
});

test("FleetRates forgets samples older than five minutes, and appliances that left", () => {
  const rates = new FleetRates();
  for (let nowMs = 0; nowMs <= 400_000; nowMs += 2_000) rates.observe([appliance()], nowMs);
  assert.equal(rates.history[0]?.atMs, 100_000);
  assert.equal(rates.history.length, 151);
  rates.observe([], 402_000);
  assert.equal(rates.of("edge-1"), undefined);
  assert.equal(rates.history.at(-1)?.sent.size, 0);
});

test("FleetRates never gives a negative or infinite rate, whatever is reported", () => {
  const report = fc.record({ heartbeat: fc.nat(50), requests: fc.nat(100), bytesSent: fc.nat(100), bytesFilled: fc.nat(100) });
  fc.assert(
    fc.property(fc.array(report, { maxLength: 30 }), (reports) => {
      const rates = new FleetRates();
      reports.forEach(({ heartbeat, ...totals }, index) => {
        rates.observe([appliance({ ...totals, lastHeartbeatUnixMs: heartbeat * 1000 })], index * 2_000);
        for (const rate of Object.values(rates.of("edge-1") ?? {})) assert.ok(rate >= 0 && Number.isFinite(rate));
      });
    }),
  );
});
