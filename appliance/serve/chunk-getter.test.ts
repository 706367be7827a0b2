import assert from "node:assert/strict";
import { readv } from "node:fs";
import { test, type TestContext } from "node:test";
import { MessageChannel } from "node:worker_threads";
import { SlabFiles } from "../disk/slab-files.js";
import { SlotReader, type ReadVector } from "../disk/slot-reader.js";
import { FillService } from "../fill/fill-service.js";
import { objectOf, openTemporaryStage, ScriptedUpstream, until } from "../fill/temporary-stage.js";
import { objectKeyOf, objectKeyWords, type ObjectRecord } from "../object.js";
import type { ChunkArrival } from "./chunk-arrival.js";
import { ChunkGetter, type ChunkOutcome } from "./chunk-getter.js";
import { FillClient } from "./fill-client.js";

interface GetterOptions {
  miss?: "fill" | "redirect" | "reject";
  frames?: number;
  deadlineMs?: number;
  readVector?: ReadVector;
}

const object = objectOf("a", 1000);

/** A getter over two disks that hold all of the object, with the real fill worker behind it. */
async function openGetter(context: TestContext, { miss = "fill", frames = 200, deadlineMs = 1000, readVector }: GetterOptions = {}) {
  const stage = openTemporaryStage(context, { frames, slots: [100, 100] });
  const origin = new ScriptedUpstream("origin", [object]);
  const { port1, port2 } = new MessageChannel();
  const service = new FillService({
    ...stage,
    fetchesMax: 8,
    waitingFetchesMax: 1000,
    manifestFetchesMax: 1,
    openSource: () => origin,
    toMain: () => {},
    upstreams: [origin],
  });
  service.serve(port2);
  const files = new SlabFiles(stage.geometry, "read");
  const lost: string[] = [];
  const reader = new SlotReader({
    disks: stage.disks,
    geometry: stage.geometry,
    files,
    readsPerDiskMax: 2,
    waitingPerDiskMax: 1000,
    deadlineMs,
    onDiskLost: ({ path }) => lost.push(path),
    ...(readVector && { readVector }),
  });
  const fill = new FillClient(port1, stage.arena, () => {});
  const getter = new ChunkGetter({ ...stage, fill, miss, reader });
  await stage.index.putObject(object, undefined);
  for (let chunk = 0; chunk < 100; chunk++) {
    const frame = stage.publish(object, chunk);
    service.store.store(object, chunk, frame);
    stage.arena.unpin(frame);
    if (!service.store.hasRoom) await service.store.flush();
  }
  await service.store.flush();
  stage.index.seeLatest();
  for (let chunk = 0; chunk < 100; chunk++) stage.arena.drop(objectKeyWords(objectKeyOf(object)), chunk);
  stage.endFirst(async () => {
    await service.stop();
    fill.close();
    port2.close();
    files.closeAll();
  });
  const served = (record: ObjectRecord) => ({ record, key: objectKeyOf(record), keyWords: objectKeyWords(objectKeyOf(record)) });
  const get = (chunk: number, of = object) =>
    new Promise<ChunkOutcome>((resolve) =>
      getter.get(served(of) as Parameters<ChunkGetter["get"]>[0], chunk, { via: [], firstByte: 0 }, (outcome) => {
        if ("frame" in outcome) stage.arena.unpin(outcome.frame);
        resolve(outcome);
      }),
    );
  const chunksOn = (diskNumber: number) =>
    Array.from({ length: 100 }, (_, chunk) => chunk).filter(
      (chunk) => stage.index.findChunk(objectKeyOf(object), chunk)?.diskNumber === diskNumber,
    );
  return { ...stage, origin, get, getter, chunksOn, served };
}

const fromOf = (outcome: ChunkOutcome) => ("frame" in outcome ? outcome.from : outcome.failure);

test("ChunkGetter that rejects what it lacks reads a suspect disk, is busy for an offline one, and lacks only what is not there", async (context) => {
  const { disks, get, chunksOn, index } = await openGetter(context, { miss: "reject" });
  const [on0, on1] = [chunksOn(0), chunksOn(1)];
  assert.equal(fromOf(await get(on0[0]!)), "disk");
  disks.setState(0, "suspect");
  disks.setState(1, "offline");
  assert.equal(fromOf(await get(on0[1]!)), "disk");
  assert.equal(fromOf(await get(on1[1]!)), "busy", "503, and not 404: the disk may come back");
  assert.equal(fromOf(await get(0, objectOf("b", 100))), "missing");
  disks.setState(1, "retired");
  assert.equal(fromOf(await get(on1[2]!)), "missing");
  const gone = { diskNumber: 0, slot: index.findChunk(objectKeyOf(object), on0[3]!)!.slot };
  await index.forgetSlots([gone]);
  index.seeLatest();
  assert.equal(fromOf(await get(on0[3]!)), "missing");
});

