import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { readLease, writeLease } from "./lease-file.js";

const times = { leaseId: "l-1", issuedAtUnixMs: 1_790_000_000_000, expiresAtUnixMs: 1_790_003_600_000 };
const lease = {
  ...times,
  tokenKeys: [{ id: "k", secret: "s", signsFromUnixMs: 0, untilUnixMs: 1_790_003_600_000 }],
  revokedSessions: ["gone"],
  tokenKeysVersion: "v",
};

test("readLease() gives back what writeLease() wrote last, over what a kill left, and leaves no other file", (context) => {
  const folder = mkdtempSync(join(tmpdir(), "millrace-lease-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "lease.json");
  writeFileSync(
    `${file}.new`,
    '{"leaseId":"half and a long tail that must not stay behind the new text ..................................',
  );
  writeLease(file, lease);
  writeLease(file, { ...lease, leaseId: "l-2" });
  assert.deepEqual(readLease(file), { ...lease, leaseId: "l-2" });
  assert.deepEqual(readdirSync(folder), ["lease.json"]);
  assert.equal(statSync(file).mode & 0o777, 0o600, "it holds secrets");
});

test("readLease() takes a lease from before there were keys in it", (context) => {
  const folder = mkdtempSync(join(tmpdir(), "millrace-lease-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "lease.json");
  writeFileSync(file, JSON.stringify(times));
  assert.deepEqual(readLease(file), { ...times, tokenKeys: [], revokedSessions: [], tokenKeysVersion: "" });
});

test("readLease() has no lease where there is no file, or one that is not a lease", (context) => {
  const folder = mkdtempSync(join(tmpdir(), "millrace-lease-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "lease.json");
  assert.equal(readLease(file), undefined);
  for (const text of ["", "{", "null", "[]", '{"leaseId":1}', JSON.stringify({ ...lease, expiresAtUnixMs: "soon" })]) {
    writeFileSync(file, text);
    assert.equal(readLease(file), undefined, text);
  }
  assert.equal(readLease(folder), undefined);
});
