import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { sql } from "kysely";
import { OperatingError } from "../../runtime/operating-error.js";
import { startMariadb } from "../../tests/support/database-servers.js";
import { eachStore, eachStoreUrl } from "../../tests/support/each-store.js";
import { requireProgram } from "../../tests/support/require-program.js";
import { temporaryFolder } from "../../tests/support/temporary-folder.js";
import { readClockDifferenceMs } from "./clock-difference.js";
import { openStore } from "./database.js";
import { migrations } from "./migrations.js";
import { redactedUrl } from "./redacted-url.js";
import { storeErrorOf } from "./store-error.js";
import { transact } from "./transact.js";
import { insertIfAbsent, upsert } from "./upsert.js";

eachStore("openStore() makes what is missing, migrates once, and opens again", async ({ store, openCopy }) => {
  await upsert(store, "catalog_revision", { row: { id: 1, revision: 7 }, key: ["id"] });
  const again = await openCopy();
  assert.deepEqual(await again.selectFrom("catalog_revision").selectAll().execute(), [{ id: 1, revision: 7 }]);
});

eachStoreUrl("openStore() of several copies at once migrates once", async ({ url }) => {
  const stores = await Promise.all([openStore(url), openStore(url), openStore(url)]);
  for (const store of stores) assert.deepEqual(await store.selectFrom("title").selectAll().execute(), []);
  for (const store of stores) await store.destroy();
});

eachStore("every migration gets through when it was killed half way", async ({ store }) => {
  for (const migration of Object.values(migrations)) await migration.up(store);
});

eachStore(
  "a commit of SQLite is on the disk before it is answered, and a table of MySQL compares by code points",
  async ({ store, kind }) => {
    if (kind === "sqlite") {
      const pragma = async (name: string) => Object.values((await sql.raw<object>(`pragma ${name}`).execute(store)).rows[0]!)[0];
      assert.equal(await pragma("journal_mode"), "wal");
      assert.equal(await pragma("synchronous"), 2, "FULL");
    } else {
      const { rows } = await sql<{ level: string; mode: string }>`select @@tx_isolation as level, @@sql_mode as mode`.execute(store);
      assert.equal(rows[0]?.level, "SERIALIZABLE");
      assert.match(rows[0]?.mode ?? "", /STRICT_ALL_TABLES/);
    }
  },
);

eachStore("text comes back as it went in, and only equal text is equal", async ({ store }) => {
  const names = ["a", "A", "a ", "ä", "a\u0308", "😀 \\ ' \" % _ \n ;--", "ß", "ss", "İ"];
  for (const [number, name] of names.entries()) {
    await upsert(store, "idempotency_key", {
      row: { scope: name, idempotency_key: "k", request_hash: String(number), answer: name, created_at_unix_ms: 1 },
      key: ["scope", "idempotency_key"],
    });
  }
  for (const [number, name] of names.entries()) {
    const rows = await store.selectFrom("idempotency_key").select(["request_hash", "answer"]).where("scope", "=", name).execute();
    assert.deepEqual(rows, [{ request_hash: String(number), answer: name }], JSON.stringify(name));
  }
  for (const name of ["a\0b", "\ud83d"]) {
    await assert.rejects(store.selectFrom("title").selectAll().where("name", "=", name).execute(), { code: "invalid-argument" });
  }
  const sorted = await store.selectFrom("idempotency_key").select("scope").orderBy("scope").execute();
  assert.deepEqual(
    sorted.map(({ scope }) => scope),
    [...names].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
  );
});

