import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { chunkHashOf } from "../chunk-hash.js";
import { SlotEviction } from "./slot-eviction.js";

/** A cache of `slotCount` chunks over a SlotEviction, as the allocator and the index are in an appliance. */
class EvictingCache {
  readonly #slotOf = new Map<number, number>();
  readonly #chunkIn: number[] = [];
  readonly #hits = new Map<number, number>();
  readonly eviction: SlotEviction;
  readonly slotCount: number;

  constructor(slotCount: number) {
    this.slotCount = slotCount;
    this.eviction = new SlotEviction({
      slotCount,
      hashOf: (slot) => hashOf(this.#chunkIn[slot]!),
      hits: { countOf: (hash) => this.#hits.get(hash) ?? 0, setCount: (hash, count) => void this.#hits.set(hash, count) },
    });
  }

  holds(chunk: number): boolean {
    return this.#slotOf.has(chunk);
  }

  request(chunk: number): boolean {
    const hash = hashOf(chunk);
    if (this.#slotOf.has(chunk)) {
      this.#hits.set(hash, Math.min(3, (this.#hits.get(hash) ?? 0) + 1));
      return true;
    }
    let slot = this.#slotOf.size;
    if (slot === this.slotCount) {
      slot = this.eviction.choose()!;
      this.#slotOf.delete(this.#chunkIn[slot]!);
    }
    this.#slotOf.set(chunk, slot);
    this.#chunkIn[slot] = chunk;
    this.#hits.set(hash, 0);
    this.eviction.add(slot, hash);
    return false;
  }
}

const hashOf = (chunk: number) => chunkHashOf(Math.imul(chunk, 0x9e3779b1), chunk);

/** Algorithm 1 of the paper, word for word, with arrays. */
class PaperS3Fifo {
  readonly small: number[] = [];
  readonly main: number[] = [];
  readonly ghost: number[] = [];
  readonly #freq = new Map<number, number>();
  readonly #capacity: number;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  request(chunk: number): boolean {
    if (this.#freq.has(chunk)) {
      this.#freq.set(chunk, Math.min(3, this.#freq.get(chunk)! + 1));
      return true;
    }
    const at = this.ghost.indexOf(chunk);
    while (this.small.length + this.main.length >= this.#capacity) {
      if (this.main.length === 0 || this.small.length >= Math.max(1, Math.floor(this.#capacity / 10))) this.#evictSmall();
      else this.#evictMain();
    }
    if (at >= 0) {
      this.ghost.splice(this.ghost.indexOf(chunk), 1);
      this.main.push(chunk);
    } else this.small.push(chunk);
    this.#freq.set(chunk, 0);
    return false;
  }

  #evictSmall(): void {
    while (this.small.length > 0) {
      const chunk = this.small.shift()!;
      if (this.#freq.get(chunk)! > 1) {
        this.#freq.set(chunk, 0);
        this.main.push(chunk);
        continue;
      }
      this.ghost.push(chunk);
      // As many as the main queue holds (section 4.1).
      if (this.ghost.length > this.#capacity * 0.9) this.ghost.shift();
      this.#freq.delete(chunk);
      return;
    }
  }

  #evictMain(): void {
    while (this.main.length > 0) {
      const chunk = this.main.shift()!;
      if (this.#freq.get(chunk)! > 0) {
        this.#freq.set(chunk, this.#freq.get(chunk)! - 1);
        this.main.push(chunk);
        continue;
      }
      this.#freq.delete(chunk);
      return;
    }
  }
}

class Fifo {
  readonly #held = new Set<number>();
  readonly #capacity: number;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  request(chunk: number): boolean {
    if (this.#held.has(chunk)) return true;
    if (this.#held.size === this.#capacity) this.#held.delete(this.#held.values().next().value!);
    this.#held.add(chunk);
    return false;
  }
}

function openRandom(seed: number): () => number {
  let state = seed;
  // mulberry32
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Requests with Zipf popularity over `chunks`, with a scan of chunks that nobody asks for again every so often. */
function traceOf({ chunks, requests, scans }: { chunks: number; requests: number; scans: number }, seed: number): number[] {
  const random = openRandom(seed);
  const trace: number[] = [];
  let scanned = chunks;
  while (trace.length < requests) {
    trace.push(Math.floor(chunks ** random()) - 1);
    if (random() < scans) for (let at = 0; at < 100; at++) trace.push(scanned++);
  }
  return trace;
}

const hitsOf = (cache: { request(chunk: number): boolean }, trace: readonly number[]) =>
  trace.filter((chunk) => cache.request(chunk)).length;

test("SlotEviction hits as often as the paper's algorithm on traces, within one percent of the requests, and more often than FIFO", (t) => {
  for (const trace of [
    traceOf({ chunks: 10_000, requests: 60_000, scans: 0 }, 1),
    traceOf({ chunks: 10_000, requests: 60_000, scans: 0.005 }, 2),
    traceOf({ chunks: 3000, requests: 60_000, scans: 0.01 }, 3),
  ]) {
    const [ours, paper, fifo] = [new EvictingCache(500), new PaperS3Fifo(500), new Fifo(500)].map(
      (cache) => hitsOf(cache, trace) / trace.length,
    );
    t.diagnostic(`hit ratios: ours ${ours!.toFixed(4)}, paper ${paper!.toFixed(4)}, FIFO ${fifo!.toFixed(4)}`);
    assert.ok(Math.abs(ours! - paper!) < 0.01, `${ours} and ${paper}`);
    assert.ok(ours! > fifo! + 0.01, `${ours} and ${fifo}`);
  }
});

test("SlotEviction keeps what is asked for again through a scan that is ten times as large as the disk", () => {
  const cache = new EvictingCache(100);
  for (let round = 0; round < 4; round++) for (let chunk = 0; chunk < 50; chunk++) cache.request(chunk);
  for (let chunk = 1000; chunk < 2000; chunk++) cache.request(chunk);
  for (let chunk = 0; chunk < 50; chunk++) assert.ok(cache.holds(chunk), `chunk ${chunk} is gone`);
});

test("SlotEviction counts right and gives every slot once, for any sequence of calls", () => {
  const step = fc.record({ what: fc.constantFrom("add", "add", "remove", "choose", "hit"), slot: fc.nat({ max: 30 }) });
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 30 })), fc.array(step, { maxLength: 300, size: "max" }), (restored, steps) => {
      const hits = new Map<number, number>();
      const eviction = new SlotEviction({
        slotCount: 31,
        hashOf: hashOf,
        hits: { countOf: (hash) => hits.get(hash) ?? 0, setCount: (hash, count) => void hits.set(hash, count) },
      });
      const held = new Set(restored);
      for (const [age, slot] of [...held].entries()) eviction.restore(slot, age * 1000);
      eviction.endRestore();
      for (const { what, slot } of steps) {
        if (what === "hit") hits.set(hashOf(slot), 3);
        else if (what === "remove") {
          eviction.remove(slot);
          held.delete(slot);
        } else if (what === "add" && !held.has(slot)) {
          eviction.add(slot, hashOf(slot));
          held.add(slot);
        } else if (what === "choose") {
          const chosen = eviction.choose();
          assert.equal(chosen === undefined, held.size === 0);
          if (chosen !== undefined) assert.ok(held.delete(chosen), `slot ${chosen} is not there`);
        }
        assert.equal(eviction.count, held.size);
      }
    }),
    { numRuns: 300 },
  );
});

