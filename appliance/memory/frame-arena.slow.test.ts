import assert from "node:assert/strict";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import fc from "fast-check";
import { allocateFrameArena, FrameArena, frameCountMin } from "./frame-arena.js";

const chunkBytes = 64;

function arenaOf(frames: number): FrameArena {
  const arena = new FrameArena(allocateFrameArena({ ramBytes: frames * chunkBytes, chunkBytes }));
  assert.equal(arena.frameCount, frames);
  return arena;
}

function keyOf(name: number): Int32Array {
  return Int32Array.of(Math.imul(name + 1, 0x9e3779b1), name, ~name, 7);
}

/** Publishes a chunk as a miss does, and lets go of it. False when no frame was to be had. */
function put(arena: FrameArena, name: number, chunk = 0, lengthBytes = chunkBytes): boolean {
  const frame = arena.allocate(chunkBytes);
  if (frame < 0) return false;
  arena.wholeFrame(frame).fill(name + chunk);
  arena.unpin(arena.publish(frame, keyOf(name), chunk, lengthBytes));
  return true;
}

function holds(arena: FrameArena, name: number, chunk = 0): boolean {
  const frame = arena.pinChunkSurely(keyOf(name), chunk);
  if (frame >= 0) arena.unpin(frame);
  return frame >= 0;
}

