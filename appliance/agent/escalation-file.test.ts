import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { EscalationFile } from "./escalation-file.js";

test("EscalationFile keeps the steps over a restart, and goes by a member's where it has been one", (context) => {
  const folder = mkdtempSync(join(tmpdir(), "millrace-steps-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "steps.json");
  const step = (waitSeconds: number) => [{ scope: "origin" as const, maxHops: 0, waitSeconds, maxBytesPerSecond: 0 }];
  const first = new EscalationFile(file);
  assert.equal(first.steps, undefined);
  first.note(true, step(1));
  assert.deepEqual(new EscalationFile(file).steps, step(1));
  first.note(false, step(60));
  first.note(true, step(2));
  assert.deepEqual(new EscalationFile(file).steps, step(60));
  writeFileSync(file, "{");
  assert.equal(new EscalationFile(file).steps, undefined);
});