eachStore("money of 64 bits comes back exact, alone and summed; other whole numbers are numbers or an error", async ({ store }) => {
  await sql`create table purse (id integer primary key, amount_minor bigint not null, note_count bigint not null)`.execute(store);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.bigInt({ min: -(2n ** 59n), max: 2n ** 59n }), { minLength: 1, maxLength: 8 }), async (amounts) => {
      await sql`delete from purse`.execute(store);
      for (const [id, amount] of amounts.entries()) await sql`insert into purse values (${id}, ${amount}, ${id})`.execute(store);
      const { rows } = await sql<{
        amount_minor: bigint;
        note_count: number;
      }>`select amount_minor, note_count from purse order by id`.execute(store);
      assert.deepEqual(
        rows,
        amounts.map((amount_minor, note_count) => ({ amount_minor, note_count })),
      );
      const summed = await sql<{ totalMinor: bigint; rowCount: number; noteSum: number }>`
        select sum(amount_minor) as ${sql.ref("totalMinor")}, count(*) as ${sql.ref("rowCount")}, sum(note_count) as ${sql.ref("noteSum")} from purse
      `.execute(store);
      const noteSum = (amounts.length * (amounts.length - 1)) / 2;
      assert.deepEqual(summed.rows, [{ totalMinor: amounts.reduce((a, b) => a + b), rowCount: amounts.length, noteSum }]);
    }),
    { numRuns: 25 },
  );
  for (const extreme of [2n ** 63n - 1n, -(2n ** 63n)]) {
    await sql`delete from purse`.execute(store);
    await sql`insert into purse values (1, ${extreme}, 0)`.execute(store);
    const { rows } = await sql<{ amount_minor: bigint }>`select amount_minor from purse where amount_minor = ${extreme}`.execute(store);
    assert.deepEqual(rows, [{ amount_minor: extreme }]);
  }
  await sql`update purse set note_count = ${2n ** 53n}`.execute(store);
  await assert.rejects(sql`select note_count from purse`.execute(store), /note_count has a number of 2\^53 or more/);
  await assert.rejects(sql`insert into purse values (2, ${2n ** 63n}, 0)`.execute(store), RangeError);
  await assert.rejects(sql`insert into purse values (2, ${2 ** 53}, 0)`.execute(store), RangeError);
  await assert.rejects(sql`insert into purse values (2, ${{ id: 1 }}, 0)`.execute(store), TypeError);
  const { rows } = await sql<{ yes: number }>`select ${true} as yes`.execute(store);
  assert.deepEqual(rows, [{ yes: 1 }]);
});

eachStore("upsert() inserts, then updates what it is told to; insertIfAbsent() says who was first", async ({ store }) => {
  const key = { scope: "s", idempotency_key: "k" };
  const row = { ...key, request_hash: "1", answer: "first", created_at_unix_ms: 1 };
  await upsert(store, "idempotency_key", { row, key: ["scope", "idempotency_key"] });
  await upsert(store, "idempotency_key", {
    row: { ...row, request_hash: "2", answer: "second" },
    key: ["scope", "idempotency_key"],
    set: ["answer"],
  });
  const all = () => store.selectFrom("idempotency_key").selectAll().execute();
  assert.deepEqual(await all(), [{ ...row, answer: "second" }]);
  await transact(store, async (transaction) => {
    assert.equal(await insertIfAbsent(transaction, "idempotency_key", row), false);
    assert.equal(await insertIfAbsent(transaction, "idempotency_key", { ...row, scope: "t" }), true, "the transaction goes on");
  });
  assert.equal((await all()).length, 2);
  await assert.rejects(insertIfAbsent(store, "idempotency_key", { ...row, answer: null as unknown as string }), /null/i);
});

