import assert from "node:assert/strict";
import { test } from "node:test";
import { leaseAtRegister, renewLease } from "./lease.js";

const validForMs = 1000;
const newLeaseId = () => "new";
const lease = { leaseId: "old", issuedAtUnixMs: 5000, expiresAtUnixMs: 6000 };

test("leaseAtRegister() keeps a lease while more than half of it is left", () => {
  assert.equal(leaseAtRegister(lease, { nowUnixMs: 5499, validForMs, newLeaseId }), lease);
  const fresh = { leaseId: "new", issuedAtUnixMs: 5500, expiresAtUnixMs: 6500 };
  assert.deepEqual(leaseAtRegister(lease, { nowUnixMs: 5500, validForMs, newLeaseId }), fresh);
  assert.deepEqual(leaseAtRegister(undefined, { nowUnixMs: 5500, validForMs, newLeaseId }), fresh);
});

test("leaseAtRegister() does not keep a lease from the future or one longer than the setting", () => {
  assert.equal(leaseAtRegister(lease, { nowUnixMs: 4999, validForMs, newLeaseId }).leaseId, "new");
  assert.equal(leaseAtRegister(lease, { nowUnixMs: 5001, validForMs: 500, newLeaseId }).leaseId, "new");
});

test("renewLease() counts from now, and refuses an expired or another lease", () => {
  const at = (nowUnixMs: number, leaseId = "old") => renewLease(lease, { leaseId, nowUnixMs, validForMs });
  assert.deepEqual(at(5999), { leaseId: "old", issuedAtUnixMs: 5999, expiresAtUnixMs: 6999 });
  assert.equal(at(6000), undefined);
  assert.equal(at(5500, "other"), undefined);
  assert.equal(renewLease(undefined, { leaseId: "old", nowUnixMs: 0, validForMs }), undefined);
});
