import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import fc from "fast-check";
import { digestChunk, makeObjectDigests } from "../../fill-protocol/object-digests.js";
import type { FetchOutcome } from "../fill-messages.js";
import type { ObjectRecord } from "../object.js";
import { ChunkFetcher, type ChunkFetcherOptions } from "./chunk-fetcher.js";
import { byteAt, objectOf, openTemporaryStage, ScriptedUpstream, until } from "./temporary-stage.js";
import type { Upstream } from "./upstream.js";

const chunkBytes = 100;
const plain = objectOf("a", 250);
const digested = { ...plain, digested: true };

function digestsOf(of: ObjectRecord, pieceBytes: number) {
  const whole = Uint8Array.from({ length: of.sizeBytes }, (_, at) => byteAt(of, at));
  const chunkDigests = Array.from({ length: Math.ceil(of.sizeBytes / pieceBytes) }, (_, piece) =>
    digestChunk(whole.subarray(piece * pieceBytes, (piece + 1) * pieceBytes)),
  );
  return makeObjectDigests({ path: of.path, sizeBytes: of.sizeBytes, chunkBytes: pieceBytes, chunkDigests, lastModifiedUnixMs: 0 });
}

/** A gate that a scripted upstream waits at. */
function gate() {
  let open: () => void = () => {};
  const passed = new Promise<undefined>((resolve) => (open = () => resolve(undefined)));
  return { passed, open };
}

function openFetcher(context: TestContext, upstreams: readonly Upstream[], over: Partial<ChunkFetcherOptions> = {}) {
  const stage = openTemporaryStage(context, { chunkBytes, frames: 16 });
  const options = { ...stage, upstreams, fetchesMax: 4, waitingMax: 100, onFetched: () => {}, findDigests: () => digestsOf(plain, 10) };
  const fetcher = new ChunkFetcher({ ...options, ...over });
  /** A waiter that looks at every byte as soon as it is told that it is there. */
  const watch = (object: ObjectRecord, chunk: number, { via = [] as string[], sources = [] as Upstream[] } = {}) => {
    const seen: number[] = [];
    let frame = -1;
    const look = () => {
      const bytes = stage.arena.bytesOf(frame);
      for (let at = 0; at < bytes.length; at++) assert.equal(bytes[at], byteAt(object, chunk * chunkBytes + at), `byte ${at}`);
      seen.push(bytes.length);
    };
    let leave: () => void = () => {};
    const outcome = new Promise<FetchOutcome>((resolve) => {
      leave = fetcher.fetch(
        { object, chunk, via, sources },
        {
          onArriving: (arriving) => {
            stage.arena.pinAgain((frame = arriving));
            look();
          },
          onMore: look,
          onDone: (done) => {
            if (frame >= 0) stage.arena.unpin(frame);
            if ("frame" in done) {
              frame = done.frame;
              look();
              stage.arena.unpin(frame);
            }
            resolve(done);
          },
        },
      );
    });
    return { seen, outcome, leave };
  };
  return { ...stage, fetcher, watch };
}