test("SlotEviction looks at a bounded number of chunks for one eviction, though all are hot", () => {
  let looks = 0;
  const eviction = new SlotEviction({
    slotCount: 10_000,
    hashOf: (slot) => {
      looks++;
      return slot;
    },
    hits: { countOf: () => 3, setCount: () => {} },
  });
  for (let slot = 0; slot < 10_000; slot++) eviction.add(slot, slot);
  assert.notEqual(eviction.choose(), undefined);
  assert.ok(looks <= 128, `${looks} looks`);
});

test("SlotEviction after a restart takes the oldest first, and the youngest tenth for newcomers", () => {
  const eviction = new SlotEviction({ slotCount: 100, hashOf, hits: { countOf: () => 0, setCount: () => {} } });
  // Slots in the order in which an index has them, with ages that have nothing to do with it.
  const ageOf = (slot: number) => 60 * 1.15 ** ((slot * 37) % 100);
  for (let slot = 0; slot < 100; slot++) eviction.restore(slot, ageOf(slot));
  eviction.remove(50);
  eviction.endRestore();
  assert.deepEqual(eviction.counts(), { small: 9, main: 90 });
  const order: number[] = [];
  for (let slot = eviction.choose(); slot !== undefined; slot = eviction.choose()) order.push(slot);
  assert.equal(order.length, 99);
  const ofMain = order.filter((slot) => (slot * 37) % 100 >= 10);
  for (let at = 1; at < ofMain.length; at++) assert.ok(ageOf(ofMain[at]!) <= ageOf(ofMain[at - 1]!));
});