eachStore("transact() rolls back what throws, and loses no update of many copies", async ({ store, openCopy }) => {
  await upsert(store, "catalog_revision", { row: { id: 1, revision: 0 }, key: ["id"] });
  await upsert(store, "catalog_revision", { row: { id: 2, revision: 0 }, key: ["id"] });
  await assert.rejects(
    transact(store, async (transaction) => {
      await transaction.updateTable("catalog_revision").set({ revision: 99 }).execute();
      throw new Error("changed my mind");
    }),
    /changed my mind/,
  );
  const copies = [store, await openCopy(), await openCopy()];
  const roundsEach = 10;
  // Two rows in opposite orders, read before they are written: without serializable transactions updates are lost, without retries they fail.
  await Promise.all(
    copies.map(async (copy, number) => {
      for (let round = 0; round < roundsEach; round++) {
        const order = (number + round) % 2 === 0 ? [1, 2] : [2, 1];
        await transact(copy, async (transaction) => {
          for (const id of order) {
            const { revision } = await transaction
              .selectFrom("catalog_revision")
              .select("revision")
              .where("id", "=", id)
              .forUpdate()
              .executeTakeFirstOrThrow();
            await transaction
              .updateTable("catalog_revision")
              .set({ revision: revision + 1 })
              .where("id", "=", id)
              .execute();
          }
        });
      }
    }),
  );
  const rows = await store.selectFrom("catalog_revision").select("revision").execute();
  assert.deepEqual(rows, [{ revision: copies.length * roundsEach }, { revision: copies.length * roundsEach }]);
});

eachStore("a transaction that reads before it writes is never overtaken, without asking for a lock", async ({ store, openCopy }) => {
  await upsert(store, "catalog_revision", { row: { id: 1, revision: 0 }, key: ["id"] });
  const copies = [store, await openCopy()];
  await Promise.all(
    copies.map(async (copy) => {
      for (let round = 0; round < 10; round++) {
        await transact(copy, async (transaction) => {
          const { revision } = await transaction.selectFrom("catalog_revision").select("revision").executeTakeFirstOrThrow();
          await transaction
            .updateTable("catalog_revision")
            .set({ revision: revision + 1 })
            .execute();
        });
      }
    }),
  );
  assert.deepEqual(await store.selectFrom("catalog_revision").select("revision").execute(), [{ revision: 20 }]);
});

eachStore("readClockDifferenceMs() finds a clock that is ahead of the server's", async ({ store, kind }) => {
  for (const aheadMs of [0, 90_000, -90_000]) {
    const clock = { unixMs: () => Date.now() + aheadMs, monotonicMs: () => 0 };
    const differenceMs = await readClockDifferenceMs(store, clock);
    if (kind === "sqlite") assert.equal(differenceMs, 0);
    else assert.ok(Math.abs(differenceMs - aheadMs) < 5000, String(differenceMs));
  }
});

eachStore("storeErrorOf() tells a database in need from a mistake of ours", async ({ store }) => {
  const mistake: unknown = await sql`select * from nothing`.execute(store).catch((error: unknown) => error);
  assert.ok(mistake instanceof Error);
  assert.equal(storeErrorOf(mistake), undefined);
});

test("a full disk rolls the transaction back, is said, and is used again when there is space", async () => {
  const store = await openStore(`sqlite:${join(temporaryFolder(), "a.db")}`);
  const row = (key: string, answer: string) => ({ scope: "s", idempotency_key: key, request_hash: "", answer, created_at_unix_ms: 1 });
  const write = (answer: string) =>
    transact(store, async (transaction) => {
      await transaction.insertInto("idempotency_key").values(row("small", "")).execute();
      await transaction.insertInto("idempotency_key").values(row("large", answer)).execute();
    });
  try {
    const { rows } = await sql<{ page_count: number }>`pragma page_count`.execute(store);
    await sql.raw(`pragma max_page_count = ${rows[0]!.page_count + 10}`).execute(store);
    const error: unknown = await write("x".repeat(1_000_000)).catch((error: unknown) => error);
    assert.equal(storeErrorOf(error)?.code, "store-unavailable", String(error));
    assert.deepEqual(await store.selectFrom("idempotency_key").selectAll().execute(), []);
    await sql.raw("pragma max_page_count = 100000").execute(store);
    await write("x".repeat(1_000_000));
    assert.equal((await store.selectFrom("idempotency_key").select("scope").execute()).length, 2);
  } finally {
    await store.destroy();
  }
});

