import assert from "node:assert/strict";
import { test } from "node:test";
import { PasswordHasher } from "./password-hasher.js";

const small = { memoryKiB: 64, iterations: 1, atOnceMax: 2, waitingMax: 3 };

test("PasswordHasher makes argon2id and knows its own, and does as much for no account as for one", async () => {
  const hasher = await PasswordHasher.open(small);
  const hash = await hasher.hash("correct horse");
  assert.match(hash, /^\$argon2id\$v=19\$m=64,t=1,p=1\$/);
  assert.notEqual(hash, await hasher.hash("correct horse"), "salted");
  assert.equal(await hasher.verify(hash, "correct horse"), true);
  assert.equal(await hasher.verify(hash, "correct Horse"), false);
  const before = hasher.worked;
  assert.equal(await hasher.verify(undefined, "nobody's password"), false, "the decoy's own password opens nothing");
  assert.equal(hasher.worked, before + 1);
  assert.equal(hasher.isOutdated(hash), false);
  assert.equal((await PasswordHasher.open({ ...small, iterations: 2 })).isOutdated(hash), true);
});

test("PasswordHasher works on so many at once, lets so many wait, refuses the rest, and recovers", async () => {
  const hasher = await PasswordHasher.open({ ...small, memoryKiB: 8192 });
  const results = await Promise.allSettled(Array.from({ length: 9 }, () => hasher.hash("correct horse")));
  assert.equal(results.filter(({ status }) => status === "fulfilled").length, small.atOnceMax + small.waitingMax);
  for (const result of results) if (result.status === "rejected") assert.equal((result.reason as { code: string }).code, "login-busy");
  await Promise.all(Array.from({ length: 5 }, () => hasher.hash("correct horse")));
});