describe("ChunkDownload", { concurrency: true }, () => {
  test("ChunkFetcher shows verified pieces while the rest is still to come, and never a byte beyond them", async (context) => {
    const origin = new ScriptedUpstream("origin", [plain]);
    const { passed, open } = gate();
    origin.partBytes = 25;
    origin.betweenParts = (_, at) => (at === 25 ? passed : undefined);
    const { watch, arena } = openFetcher(context, [origin]);
    const early = watch(digested, 0);
    await until(() => early.seen.length === 1);
    assert.deepEqual(early.seen, [20], "two pieces of ten are whole in 25 bytes");
    const joined = watch(digested, 0);
    assert.deepEqual(joined.seen, [20], "who comes later sees them at once");
    open();
    assert.ok("frame" in (await early.outcome) && "frame" in (await joined.outcome));
    assert.equal(early.seen.at(-1), 100);
    assert.deepEqual([origin.fetched.length, arena.counts().pinned], [1, 0]);
  });

  test("ChunkFetcher shows bytes under a strong tag as they come, and under a weak one when all have come", async (context) => {
    for (const [etag, shown] of [
      ['"1"', 25],
      ['W/"1"', 100],
      ["", 100],
    ] as const) {
      const object = { ...plain, etag };
      const origin = new ScriptedUpstream("origin", [object]);
      origin.partBytes = 25;
      const { passed, open } = gate();
      origin.betweenParts = () => passed;
      const { watch } = openFetcher(context, [origin]);
      const { seen, outcome } = watch(object, 1);
      await until(() => origin.fetched.length === 1);
      await new Promise((resolve) => setImmediate(resolve));
      open();
      await outcome;
      assert.equal(seen[0], shown, etag);
    }
  });

  test("ChunkFetcher goes on where a source broke off, and asks the next one for the rest only", async (context) => {
    const first = new ScriptedUpstream("first", [plain]);
    first.partBytes = 35;
    first.betweenParts = (_, at) => (at === 70 ? { failure: "bad-answer", detail: "scripted" } : undefined);
    const second = new ScriptedUpstream("second", [plain]);
    const { watch } = openFetcher(context, [first, second]);
    const { outcome } = watch(digested, 1);
    assert.ok("frame" in (await outcome));
    assert.deepEqual([second.fetched[0]!.offsetBytes, second.fetched[0]!.into.length], [170, 30]);
  });

  test("ChunkFetcher asks the next source as well when one stalls or drips, and the late one writes nothing any more", async (context) => {
    for (const stallAt of [0, 30, 70]) {
      const slow = new ScriptedUpstream("slow", [plain]);
      slow.partBytes = 10;
      const { passed, open } = gate();
      if (stallAt === 0) slow.beforeFetch = () => passed;
      slow.betweenParts = (_, at) => (at === stallAt ? passed : undefined);
      const fast = new ScriptedUpstream("fast", [plain]);
      const { watch, count, arena } = openFetcher(context, [slow, fast], { hedgeAfterMs: 5 });
      const { outcome } = watch(digested, 0);
      assert.ok("frame" in (await outcome));
      assert.deepEqual([fast.fetched[0]!.offsetBytes, count("fetchesHedged"), arena.counts().pinned], [stallAt, 1, 0]);
      assert.ok(slow.fetched[0]!.signal?.aborted);
      open();
    }
  });

  test("ChunkFetcher takes the first source's chunk when the one beside it lies", async (context) => {
    const slow = new ScriptedUpstream("slow", [plain]);
    slow.partBytes = 10;
    const { passed, open } = gate();
    slow.betweenParts = (_, at) => (at === 30 ? passed : undefined);
    const liar = new ScriptedUpstream("liar", [plain]);
    liar.kind = "appliance";
    liar.beforeFetch = () => "wrong-bytes";
    const { watch, count, health } = openFetcher(context, [slow, liar], { hedgeAfterMs: 5 });
    const { outcome } = watch(digested, 0);
    await until(() => count("chunksWrong") === 1);
    assert.ok(health.isPaused(liar));
    open();
    assert.ok("frame" in (await outcome));
  });

  test("ChunkFetcher ends a fetch at its total time, whatever drips", async (context) => {
    const drip = new ScriptedUpstream("drip", [plain]);
    drip.partBytes = 1;
    drip.betweenParts = () => new Promise((resolve) => setTimeout(() => resolve(undefined), 20));
    const { watch, arena } = openFetcher(context, [drip], { totalTimeoutMs: 100 });
    const { outcome, seen } = watch(digested, 0);
    assert.deepEqual(await outcome, { failure: "upstream-timeout" });
    assert.ok((seen.at(-1) ?? 0) < 100);
    assert.deepEqual([arena.counts().pinned, drip.fetched.length], [0, 1]);
    assert.deepEqual(await watch(digested, 0).outcome, { failure: "upstream-timeout" }, "remembered for a moment");
    assert.equal(drip.fetched.length, 1);
  });

  test("ChunkFetcher tries an unreachable upstream again, a little later each time, and then no more", async (context) => {
    for (const [failures, right] of [
      [2, true],
      [3, false],
    ] as const) {
      const origin = new ScriptedUpstream("origin", [plain]);
      origin.beforeFetch = () => (origin.fetched.length <= failures ? { failure: "unreachable", detail: "scripted" } : undefined);
      const { watch } = openFetcher(context, [origin]);
      assert.equal("frame" in (await watch(digested, 0).outcome), right);
      assert.equal(origin.fetched.length, 3);
    }
  });

  test("ChunkFetcher gives a fetch up when the last waiter has left, unless most of it is there", async (context) => {
    for (const [at, givenUp] of [
      [30, true],
      [60, false],
    ] as const) {
      const origin = new ScriptedUpstream("origin", [plain]);
      origin.partBytes = 10;
      const { passed, open } = gate();
      origin.betweenParts = (_, part) => (part === at ? passed : undefined);
      const { watch, arena, count } = openFetcher(context, [origin]);
      const waiters = Array.from({ length: 3 }, () => watch(digested, 0));
      await until(() => waiters[0]!.seen.length > 0 && origin.fetched.length === 1);
      await new Promise((resolve) => setImmediate(resolve));
      for (const [place, { leave }] of waiters.entries()) {
        assert.equal(count("fetchesLeft"), 0, `${place} have left`);
        leave();
      }
      assert.equal(count("fetchesLeft"), givenUp ? 1 : 0);
      assert.equal(origin.fetched[0]!.signal!.aborted, givenUp);
      open();
      if (!givenUp) await until(() => count("fetchedBytes") === 100);
      // The waiters of this test keep their pin on an arriving frame: they left without letting go of it.
      assert.ok(arena.counts().pinned <= 1);
      assert.ok("frame" in (await watch(digested, 0).outcome), "who comes next gets it");
    }
  });

  test("ChunkFetcher never asks an appliance that waits for the chunk, nor lets one wait that it asks", async (context) => {
    const peer = new ScriptedUpstream("peer", [plain]);
    peer.kind = "appliance";
    peer.applianceId = "peer";
    const { passed, open } = gate();
    peer.beforeFetch = () => passed;
    const { watch } = openFetcher(context, [peer]);
    assert.deepEqual(await watch(digested, 0, { via: ["peer"] }).outcome, { failure: "loop" });
    assert.equal(peer.fetched.length, 0);
    const ours = watch(digested, 1);
    await until(() => peer.fetched.length === 1);
    assert.deepEqual(await watch(digested, 1, { via: ["other", "peer"] }).outcome, { failure: "loop" });
    const another = watch(digested, 1, { via: ["other"] });
    open();
    assert.ok("frame" in (await ours.outcome) && "frame" in (await another.outcome));
    assert.deepEqual(peer.fetched[0]!.via, ["self"]);
  });

  test("ChunkFetcher never shows a wrong byte, whatever any of its sources does", async (context) => {
    type Trick = "right" | "flip" | "truncate" | "stall" | "not-found" | "unreachable" | "busy" | "version-changed";
    const tricks: Trick[] = ["right", "flip", "truncate", "stall", "not-found", "unreachable", "busy", "version-changed"];
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({ trick: fc.constantFrom(...tricks), at: fc.integer({ min: 1, max: 99 }), part: fc.integer({ min: 1, max: 50 }) }),
          {
            maxLength: 4,
          },
        ),
        fc.constantFrom(1, 10, 50, 100),
        async (scripts, pieceBytes) => {
          const sources = scripts.map(({ trick, at, part }, place) => {
            const source = new ScriptedUpstream(`${trick} ${place}`, [plain]);
            source.kind = "appliance";
            source.partBytes = part;
            if (trick === "flip") source.flipAt = at;
            source.beforeFetch = () => {
              return trick === "not-found"
                ? trick
                : trick === "busy" || trick === "unreachable" || trick === "version-changed"
                  ? { failure: trick, detail: "" }
                  : undefined;
            };
            source.betweenParts = (range, reached) => {
              if (reached < at) return undefined;
              if (trick === "truncate") return { failure: "bad-answer", detail: "scripted" };
              if (trick === "stall") return new Promise((resolve) => range.signal!.addEventListener("abort", () => resolve(undefined)));
              return undefined;
            };
            return source;
          });
          const good = new ScriptedUpstream("good", [plain]);
          const { watch, arena } = openFetcher(context, [good], { hedgeAfterMs: 2, findDigests: () => digestsOf(plain, pieceBytes) });
          // The waiter looks at each byte that it is shown.
          const outcomes = await Promise.all([0, 1, 2].map((chunk) => watch(digested, chunk, { sources }).outcome));
          for (const outcome of outcomes) assert.ok("frame" in outcome, JSON.stringify(outcome));
          assert.equal(arena.counts().pinned, 0);
        },
      ),
      { numRuns: 60 },
    );
  });
});
