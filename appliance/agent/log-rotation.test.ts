import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { openLog } from "../../runtime/log.js";
import { LogRotation, type LogRotationOptions } from "./log-rotation.js";

function open(context: TestContext, options: Partial<LogRotationOptions>) {
  const folder = mkdtempSync(join(tmpdir(), "millrace-rotation-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "access.log");
  let moved = 0;
  const rotation = new LogRotation({
    path,
    bytesMax: undefined,
    everyMs: undefined,
    filesKept: 2,
    onMoved: () => moved++,
    log: openLog("test", "silent"),
    ...options,
  });
  rotation.stop();
  return { folder, path, rotation, moved: () => moved };
}

test("LogRotation moves a file that is large enough, and keeps the newest so many", async (context) => {
  const { folder, path, rotation, moved } = open(context, { bytesMax: 10 });
  await rotation.look();
  for (const text of ["small", "first file", "second file", "third file"]) {
    writeFileSync(path, text);
    await rotation.look();
  }
  assert.equal(moved(), 3);
  assert.deepEqual(readdirSync(folder).toSorted(), ["access.log.1", "access.log.2"]);
  assert.equal(readFileSync(`${path}.1`, "utf8"), "third file");
  assert.equal(readFileSync(`${path}.2`, "utf8"), "second file");
});

test("LogRotation moves a file that is old enough, and never an empty one", async (context) => {
  const { path, rotation, moved } = open(context, { everyMs: 60_000 });
  writeFileSync(path, "x");
  await rotation.look(Date.now() + 59_000);
  assert.equal(moved(), 0);
  await rotation.look(Date.now() + 61_000);
  assert.equal(moved(), 1);
  writeFileSync(path, "");
  await rotation.look(Date.now() + 200_000);
  assert.equal(moved(), 1);
});

test("LogRotation leaves a file where it is when it cannot be moved, and fills a gap that a kill has left", async (context) => {
  const { path, rotation, moved } = open(context, { bytesMax: 1, filesKept: 3 });
  writeFileSync(path, "now");
  writeFileSync(`${path}.2`, "two");
  await rotation.look();
  assert.equal(readFileSync(`${path}.3`, "utf8"), "two");
  assert.equal(moved(), 1);
  rmSync(`${path}.3`);
  mkdirSync(join(`${path}.3`, "full"), { recursive: true });
  writeFileSync(path, "again");
  await rotation.look();
  assert.equal(moved(), 1);
  assert.ok(existsSync(path));
});
