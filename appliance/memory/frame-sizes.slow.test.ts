import assert from "node:assert/strict";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import fc from "fast-check";
import { allocateFrameArena, FrameArena } from "./frame-arena.js";
import { blockOfFrame, firstFrameOf, frameCountOf, reserveArenaMemory, sizeOfFrame } from "./frame-layout.js";

const chunkBytes = 32_768;

function arenaOf(blocks: number, bytes = chunkBytes): FrameArena {
  return new FrameArena(allocateFrameArena({ ramBytes: blocks * bytes, chunkBytes: bytes }));
}

function keyOf(name: number): Int32Array {
  return Int32Array.of(Math.imul(name + 1, 0x9e3779b1), name, ~name, 7);
}

/** Publishes an object of one chunk as a miss does, pinned; -1 when no frame was to be had. */
function put(arena: FrameArena, name: number, lengthBytes: number): number {
  const frame = arena.allocate(lengthBytes);
  if (frame < 0) return -1;
  arena.wholeFrame(frame).fill(name & 255);
  return arena.publish(frame, keyOf(name), 0, lengthBytes);
}

function request(arena: FrameArena, name: number, lengthBytes: number): boolean {
  const found = arena.pinChunk(keyOf(name), 0);
  const frame = found >= 0 ? found : put(arena, name, lengthBytes);
  assert.ok(frame >= 0);
  arena.unpin(frame);
  return found >= 0;
}

/** Where a frame's bytes lie, told by what it writes to. */
function placeOf(view: Uint8Array): { buffer: ArrayBufferLike; from: number; to: number } {
  return { buffer: view.buffer, from: view.byteOffset, to: view.byteOffset + view.byteLength };
}

function overlap(a: Uint8Array, b: Uint8Array): boolean {
  const [one, other] = [placeOf(a), placeOf(b)];
  return one.buffer === other.buffer && one.from < other.to && other.from < one.to;
}

test("every frame has a number of its own, and its block and size follow from it, for any memory and chunk size", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 2 ** 26 }),
      fc.integer({ min: 1, max: 2 ** 34 }),
      fc.nat(),
      fc.nat(),
      (bytes, ramBytes, one, other) => {
        // Reserved, and not touched.
        const { blockCount, frameBytes, blockStrideBytes } = reserveArenaMemory({
          ramBytes: Math.min(ramBytes, bytes * 2 ** 14),
          chunkBytes: bytes,
        });
        assert.ok(frameBytes.every((size, at) => at === 0 || (size >= 4096 && size * 2 ** at <= blockStrideBytes)));
        const frame = one % frameCountOf(blockCount, frameBytes.length);
        const size = sizeOfFrame(blockCount, frame);
        const block = blockOfFrame(blockCount, frame);
        const first = firstFrameOf(blockCount, block, size);
        assert.ok(size < frameBytes.length && block >= 0 && block < blockCount);
        assert.ok(frame >= first && frame < first + 2 ** size);
        const last = first + 2 ** size - 1;
        assert.deepEqual([sizeOfFrame(blockCount, last), blockOfFrame(blockCount, last)], [size, block]);
        const otherBlock = other % blockCount;
        if (otherBlock !== block) assert.notEqual(firstFrameOf(blockCount, otherBlock, size), first);
      },
    ),
    { numRuns: 60 },
  );
});

test("a chunk of 1 MiB makes frames down to 4 KiB, and an object of a byte takes 4 KiB of memory", () => {
  const arena = arenaOf(16, 2 ** 20);
  arena.unpin(put(arena, 1, 1));
  assert.equal(arena.counts().usedBytes, 4096);
  assert.equal(arena.counts().sizes.find(({ frameBytes }) => frameBytes === 4096)?.frames, 256);
  arena.unpin(put(arena, 2, 4097));
  assert.equal(arena.counts().usedBytes, 4096 + 8192);
});