/** The same hash as the arena's: in the model, two chunks that share a place in the ghost table must share it too. */
function hashOf(key: Int32Array, chunk: number): number {
  let hash = key[0]! ^ Math.imul(chunk + 1, 0x9e3779b1);
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

/** S3-FIFO as the paper writes it, with arrays; the ghost is a table with one place per hash, as in the arena. */
class LiteralS3Fifo {
  readonly small: { name: number; heat: number }[] = [];
  readonly main: { name: number; heat: number }[] = [];
  readonly #ghost = new Map<number, { name: number; time: number }>();
  readonly #frames: number;
  readonly #smallTarget: number;
  readonly #places: number;
  #left = 0;

  constructor(frames: number) {
    this.#frames = frames;
    this.#smallTarget = Math.max(1, Math.floor(frames / 10));
    this.#places = Math.max(16, 2 ** Math.ceil(Math.log2(frames)));
  }

  /** True for a hit. */
  request(name: number): boolean {
    const found = this.small.find((entry) => entry.name === name) ?? this.main.find((entry) => entry.name === name);
    if (found) {
      found.heat = Math.min(3, found.heat + 1);
      return true;
    }
    if (this.small.length + this.main.length === this.#frames) this.#evict();
    const ghost = this.#ghost.get(this.#placeOf(name));
    const seenLately = ghost?.name === name && this.#left - ghost.time <= this.#frames - this.#smallTarget;
    (seenLately ? this.main : this.small).push({ name, heat: 0 });
    return false;
  }

  #evict(): void {
    for (;;) {
      if (this.small.length >= this.#smallTarget || this.main.length === 0) {
        const first = this.small.shift()!;
        if (first.heat > 1) this.main.push({ name: first.name, heat: 0 });
        else {
          this.#ghost.set(this.#placeOf(first.name), { name: first.name, time: this.#left++ });
          return;
        }
      } else {
        const first = this.main.shift()!;
        if (first.heat === 0) return;
        this.main.push({ name: first.name, heat: first.heat - 1 });
      }
    }
  }

  #placeOf(name: number): number {
    return hashOf(keyOf(name), 0) & (this.#places - 1);
  }
}

test("FrameArena hits, misses and evicts as a literal S3-FIFO does, for any trace", () => {
  const trace = fc.array(fc.oneof(fc.nat({ max: 5 }), fc.nat({ max: 20 }), fc.nat({ max: 60 })), { minLength: 100, maxLength: 600 });
  fc.assert(
    fc.property(fc.constantFrom(8, 9, 16, 20, 33), trace, (frames, names) => {
      const arena = arenaOf(frames);
      const model = new LiteralS3Fifo(frames);
      for (const name of names) {
        const frame = arena.pinChunk(keyOf(name), 0);
        assert.equal(frame >= 0, model.request(name), `chunk ${name}`);
        if (frame >= 0) {
          assert.equal(arena.bytesOf(frame)[chunkBytes - 1], name);
          arena.unpin(frame);
        } else {
          assert.ok(put(arena, name));
        }
      }
      const { small, main, free, pinned } = arena.counts();
      assert.deepEqual({ small, main, pinned }, { small: model.small.length, main: model.main.length, pinned: 0 });
      assert.equal(small + main + free, frames);
      for (const { name } of [...model.small, ...model.main]) assert.ok(holds(arena, name));
    }),
    { numRuns: 200 },
  );
});

test("FrameArena never gives out a pinned frame, accounts for each frame and keeps the bytes of what it holds, whatever is done to it", () => {
  const step = fc.record({
    what: fc.constantFrom("put", "put", "pin", "pin", "unpin", "drop", "allocate", "give-back", "publish"),
    name: fc.nat({ max: 12 }),
    pick: fc.nat({ max: 1000 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const arena = arenaOf(frameCountMin);
      const pins: { frame: number; name: number }[] = [];
      const allocated: number[] = [];
      for (const { what, name, pick } of steps) {
        if (what === "put") put(arena, name);
        else if (what === "drop") {
          arena.drop(keyOf(name), 0);
          assert.ok(!holds(arena, name));
        } else if (what === "pin") {
          const frame = arena.pinChunk(keyOf(name), 0);
          if (frame >= 0) pins.push({ frame, name });
        } else if (what === "unpin" && pins.length > 0) {
          arena.unpin(pins.splice(pick % pins.length, 1)[0]!.frame);
        } else if (what === "allocate") {
          const frame = arena.allocate(chunkBytes);
          const inUse = new Set([...pins.map((pin) => pin.frame), ...allocated]);
          if (frame < 0) assert.equal(inUse.size, arena.frameCount, "-1 though a frame could be had");
          else {
            assert.ok(!inUse.has(frame), "a frame that is in use was given out");
            arena.wholeFrame(frame).fill(255);
            allocated.push(frame);
          }
        } else if (what === "give-back" && allocated.length > 0) {
          arena.giveBack(allocated.splice(pick % allocated.length, 1)[0]!);
        } else if (what === "publish" && allocated.length > 0) {
          const frame = allocated.splice(pick % allocated.length, 1)[0]!;
          arena.wholeFrame(frame).fill(name);
          pins.push({ frame: arena.publish(frame, keyOf(name), 0, chunkBytes), name });
        }
        for (const pin of pins) assert.ok(arena.bytesOf(pin.frame).every((byte) => byte === pin.name));
        const { free, small, main, pinned } = arena.counts();
        assert.equal(free + small + main + allocated.length, arena.frameCount);
        assert.equal(pinned, new Set(pins.map((pin) => pin.frame)).size);
      }
      for (const { frame } of pins) arena.unpin(frame);
      for (const frame of allocated) arena.giveBack(frame);
      for (let count = 0; count < arena.frameCount; count++) assert.notEqual(arena.allocate(chunkBytes), -1, "a frame was lost");
      assert.equal(arena.allocate(chunkBytes), -1);
    }),
    { numRuns: 300 },
  );
});

test("allocate() answers -1 when every frame is pinned, and gives a frame again after one unpin", () => {
  const arena = arenaOf(16);
  const pinned: number[] = [];
  for (let name = 0; name < 16; name++) pinned.push(arena.publish(arena.allocate(chunkBytes), keyOf(name), 0, chunkBytes));
  assert.equal(arena.allocate(chunkBytes), -1);
  arena.unpin(pinned[5]!);
  assert.equal(arena.allocate(chunkBytes), pinned[5]);
  assert.ok(!holds(arena, 5));
});

test("allocate() takes from the main queue at once when the small one is all pinned, however hot the main one is", () => {
  const arena = arenaOf(20);
  for (let name = 0; name < 20; name++) put(arena, name);
  // Hits move what is in the small queue to the main one as its turn comes.
  const heat = () => {
    for (let name = 0; name < 20; name++) for (let hit = 0; hit < 4; hit++) arena.unpin(arena.pinChunk(keyOf(name), 0));
  };
  heat();
  const newcomer = arena.publish(arena.allocate(chunkBytes), keyOf(100), 0, chunkBytes);
  assert.ok(newcomer >= 0);
  const second = arena.publish(arena.allocate(chunkBytes), keyOf(101), 0, chunkBytes);
  assert.equal(arena.counts().small, 2, "the small queue is at its size, and pinned");
  for (let name = 0; name < 20; name++) {
    for (let hit = 0; hit < 3; hit++) {
      const frame = arena.pinChunk(keyOf(name), 0);
      if (frame >= 0) arena.unpin(frame);
    }
  }
  assert.notEqual(arena.allocate(chunkBytes), -1, "18 frames are free to go");
  arena.unpin(newcomer);
  arena.unpin(second);
});

test("drop() makes a chunk unfindable at once, and its frame is used again when the last reader has gone", () => {
  const arena = arenaOf(8);
  put(arena, 1);
  const frame = arena.pinChunk(keyOf(1), 0);
  arena.drop(keyOf(1), 0);
  assert.equal(arena.pinChunk(keyOf(1), 0), -1);
  for (let name = 10; name < 40; name++) put(arena, name);
  assert.deepEqual([...arena.bytesOf(frame)], Array<number>(chunkBytes).fill(1));
  put(arena, 1);
  const again = arena.pinChunk(keyOf(1), 0);
  assert.ok(again >= 0 && again !== frame);
  arena.unpin(again);
  arena.unpin(frame);
  const taken: number[] = [];
  for (let next = arena.allocate(chunkBytes); next >= 0; next = arena.allocate(chunkBytes)) taken.push(next);
  assert.deepEqual(
    taken.sort((a, b) => a - b),
    [0, 1, 2, 3, 4, 5, 6, 7],
  );
});

test("publish() of a chunk that another thread has published meanwhile gives that frame, pinned, and frees the one that came too late", () => {
  const arena = arenaOf(8);
  const first = arena.allocate(chunkBytes);
  const second = arena.allocate(chunkBytes);
  assert.equal(arena.publish(first, keyOf(3), 9, 10), first);
  assert.equal(arena.publish(second, keyOf(3), 9, 10), first);
  assert.equal(arena.bytesOf(first).length, 10);
  assert.deepEqual({ pinned: arena.counts().pinned, free: arena.counts().free }, { pinned: 1, free: 7 });
  arena.unpin(first);
  assert.equal(arena.counts().pinned, 1, "both publishers hold a pin");
  arena.unpin(first);
  assert.equal(arena.counts().pinned, 0);
});

test("allocateFrameArena() makes frames of any chunk size that do not overlap, over several banks too", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 1, max: 100_000 }), (bytes, ramBytes) => {
      const memory = allocateFrameArena({ ramBytes, chunkBytes: bytes });
      const arena = new FrameArena(memory);
      assert.ok(arena.frameCount >= frameCountMin);
      for (let frame = 0; frame < arena.frameCount; frame++) arena.wholeFrame(frame).fill(frame);
      for (let frame = 0; frame < arena.frameCount; frame++) {
        const whole = arena.wholeFrame(frame);
        assert.equal(whole.length, bytes);
        assert.ok(whole[0] === (frame & 255) && whole[bytes - 1] === (frame & 255));
      }
    }),
    { numRuns: 100 },
  );
  // 9 frames of 256 MiB less a little: four to a bank of 1 GiB. Only the touched pages are taken.
  const frameBytes = 2 ** 28 - 64;
  const memory = allocateFrameArena({ ramBytes: 9 * frameBytes, chunkBytes: frameBytes });
  assert.deepEqual(
    memory.banks.map(({ byteLength }) => byteLength / frameBytes),
    [4, 4, 1],
  );
  const arena = new FrameArena(memory);
  for (let frame = 0; frame < 9; frame++) arena.wholeFrame(frame)[frameBytes - 1] = frame + 1;
  for (let frame = 0; frame < 9; frame++) assert.equal(arena.wholeFrame(frame)[frameBytes - 1], frame + 1);
});

