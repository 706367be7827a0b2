import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { formatPrefix, parseAddress, parsePrefix } from "./client-address.js";
import { matchesMax, PrefixTrie } from "./prefix-trie.js";

/** The same by looking at every prefix. */
class BruteForce {
  readonly prefixes = new Map<string, { words: Uint32Array; lengthBits: number; value: number }>();

  match(address: Uint32Array): number[] {
    return [...this.prefixes.values()]
      .filter(({ words, lengthBits }) => sharesBits(address, words, lengthBits))
      .sort((a, b) => a.lengthBits - b.lengthBits)
      .map(({ value }) => value);
  }
}

function sharesBits(a: Uint32Array, b: Uint32Array, bits: number): boolean {
  for (let bit = 0; bit < bits; bit++) if (((a[bit >> 5]! ^ b[bit >> 5]!) >>> (31 - (bit & 31))) & 1) return false;
  return true;
}

function valuesOf(trie: PrefixTrie, address: Uint32Array): number[] {
  const nodes = new Int32Array(matchesMax);
  const count = trie.match(address, nodes);
  return [...nodes.subarray(0, count)].map((node) => trie.valueOf(node));
}

/** Addresses that share bits often. */
const addressOf = (family: 4 | 6) =>
  fc
    .array(fc.constantFrom(0, 1, 0x80000000, 0xffffffff, 0x0a000000, 0x0a010000, 0x0a010180), {
      minLength: family === 4 ? 1 : 4,
      maxLength: family === 4 ? 1 : 4,
    })
    .map((words) => new Uint32Array(words));

for (const family of [4, 6] as const) {
  const maxBits = family === 4 ? 32 : 128;
  const step = fc.record({
    words: addressOf(family),
    lengthBits: fc.oneof(fc.integer({ min: 0, max: maxBits }), fc.constantFrom(0, 1, maxBits - 1, maxBits)),
    remove: fc.boolean(),
  });
  test(`PrefixTrie agrees with a search through all IPv${family} prefixes over random histories of set and delete`, () => {
    fc.assert(
      fc.property(fc.array(step, { size: "max", maxLength: 60 }), fc.array(addressOf(family), { minLength: 5 }), (steps, addresses) => {
        const trie = new PrefixTrie(family);
        const model = new BruteForce();
        steps.forEach(({ words, lengthBits, remove }, value) => {
          const prefix = parsePrefix(formatPrefix({ family, words, lengthBits }))!.words.slice(0, family === 4 ? 1 : 4);
          const key = `${prefix.join()}/${lengthBits}`;
          if (remove) assert.equal(trie.delete(prefix, lengthBits), model.prefixes.delete(key));
          else {
            trie.set(prefix, lengthBits, value);
            model.prefixes.set(key, { words: prefix, lengthBits, value });
            assert.equal(trie.valueOf(trie.find(prefix, lengthBits)), value);
          }
        });
        assert.equal(trie.size, model.prefixes.size);
        assert.equal([...trie.nodes()].length, trie.size);
        for (const address of addresses) assert.deepEqual(valuesOf(trie, address), model.match(address));
        // Forks are fewer than prefixes: what is deleted leaves nothing behind.
        for (const { words, lengthBits } of model.prefixes.values()) assert.ok(trie.delete(words, lengthBits));
        assert.equal(trie.size, 0);
        for (const address of addresses) assert.deepEqual(valuesOf(trie, address), []);
      }),
      { numRuns: 300 },
    );
  });
}

