import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../runtime/manual-clock.js";
import { startRedis } from "../../tests/support/database-servers.js";
import { eachSharedState } from "../../tests/support/each-store.js";
import { requireProgram } from "../../tests/support/require-program.js";
import { temporaryFolder } from "../../tests/support/temporary-folder.js";
import { waitUntil } from "../../tests/support/wait-until.js";
import { openSharedState } from "./open-shared-state.js";

eachSharedState("keys are seen by every copy, taken by one, and end", async ({ shared, other, pass }) => {
  assert.equal(await shared.get("key"), undefined);
  await shared.put("key", "value ä", 50);
  assert.equal(await other.get("key"), "value ä");
  assert.equal(await other.putIfAbsent("key", "else", 50), false);
  assert.equal(await other.remove("key"), true);
  assert.equal(await shared.remove("key"), false);
  const won = await Promise.all([shared, other, shared, other].map((copy) => copy.putIfAbsent("task", "mine", 50)));
  assert.equal(won.filter(Boolean).length, 1);
  await pass(50);
  assert.equal(await shared.get("task"), undefined);
  assert.equal(await other.putIfAbsent("task", "mine", 50), true);
});

eachSharedState("counts and uses of all copies add up, and begin anew when their time is over", async ({ shared, other, pass }) => {
  const counts = await Promise.all([shared, other, shared].map((copy) => copy.count("mail", 60)));
  assert.deepEqual(counts.sort(), [1, 2, 3]);
  assert.equal(await shared.count("mail", 60, -3), 0);
  const limit = { usesMax: 3, windowMs: 200 };
  for (const copy of [shared, other, shared]) assert.equal((await copy.use("guess", limit)).allowed, true);
  for (const copy of [other, shared]) {
    const { allowed, retryAfterMs } = await copy.use("guess", limit);
    assert.equal(allowed, false);
    assert.ok(retryAfterMs > 0 && retryAfterMs <= 200, String(retryAfterMs));
  }
  assert.equal((await other.use("another guess", limit)).allowed, true);
  await shared.resetUses("guess");
  assert.equal((await other.use("guess", limit)).allowed, true);
  await pass(200);
  assert.equal(await shared.count("mail", 60), 1);
  for (const copy of [shared, other, shared]) assert.equal((await copy.use("guess", limit)).allowed, true);
});

eachSharedState("members of a group vanish when they are not put again", async ({ shared, other, pass }) => {
  assert.deepEqual(await shared.members("fleet"), new Map());
  await shared.putMember("fleet", "a", "1", 100);
  await shared.putMember("fleet", "b", "1", 60_000);
  await other.putMember("fleet", "a", "2", 100);
  assert.deepEqual(
    await other.members("fleet"),
    new Map([
      ["a", "2"],
      ["b", "1"],
    ]),
  );
  await pass(100);
  assert.deepEqual(await shared.members("fleet"), new Map([["b", "1"]]));
  await other.removeMember("fleet", "b");
  assert.deepEqual(await shared.members("fleet"), new Map());
});

eachSharedState("messages reach every copy that listens, on their channel only", async ({ shared, other }) => {
  const heard: string[] = [];
  const stop = await other.subscribe("news", (message) => heard.push(message));
  await other.subscribe("other news", (message) => heard.push(`other ${message}`));
  await shared.publish("news", "first");
  await shared.publish("no news", "lost");
  await waitUntil("the message arrives", () => heard.length > 0);
  stop();
  await shared.publish("news", "second");
  await shared.publish("other news", "third");
  await waitUntil("the other message arrives", () => heard.length > 1);
  assert.deepEqual(heard, ["first", "other third"]);
});

test(
  "a Redis that is away is said at once, limits go on per copy, and it is used again when it is back",
  { timeout: 30_000 },
  async (t) => {
    if (!requireProgram(t, "redis-server")) return;
    const server = await startRedis(temporaryFolder());
    const shared = await openSharedState(server.url, new ManualClock());
    const heard: string[] = [];
    await shared.subscribe("news", (message) => heard.push(message));
    await server.kill();
    await waitUntil("the connection is down", () => !shared.isAvailable());
    await assert.rejects(shared.get("key"), { code: "shared-state-unavailable" });
    const limit = { usesMax: 2, windowMs: 60_000 };
    const verdicts = [await shared.use("guess", limit), await shared.use("guess", limit), await shared.use("guess", limit)];
    assert.deepEqual(
      verdicts.map(({ allowed }) => allowed),
      [true, true, false],
    );
    await server.startAgain();
    await waitUntil("it is used again", async () => {
      await shared.publish("news", "back");
      return heard.length > 0;
    });
    // Hung, not gone.
    process.kill(server.pid, "SIGSTOP");
    await assert.rejects(shared.get("key"), { code: "shared-state-unavailable" });
    process.kill(server.pid, "SIGCONT");
    await waitUntil("it answers again", async () => {
      await shared.get("key");
      return true;
    });
    await shared.close();
    await server.kill();
  },
);

test("openSharedState() says which server it can't reach, without its password", async () => {
  const clock = new ManualClock();
  await assert.rejects(openSharedState("redis://:secret@127.0.0.1:1", clock), {
    code: "shared-state-unavailable",
    message: /^Cannot connect to redis:\/\/:\*\*\*@127\.0\.0\.1:1: .*ECONNREFUSED/,
  });
});
