import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { orderDisks } from "./choose-disk.js";

function keyOf(name: number): Buffer {
  return createHash("sha256").update(String(name)).digest().subarray(0, 16);
}

const chunks = Array.from({ length: 20_000 }, (_, at) => ({ key: keyOf(at % 500), chunk: Math.floor(at / 500) }));

test("orderDisks() gives each disk a share of chunks that is proportional to its weight", () => {
  const disks = [1, 2, 3, 10].map((weight) => ({ uuid: `00000000-0000-4000-8000-00000000000${weight % 10}`, weight }));
  const first = new Map<string, number>();
  for (const { key, chunk } of chunks) {
    const [best] = orderDisks(disks, key, chunk);
    first.set(best!.uuid, (first.get(best!.uuid) ?? 0) + 1);
  }
  const weights = disks.reduce((sum, { weight }) => sum + weight, 0);
  for (const { uuid, weight } of disks) {
    const expected = (chunks.length * weight) / weights;
    // Five standard deviations of a binomial count; the choice is a hash, so this is the same in every run.
    const slack = 5 * Math.sqrt(expected * (1 - weight / weights));
    assert.ok(Math.abs(first.get(uuid)! - expected) < slack, `${first.get(uuid)} chunks of weight ${weight}, not ${expected}`);
  }
});

test("orderDisks() spreads the chunks of one object over all disks", () => {
  const disks = Array.from({ length: 8 }, () => ({ uuid: randomUUID(), weight: 5 }));
  const used = new Set(Array.from({ length: 400 }, (_, chunk) => orderDisks(disks, keyOf(1), chunk)[0]!.uuid));
  assert.equal(used.size, 8);
});

test("orderDisks() keeps the order of the other disks when one goes, for any disks", () => {
  const disk = fc.record({ uuid: fc.uuid(), weight: fc.integer({ min: 1, max: 1e9 }) });
  const disks = fc.uniqueArray(disk, { minLength: 1, maxLength: 12, selector: ({ uuid }) => uuid });
  fc.assert(
    fc.property(disks, fc.nat(), fc.nat({ max: 0xffffffff }), fc.nat(), (all, name, chunk, pick) => {
      const order = orderDisks(all, keyOf(name), chunk);
      assert.deepEqual(new Set(order), new Set(all));
      const gone = all[pick % all.length]!;
      assert.deepEqual(
        orderDisks(
          all.filter((each) => each !== gone),
          keyOf(name),
          chunk,
        ),
        order.filter((each) => each !== gone),
      );
      assert.deepEqual(orderDisks(all.toReversed(), keyOf(name), chunk), order, "the order of the settings does not count");
    }),
  );
});

test("orderDisks() moves chunks only to a disk that joins, and only its share", () => {
  const four = Array.from({ length: 4 }, (_, at) => ({ uuid: `10000000-0000-4000-8000-00000000000${at}`, weight: 1 }));
  const five = [...four, { uuid: "10000000-0000-4000-8000-000000000009", weight: 1 }];
  let moved = 0;
  for (const { key, chunk } of chunks) {
    const before = orderDisks(four, key, chunk)[0]!;
    const after = orderDisks(five, key, chunk)[0]!;
    if (before === after) continue;
    moved++;
    assert.equal(after, five[4]);
  }
  assert.ok(Math.abs(moved - chunks.length / 5) < 5 * Math.sqrt(chunks.length * 0.2 * 0.8), `${moved} moved`);
});

test("orderDisks() spreads the bytes and the reads of a Zipf load over 12 disks of mixed size within 10 % of their weights", () => {
  const weights = [4, 4, 8, 8, 8, 12, 12, 16, 16, 16, 20, 20];
  const disks = weights.map((weight, at) => ({ uuid: `20000000-0000-4000-8000-0000000000${String(at).padStart(2, "0")}`, weight }));
  const bytes = new Map(disks.map(({ uuid }) => [uuid, 0]));
  const reads = new Map(bytes);
  let [allBytes, allReads] = [0, 0];
  // The most popular film is read 200 times as often as the last; each has 600 chunks, which is 600 MiB.
  for (let film = 1; film <= 200; film++) {
    for (let chunk = 0; chunk < 600; chunk++) {
      const { uuid } = orderDisks(disks, keyOf(1000 + film), chunk)[0]!;
      bytes.set(uuid, bytes.get(uuid)! + 1);
      reads.set(uuid, reads.get(uuid)! + 1 / film);
      allBytes++;
      allReads += 1 / film;
    }
  }
  const sum = weights.reduce((total, weight) => total + weight, 0);
  for (const { uuid, weight } of disks) {
    for (const [what, share] of [
      ["bytes", bytes.get(uuid)! / allBytes],
      ["reads", reads.get(uuid)! / allReads],
    ] as const) {
      const off = share / (weight / sum) - 1;
      assert.ok(Math.abs(off) < 0.1, `${what} of the disk of weight ${weight} are ${(off * 100).toFixed(1)} % off`);
    }
  }
});
