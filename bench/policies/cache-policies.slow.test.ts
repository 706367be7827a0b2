// One suite for every cache policy, then each policy against its plain model.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type CachePolicy, findNextRequests, neverAgain } from "./cache-policy.js";
import { offlineBound } from "./offline-bound.js";
import { type PolicyName, policyNames } from "./policy-names.js";
import { policyTable } from "./policy-table.js";
import {
  referenceArc,
  referenceBelady,
  referenceFifo,
  referenceLru,
  referenceOptimum,
  type ReferencePolicy,
  referenceS3Fifo,
  referenceSieve,
} from "./reference-policies.js";
import { simulatePolicy } from "./simulate-policy.js";

interface Case {
  objects: Uint32Array;
  objectBytes: Float64Array;
  nextRequests: Uint32Array;
  capacityBytes: number;
}

interface CaseLimits {
  objects: number;
  requests: number;
  bytesMax: number;
  capacityMax: number;
}

/** Traces over few objects, some asked for much more often than others, with a cache that holds some of them. */
function cases({ objects, requests, bytesMax, capacityMax }: CaseLimits): fc.Arbitrary<Case> {
  const object = fc.oneof(fc.nat(objects - 1), fc.nat(Math.ceil(objects / 4) - 1));
  return fc
    .record({
      // Without "max" most arrays would have some ten entries, too few for a cache to fill and a ghost to overflow.
      objects: fc.array(object, { minLength: 1, maxLength: requests, size: "max" }),
      objectBytes: fc.array(fc.integer({ min: 1, max: bytesMax }), { minLength: objects, maxLength: objects }),
      capacityBytes: fc.integer({ min: 1, max: capacityMax }),
    })
    .map((value) => {
      const numbers = Uint32Array.from(value.objects);
      return {
        objects: numbers,
        objectBytes: Float64Array.from(value.objectBytes),
        nextRequests: findNextRequests(numbers, objects),
        capacityBytes: value.capacityBytes,
      };
    });
}

const sized = cases({ objects: 24, requests: 300, bytesMax: 9, capacityMax: 60 });
const pages = cases({ objects: 24, requests: 300, bytesMax: 1, capacityMax: 16 });
const tiny = cases({ objects: 5, requests: 14, bytesMax: 4, capacityMax: 9 });
const tinyPages = cases({ objects: 5, requests: 14, bytesMax: 1, capacityMax: 4 });

function heldBytes(policy: CachePolicy, { objectBytes }: Case): number {
  return objectBytes.reduce((sum, bytes, object) => sum + (policy.holds(object) ? bytes : 0), 0);
}

for (const name of policyNames) {
  const create = (value: Case) => policyTable[name].create(value);

  test(`${name}: request() is a hit exactly when the object was held`, () => {
    fc.assert(
      fc.property(sized, (value) => {
        const policy = create(value);
        value.objects.forEach((object, at) => {
          const held = policy.holds(object);
          assert.equal(policy.request(object, at), held, `request ${at}`);
        });
      }),
    );
  });

  test(`${name}: usedBytes is the size of what is held, and never above the capacity`, () => {
    fc.assert(
      fc.property(sized, (value) => {
        const policy = create(value);
        value.objects.forEach((object, at) => {
          policy.request(object, at);
          assert.equal(policy.usedBytes, heldBytes(policy, value));
          assert.ok(policy.usedBytes <= value.capacityBytes);
        });
      }),
    );
  });

  test(`${name}: a cache that holds everything misses only first requests`, () => {
    fc.assert(
      fc.property(sized, (value) => {
        const policy = create({ ...value, capacityBytes: value.objectBytes.reduce((sum, bytes) => sum + bytes, 0) });
        assert.equal(simulatePolicy(policy, value).hits, value.objects.length - new Set(value.objects).size);
      }),
    );
  });

  test(`${name}: an object larger than the cache is never held and evicts nothing`, () => {
    const objectBytes = Float64Array.from([2, 2, 5]);
    const objects = Uint32Array.from([0, 1, 2, 0, 1, 2, 0]);
    const policy = policyTable[name].create({ capacityBytes: 4, objectBytes, nextRequests: findNextRequests(objects, 3) });
    assert.deepEqual(
      Array.from(objects, (object, at) => policy.request(object, at)),
      [false, false, false, true, true, false, true],
    );
  });

  test(`${name}: hits and hit bytes stay under the offline bound`, () => {
    fc.assert(
      fc.property(sized, (value) => {
        const counts = simulatePolicy(create(value), value);
        const bound = offlineBound(value);
        assert.ok(counts.hits <= bound.hits + 1e-9, `${counts.hits} hits, bound ${bound.hits}`);
        assert.ok(counts.hitBytes <= bound.hitBytes + 1e-9, `${counts.hitBytes} bytes, bound ${bound.hitBytes}`);
      }),
    );
  });

  test(`${name}: with objects of one size, Belady has at least as many hits`, () => {
    fc.assert(
      fc.property(pages, (value) => {
        assert.ok(simulatePolicy(create(value), value).hits <= simulatePolicy(policyTable.belady.create(value), value).hits);
      }),
    );
  });
}

