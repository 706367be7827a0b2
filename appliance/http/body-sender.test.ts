import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { HttpResponse } from "uWebSockets.js";
import { counterPlace } from "../counters.js";
import { objectOf, openTemporaryStage, byteAt } from "../fill/temporary-stage.js";
import { objectKeyOf, objectKeyWords } from "../object.js";
import { ChunkArrival } from "../serve/chunk-arrival.js";
import type { ChunkGetter } from "../serve/chunk-getter.js";
import { PaceWheel } from "../serve/pace-wheel.js";
import { BodySender, noBytes } from "./body-sender.js";

/** A response whose socket takes what it is given room for: what a slow client does to it is chosen byte by byte. */
class SlowResponse {
  room: number;
  taken = Buffer.alloc(0);
  closed = false;
  onAborted = () => {};
  #writable: ((offset: number) => boolean) | undefined;

  constructor(room: number) {
    this.room = room;
  }

  cork(act: () => void): this {
    act();
    return this;
  }

  tryEnd(bytes: Uint8Array, totalBytes: number): [boolean, boolean] {
    assert.ok(!this.closed, "the engine throws when a response is used that is closed");
    const count = Math.min(bytes.length, this.room);
    this.room -= count;
    this.taken = Buffer.concat([this.taken, bytes.subarray(0, count)]);
    return [count === bytes.length, this.taken.length === totalBytes];
  }

  onWritable(listener: (offset: number) => boolean): this {
    this.#writable = listener;
    return this;
  }

  get isListenedTo(): boolean {
    return this.#writable !== undefined;
  }

  drain(room: number): void {
    this.room += room;
    this.#writable?.(this.taken.length);
  }

  close(): this {
    this.closed = true;
    this.onAborted();
    return this;
  }
}

const object = objectOf("a", 10);

/** One chunk of ten bytes that is arriving, and a response that begins with it. */
function openSender(context: TestContext, room: number, last = 9) {
  const stage = openTemporaryStage(context);
  const { arena, counters } = stage;
  const frame = arena.allocate(10);
  const bytes = arena.wholeFrame(frame);
  for (let at = 0; at < 10; at++) bytes[at] = byteAt(object, at);
  arena.beginArrival(frame);
  let left = 0;
  const arrival = new ChunkArrival(frame, arena, () => left++);
  const response = new SlowResponse(room);
  const served = { record: object, key: objectKeyOf(object), keyWords: objectKeyWords(objectKeyOf(object)) };
  const body = { object: served, first: 0, last, before: noBytes, parts: [], totalBytes: last + 1, via: [] };
  const wheel = new PaceWheel({ nowMs: () => 0, setTimer: () => {} });
  const getter = { readAhead: () => {} } as unknown as ChunkGetter;
  let done = 0;
  const options = { arena, chunkBytes: 10, counters, getter, wheel, readAheadChunks: 0 };
  const sender = new BodySender(options, response as unknown as HttpResponse, body, () => done++);
  response.onAborted = () => sender.abort();
  const arrive = (count: number) => {
    arena.setArrived(frame, count);
    arrival.tellMore();
  };
  const send = () => {
    arena.pinAgain(frame);
    arrival.join();
    return sender.send({ frame, from: "upstream", arrival });
  };
  const right = (count: number) => Buffer.from(Array.from({ length: count }, (_, at) => byteAt(object, at)));
  const broken = () => counters[counterPlace.responsesBroken]!;
  return { arena, arrival, arrive, broken, done: () => done, frame, left: () => left, response, right, send };
}

const microtasks = () => new Promise((resolve) => setImmediate(resolve));

test("BodySender sends what arrives of a chunk as it arrives, and is done once", async (context) => {
  const { arena, arrival, arrive, done, frame, response, right, send } = openSender(context, 100);
  arrive(3);
  assert.equal(send(), false);
  assert.deepEqual(response.taken, right(3));
  arrive(7);
  assert.deepEqual(response.taken, right(7));
  arrive(10);
  assert.deepEqual(response.taken, right(10));
  arrival.end("whole");
  await microtasks();
  assert.equal(done(), 1);
  arena.abandonArrival(frame);
  assert.equal(arena.counts().pinned, 0);
});

test("BodySender closes the connection when the rest of a chunk does not come, and its client was too slow to hear of it then", async (context) => {
  const { arena, arrival, arrive, broken, done, frame, response, right, send } = openSender(context, 2);
  arrive(6);
  assert.equal(send(), false);
  arrival.end("upstream-failed");
  arena.abandonArrival(frame);
  await microtasks();
  assert.equal(response.closed, false, "what is right of it is still sent");
  response.drain(100);
  assert.deepEqual(response.taken, right(6));
  await microtasks();
  assert.equal(response.closed, true);
  assert.deepEqual([broken(), done()], [1, 0]);
  assert.equal(arena.counts().pinned, 0);
});

test("BodySender goes on when the rest of a chunk came while its client was slow", async (context) => {
  const { arena, arrival, arrive, done, frame, response, right, send } = openSender(context, 2);
  arrive(6);
  assert.equal(send(), false);
  arrive(10);
  arrival.end("whole");
  arena.abandonArrival(frame);
  response.drain(100);
  await microtasks();
  assert.deepEqual(response.taken, right(10));
  assert.equal(done(), 1);
  assert.equal(arena.counts().pinned, 0);
});

test("BodySender listens for the socket while it waits: the engine counts an idle connection's ten seconds where nobody does", (context) => {
  const { arrive, response, send } = openSender(context, 100);
  arrive(3);
  assert.equal(send(), false);
  assert.ok(response.isListenedTo);
  // Says that it may write when there is nothing to write.
  response.drain(0);
  arrive(10);
  assert.equal(response.taken.length, 10);
});

test("BodySender lets a fetch end whose client has gone, and not one whose client has what it asked for: the next range is of the same chunk", (context) => {
  const gone = openSender(context, 100);
  gone.arrive(3);
  gone.send();
  gone.response.close();
  assert.equal(gone.left(), 1);
  const served = openSender(context, 100, 2);
  served.arrive(3);
  assert.equal(served.send(), true);
  assert.deepEqual([served.done(), served.left()], [1, 0]);
});