test("frames of many sizes never overlap while they are in use, keep their bytes, and none is lost, whatever is done", () => {
  const step = fc.record({
    what: fc.constantFrom("put", "put", "put", "pin", "unpin", "unpin", "drop", "allocate", "give-back"),
    name: fc.nat({ max: 60 }),
    pick: fc.nat({ max: 1000 }),
  });
  // An object's length follows from its name, and never changes.
  const lengthOf = (name: number) => [1, 4096, 5000, 9000, 20_000, chunkBytes][name % 6]!;
  let moved = 0;
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400, size: "max" }), (steps) => {
      const arena = arenaOf(8);
      const inUse: { frame: number; name: number | undefined }[] = [];
      let blocksBefore = arena.counts().sizes.map(({ blocks }) => blocks);
      for (const { what, name, pick } of steps) {
        if (what === "put" || what === "pin") {
          const found = arena.pinChunk(keyOf(name), 0);
          const frame = found >= 0 || what === "pin" ? found : put(arena, name, lengthOf(name));
          if (frame >= 0 && inUse.length < 12) inUse.push({ frame, name });
          else if (frame >= 0) arena.unpin(frame);
        } else if (what === "unpin" || what === "give-back") {
          const at = inUse.findIndex((one) => (one.name === undefined) === (what === "give-back"));
          if (at < 0) continue;
          const { frame } = inUse.splice(at, 1)[0]!;
          if (what === "unpin") arena.unpin(frame);
          else arena.giveBack(frame);
        } else if (what === "drop") arena.drop(keyOf(name), 0);
        else {
          const frame = arena.allocate(lengthOf(pick));
          if (frame >= 0) {
            assert.ok(arena.wholeFrame(frame).length >= lengthOf(pick));
            arena.wholeFrame(frame).fill(255);
            inUse.push({ frame, name: undefined });
          }
        }
        const views = inUse.map((one) => ({ ...one, view: arena.wholeFrame(one.frame) }));
        for (const [at, { frame, name: of, view }] of views.entries()) {
          if (of !== undefined) {
            const bytes = arena.bytesOf(frame);
            assert.equal(bytes.length, lengthOf(of));
            for (let byte = 0; byte < bytes.length; byte += 1021) assert.equal(bytes[byte], of);
            assert.equal(bytes.at(-1), of);
          }
          for (const other of views.slice(at + 1)) assert.ok(other.frame === frame ? other.name === of : !overlap(view, other.view));
        }
        const counts = arena.counts();
        const allocated = inUse.filter((one) => one.name === undefined).length;
        assert.equal(counts.free + counts.small + counts.main + allocated, counts.frames);
        assert.equal(counts.pinned, new Set(inUse.filter((one) => one.name !== undefined).map((one) => one.frame)).size);
        const blocks = counts.sizes.map((of) => of.blocks);
        assert.ok(blocks.reduce((sum, count) => sum + count, 0) <= 8);
        for (const [size, count] of blocks.entries()) if (count < blocksBefore[size]!) moved++;
        blocksBefore = blocks;
      }
      for (const { frame, name } of inUse) {
        if (name === undefined) arena.giveBack(frame);
        else arena.unpin(frame);
      }
      // Nothing is lost: with nothing pinned, all of the memory can be had as whole frames.
      const whole = Array.from({ length: 8 }, () => arena.allocate(chunkBytes));
      assert.deepEqual(
        [...new Set(whole)].sort((a, b) => a - b),
        [0, 1, 2, 3, 4, 5, 6, 7],
      );
    }),
    { numRuns: 80 },
  );
  assert.ok(moved > 50, `blocks changed their size only ${moved} times`);
});

test("memory follows what is asked for: a load of small objects gets nearly all, a load of whole chunks takes it back", () => {
  const arena = arenaOf(64);
  const shareOf = (size: number) => arena.counts().sizes[size]!.blocks / 64;
  for (let name = 0; name < 400; name++) request(arena, name, chunkBytes);
  assert.equal(shareOf(0), 1);
  let hits = 0;
  for (let name = 0; name < 20_000; name++) hits += request(arena, 10_000 + (name % 400), 4000) ? 1 : 0;
  assert.ok(hits > 14_000, `${hits} of 20000 requests of a set that fits into memory as small frames were hits`);
  for (let name = 0; name < 20_000; name++) request(arena, 100_000 + name, 4000);
  assert.ok(shareOf(3) > 0.8, `small frames have ${shareOf(3)} of the memory`);
  for (let name = 0; name < 2000; name++) request(arena, 200_000 + name, chunkBytes);
  assert.ok(shareOf(0) > 0.9, `whole frames have ${shareOf(0)} of the memory`);
});

test("small frames that are all pinned leave room for whole chunks, and a small object takes a larger frame when it must", () => {
  const arena = arenaOf(64);
  const pinned: number[] = [];
  for (let name = 0; ; name++) {
    const frame = put(arena, name, 1);
    if (frame < 0) break;
    pinned.push(frame);
    if (arena.counts().sizes[0]!.frames > 0) break;
  }
  // One of each kind of block is enough to keep it from being given away.
  assert.ok(pinned.length >= 56 * 8);
  const whole: number[] = [];
  for (let frame = arena.allocate(chunkBytes); frame >= 0; frame = arena.allocate(chunkBytes)) whole.push(frame);
  assert.ok(whole.length >= 6, `${whole.length} whole frames were to be had`);
  for (const frame of pinned) arena.unpin(frame);
});

