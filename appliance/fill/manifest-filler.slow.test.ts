import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import type { Clock } from "../../runtime/clock.js";
import type { FillProgress } from "../fill-messages.js";
import { digestChunk, makeObjectDigests } from "../../fill-protocol/object-digests.js";
import { objectKeyOf, type ObjectRecord } from "../object.js";
import type { EscalationStep, RankedSource } from "./escalation.js";
import { FillWindows } from "./fill-window.js";
import { SourceFinder } from "./source-finder.js";
import { ChunkFetcher } from "./chunk-fetcher.js";
import { ChunkStore } from "./chunk-store.js";
import { ManifestFiller } from "./manifest-filler.js";
import { ObjectDescriber } from "./object-describer.js";
import { byteAt, objectOf, openTemporaryStage, ScriptedUpstream, until, type StageOptions } from "./temporary-stage.js";
import type { Upstream } from "./upstream.js";

function openFiller(
  context: TestContext,
  upstreams: readonly Upstream[],
  options: StageOptions & { parallelMax?: number; clock?: Clock; windows?: FillWindows; paused?: boolean } = {},
) {
  const stage = openTemporaryStage(context, { frames: 32, slots: [100, 100], ...options });
  const store = new ChunkStore({ ...stage, waitingMax: 8, onHeldChanged: (paths) => filler.noteChanged(paths) });
  const fetcher = new ChunkFetcher({
    ...stage,
    upstreams,
    fetchesMax: 16,
    waitingMax: 100,
    findDigests: () => undefined,
    onFetched: (object, chunk, frame) => store.store(object, chunk, frame),
  });
  const describer = new ObjectDescriber({ ...stage, upstreams, onChanged: (_, freed) => store.freeSlots(freed) });
  const progress: FillProgress[] = [];
  const sources: Upstream[] = [];
  const ranked: { steps: EscalationStep[]; validSeconds: number; away: boolean } = { steps: [], validSeconds: 0, away: false };
  const clock = options.clock ?? stage.clock;
  const finder = new SourceFinder({
    ...stage,
    clock,
    ask: async () => {
      const { steps, validSeconds } = ranked;
      return ranked.away ? undefined : { sources: sources.map(rankedOf), steps, validSeconds };
    },
    openSource: (url) => sources.find(({ name }) => name === url)!,
  });
  const filler = new ManifestFiller({
    ...stage,
    describer,
    fetcher,
    store,
    upstreams,
    finder,
    clock,
    windows: options.windows ?? stage.windows,
    parallelMax: options.parallelMax ?? 4,
    paused: options.paused ?? false,
    sourceStatuses: () => stage.health.statuses(),
    onProgress: (each) => progress.push(each),
  });
  stage.endFirst(() => filler.stop());
  const fill = (version: string, objects: readonly ObjectRecord[], urgent = false) =>
    filler.setManifest(
      version,
      objects.map(({ path, sizeBytes, etag }) => ({ path, sizeBytes, etag, stratum: 0, urgent })),
    );
  return { ...stage, filler, store, progress, sources, ranked, fill, last: () => progress.at(-1) };
}

const rankedOf = ({ name }: Upstream): RankedSource => ({ url: name, scope: "cluster", hops: 0, applianceId: "" });
const step = (scope: EscalationStep["scope"], waitSeconds: number): EscalationStep => ({
  scope,
  waitSeconds,
  maxHops: 0,
  maxBytesPerSecond: 0,
});

test("ManifestFiller's stop() ends a round under way and the wait after it at once, with no fetch left behind", async (context) => {
  const object = objectOf("a", 500);
  const origin = new ScriptedUpstream("origin", [object]);
  let release = () => {};
  const held = new Promise<undefined>((resolve) => (release = () => resolve(undefined)));
  origin.beforeFetch = () => held;
  const { filler, fill, progress } = openFiller(context, [origin]);
  fill("1", [object]);
  await until(() => origin.fetched.length === 4);
  // From here on no pause ends: one that was sat out would never end the test.
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const stopped = filler.stop();
  release();
  await stopped;
  assert.equal(origin.fetched.length, 4);
  const told = progress.length;
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(progress.length, told);
});

