import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { digestChunk, makeObjectDigests } from "../../fill-protocol/object-digests.js";
import type { SlotPlace } from "../index/chunk-index.js";
import { objectKeyOf, objectPathBytesMax } from "../object.js";
import { ObjectDescriber, type ObjectDescriberOptions } from "./object-describer.js";
import { objectOf, openTemporaryStage, ScriptedUpstream, until } from "./temporary-stage.js";
import type { Upstream } from "./upstream.js";

function openDescriber(context: TestContext, upstreams: readonly Upstream[]) {
  const stage = openTemporaryStage(context);
  const changed: [string, readonly SlotPlace[]][] = [];
  let nowMs = 1000;
  const clock = { unixMs: () => Date.now(), monotonicMs: () => nowMs };
  const options = { ...stage, clock, upstreams, onChanged: (path: string, freed: readonly SlotPlace[]) => changed.push([path, freed]) };
  const open = (over: Partial<ObjectDescriberOptions> = {}) => new ObjectDescriber({ ...options, ...over });
  const describer = open();
  const describe = (path: string, refresh = false) => describer.describe(path, { via: ["a", "b"], refresh });
  return { ...stage, open, describer, describe, changed, turnClock: (ms: number) => (nowMs += ms) };
}

const object = objectOf("a", 95);
test("ObjectDescriber asks once however many wait, remembers the answer, and asks no more", async (context) => {
  const origin = new ScriptedUpstream("origin", [object]);
  const { describe, index } = openDescriber(context, [origin]);
  const outcomes = await Promise.all(Array.from({ length: 50 }, () => describe("a")));
  await describe("a");
  assert.deepEqual(origin.described, [{ path: "a", via: ["a", "b", "self"] }]);
  for (const outcome of outcomes) assert.ok("object" in outcome && outcome.object.etag === '"1"');
  assert.equal(index.findObject("a")?.sizeBytes, 95);
});

test("ObjectDescriber asks the upstreams in order, and takes the first that knows the object", async (context) => {
  const away = new ScriptedUpstream("away");
  away.beforeDescribe = () => ({ failure: "unreachable", detail: "scripted" });
  const without = new ScriptedUpstream("without");
  const origin = new ScriptedUpstream("origin", [object]);
  const { describe } = openDescriber(context, [away, without, origin]);
  assert.ok("object" in (await describe("a")));
  assert.deepEqual(
    [away, without, origin].map(({ described }) => described.length),
    [1, 1, 1],
  );
});

test("ObjectDescriber does not ask again at once for what no upstream has", async (context) => {
  const origin = new ScriptedUpstream("origin");
  const { describe } = openDescriber(context, [origin]);
  for (let count = 0; count < 20; count++) assert.deepEqual(await describe("nothing", count % 2 === 0), { failure: "not-found" });
  assert.equal(origin.described.length, 1);
});

test("ObjectDescriber does not take an upstream that is away for one that has not got the object", async (context) => {
  const origin = new ScriptedUpstream("origin", [object]);
  const { describe, turnClock } = openDescriber(context, [new ScriptedUpstream("without"), origin]);
  for (const [failure, expected] of [
    ["unreachable", "upstream-failed"],
    ["timeout", "upstream-timeout"],
    ["bad-answer", "upstream-failed"],
    ["busy", "busy"],
    ["loop", "not-found"],
  ] as const) {
    origin.beforeDescribe = () => ({ failure, detail: "scripted" });
    const asked = origin.described.length;
    for (let count = 0; count < 5; count++) assert.deepEqual(await describe("a"), { failure: expected });
    assert.equal(origin.described.length, asked + 1, "a failure is remembered for a moment");
    turnClock(2000);
  }
  origin.beforeDescribe = () => undefined;
  assert.ok("object" in (await describe("a")), "the failure was remembered as an absence");
});