/** What each thread of the stress test does, with the compiled module beside this one. */
const stressSource = `
  const { workerData, parentPort } = require("node:worker_threads");
  import(workerData.module).then(({ FrameArena }) => {
  const arena = new FrameArena(workerData.memory);
  const keyOf = (name) => Int32Array.of(Math.imul(name + 1, 0x9e3779b1), name, ~name, 7);
  let seed = workerData.thread * 7919 + 1;
  const random = (below) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
  const valueOf = (name) => (name * 37 + 11) & 255;
  const lengthOf = (name) => [900, 4096, 6000, 16000, 32768][name % 5];
  const check = (frame, name) => {
    const bytes = arena.bytesOf(frame);
    if (bytes.length !== lengthOf(name)) throw new Error("length " + bytes.length + " of " + name);
    // A frame of another chunk that lies in this one covers 896 bytes or more.
    for (let at = 0; at < bytes.length; at += 97) if (bytes[at] !== valueOf(name)) throw new Error("byte " + at + " of " + name + " is wrong");
    if (bytes[bytes.length - 1] !== valueOf(name)) throw new Error("the last byte of " + name + " is wrong");
  };
  const counts = { hits: 0, fills: 0, short: 0 };
  const held = [];
  const end = Date.now() + workerData.forMs;
  for (let round = 0; Date.now() < end; round++) {
    // What is asked for shifts between the sizes all the time, so blocks change hands all the time.
    const size = (round >> 2) % 6;
    for (let step = 0; step < 100; step++) {
      const any = random(100);
      const name = size === 5 || random(5) === 0 ? any : any - (any % 5) + size;
      const key = keyOf(name);
      let frame = random(4) === 0 ? arena.pinChunkSurely(key, 0) : arena.pinChunk(key, 0);
      if (frame >= 0) counts.hits++;
      else {
        const mine = arena.allocate(lengthOf(name));
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
        bytes.fill(valueOf(name), 0, lengthOf(name));
        frame = arena.publish(mine, key, 0, lengthOf(name));
        counts.fills++;
      }
      check(frame, name);
      if (random(50) === 0) arena.drop(key, 0);
      if (random(3) === 0) {
        arena.pinAgain(frame);
        held.push({ frame, name });
      }
      check(frame, name);
      arena.unpin(frame);
      if (held.length > 2) {
        const oldest = held.shift();
        check(oldest.frame, oldest.name);
        arena.unpin(oldest.frame);
      }
    }
  }
  for (const { frame, name } of held) {
    check(frame, name);
    arena.unpin(frame);
  }
  parentPort.postMessage(counts);
  });
`;

test("no pinned reader ever sees another chunk's bytes while four threads cut the memory into other frames, and no frame and no pin is lost", async () => {
  const blocks = 12;
  const memory = allocateFrameArena({ ramBytes: blocks * chunkBytes, chunkBytes });
  const module = new URL("frame-arena.js", import.meta.url).href;
  const totals = { hits: 0, fills: 0, short: 0 };
  const arena = new FrameArena(memory);
  const cuts = new Set<string>();
  const watch = setInterval(
    () =>
      cuts.add(
        arena
          .counts()
          .sizes.map((of) => of.blocks)
          .join(),
      ),
    5,
  );
  await Promise.all(
    Array.from({ length: 4 }, async (_, thread) => {
      const worker = new Worker(stressSource, { eval: true, workerData: { memory, module, thread, forMs: 2500 } });
      const counts = await new Promise<typeof totals>((resolve, reject) => {
        worker.once("message", resolve);
        worker.once("error", reject);
      });
      await worker.terminate();
      for (const name of Object.keys(totals) as (keyof typeof totals)[]) totals[name] += counts[name];
    }),
  );
  clearInterval(watch);
  const { free, small, main, pinned, frames } = arena.counts();
  assert.equal(pinned, 0);
  assert.equal(free + small + main, frames);
  const whole = new Set(Array.from({ length: blocks }, () => arena.allocate(chunkBytes)));
  assert.ok(whole.size === blocks && !whole.has(-1), "memory was lost");
  assert.equal(arena.allocate(1), -1);
  // The test is only one when all of this has happened many times.
  assert.ok(totals.hits > 1000 && totals.fills > 1000 && cuts.size > 5, JSON.stringify({ ...totals, cuts: [...cuts] }));
});