// Rounds have pauses between them: the tests wait side by side.
describe("ManifestFiller", { concurrency: true }, () => {
  test("ManifestFiller fills what the manifest names, from sources first, and says how far it is", async (context) => {
    const objects = [objectOf("a", 95), objectOf("bb", 1), objectOf("empty", 0), objectOf("ccc", 200)];
    const origin = new ScriptedUpstream("origin", objects);
    const peer = new ScriptedUpstream("peer", [objects[0]!]);
    const stage = openFiller(context, [origin]);
    stage.sources.push(peer);
    stage.fill("7", objects);
    await until(() => stage.last()?.objectsHeld === 4);
    await until(() => stage.last()?.state === "done");
    const { manifestVersion, objects: count, bytes, bytesHeld, failed, etaSeconds, underWay, sources } = stage.last()!;
    assert.deepEqual([manifestVersion, count, bytes, bytesHeld, failed, etaSeconds, underWay], ["7", 4, 296, 296, [], 0, []]);
    assert.deepEqual(sources.map(({ source, chunks, bytes: fromIt }) => [source, chunks, fromIt]).toSorted(), [
      ["origin", 21, 201],
      ["peer", 10, 95],
    ]);
    assert.equal(peer.fetched.filter(({ path }) => path === "a").length, 10);
    assert.equal(origin.fetched.filter(({ path }) => path === "a").length, 0);
    for (const object of objects) {
      for (let chunk = 0; chunk < Math.ceil(object.sizeBytes / 10); chunk++) assert.equal(await stage.readChunk(object, chunk), "ok");
    }
    assert.equal(stage.arena.counts().pinned, 0);
  });

  test("ManifestFiller reaches the manifest through an upstream of which every seventh answer is a failure", async (context) => {
    const objects = [objectOf("a", 300), objectOf("bb", 155)];
    const origin = new ScriptedUpstream("origin", objects);
    let asked = 0;
    const flaky = () =>
      ++asked % 7 === 0 ? ({ failure: asked % 2 === 0 ? "timeout" : "unreachable", detail: "scripted" } as const) : undefined;
    origin.beforeFetch = flaky;
    origin.beforeDescribe = flaky;
    const stage = openFiller(context, [origin]);
    stage.fill("1", objects);
    // A round that fails in part is followed by the next one within a second.
    await until(() => stage.last()?.objectsHeld === 2);
    for (const object of objects) {
      for (let chunk = 0; chunk < Math.ceil(object.sizeBytes / 10); chunk++) assert.equal(await stage.readChunk(object, chunk), "ok");
    }
    assert.ok(stage.progress.some(({ failed }) => failed.length > 0));
    assert.equal(stage.arena.counts().pinned, 0);
  });

  test("ManifestFiller never has more than parallelMax fetches under way, also after chunks of an object have failed", async (context) => {
    const objects = Array.from({ length: 12 }, (_, at) => objectOf(`object-${at}`, 100));
    const origin = new ScriptedUpstream("origin", objects);
    let underWay = 0;
    let most = 0;
    origin.beforeFetch = async ({ offsetBytes }) => {
      most = Math.max(most, ++underWay);
      await new Promise((resolve) => setTimeout(resolve, offsetBytes === 0 ? 0 : 4));
      underWay--;
      return offsetBytes === 0 ? { failure: "unreachable", detail: "scripted" } : undefined;
    };
    const stage = openFiller(context, [origin], { parallelMax: 3 });
    stage.fill("1", objects);
    await until(() => stage.last()?.failed.length === 12 && stage.last()!.bytesHeld === 12 * 90);
    assert.equal(most, 3);
    assert.equal(origin.fetched.filter(({ offsetBytes }) => offsetBytes > 0).length, 12 * 9, "a chunk was fetched twice");
  });

  test("ManifestFiller gives an object up for the round after eight failed chunks", async (context) => {
    const objects = [objectOf("bad", 1000), objectOf("good", 50)];
    const origin = new ScriptedUpstream("origin", objects);
    origin.beforeFetch = ({ path }) => (path === "bad" ? { failure: "bad-status", detail: "scripted" } : undefined);
    const stage = openFiller(context, [origin]);
    stage.fill("1", objects);
    await until(() => stage.last()?.objectsHeld === 1);
    assert.deepEqual(stage.last()!.failed, [{ path: "bad", reason: "upstream-failed" }]);
    const fetched = origin.fetched.filter(({ path }) => path === "bad").length;
    assert.ok(fetched >= 8 && fetched < 8 + 4, `${fetched} chunks were tried`);
  });

  test("ManifestFiller takes over a new manifest in mid-round", async (context) => {
    const [old, next] = [Array.from({ length: 30 }, (_, at) => objectOf(`old-${at}`, 50)), [objectOf("next", 20)]];
    const origin = new ScriptedUpstream("origin", [...old, ...next]);
    const stage = openFiller(context, [origin]);
    origin.beforeFetch = ({ path }) => {
      if (path === "old-2") stage.fill("2", next);
      return undefined;
    };
    stage.fill("1", old);
    await until(() => stage.last()?.manifestVersion === "2" && stage.last()?.objectsHeld === 1);
    assert.equal(origin.fetched.filter(({ path }) => path === "old-12").length, 0);
  });

  test("ManifestFiller fetches nothing when no disk can take it", async (context) => {
    const object = objectOf("a", 500);
    const origin = new ScriptedUpstream("origin", [object]);
    const stage = openFiller(context, [origin]);
    for (const { diskNumber } of stage.disks.disks) stage.disks.setState(diskNumber, "offline");
    stage.fill("1", [object]);
    await until(() => stage.last() !== undefined);
    assert.deepEqual(stage.last()!.failed, [{ path: "a", reason: "no disk takes chunks" }]);
    assert.equal(origin.fetched.length, 0);
  });

  test("ManifestFiller fetches again what lay on a disk that is lost", async (context) => {
    const object = objectOf("a", 200);
    const origin = new ScriptedUpstream("origin", [object]);
    const stage = openFiller(context, [origin]);
    stage.fill("1", [object]);
    await until(() => stage.last()?.objectsHeld === 1);
    stage.disks.setState(0, "offline");
    stage.fill("2", [object]);
    const chunks = Array.from({ length: 20 }, (_, chunk) => chunk);
    await until(() => chunks.every((chunk) => stage.store.holds(objectKeyOf(object), chunk)));
    for (const chunk of chunks) assert.equal(await stage.readChunk(object, chunk), "ok");
  });

  test("ManifestFiller goes over a large manifest without counting it anew for each object", async (context) => {
    const objects = Array.from({ length: 3000 }, (_, at) => objectOf(`object-${at}`, 0));
    // A clock that stands still: progress is told at the end of a round only.
    const clock = { unixMs: () => 0, monotonicMs: () => 0 };
    const stage = openFiller(context, [new ScriptedUpstream("origin", objects)], { clock });
    for (const object of objects) void stage.index.putObject(object, undefined);
    await stage.index.putMeta("all-are-there", true);
    let looked = 0;
    const { findObject } = stage.index;
    stage.index.findObject = (path) => {
      looked++;
      return findObject.call(stage.index, path);
    };
    stage.fill("1", objects);
    await until(() => stage.last()?.objectsHeld === 3000);
    assert.ok(looked <= 3 * objects.length, `${looked} looks into the index for ${objects.length} objects`);
  });

  test("ManifestFiller survives a manifest with paths that can't be", async (context) => {
    const objects = [objectOf("€".repeat(3000), 10), objectOf("../etc/passwd", 10), objectOf("good", 10)];
    const origin = new ScriptedUpstream("origin", objects);
    const stage = openFiller(context, [origin]);
    stage.fill("1", objects);
    await until(() => stage.last()?.objectsHeld === 1);
    assert.deepEqual(
      stage.last()!.failed.map(({ reason }) => reason),
      ["not-found", "not-found"],
    );
    assert.deepEqual(new Set(origin.described.map(({ path }) => path)), new Set(["good"]));
  });

  test("ManifestFiller waits for its hours, fills what is urgent at any, and goes on when they begin", async (context) => {
    const [urgent, patient] = [objectOf("urgent", 50), objectOf("patient", 50)];
    const origin = new ScriptedUpstream("origin", [urgent, patient]);
    let nowMs = Date.parse("2026-11-23T12:00:00Z");
    const clock = { unixMs: () => nowMs, monotonicMs: () => performance.now() };
    const windows = new FillWindows([{ fromMinute: 13 * 60, toMinute: 14 * 60 }], "UTC");
    const stage = openFiller(context, [origin], { clock, windows });
    const items = [urgent, patient].map(({ path, sizeBytes, etag }) => ({ path, sizeBytes, etag, stratum: 0, urgent: path === "urgent" }));
    stage.filler.setManifest("1", items);
    await until(() => stage.last()?.state === "out-of-hours");
    assert.equal(stage.last()!.objectsHeld, 1);
    assert.equal(stage.last()!.opensUnixMs, Date.parse("2026-11-23T13:00:00Z"));
    assert.equal(origin.fetched.filter(({ path }) => path === "patient").length, 0);
    nowMs = Date.parse("2026-11-23T13:00:01Z");
    stage.filler.setManifest("1", items);
    await until(() => stage.last()?.state === "done");
  });

  test("ManifestFiller asks for nothing while it is paused, however urgent, and goes on when it is told to", async (context) => {
    const object = objectOf("a", 100);
    const origin = new ScriptedUpstream("origin", [object]);
    const stage = openFiller(context, [origin], { paused: true });
    stage.fill("1", [object], true);
    await until(() => stage.last()?.state === "paused");
    assert.equal(origin.fetched.length + origin.described.length, 0);
    stage.filler.setPaused(false);
    await until(() => stage.last()?.state === "done");
    stage.filler.setPaused(true);
    assert.equal(stage.last()!.state, "paused");
  });

  test("ManifestFiller goes to the origin only when that step is open, also while the control plane is away", async (context) => {
    const object = objectOf("a", 100);
    const origin = new ScriptedUpstream("origin", [object]);
    let nowMs = 0;
    const clock = { unixMs: () => Date.now(), monotonicMs: () => nowMs };
    const stage = openFiller(context, [origin], { clock });
    stage.ranked.steps = [step("cluster", 0), step("origin", 600)];
    stage.fill("1", [object]);
    await until(() => stage.last()?.state === "waiting");
    stage.ranked.away = true;
    nowMs = 599_000;
    stage.fill("2", [object]);
    await until(() => stage.last()?.manifestVersion === "2" && stage.last()?.state === "waiting");
    assert.equal(origin.fetched.length + origin.described.length, 0);
    nowMs = 600_000;
    stage.fill("3", [object]);
    await until(() => stage.last()?.state === "done");
    assert.equal(origin.fetched.length, 10);
  });

  test("ManifestFiller takes the digests from a peer when they prove the manifest's version, and leaves the origin alone", async (context) => {
    const whole = Uint8Array.from({ length: 100 }, (_, at) => byteAt({ path: "a", etag: '"1"' }, at));
    const chunkDigests = Array.from({ length: 10 }, (_, chunk) => digestChunk(whole.subarray(chunk * 10, chunk * 10 + 10)));
    const digests = makeObjectDigests({ path: "a", sizeBytes: 100, chunkBytes: 10, chunkDigests, lastModifiedUnixMs: 5 });
    const object = { ...objectOf("a", 100), etag: digests.etag };
    for (const [claimed, learned] of [
      [digests.etag, true],
      ['"another"', false],
    ] as const) {
      const peer = new ScriptedUpstream("peer", [{ path: "a", sizeBytes: 100, etag: claimed, lastModifiedUnixMs: 5, digests }]);
      const origin = new ScriptedUpstream("origin", []);
      const stage = openFiller(context, [origin]);
      stage.ranked.steps = [step("cluster", 0)];
      stage.sources.push(peer);
      peer.beforeFetch = ({ digested }) => (digested ? undefined : { failure: "bad-answer", detail: "scripted" });
      stage.fill("1", [object]);
      await until(() => peer.described.length > 0 && stage.last() !== undefined);
      assert.equal(stage.index.findObject("a")?.digested ?? false, learned);
      assert.equal(origin.described.length, 0);
    }
  });

  test("ManifestFiller takes the chunks of one object from several peers at once", async (context) => {
    const object = objectOf("a", 400);
    const peers = ["p", "q", "r", "s"].map((name) => new ScriptedUpstream(name, [object]));
    const stage = openFiller(context, [new ScriptedUpstream("origin", [object])]);
    stage.sources.push(...peers);
    stage.fill("1", [object]);
    await until(() => stage.last()?.state === "done");
    assert.deepEqual(
      peers.map(({ fetched }) => fetched.length),
      [10, 10, 10, 10],
    );
  });
});