/** What each thread of the stress test does, with the compiled module beside this one. */
const stressSource = `
  const { workerData, parentPort } = require("node:worker_threads");
  import(workerData.module).then(({ FrameArena }) => {
  const arena = new FrameArena(workerData.memory);
  const keys = workerData.names;
  const keyOf = (name) => Int32Array.of(Math.imul(name + 1, 0x9e3779b1), name, ~name, 7);
  let seed = workerData.thread * 7919 + 1;
  const random = (below) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
  const byteOf = (name, chunk, at) => (name * 31 + chunk * 7 + at) & 255;
  const lengthOf = (name, chunk) => arena.chunkBytes - ((name + chunk) % 5);
  const check = (frame, name, chunk) => {
    const bytes = arena.bytesOf(frame);
    if (bytes.length !== lengthOf(name, chunk)) throw new Error("length " + bytes.length + " of chunk " + name + "/" + chunk);
    for (let at = 0; at < bytes.length; at++) {
      if (bytes[at] !== byteOf(name, chunk, at)) throw new Error("byte " + at + " of chunk " + name + "/" + chunk + " is wrong");
    }
  };
  const counts = { reads: 0, hits: 0, fills: 0, short: 0 };
  const held = [];
  const end = Date.now() + workerData.forMs;
  while (Date.now() < end) {
    for (let step = 0; step < 200; step++) {
      const name = random(8) === 0 ? random(keys) : random(Math.ceil(keys / 8));
      const chunk = random(3);
      const key = keyOf(name);
      counts.reads++;
      let frame = random(4) === 0 ? arena.pinChunkSurely(key, chunk) : arena.pinChunk(key, chunk);
      if (frame >= 0) counts.hits++;
      else {
        const length = lengthOf(name, chunk);
        const mine = arena.allocate(length);
        if (mine < 0) {
          counts.short++;
          while (held.length > 0) arena.unpin(held.pop().frame);
          continue;
        }
        const bytes = arena.wholeFrame(mine);
        bytes.fill(170);
        if (random(20) === 0) {
          arena.giveBack(mine);
          continue;
        }
        for (let at = 0; at < length; at++) bytes[at] = byteOf(name, chunk, at);
        frame = arena.publish(mine, key, chunk, length);
        counts.fills++;
      }
      check(frame, name, chunk);
      if (random(50) === 0) arena.drop(key, chunk);
      if (random(3) === 0) {
        // Kept over other steps, and looked at again before it is let go.
        arena.pinAgain(frame);
        held.push({ frame, name, chunk });
      }
      check(frame, name, chunk);
      arena.unpin(frame);
      if (held.length > 2) {
        const oldest = held.shift();
        check(oldest.frame, oldest.name, oldest.chunk);
        arena.unpin(oldest.frame);
      }
    }
  }
  for (const { frame, name, chunk } of held) {
    check(frame, name, chunk);
    arena.unpin(frame);
  }
  parentPort.postMessage(counts);
  });
`;

