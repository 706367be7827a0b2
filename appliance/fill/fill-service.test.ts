import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { MessageChannel } from "node:worker_threads";
import { OperatingError } from "../../runtime/operating-error.js";
import type { FillToMain, FillToServe, ServeToFill } from "../fill-messages.js";
import { objectKeyOf, type ObjectRecord } from "../object.js";
import { ManifestFile } from "../manifest-file.js";
import { FillService } from "./fill-service.js";
import { byteAt, objectOf, openTemporaryStage, ScriptedUpstream, until } from "./temporary-stage.js";

function openService(context: TestContext, origin: ScriptedUpstream, fetchesMax = 4) {
  const stage = openTemporaryStage(context, { frames: 32 });
  const toMain: FillToMain[] = [];
  const service = new FillService({
    ...stage,
    fetchesMax,
    waitingFetchesMax: 100,
    manifestFetchesMax: 2,
    openSource: (url) => {
      throw new OperatingError("upstream-refused", `Cannot use upstream ${url}`);
    },
    toMain: (message) => toMain.push(message),
    upstreams: [origin],
  });
  const { port1, port2 } = new MessageChannel();
  const answers: FillToServe[] = [];
  port1.on("message", (message: FillToServe) => answers.push(message));
  service.serve(port2);
  context.after(() => {
    port1.close();
    port2.close();
  });
  const ask = (message: ServeToFill) => port1.postMessage(message);
  return { ...stage, service, toMain, answers, ask };
}

const object = objectOf("a", 95);

test("FillService describes, fetches and stores for a serving worker, with one pin for it", async (context) => {
  const { ask, answers, arena, index, service } = openService(context, new ScriptedUpstream("origin", [object]));
  ask({ type: "describe", id: 1, path: "a", via: [], refresh: false });
  await until(() => answers.length === 1);
  const [described] = answers;
  assert.ok(described?.type === "described" && "object" in described.outcome && described.id === 1);
  ask({ type: "fetch", id: 2, object: described.outcome.object, chunk: 9, via: [] });
  await until(() => answers.length === 2);
  const [, fetched] = answers;
  assert.ok(fetched?.type === "fetched" && "frame" in fetched.outcome);
  const bytes = arena.bytesOf(fetched.outcome.frame);
  assert.deepEqual(
    [...bytes],
    Array.from({ length: 5 }, (_, at) => byteAt(object, 90 + at)),
  );
  await until(() => index.findChunk(objectKeyOf(object), 9) !== undefined);
  await until(() => arena.counts().pinned === 1);
  arena.unpin(fetched.outcome.frame);
  await service.stop();
  assert.equal(arena.counts().pinned, 0);
});

test("FillService tells a worker that asks for an old version that there is a newer one, although the news is old", async (context) => {
  const origin = new ScriptedUpstream("origin", [objectOf("a", 95, 2)]);
  const { ask, answers, index } = openService(context, origin);
  await index.putObject(objectOf("a", 95, 2), undefined);
  ask({ type: "fetch", id: 1, object: object satisfies ObjectRecord, chunk: 0, via: [] });
  await until(() => answers.length === 2);
  assert.deepEqual(answers, [
    { type: "fetched", id: 1, outcome: { failure: "version-changed" } },
    { type: "changed", path: "a" },
  ]);
});

test("FillService keeps running when the index fails to be written", async (context) => {
  const origin = new ScriptedUpstream("origin", [objectOf("a", 95, 2)]);
  const { ask, answers, index } = openService(context, origin);
  const refuse = () => Promise.reject(new Error("MDB_MAP_FULL: Environment mapsize limit reached"));
  index.putObject = refuse;
  index.forgetChunk = refuse;
  ask({ type: "fetch", id: 1, object, chunk: 0, via: [] });
  ask({ type: "bad-slot", objectKey: objectKeyOf(object), chunk: 0, diskNumber: 0, slot: 0 });
  ask({ type: "describe", id: 2, path: "a", via: [], refresh: false });
  await until(() => answers.length >= 2);
  assert.deepEqual(
    answers.find(({ type }) => type === "described"),
    { type: "described", id: 2, outcome: { failure: "upstream-failed" } },
  );
  // An unhandled rejection would end the worker, and this test.
  await new Promise((resolve) => setImmediate(resolve));
});

test("FillService stops in order while fetches are under way and waiting", async (context) => {
  const origin = new ScriptedUpstream("origin", [object]);
  let release = () => {};
  const held = new Promise<undefined>((resolve) => (release = () => resolve(undefined)));
  origin.beforeFetch = () => held;
  const { ask, service } = openService(context, origin, 1);
  for (let id = 0; id < 5; id++) ask({ type: "fetch", id, object: { ...object, digested: id > 0 }, chunk: id, via: [] });
  await until(() => origin.fetched.length === 1);
  await service.stop();
  release();
  // The ones that waited look for their digests now: in an index that is closed they would end the process.
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
});

/** The file that the agent would have written. */
async function writeManifest(context: TestContext, objects: readonly ObjectRecord[]): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "millrace-manifest-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const manifest = new ManifestFile(folder);
  const entries = objects.map(({ path, sizeBytes, etag }) => ({
    path,
    sizeBytes: BigInt(sizeBytes),
    etag,
    stratum: 0,
    urgent: false,
    removed: false,
  }));
  await manifest.take({ version: 1n, baseVersion: 0n, firstEntry: 0n, entriesTotal: BigInt(entries.length), entries });
  return manifest.path;
}

test("FillService fills an object although the control plane names a source that can't be one", async (context) => {
  const origin = new ScriptedUpstream("origin", [object]);
  const { service, toMain, index } = openService(context, origin);
  service.handle({ type: "manifest", file: await writeManifest(context, [object]) });
  await until(() => toMain.some(({ type }) => type === "ask-sources"));
  const question = toMain.find((message) => message.type === "ask-sources");
  assert.ok(question?.type === "ask-sources");
  const sources = [{ url: "gopher://x/", scope: "cluster", hops: 0, applianceId: "" } as const];
  service.handle({ type: "sources", id: question.id, ranked: { sources, steps: [], validSeconds: 0 } });
  await until(() => index.chunksHeldOf(objectKeyOf(object)) === 10);
  await service.stop();
});

test("FillService follows the manifest that came last, though the one before takes longer to read", async (context) => {
  const { service, toMain } = openService(context, new ScriptedUpstream("origin", [object]));
  const many = Array.from({ length: 5000 }, (_, at) => objectOf(`film-${at}`, 0));
  const [larger, smaller] = [await writeManifest(context, many), await writeManifest(context, [object])];
  service.handle({ type: "manifest", file: larger });
  service.handle({ type: "manifest", file: smaller });
  const cuts = () => toMain.flatMap((message) => (message.type === "manifest-cut" ? [message.objectsKept] : []));
  await until(() => cuts().length === 2);
  assert.deepEqual(cuts(), [5000, 1]);
  await service.stop();
});

test("FillService goes on when a manifest is not there any more", async (context) => {
  const { service, toMain } = openService(context, new ScriptedUpstream("origin", [object]));
  const file = await writeManifest(context, [object]);
  service.handle({ type: "manifest", file: join(tmpdir(), "no-such-manifest") });
  service.handle({ type: "manifest", file });
  await until(() => toMain.some(({ type }) => type === "manifest-cut"));
  await service.stop();
});