test("a SQLite file that another process holds is waited for, then store-unavailable", { timeout: 30_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "millrace-store-"));
  const url = `sqlite:${join(folder, "a.db")}`;
  const [store, other] = [await openStore(url), await openStore(url)];
  try {
    await sql`begin immediate`.execute(store);
    const busy: unknown = await upsert(other, "catalog_revision", { row: { id: 1, revision: 1 }, key: ["id"] }).catch(
      (error: unknown) => error,
    );
    assert.equal(storeErrorOf(busy)?.code, "store-unavailable");
    assert.equal(storeErrorOf(busy)?.retryable, true);
    const waiting = upsert(other, "catalog_revision", { row: { id: 1, revision: 1 }, key: ["id"] });
    await sql`rollback`.execute(store);
    await waiting;
  } finally {
    await store.destroy();
    await other.destroy();
    rmSync(folder, { recursive: true });
  }
});

test("a MariaDB that is away or hangs is store-unavailable in seconds, and used again when it is back", { timeout: 60_000 }, async (t) => {
  if (!requireProgram(t, "mariadbd") || !requireProgram(t, "mariadb-install-db")) return;
  const server = await startMariadb(temporaryFolder());
  const store = await openStore(await server.makeDatabase());
  const write = () =>
    transact(store, (transaction) => upsert(transaction, "catalog_revision", { row: { id: 1, revision: 1 }, key: ["id"] }));
  const read = () => store.selectFrom("catalog_revision").selectAll().execute();
  try {
    await write();
    await server.kill();
    for (const use of [write, read]) {
      const error: unknown = await use().then(
        () => undefined,
        (error: unknown) => error,
      );
      const known = storeErrorOf(error);
      assert.equal(known?.code, "store-unavailable", String(error));
      assert.equal(known.retryable, true);
    }
    await server.startAgain();
    await write();
    assert.deepEqual(await read(), [{ id: 1, revision: 1 }]);
    // A network that swallows everything looks like this.
    process.kill(server.pid, "SIGSTOP");
    const error: unknown = await write().catch((error: unknown) => error);
    assert.equal(storeErrorOf(error)?.code, "store-unavailable", String(error));
    process.kill(server.pid, "SIGCONT");
    await write();
    assert.deepEqual(await read(), [{ id: 1, revision: 1 }]);
  } finally {
    await store.destroy();
    await server.kill();
  }
});

test("openStore() says what is wrong with the URL, the file or the server, without its password", async () => {
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
      assert.doesNotMatch(error.message, /secret/);
      return error.code;
    };
    assert.equal(await codeOf("mysql://root:secret@localhost"), "database-unsupported");
    assert.equal(await codeOf("mysql://root:secret@127.0.0.1:1/millrace"), "database-unusable");
    assert.equal(await codeOf("mysql://root:secret@localhost/millrace?socket=/nowhere/at-all"), "database-unusable");
    assert.equal(await codeOf("postgres://root:secret@localhost/millrace"), "database-unsupported");
    assert.equal(await codeOf("control-plane.db"), "database-unsupported");
    assert.equal(await codeOf(`sqlite:${notDatabase}`), "database-unusable");
    assert.equal(await codeOf(`sqlite:${notDatabase}/a.db`), "database-unusable");
    assert.equal(await codeOf(`sqlite:${folder}`), "database-unusable");
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("redactedUrl() hides passwords and nothing else", () => {
  assert.equal(redactedUrl("mysql://me:p%40:ss/@host:1/x"), "mysql://me:***@host:1/x");
  assert.equal(redactedUrl("redis://:secret@host:6379/0"), "redis://:***@host:6379/0");
  assert.equal(redactedUrl("redis://host:6379/0"), "redis://host:6379/0");
  assert.equal(redactedUrl("sqlite:./a@b:c.db"), "sqlite:./a@b:c.db");
});
