import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { openLog } from "../../runtime/log.js";
import { OperatingError } from "../../runtime/operating-error.js";
import { readDiskIdentity } from "./disk-identity.js";
import { openDisks, type DiskRegister } from "./open-disks.js";
import { slabGeometryOf } from "./slab-geometry.js";

function temporaryFolder(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "millrace-disk-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function refusalOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof OperatingError);
    assert.equal(error.code, "disk-refused");
    return error.message;
  }
  assert.fail("the disk was taken");
}

test("readDiskIdentity() gives an empty folder an identity, and reads the same one again", (context) => {
  const folder = temporaryFolder(context);
  mkdirSync(join(folder, "lost+found"));
  // What a kill in mid-creation leaves.
  writeFileSync(join(folder, "disk.json.new"), "{");
  const first = readDiskIdentity(folder, 1000);
  assert.equal(first.state, "ready");
  assert.deepEqual(readDiskIdentity(folder, 1000), first);
});

test("readDiskIdentity() says that a folder is missing, and makes none", (context) => {
  const path = join(temporaryFolder(context), "not-mounted");
  const found = readDiskIdentity(path, 1000);
  assert.equal(found.state, "missing");
  assert.match(found.state === "missing" ? found.reason : "", /ENOENT/);
  assert.equal(readDiskIdentity(path, 1000).state, "missing");
});

test("readDiskIdentity() refuses a folder that holds somebody's files, and leaves them alone", (context) => {
  const folder = temporaryFolder(context);
  writeFileSync(join(folder, "letter.txt"), "dear");
  assert.match(
    refusalOf(() => readDiskIdentity(folder, 1000)),
    /Cannot use disk .*: it has no disk\.json but holds letter\.txt/,
  );
  assert.equal(readFileSync(join(folder, "letter.txt"), "utf8"), "dear");
  assert.throws(() => readFileSync(join(folder, "disk.json")), /ENOENT/);
});

test("readDiskIdentity() refuses another chunk size, another format, broken JSON, foreign JSON and a file", (context) => {
  const folder = temporaryFolder(context);
  const file = join(folder, "disk.json");
  readDiskIdentity(folder, 1000);
  const own = JSON.parse(readFileSync(file, "utf8")) as object;
  assert.match(
    refusalOf(() => readDiskIdentity(folder, 1001)),
    /its chunks have 1000 bytes, and this appliance is set to 1001/,
  );
  for (const [text, reason] of [
    [JSON.stringify({ ...own, formatVersion: 1 }), /it is of format 1, and this appliance has format 2; empty the folder/],
    ["{", /its disk\.json is not JSON/],
    ["", /its disk\.json is not JSON/],
    ["null", /its disk\.json is not one of ours/],
    [JSON.stringify({ ...own, uuid: "x" }), /its disk\.json is not one of ours/],
    [JSON.stringify({ ...own, owner: "x" }), /its disk\.json is not one of ours/],
  ] as const) {
    writeFileSync(file, text);
    assert.match(
      refusalOf(() => readDiskIdentity(folder, 1000)),
      reason,
    );
    assert.equal(readFileSync(file, "utf8"), text, "it was written over");
  }
  assert.match(
    refusalOf(() => readDiskIdentity(file, 1000)),
    /it is not a folder/,
  );
});

/** Remembers disks as the index does. */
function openRegister(): DiskRegister {
  const known: { diskNumber: number; uuid: string; path: string }[] = [];
  return {
    knownDisks: () => known,
    enrolDisk: async (uuid, path) => {
      const earlier = known.find((disk) => disk.uuid === uuid);
      if (earlier) earlier.path = path;
      else known.push({ diskNumber: known.length, uuid, path });
      return earlier?.diskNumber ?? known.length - 1;
    },
  };
}

const geometry = slabGeometryOf(1000);
const log = openLog("test", "silent");
const wantedOf = (...paths: string[]) => paths.map((path) => ({ path, size: 100_000 }));

test("openDisks() starts without a disk that is known and missing, and refuses one that never was there", async (context) => {
  const [a, b] = [temporaryFolder(context), temporaryFolder(context)];
  const register = openRegister();
  const both = await openDisks({ wanted: wantedOf(a, b), geometry, register, log });
  assert.deepEqual(
    both.disks.map(({ diskNumber }) => both.stateOf(diskNumber)),
    ["online", "online"],
  );
  rmSync(a, { recursive: true });
  const one = await openDisks({ wanted: wantedOf(a, b), geometry, register, log });
  assert.deepEqual(
    one.disks.map(({ diskNumber, uuid }) => [diskNumber, uuid, one.stateOf(diskNumber)]),
    [
      [0, both.disks[0]!.uuid, "offline"],
      [1, both.disks[1]!.uuid, "online"],
    ],
  );
  await assert.rejects(openDisks({ wanted: wantedOf(join(b, "nowhere"), b), geometry, register, log }), { code: "disk-missing" });
  await assert.rejects(openDisks({ wanted: wantedOf(a), geometry, register, log }), { code: "disk-missing" });
});

test("openDisks() that only looks leaves an empty folder empty, and goes on without it", async (context) => {
  const [a, b] = [temporaryFolder(context), temporaryFolder(context)];
  readDiskIdentity(a, 1000);
  const seen = await openDisks({ wanted: wantedOf(a, b), geometry, register: openRegister(), log, looksOnly: true });
  assert.deepEqual(
    seen.disks.map(({ path }) => path),
    [a],
  );
  assert.deepEqual(readdirSync(b), []);
});

test("openDisks() refuses one disk under two paths", async (context) => {
  const [a, b] = [temporaryFolder(context), temporaryFolder(context)];
  readDiskIdentity(a, 1000);
  writeFileSync(join(b, "disk.json"), readFileSync(join(a, "disk.json")));
  await assert.rejects(openDisks({ wanted: wantedOf(a, b), geometry, register: openRegister(), log }), {
    code: "disk-refused",
    message: /it is the same disk as/,
  });
});

test("openDisks() knows a disk that has moved to another path, and has it once, when its old path is gone", async (context) => {
  const [a, b] = [temporaryFolder(context), temporaryFolder(context)];
  const register = openRegister();
  const { disks } = await openDisks({ wanted: wantedOf(a), geometry, register, log });
  writeFileSync(join(b, "disk.json"), readFileSync(join(a, "disk.json")));
  rmSync(a, { recursive: true });
  const moved = await openDisks({ wanted: wantedOf(a, b), geometry, register, log });
  assert.deepEqual(
    moved.disks.map(({ diskNumber, uuid, path }) => ({ diskNumber, uuid, path })),
    [{ diskNumber: 0, uuid: disks[0]!.uuid, path: b }],
  );
  assert.ok(moved.isOnline(0));
});