test("FrameArena never shows a pinned reader another chunk's bytes, and loses no frame and no pin, while four threads replace everything", async () => {
  const threads = 4;
  const memory = allocateFrameArena({ ramBytes: 16 * chunkBytes, chunkBytes });
  const module = new URL("frame-arena.js", import.meta.url).href;
  const totals = { reads: 0, hits: 0, fills: 0, short: 0 };
  await Promise.all(
    Array.from({ length: threads }, async (_, thread) => {
      const worker = new Worker(stressSource, { eval: true, workerData: { memory, module, thread, names: 40, forMs: 2000 } });
      const counts = await new Promise<typeof totals>((resolve, reject) => {
        worker.once("message", resolve);
        worker.once("error", reject);
      });
      await worker.terminate();
      for (const name of Object.keys(totals) as (keyof typeof totals)[]) totals[name] += counts[name];
    }),
  );
  const arena = new FrameArena(memory);
  const { free, small, main, pinned, frames, evictions } = arena.counts();
  assert.equal(pinned, 0);
  assert.equal(free + small + main, frames);
  for (let count = 0; count < frames; count++) assert.notEqual(arena.allocate(chunkBytes), -1, "a frame was lost");
  assert.equal(arena.allocate(chunkBytes), -1);
  // The test is only one when all of this has happened many times.
  assert.ok(totals.hits > 1000 && totals.fills > 1000 && evictions > 1000, JSON.stringify({ ...totals, evictions }));
});