/** As a full table has them: mostly /24 and /48 in runs, /16 to /22 and /29 to /44 around, a few more specifics. */
function realisticTable(count: number, family: 4 | 6): { words: Uint32Array; lengthBits: number }[] {
  let state = 12345;
  const random = (below: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const lengths = family === 4 ? [24, 24, 24, 24, 24, 24, 22, 23, 20, 19, 16, 21] : [48, 48, 48, 48, 44, 40, 32, 32, 29, 36, 46, 64];
  const known = new Map<string, { words: Uint32Array; lengthBits: number }>();
  let base = 0x01000000;
  while (known.size < count) {
    base = family === 4 ? (0x01000000 + random(0xdf000000)) >>> 0 : (0x20010000 + random(0x0bff0000)) >>> 0;
    for (let run = 1 + random(40); run > 0 && known.size < count; run--) {
      const lengthBits = lengths[random(lengths.length)]!;
      const words = new Uint32Array(family === 4 ? [base + run * 256] : [base, run * 65536 + random(4) * 16, 0, 0]);
      const prefix = parsePrefix(formatPrefix({ family, words, lengthBits }))!;
      const kept = prefix.words.slice(0, family === 4 ? 1 : 4);
      known.set(`${kept.join()}/${lengthBits}`, { words: kept, lengthBits });
    }
  }
  return [...known.values()];
}

test("PrefixTrie agrees with a table per length over 200,000 prefixes like those of the Internet, also after a third is withdrawn", () => {
  for (const [family, count] of [
    [4, 150_000],
    [6, 50_000],
  ] as const) {
    const trie = new PrefixTrie(family);
    const table = realisticTable(count, family);
    const byLength = new Map<number, Map<string, number>>();
    table.forEach(({ words, lengthBits }, value) => {
      trie.set(words, lengthBits, value);
      if (!byLength.has(lengthBits)) byLength.set(lengthBits, new Map());
      byLength.get(lengthBits)!.set(words.join(), value);
    });
    const agree = () => {
      for (let probe = 0; probe < 3_000; probe++) {
        const { words } = table[(probe * 7919) % table.length]!;
        const address = words.slice();
        address[address.length - 1] = (address.at(-1)! + probe) >>> 0;
        const expected: number[] = [];
        for (const lengthBits of [...byLength.keys()].sort((a, b) => a - b)) {
          const value = byLength.get(lengthBits)!.get(
            parsePrefix(formatPrefix({ family, words: address, lengthBits }))!
              .words.slice(0, words.length)
              .join(),
          );
          if (value !== undefined) expected.push(value);
        }
        assert.deepEqual(valuesOf(trie, address), expected);
      }
    };
    agree();
    table.forEach(({ words, lengthBits }, value) => {
      if (value % 3 !== 0) return;
      assert.ok(trie.delete(words, lengthBits));
      byLength.get(lengthBits)!.delete(words.join());
    });
    const nodesBefore = trie.nodeCount;
    agree();
    table.forEach(({ words, lengthBits }, value) => {
      if (value % 3 !== 0) return;
      trie.set(words, lengthBits, value);
      byLength.get(lengthBits)!.set(words.join(), value);
    });
    agree();
    assert.ok(trie.nodeCount <= nodesBefore + 2, "the numbers of nodes are used again");
  }
});

test("parseAddress() takes whole addresses only, and IPv4 in IPv6 for the IPv4 it is", () => {
  const refused = [
    "",
    "1",
    "10.1",
    "0x7f.0.0.1",
    "10.0.0.256",
    "10.0.0.1/8",
    "fe80::1%eth0",
    "::g",
    "10.0.0.1:80",
    "[::1]",
    "1::2::3",
    "a:b",
  ];
  refused.push("1.2.3.4.5", "1..2.3", ".1.2.3", "1.2.3.", "01.2.3.4", "1.2.3.0004");
  for (const text of refused) assert.equal(parseAddress(text), undefined, text);
  assert.deepEqual(parseAddress("10.0.0.1"), { family: 4, words: new Uint32Array([0x0a000001, 0, 0, 0]) });
  assert.deepEqual(parseAddress("::ffff:255.0.0.1"), { family: 4, words: new Uint32Array([0xff000001, 0, 0, 0]) });
  assert.deepEqual(parseAddress("2001:db8::1")?.words, new Uint32Array([0x20010db8, 0, 0, 1]));
  fc.assert(fc.property(fc.ipV4(), (text) => assert.ok(parseAddress(text)?.family === 4)));
});

test("parsePrefix() clears the bits of the host and refuses what is no prefix", () => {
  assert.equal(formatPrefix(parsePrefix("10.1.2.3/8")!), "10.0.0.0/8");
  assert.equal(formatPrefix(parsePrefix("::ffff:10.1.0.0/104")!), "10.0.0.0/8");
  assert.equal(formatPrefix(parsePrefix("2001:db8:ffff::/33")!), "2001:db8:8000::/33");
  for (const text of ["10.0.0.0", "10.0.0.0/33", "::/129", "::ffff:10.0.0.0/95", "x/8", "10.0.0.0/", "10.0.0.0/8 "]) {
    assert.equal(parsePrefix(text), undefined, text);
  }
});