test("ObjectDescriber keeps what it knows, and its chunks, while upstreams are away", async (context) => {
  const origin = new ScriptedUpstream("origin", [object]);
  const { describe, index, changed } = openDescriber(context, [origin]);
  await describe("a");
  await index.commitChunks([{ path: "a", objectKey: objectKeyOf(object), chunk: 0, diskNumber: 0, slot: 0, stampUnixMs: 0 }]);
  origin.beforeDescribe = () => ({ failure: "unreachable", detail: "scripted" });
  const outcome = await describe("a", true);
  assert.ok("object" in outcome && outcome.object.etag === '"1"');
  assert.ok(index.findChunk(objectKeyOf(object), 0));
  assert.deepEqual(changed, []);
});

test("ObjectDescriber tells of a new version, and of an object that is gone, with the slots that are free", async (context) => {
  const origin = new ScriptedUpstream("origin", [object]);
  const { describe, index, changed } = openDescriber(context, [origin]);
  await describe("a");
  await describe("a", true);
  assert.deepEqual(changed, [], "the same version again is no change");
  await index.commitChunks([{ path: "a", objectKey: objectKeyOf(object), chunk: 0, diskNumber: 0, slot: 7, stampUnixMs: 0 }]);
  origin.objects.set("a", objectOf("a", 95, 2));
  const outcome = await describe("a", true);
  assert.ok("object" in outcome && outcome.object.etag === '"2"');
  assert.deepEqual(changed, [["a", [{ diskNumber: 0, slot: 7 }]]]);
  origin.objects.delete("a");
  assert.deepEqual(await describe("a", true), { failure: "not-found" });
  assert.equal(index.findObject("a"), undefined);
  assert.deepEqual(changed[1], ["a", []]);
});

test("ObjectDescriber takes digests whose pieces fit the chunks, and those of an object of one chunk", async (context) => {
  const fits = (sizeBytes: number, pieceBytes: number) =>
    makeObjectDigests({
      path: "a",
      sizeBytes,
      chunkBytes: pieceBytes,
      chunkDigests: Array.from({ length: Math.ceil(sizeBytes / pieceBytes) }, () => digestChunk(new Uint8Array())),
      lastModifiedUnixMs: 0,
    });
  // Chunks of 10 bytes.
  for (const [sizeBytes, pieceBytes, digested] of [
    [95, 10, true],
    [95, 5, true],
    [95, 3, false],
    [95, 20, false],
    [10, 20, true],
    [11, 20, false],
    [7, 9, true],
    [10, 9, false],
  ] as const) {
    const published = fits(sizeBytes, pieceBytes);
    const origin = new ScriptedUpstream("origin");
    origin.objects.set("a", { sizeBytes, etag: published.etag, lastModifiedUnixMs: 0, digests: published });
    const { describe, index } = openDescriber(context, [origin]);
    const outcome = await describe("a");
    assert.ok("object" in outcome);
    assert.equal(outcome.object.digested, digested, `${sizeBytes} bytes in pieces of ${pieceBytes}`);
    assert.ok(index.findDigests(objectKeyOf(outcome.object)), "they are published further in any case");
  }
});

test("ObjectDescriber goes on checking a version against its digests when an upstream has lost them", async (context) => {
  const origin = new ScriptedUpstream("origin");
  const { describe, index } = openDescriber(context, [origin]);
  const small = makeObjectDigests({
    path: "a",
    sizeBytes: 5,
    chunkBytes: 10,
    chunkDigests: [digestChunk(new Uint8Array(5))],
    lastModifiedUnixMs: 0,
  });
  const described = { sizeBytes: 5, etag: small.etag, lastModifiedUnixMs: 0 };
  origin.objects.set("a", { ...described, digests: small });
  await describe("a");
  origin.objects.set("a", described);
  const outcome = await describe("a", true);
  assert.ok("object" in outcome && outcome.object.digested);
  assert.ok(index.findDigests(objectKeyOf(outcome.object)));
});

