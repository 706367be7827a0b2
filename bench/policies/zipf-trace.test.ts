// Synthetic traces: popularity, sizes, drift, seed; and the flags that ask for them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { harmonicNumber } from "../load/zipf.js";
import { capacityOf, defaultZipf, parseCacheSizes, parseZipfRecipe } from "./policies-flags.js";
import { zipfTrace, type ZipfTraceOptions } from "./zipf-trace.js";

const options: ZipfTraceOptions = { ...defaultZipf, requests: 100_000, objects: 100, alpha: 1, drift: 0, seed: 1 };
const requestsOf = (changes: Partial<ZipfTraceOptions> = {}) => [...zipfTrace({ ...options, ...changes })].flat();

test("zipfTrace() asks for each object as often as Zipf's law says", () => {
  const requests = requestsOf();
  assert.equal(requests.length, 100_000);
  for (const rank of [1, 2, 10, 50]) {
    const expected = 100_000 / rank / harmonicNumber(100, 1);
    const seen = requests.filter(({ objectId }) => objectId === String(rank - 1)).length;
    // Five standard deviations of a binomial count.
    assert.ok(Math.abs(seen - expected) < 5 * Math.sqrt(expected), `rank ${rank}: ${seen}, expected ${expected}`);
  }
});

test("zipfTrace() is the same for the same seed, and another for another", () => {
  assert.deepEqual(requestsOf({ requests: 1000, seed: 7 }), requestsOf({ requests: 1000, seed: 7 }));
  assert.notDeepEqual(requestsOf({ requests: 1000, seed: 7 }), requestsOf({ requests: 1000, seed: 8 }));
});

test("zipfTrace() keeps an object's size and draws sizes from the whole span", () => {
  const sizes = new Map<string, number>();
  for (const { objectId, sizeBytes } of requestsOf({ bytesMin: 1000, bytesMax: 1_000_000, objects: 1000, alpha: 0 })) {
    assert.equal(sizes.get(objectId) ?? sizeBytes, sizeBytes);
    sizes.set(objectId, sizeBytes);
  }
  const all = [...sizes.values()].sort((a, b) => a - b);
  assert.ok(all[0]! >= 1000 && all.at(-1)! <= 1_000_000);
  // Log-uniform: the median is the geometric mean of the ends.
  assert.ok(all[500]! > 20_000 && all[500]! < 50_000, String(all[500]));
});

test("zipfTrace() with drift gives the first rank to other objects", () => {
  const favourite = (requests: { objectId: string }[]) => {
    const counts = new Map<string, number>();
    for (const { objectId } of requests) counts.set(objectId, (counts.get(objectId) ?? 0) + 1);
    return [...counts].sort((a, b) => b[1] - a[1])[0]![0];
  };
  const still = requestsOf();
  assert.equal(favourite(still.slice(0, 10_000)), favourite(still.slice(-10_000)));
  const drifted = requestsOf({ drift: 20 });
  assert.notEqual(favourite(drifted.slice(0, 1000)), favourite(drifted.slice(-1000)));
});

test("zipfTrace() spaces requests by the rate", () => {
  const requests = requestsOf({ requests: 11, requestsPerSecond: 2 });
  assert.equal(requests.at(-1)!.timeSeconds, 5);
});

test("parseZipfRecipe() reads every key and refuses what it doesn't know", () => {
  assert.deepEqual(parseZipfRecipe("requests=10,objects=5,alpha=0.8,size=1KiB..1MiB,drift=0.5,rate=3"), {
    requests: 10,
    objects: 5,
    alpha: 0.8,
    bytesMin: 1024,
    bytesMax: 1048576,
    drift: 0.5,
    requestsPerSecond: 3,
  });
  assert.deepEqual(parseZipfRecipe("size=4KiB"), { ...defaultZipf, bytesMin: 4096, bytesMax: 4096 });
  assert.deepEqual(parseZipfRecipe("default"), defaultZipf);
  for (const text of [
    "colour=red",
    "requests=0",
    "objects=1.5",
    "alpha=-1",
    "alpha=",
    "size=0",
    "size=2MiB..1MiB",
    "size=1MiB..",
    "rate=0",
  ]) {
    assert.throws(() => parseZipfRecipe(text), /Cannot use --zipf/, text);
  }
});

test("parseCacheSizes() reads amounts and shares", () => {
  assert.deepEqual(parseCacheSizes("1GiB, 0.5%,10 %"), [{ bytes: 2 ** 30 }, { footprintShare: 0.005 }, { footprintShare: 0.1 }]);
  for (const text of ["", "big", "0", "0%", "-1%", "1GiB,"]) assert.throws(() => parseCacheSizes(text), /Cannot use --sizes/, text);
  assert.equal(capacityOf({ footprintShare: 0.1 }, 1005), 101);
  assert.equal(capacityOf({ footprintShare: 0.1 }, 1), 1);
  assert.equal(capacityOf({ bytes: 7 }, 1000), 7);
});
