import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { digestChunk, makeObjectDigests } from "../../fill-protocol/object-digests.js";
import type { FetchOutcome } from "../fill-messages.js";
import { chunkCountOf, type ObjectRecord } from "../object.js";
import { ChunkFetcher, type ChunkFetcherOptions } from "./chunk-fetcher.js";
import { byteAt, objectOf, openTemporaryStage, ScriptedUpstream, until, type StageOptions } from "./temporary-stage.js";
import type { Upstream } from "./upstream.js";

const object = objectOf("a", 95);

function openFetcher(
  context: TestContext,
  upstreams: readonly Upstream[],
  { stage: stageOptions = {}, over = {} }: { stage?: StageOptions; over?: Partial<ChunkFetcherOptions> } = {},
) {
  const stage = openTemporaryStage(context, stageOptions);
  const fetched: string[] = [];
  const fetcher = new ChunkFetcher({
    ...stage,
    upstreams,
    fetchesMax: 4,
    waitingMax: 100,
    findDigests: () => undefined,
    onFetched: (of, chunk, frame) => {
      assert.ok(stage.arena.counts().pinned > 0);
      assertRight(stage.arena.bytesOf(frame), of, chunk, stage.chunkBytes);
      fetched.push(`${of.path}:${chunk}`);
    },
    ...over,
  });
  /** The outcome; a frame's bytes are checked, and it is let go. */
  const fetch = (of: ObjectRecord, chunk: number, sources: readonly Upstream[] = []) =>
    new Promise<FetchOutcome | "right">((resolve) => {
      const onDone = (outcome: FetchOutcome) => {
        if ("failure" in outcome) return resolve(outcome);
        assertRight(stage.arena.bytesOf(outcome.frame), of, chunk, stage.chunkBytes);
        stage.arena.unpin(outcome.frame);
        resolve("right");
      };
      fetcher.fetch({ object: of, chunk, via: [], sources }, { onDone });
    });
  return { ...stage, fetcher, fetch, fetched };
}

function assertRight(bytes: Uint8Array, of: ObjectRecord, chunk: number, chunkBytes: number): void {
  assert.equal(bytes.length, Math.min(chunkBytes, of.sizeBytes - chunk * chunkBytes));
  for (let at = 0; at < bytes.length; at++) assert.equal(bytes[at], byteAt(of, chunk * chunkBytes + at));
}

function digestsOf(of: ObjectRecord, pieceBytes: number) {
  const whole = Uint8Array.from({ length: of.sizeBytes }, (_, at) => byteAt(of, at));
  const chunkDigests = Array.from({ length: Math.ceil(of.sizeBytes / pieceBytes) }, (_, piece) =>
    digestChunk(whole.subarray(piece * pieceBytes, (piece + 1) * pieceBytes)),
  );
  return makeObjectDigests({ path: of.path, sizeBytes: of.sizeBytes, chunkBytes: pieceBytes, chunkDigests, lastModifiedUnixMs: 0 });
}

test("ChunkFetcher asks upstream once for a chunk that a hundred wait for, and each gets a pin of its own", async (context) => {
  let release = () => {};
  const held = new Promise<undefined>((resolve) => (release = () => resolve(undefined)));
  const origin = new ScriptedUpstream("origin", [object]);
  origin.beforeFetch = () => held;
  const { fetch, arena, fetched } = openFetcher(context, [origin]);
  const outcomes = Array.from({ length: 100 }, () => fetch(object, 3));
  await until(() => origin.fetched.length === 1);
  release();
  assert.deepEqual(new Set(await Promise.all(outcomes)), new Set(["right"]));
  assert.equal(origin.fetched.length, 1);
  assert.deepEqual(fetched, ["a:3"]);
  assert.equal(arena.counts().pinned, 0);
  assert.equal(await fetch(object, 3), "right");
  assert.equal(origin.fetched.length, 1, "it was in memory");
});

test("ChunkFetcher goes to the next upstream when one has wrong bytes by its digests, at any piece size", async (context) => {
  for (const pieceBytes of [1, 5, 10]) {
    const digested = { ...object, digested: true };
    const bad = new ScriptedUpstream("bad", [object]);
    bad.beforeFetch = () => "wrong-bytes";
    const good = new ScriptedUpstream("good", [object]);
    const over = { findDigests: () => digestsOf(object, pieceBytes) };
    const { fetch, arena, count } = openFetcher(context, [bad, good], { over });
    for (let chunk = 0; chunk < chunkCountOf(object.sizeBytes, 10); chunk++) assert.equal(await fetch(digested, chunk), "right");
    assert.deepEqual([count("chunksWrong"), good.fetched.length, arena.counts().pinned], [1, 10, 0], "one is enough");
  }
});

