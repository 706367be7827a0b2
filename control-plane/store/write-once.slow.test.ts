import assert from "node:assert/strict";
import { upsert } from "./upsert.js";
import { eachStore } from "../../tests/support/each-store.js";
import { forgetOldKeys, idempotencyKeyKeptMs, writeOnce } from "./write-once.js";

const options = { scope: "test.Add account-1", key: "key-1", request: Buffer.from("add 5"), nowUnixMs: 1_000_000 };

eachStore("writeOnce() does the work once, however often and wherever it is asked for", async ({ store, openCopy }) => {
  await upsert(store, "catalog_revision", { row: { id: 1, revision: 0 }, key: ["id"] });
  const copies = [store, await openCopy(), await openCopy()];
  const add = (copy: typeof store) =>
    writeOnce(copy, options, async (transaction) => {
      await transaction
        .updateTable("catalog_revision")
        .set((set) => ({ revision: set("revision", "+", 5) }))
        .execute();
      const { revision } = await transaction.selectFrom("catalog_revision").select("revision").executeTakeFirstOrThrow();
      return { revision };
    });
  const answers = await Promise.all([...copies, ...copies, ...copies].map(add));
  for (const answer of answers) assert.deepEqual(answer, { revision: 5 });
  assert.deepEqual(await store.selectFrom("catalog_revision").select("revision").execute(), [{ revision: 5 }]);
});

eachStore("writeOnce() keeps nothing of work that failed, and refuses a key that is used for something else", async ({ store }) => {
  await assert.rejects(
    writeOnce(store, options, () => Promise.reject(new Error("declined"))),
    /declined/,
  );
  assert.equal(await writeOnce(store, options, () => Promise.resolve("done")), "done");
  await assert.rejects(
    writeOnce(store, { ...options, request: Buffer.from("add 6") }, () => Promise.resolve("done")),
    { code: "idempotency-key-reused" },
  );
  for (const key of ["", "k".repeat(129), "a b", "ä"]) {
    await assert.rejects(
      writeOnce(store, { ...options, key }, () => Promise.resolve("done")),
      { code: "idempotency-key-invalid" },
    );
  }
  assert.equal(await writeOnce(store, { ...options, scope: "other" }, () => Promise.resolve("else")), "else");
});

eachStore("forgetOldKeys() forgets keys after their time", async ({ store }) => {
  await writeOnce(store, options, () => Promise.resolve("done"));
  assert.equal(await forgetOldKeys(store, options.nowUnixMs + idempotencyKeyKeptMs), 0);
  assert.equal(await forgetOldKeys(store, options.nowUnixMs + idempotencyKeyKeptMs + 1), 1);
  assert.equal(await writeOnce(store, options, () => Promise.resolve("again")), "again");
});
