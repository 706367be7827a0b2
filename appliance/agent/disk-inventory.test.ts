import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { openLog } from "../../runtime/log.js";
import { DiskSet } from "../disk/disk-set.js";
import { ChunkIndex } from "../index/chunk-index.js";
import { objectKeyOf } from "../object.js";
import { DiskInventory } from "./disk-inventory.js";

test("DiskInventory takes a disk that is away out of the count, and names what it concerns; and brings it back; a disk out of the settings too", async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "millrace-inventory-"));
  const index = new ChunkIndex(folder, 10);
  context.after(async () => {
    await index.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const diskNumbers = [await index.enrolDisk("u-0", "/0"), await index.enrolDisk("u-1", "/1"), await index.enrolDisk("gone", "/2")];
  const object = (path: string) => ({ path, sizeBytes: 30, etag: '"1"', lastModifiedUnixMs: 0, digested: false, checkedUnixMs: 1 });
  for (const [at, path] of ["on-0", "on-1", "on-2"].entries()) {
    await index.putObject(object(path), undefined);
    const objectKey = objectKeyOf(object(path));
    await index.commitChunks([{ path, objectKey, chunk: 0, diskNumber: diskNumbers[at]!, slot: 1, stampUnixMs: 0 }]);
  }
  const disks = new DiskSet(
    [0, 1].map((at) => ({ diskNumber: diskNumbers[at]!, uuid: `u-${at}`, path: `/${at}`, capacityBytes: 1, extentCount: 10 })),
  );
  const named: string[] = [];
  let told = 0;
  const inventory = new DiskInventory({
    disks,
    index,
    onHeldChanged: (paths) => named.push(...paths.toSorted()),
    onTold: () => told++,
    log: openLog("test", "silent"),
  });
  const held = (path: string) => index.chunksHeldOf(objectKeyOf(object(path)));
  await inventory.settle();
  assert.deepEqual([named.splice(0), held("on-0"), held("on-1"), held("on-2")], [["on-2"], 1, 1, 0]);
  disks.setState(diskNumbers[1]!, "suspect");
  await inventory.settle();
  assert.deepEqual([named.splice(0), told, held("on-1")], [[], 1, 1], "a suspect disk is only slow, as far as is known");
  disks.setState(diskNumbers[1]!, "offline");
  await inventory.settle();
  assert.deepEqual([named.splice(0), told, held("on-1")], [["on-1"], 2, 0]);
  disks.setState(diskNumbers[1]!, "online");
  await inventory.settle();
  assert.deepEqual([named.splice(0), told, held("on-1")], [["on-1"], 3, 1]);
});