test("ChunkFetcher finds one wrong byte anywhere in a chunk", async (context) => {
  const digested = { ...object, digested: true };
  for (let at = 0; at < 10; at++) {
    const origin = new ScriptedUpstream("origin", [object]);
    const { fetch, arena, count } = openFetcher(context, [origin], { over: { findDigests: () => digestsOf(object, 10) } });
    const { fetch: rightFetch } = origin;
    origin.fetch = async (range) => {
      const { onBytes: _, ...silent } = range;
      const outcome = await rightFetch.call(origin, silent);
      range.into[at]! ^= 1;
      return outcome;
    };
    assert.deepEqual(await fetch(digested, 4), { failure: "version-changed" });
    assert.deepEqual([count("chunksWrong"), arena.counts().pinned], [1, 0]);
  }
});

test("ChunkFetcher asks sources first, then the settings' upstreams in order, and names the last reason", async (context) => {
  const order: string[] = [];
  const named = (name: string, failure?: "unreachable" | "timeout" | "version-changed" | "not-found") => {
    const upstream = new ScriptedUpstream(name, failure ? [] : [object]);
    upstream.beforeFetch = () => {
      order.push(name);
      if (failure === "not-found" || failure === undefined) return failure;
      return { failure, detail: "scripted" };
    };
    return upstream;
  };
  const { fetch } = openFetcher(context, [named("first", "timeout"), named("second")]);
  assert.equal(await fetch(object, 0, [named("peer", "unreachable")]), "right");
  assert.deepEqual(order, ["peer", "first", "second"]);
  for (const [failures, failure] of [
    [["timeout"], "upstream-timeout"],
    [["unreachable"], "upstream-failed"],
    [["version-changed", "not-found"], "version-changed"],
    [["not-found"], "version-changed"],
    [["timeout", "not-found"], "upstream-timeout"],
  ] as const) {
    const { fetch: failing, arena } = openFetcher(
      context,
      failures.map((each) => named("x", each)),
    );
    assert.deepEqual(await failing(object, 1), { failure });
    assert.deepEqual([arena.counts().pinned, arena.counts().free], [0, arena.frameCount]);
  }
});

test("ChunkFetcher runs at most fetchesMax at once, lets waitingMax wait, and answers busy beyond", async (context) => {
  let release = () => {};
  const held = new Promise<undefined>((resolve) => (release = () => resolve(undefined)));
  let underWay = 0;
  let most = 0;
  const origin = new ScriptedUpstream("origin", [object]);
  origin.beforeFetch = async () => {
    most = Math.max(most, ++underWay);
    await held;
    underWay--;
    return undefined;
  };
  const { fetch, arena } = openFetcher(context, [origin], { over: { fetchesMax: 2, waitingMax: 3 } });
  const outcomes = Array.from({ length: 8 }, (_, chunk) => fetch(object, chunk));
  const late = await Promise.all([outcomes[5], outcomes[6], outcomes[7]]);
  assert.deepEqual(late, [{ failure: "busy" }, { failure: "busy" }, { failure: "busy" }]);
  release();
  assert.deepEqual(await Promise.all(outcomes.slice(0, 5)), Array(5).fill("right"));
  assert.equal(most, 2);
  assert.equal(arena.counts().pinned, 0);
});

test("ChunkFetcher answers busy when every frame is pinned, and works again after", async (context) => {
  const origin = new ScriptedUpstream("origin", [object, objectOf("other", 1000)]);
  const { fetch, arena, publish, count } = openFetcher(context, [origin], { stage: { frames: 8 } });
  const frames = Array.from({ length: 8 }, (_, chunk) => publish(objectOf("other", 1000), chunk));
  assert.deepEqual(await fetch(object, 0), { failure: "busy" });
  assert.deepEqual([count("framesShort"), origin.fetched.length], [1, 0]);
  for (const frame of frames) arena.unpin(frame);
  assert.equal(await fetch(object, 0), "right");
});

test("ChunkFetcher does not fetch a digested object whose digests are gone", async (context) => {
  const origin = new ScriptedUpstream("origin", [object]);
  const { fetch, arena } = openFetcher(context, [origin]);
  assert.deepEqual(await fetch({ ...object, digested: true }, 0), { failure: "version-changed" });
  assert.deepEqual([origin.fetched.length, arena.counts().free], [0, arena.frameCount]);
});
