import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { sql } from "kysely";
import { OperatingError } from "../../runtime/operating-error.js";
import { openStore } from "./database.js";
import { storeErrorOf } from "./store-error.js";
import { withTemporaryStore } from "./temporary-store.js";

test("openStore() makes folder and file, syncs every commit, and migrates once", async () => {
  await withTemporaryStore(async (store, url) => {
    const pragma = async (name: string) => Object.values((await sql.raw<object>(`pragma ${name}`).execute(store)).rows[0]!)[0];
    assert.equal(await pragma("journal_mode"), "wal");
    assert.equal(await pragma("synchronous"), 2, "FULL");
    const again = await openStore(url);
    assert.deepEqual(await again.selectFrom("title").selectAll().execute(), []);
    await again.destroy();
  });
});

test("openStore() says what is wrong with the URL or the file", async () => {
  const folder = mkdtempSync(join(tmpdir(), "millrace-store-"));
  try {
    const notDatabase = join(folder, "notes.txt");
    writeFileSync(
      notDatabase,
      "these are not the bytes of a database, but it is long enough to look like a file that has some. ".repeat(20),
    );
    const codeOf = async (url: string) => {
      const error = await openStore(url).then(
        () => assert.fail(`${url} was opened`),
        (error: unknown) => error,
      );
      assert.ok(error instanceof OperatingError, String(error));
      assert.match(error.message, /^Cannot /);
      return error.code;
    };
    assert.equal(await codeOf("mysql://localhost/millrace"), "database-unsupported");
    assert.equal(await codeOf("control-plane.db"), "database-unsupported");
    assert.equal(await codeOf(`sqlite:${notDatabase}`), "database-unusable");
    assert.equal(await codeOf(`sqlite:${notDatabase}/a.db`), "database-unusable");
    assert.equal(await codeOf(`sqlite:${folder}`), "database-unusable");
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("storeErrorOf() tells a database in need from a mistake of ours", async () => {
  await withTemporaryStore(async (store, url) => {
    const other = await openStore(url);
    await sql`pragma busy_timeout = 10`.execute(other);
    await sql`begin immediate`.execute(store);
    const busy: unknown = await other
      .replaceInto("catalog_revision")
      .values({ id: 1, revision: 1 })
      .execute()
      .catch((error: unknown) => error);
    await sql`rollback`.execute(store);
    await other.destroy();
    assert.equal(storeErrorOf(busy)?.code, "store-unavailable");
    assert.equal(storeErrorOf(busy)?.retryable, true);
    const mistake: unknown = await sql`select * from nothing`.execute(store).catch((error: unknown) => error);
    assert.ok(mistake instanceof Error);
    assert.equal(storeErrorOf(mistake), undefined);
  });
});