function assertSame(value: Case, name: PolicyName, reference: ReferencePolicy): void {
  const policy = policyTable[name].create(value);
  value.objects.forEach((object, at) => assert.equal(policy.request(object, at), reference(object), `request ${at} for object ${object}`));
}

const plainModels = { fifo: referenceFifo, lru: referenceLru, sieve: referenceSieve, "s3-fifo": referenceS3Fifo } as const;
for (const [name, reference] of Object.entries(plainModels) as [keyof typeof plainModels, typeof referenceFifo][]) {
  test(`${name}: every answer is that of the plain model, sized objects`, () => {
    fc.assert(
      fc.property(sized, (value) => assertSame(value, name, reference({ ...value, objectBytes: Array.from(value.objectBytes) }))),
      { numRuns: 300 },
    );
  });
}

test("arc: every answer is that of the plain model, objects of one size", () => {
  fc.assert(
    fc.property(pages, (value) => assertSame(value, "arc", referenceArc(value.capacityBytes))),
    { numRuns: 300 },
  );
});

test("belady: every answer is that of the plain model, sized objects", () => {
  fc.assert(
    fc.property(sized, (value) => {
      const options = { capacityBytes: value.capacityBytes, objectBytes: Array.from(value.objectBytes) };
      assertSame(value, "belady", referenceBelady(Array.from(value.objects), options));
    }),
  );
});

test("belady: with objects of one size, hits are the most that any choice gives", () => {
  fc.assert(
    fc.property(tinyPages, (value) => {
      const options = { capacityBytes: value.capacityBytes, objectBytes: Array.from(value.objectBytes) };
      const hits = simulatePolicy(policyTable.belady.create(value), value).hits;
      assert.equal(
        hits,
        referenceOptimum(Array.from(value.objects), options, () => 1),
      );
    }),
  );
});

test("offlineBound() is at least the best that any choice gives, sized objects", () => {
  fc.assert(
    fc.property(tiny, (value) => {
      const options = { capacityBytes: value.capacityBytes, objectBytes: Array.from(value.objectBytes) };
      const objects = Array.from(value.objects);
      const bound = offlineBound(value);
      assert.ok(bound.hits + 1e-9 >= referenceOptimum(objects, options, () => 1));
      assert.ok(bound.hitBytes + 1e-9 >= referenceOptimum(objects, options, (object) => options.objectBytes[object]!));
    }),
  );
});

test("offlineBound() on a trace worked by hand", () => {
  // Object 0 (1 byte) at 0 and 1, object 1 (2 bytes) at 2 and 3, object 0 again at 4: costs 1×1, 1×3 and 2×1; space-time 2 × 4 = 8.
  const objects = Uint32Array.from([0, 0, 1, 1, 0]);
  const nextRequests = findNextRequests(objects, 2);
  const objectBytes = Float64Array.from([1, 2]);
  assert.deepEqual(offlineBound({ objects, objectBytes, nextRequests, capacityBytes: 2 }), { hits: 3, hitBytes: 4 });
  // A cache of 1 byte: object 1 fits never; space-time 1 × 4 holds both intervals of object 0.
  assert.deepEqual(offlineBound({ objects, objectBytes, nextRequests, capacityBytes: 1 }), { hits: 2, hitBytes: 2 });
});

test("findNextRequests() finds the next request for the same object", () => {
  assert.deepEqual(Array.from(findNextRequests(Uint32Array.from([0, 1, 0, 0, 2]), 3)), [2, neverAgain, 3, neverAgain, neverAgain]);
});

test("s3-fifo: one scan does not push out what is asked for again and again", () => {
  // Ten hot objects, asked for twice each before a scan of 200 that are never seen again; LRU loses the hot ones, S3-FIFO keeps most.
  const hot = Array.from({ length: 10 }, (_, object) => object);
  const scan = Array.from({ length: 200 }, (_, object) => 10 + object);
  const objects = Uint32Array.from([...hot, ...hot, ...hot, ...scan, ...hot]);
  const value = { objects, objectBytes: new Float64Array(210).fill(1), nextRequests: findNextRequests(objects, 210), capacityBytes: 20 };
  const hitsOf = (name: PolicyName) => simulatePolicy(policyTable[name].create(value), value).hits;
  assert.equal(hitsOf("lru"), 20);
  assert.equal(hitsOf("s3-fifo"), 30);
});