test("ObjectDescriber refuses paths that no index can hold, and objects of more chunks than can be counted", async (context) => {
  const origin = new ScriptedUpstream("origin", [
    { ...object, path: "large", sizeBytes: 10 * 2 ** 31 },
    { ...object, path: "largest", sizeBytes: 10 * (2 ** 31 - 1) },
    { ...object, path: "long-tag", etag: `"${"x".repeat(4000)}"` },
    { ...object, path: "../outside" },
  ]);
  const { describe } = openDescriber(context, [origin]);
  assert.deepEqual(await describe("large"), { failure: "upstream-failed" });
  assert.ok("object" in (await describe("largest")));
  assert.deepEqual(await describe("long-tag"), { failure: "not-found" });
  const asked = origin.described.length;
  for (const path of ["../outside", "a/../../b", "", "a".repeat(objectPathBytesMax + 1)]) {
    assert.deepEqual(await describe(path), { failure: "not-found" });
  }
  assert.equal(origin.described.length, asked, "an upstream was asked");
});

test("ObjectDescriber has objects of no bytes", async (context) => {
  const { describe } = openDescriber(context, [new ScriptedUpstream("origin", [objectOf("empty", 0)])]);
  const outcome = await describe("empty");
  assert.ok("object" in outcome && outcome.object.sizeBytes === 0);
});

test("ObjectDescriber does not let a mirror end a version while the upstream before it is away", async (context) => {
  const first = new ScriptedUpstream("first", [object]);
  const mirror = new ScriptedUpstream("mirror", [objectOf("a", 95, 2)]);
  const { describe, changed, turnClock } = openDescriber(context, [first, mirror]);
  await describe("a");
  for (let round = 0; round < 3; round++) {
    first.beforeDescribe = () => (round % 2 === 0 ? { failure: "unreachable", detail: "scripted" } : undefined);
    turnClock(2000);
    const outcome = await describe("a", true);
    assert.ok("object" in outcome && outcome.object.etag === '"1"');
  }
  assert.deepEqual(changed, []);
  first.beforeDescribe = () => ({ failure: "unreachable", detail: "scripted" });
  turnClock(61_000);
  const mirrors = await describe("a", true);
  assert.ok("object" in mirrors && mirrors.object.etag === '"2"', "but not for ever");
  first.beforeDescribe = () => undefined;
  first.objects.set("a", objectOf("a", 95, 3));
  turnClock(2000);
  const outcome = await describe("a", true);
  assert.ok("object" in outcome && outcome.object.etag === '"3"', "the first one's word counts");
});

test("ObjectDescriber asks the next upstream as well when one is late, and takes the late answer when no other comes", async (context) => {
  const slow = new ScriptedUpstream("slow", [object]);
  let release = () => {};
  const held = new Promise<undefined>((resolve) => (release = () => resolve(undefined)));
  slow.beforeDescribe = () => held;
  const other = new ScriptedUpstream("other", [objectOf("b", 1)]);
  const { open } = openDescriber(context, []);
  const describer = open({ upstreams: [slow, other], hedgeAfterMs: 5 });
  assert.ok("object" in (await describer.describe("b", { via: [], refresh: false })));
  const late = describer.describe("a", { via: [], refresh: false });
  setTimeout(release, 30);
  assert.ok("object" in (await late));
});

test("ObjectDescriber never asks an appliance that waits for the same answer", async (context) => {
  const peer = new ScriptedUpstream("peer", [object]);
  peer.applianceId = "peer";
  let release = () => {};
  const held = new Promise<undefined>((resolve) => (release = () => resolve(undefined)));
  const { open, index } = openDescriber(context, []);
  const alone = open({ upstreams: [peer] });
  assert.deepEqual(await alone.describe("a", { via: ["peer"], refresh: false }), { failure: "loop" });
  peer.beforeDescribe = () => held;
  const ours = alone.describe("a", { via: [], refresh: false });
  await until(() => peer.described.length === 1);
  assert.deepEqual(
    await alone.describe("a", { via: ["x", "peer"], refresh: false }),
    { failure: "loop" },
    "it waits for us, and we for it",
  );
  release();
  assert.ok("object" in (await ours));
  assert.ok(index.findObject("a"));
});