test("takeBackPins() takes back what this thread still holds, and leaves the pins of others", () => {
  const memory = allocateFrameArena({ ramBytes: 16 * chunkBytes, chunkBytes });
  const [crashed, other] = [new FrameArena(memory), new FrameArena(memory)];
  for (const name of [1, 2, 3]) put(other, name);
  const kept = other.pinChunk(keyOf(1), 0);
  crashed.pinChunk(keyOf(1), 0);
  crashed.pinChunk(keyOf(2), 0);
  crashed.pinAgain(crashed.pinChunk(keyOf(3), 0));
  crashed.unpin(crashed.pinChunk(keyOf(2), 0));
  // Pinned by the fill worker for the thread that asked.
  crashed.adoptPin(other.pinChunk(keyOf(3), 0));
  const filling = crashed.allocate(chunkBytes);
  assert.deepEqual(crashed.held(), { pins: 5, frames: 1 });
  assert.equal(crashed.takeBackPins(), 5);
  assert.deepEqual(crashed.held(), { pins: 0, frames: 1 });
  assert.equal(other.counts().pinned, 1);
  other.unpin(kept);
  assert.equal(other.counts().pinned, 0);
  crashed.giveBack(filling);
  assert.equal(crashed.held().frames, 0);
});

test("FrameArena shows an arriving frame to whom it is handed, byte mark by byte mark, and to nobody else before its end", () => {
  const memory = allocateFrameArena({ ramBytes: 8 * 64, chunkBytes: 64 });
  const [filler, reader] = [new FrameArena(memory), new FrameArena(memory)];
  const key = Int32Array.of(1, 2, 3, 4);
  const frame = filler.allocate(chunkBytes);
  filler.beginArrival(frame);
  filler.pinAgain(frame);
  reader.adoptPin(frame);
  assert.equal(reader.validBytesOf(frame), 0);
  filler.setArrived(frame, 10);
  assert.equal(reader.bytesOf(frame).length, 10);
  assert.equal(reader.pinChunkSurely(key, 0), -1, "it is not found");
  filler.setArrived(frame, 64);
  assert.equal(filler.endArrival(frame, key, 0), frame);
  filler.unpin(frame);
  const found = reader.pinChunk(key, 0);
  assert.equal(found, frame);
  reader.unpin(found);
  reader.unpin(frame);
  assert.equal(filler.counts().pinned, 0);
});

test("FrameArena keeps a frame whose rest does not come for its readers, and takes it back when they are done", () => {
  const memory = allocateFrameArena({ ramBytes: 8 * 64, chunkBytes: 64 });
  const arena = new FrameArena(memory);
  for (const ending of ["abandoned", "second"] as const) {
    const key = Int32Array.of(ending.length, 2, 3, 4);
    const frame = arena.allocate(chunkBytes);
    arena.beginArrival(frame);
    arena.setArrived(frame, 64);
    arena.pinAgain(frame);
    arena.bytesOf(frame).fill(7);
    if (ending === "abandoned") arena.abandonArrival(frame);
    else {
      const other = arena.publish(arena.allocate(chunkBytes), key, 0, 64);
      assert.equal(arena.endArrival(frame, key, 0), other, "the chunk has come another way");
      arena.unpin(other);
      arena.unpin(other);
    }
    // Every other frame is used over and over: the one that is read stays as it is.
    for (let count = 0; count < 100; count++) {
      const next = arena.allocate(chunkBytes);
      assert.notEqual(next, frame);
      arena.wholeFrame(next).fill(count);
      arena.unpin(arena.publish(next, Int32Array.of(9, 9, 9, count), 1, 64));
    }
    assert.ok(arena.bytesOf(frame).every((byte) => byte === 7));
    arena.unpin(frame);
    const seen = new Set<number>();
    for (let count = 0; count < 100; count++) {
      const next = arena.allocate(chunkBytes);
      seen.add(next);
      arena.unpin(arena.publish(next, Int32Array.of(8, 8, 8, count), 1, 64));
    }
    assert.ok(seen.has(frame), "it is of use again");
  }
  assert.equal(arena.counts().pinned, 0);
});