test("ChunkGetter that redirects what it lacks does so for what is on a suspect disk", async (context) => {
  const { disks, get, chunksOn } = await openGetter(context, { miss: "redirect" });
  disks.setState(0, "suspect");
  assert.equal(fromOf(await get(chunksOn(0)[0]!)), "missing");
});

test("ChunkGetter reads a suspect disk as the last resort, when upstream is away", async (context) => {
  const { disks, get, chunksOn, origin } = await openGetter(context);
  disks.setState(0, "suspect");
  assert.equal(fromOf(await get(chunksOn(0)[0]!)), "upstream");
  origin.beforeFetch = () => ({ failure: "unreachable", detail: "away" });
  assert.equal(fromOf(await get(chunksOn(0)[1]!)), "disk");
  disks.setState(0, "offline");
  assert.equal(fromOf(await get(chunksOn(0)[2]!)), "upstream-failed");
});

test("ChunkGetter: a disk that is stuck holds the frames of the reads it has begun and no others; the other disk's chunks all come", async (context) => {
  // Reads of the first disk hang; which descriptor is its, the first read of it tells.
  let stuck = -1;
  let hangs = 0;
  const release: (() => void)[] = [];
  const bench = await openGetter(context, {
    frames: 12,
    deadlineMs: 60_000,
    readVector: (descriptor, buffers, position, done) => {
      if (descriptor !== stuck && stuck >= 0) return void readv(descriptor, [...buffers], position, done);
      stuck = descriptor;
      hangs++;
      release.push(() => readv(descriptor, [...buffers], position, done));
    },
  });
  const { arena, chunksOn, count, get } = bench;
  const waiting = chunksOn(0).map((chunk) => get(chunk));
  await until(() => hangs === 2, "the disk is stuck in two reads");
  const outcomes: string[] = [];
  // One after another and all at once: each needs a frame, of twelve.
  for (const chunk of chunksOn(1)) outcomes.push(fromOf(await get(chunk)));
  assert.deepEqual(new Set(outcomes), new Set(["disk"]));
  assert.equal(count("framesShort"), 0);
  assert.equal(hangs, 2, "no more reads were begun");
  stuck = -2;
  for (const go of release) go();
  const later = await Promise.all(waiting);
  assert.deepEqual(new Set(later.map(fromOf)), new Set(["disk"]));
  assert.equal(arena.counts().pinned, 0);
});

test("ChunkGetter: of two that wait for a chunk that arrives, one that is done at once does not end the fetch of the other", async (context) => {
  const { arena, getter, origin, served } = await openGetter(context);
  const cold = objectOf("b", 10);
  origin.objects.set(cold.path, cold);
  origin.partBytes = 2;
  let release = () => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  origin.betweenParts = async (_range, at) => {
    if (at === 4) await held;
    return undefined;
  };
  const wish = { via: [], firstByte: 0 };
  let arrival: ChunkArrival | undefined;
  // It wants the first bytes only, and has them as soon as it is told.
  getter.get(served(cold), 0, wish, (outcome) => {
    assert.ok("frame" in outcome && outcome.arrival);
    outcome.arrival.leave();
    arena.unpin(outcome.frame);
  });
  let frame = -1;
  getter.get(served(cold), 0, wish, (outcome) => {
    assert.ok("frame" in outcome && outcome.arrival);
    ({ frame, arrival } = outcome);
  });
  await until(() => arrival !== undefined, "the chunk arrives");
  // Whatever the fill worker was told, it has heard by then.
  await new Promise((resolve) => setImmediate(resolve));
  await until(() => arrival!.ended !== undefined || arrival!.validBytes >= 4, "more of it arrives");
  release();
  await until(() => arrival!.ended !== undefined, "it has ended");
  assert.equal(arrival!.ended, "whole");
  arrival!.leave();
  arena.unpin(frame);
  await until(() => arena.counts().pinned === 0, "no pin is left");
});
