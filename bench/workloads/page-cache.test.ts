import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { OperatingError } from "../../runtime/operating-error.js";
import { keepOutOfPageCache } from "./page-cache.js";

/** As statfs(2) says it. What lies in memory is on no disk. */
const tmpfsType = 0x01021994;
const skip =
  process.platform !== "linux"
    ? "only Linux has this page cache"
    : statfsSync(tmpdir()).type === tmpfsType && "the temporary folder is in memory";

function readFromDisk(): number {
  return Number(/^read_bytes: (\d+)/m.exec(readFileSync("/proc/self/io", "utf8"))![1]);
}

test("keepOutOfPageCache() makes the next reading come from disk, also of what was written a moment ago", { skip }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "millrace-cache-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "a file with 'quotes'.bin");
  const bytes = 8 * 2 ** 20;
  writeFileSync(file, Buffer.alloc(bytes, 7));
  const cachedFrom = readFromDisk();
  assert.equal(readFileSync(file).length, bytes);
  assert.ok(readFromDisk() - cachedFrom < bytes / 2, "it was in memory before");
  const cold = await keepOutOfPageCache([folder]);
  const from = readFromDisk();
  assert.equal(readFileSync(file).length, bytes);
  assert.ok(readFromDisk() - from >= bytes, `${readFromDisk() - from} bytes from disk`);
  await cold.stop();
});

test("keepOutOfPageCache() refuses folders without files, and those that are not there", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "millrace-cache-"));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const wrong of [folder, join(folder, "missing")]) {
    await assert.rejects(keepOutOfPageCache([wrong]), (error) => error instanceof OperatingError && error.code === "cannot-drop-cache");
  }
});
