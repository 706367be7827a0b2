import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import fc from "fast-check";
import { readPurges, writePurge } from "../disk/purge-journal.js";
import { objectKeyOf, type ObjectRecord } from "../object.js";
import { ChunkIndex } from "./chunk-index.js";
import type { Purge } from "./purge-rules.js";

function temporaryFolder(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "millrace-purge-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function objectOf(path: string, generation = 0): ObjectRecord {
  const object = { path, sizeBytes: 100, etag: '"1"', lastModifiedUnixMs: 5, digested: false, checkedUnixMs: 7 };
  return generation > 0 ? { ...object, generation } : object;
}

test("a path's generation is the last purge that matched it, for any sequence of purges", async (context) => {
  const path = fc.constantFrom("a", "a/b", "a/bc", "b", "film/ü.mp4");
  const purge = fc.oneof(
    fc.record({ kind: fc.constant("object" as const), value: path }),
    fc.record({ kind: fc.constant("prefix" as const), value: fc.constantFrom("a", "a/", "a/b", "film/", "x") }),
    fc.record({ kind: fc.constant("all" as const), value: fc.constant("") }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(purge, { maxLength: 12 }), path, async (purges, wanted) => {
      const folder = temporaryFolder(context);
      const index = new ChunkIndex(folder, 10);
      let expected = 0;
      for (const [at, { kind, value }] of purges.entries()) {
        assert.equal((await index.purge(kind, value))?.number, at + 1);
        if (kind === "all" || (kind === "object" ? wanted === value : wanted.startsWith(value))) expected = at + 1;
      }
      assert.equal(index.generationOf(wanted), expected);
      await index.close();
      const again = new ChunkIndex(folder, 10);
      assert.equal(again.generationOf(wanted), expected, "after a restart");
      await again.close();
    }),
    { numRuns: 25 },
  );
});

test("a purged object is not found, its chunks are not committed, and the sweep frees what it held", async (context) => {
  const index = new ChunkIndex(temporaryFolder(context), 10);
  context.after(() => index.close());
  await index.putExtents([{ diskNumber: 0, extent: 0, slotPages: 1, epoch: 1 }]);
  const [film, other] = [objectOf("film/a"), objectOf("other")];
  for (const object of [film, other]) {
    await index.putObject(object, Buffer.from("digests"));
    await index.commitChunks([
      { path: object.path, objectKey: objectKeyOf(object), chunk: 0, diskNumber: 0, slot: object === film ? 1 : 2, stampUnixMs: 0 },
    ]);
  }
  await index.purge("prefix", "film/");
  assert.equal(index.findObject("film/a"), undefined);
  assert.deepEqual(index.findObject("other"), other);
  const late = [{ path: film.path, objectKey: objectKeyOf(film), chunk: 1, diskNumber: 0, slot: 3, stampUnixMs: 0 }];
  assert.deepEqual(await index.commitChunks(late), late, "fetched before the purge, committed after it");
  assert.deepEqual(index.purgeProgress, { last: 1, swept: 0 });
  const { paths, freed, next } = await index.sweepPurged("", 100);
  assert.deepEqual([paths, freed, next], [["film/a"], [{ diskNumber: 0, slot: 1 }], undefined]);
  assert.deepEqual([...index.usedSlots(0)], [2]);
  assert.deepEqual([...index.findContradictions()], []);

  const anew = objectOf("film/a", index.generationOf("film/a"));
  await index.putObject(anew, undefined);
  assert.deepEqual(index.findObject("film/a"), anew);
  assert.notDeepEqual(objectKeyOf(anew), objectKeyOf(film), "the same version has another key after the purge");
});

test("readPurges() gives back what writePurge() wrote, past a line that a kill has cut, and only the last purge of everything", async (context) => {
  const folder = temporaryFolder(context);
  assert.deepEqual(await readPurges(folder), []);
  const purges: Purge[] = [
    { number: 1, kind: "object", value: "a/ü\n" },
    { number: 2, kind: "prefix", value: "b/" },
  ];
  await writePurge(folder, purges[0]!);
  appendFileSync(join(folder, "purges.jsonl"), '{"number":9,"kind":"ob');
  await writePurge(folder, purges[1]!);
  assert.deepEqual(await readPurges(folder), purges);
  const all: Purge = { number: 3, kind: "all", value: "" };
  await writePurge(folder, all);
  assert.deepEqual(await readPurges(folder), [all]);
});
