import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import ipaddr from "ipaddr.js";
import { parseAddress, SitePrefixes } from "./site-prefixes.js";

const sitesOf = (prefixes: SitePrefixes, address: string) =>
  prefixes.matchesOf(parseAddress(address)!).map(({ prefix, siteIds }) => `${prefix} ${siteIds.join("+")}`);

test("SitePrefixes finds every covering prefix, longest first, for IPv4, IPv6 and IPv4 in IPv6", () => {
  const prefixes = new SitePrefixes([
    { id: "isp", prefixes: ["10.0.0.0/8", "2001:db8::/32"] },
    { id: "town", prefixes: ["10.20.0.0/15", "10.0.0.0/8"] },
    { id: "rest", prefixes: ["0.0.0.0/0", "::/0"] },
  ]);
  assert.deepEqual(sitesOf(prefixes, "10.21.0.1"), ["10.20.0.0/15 town", "10.0.0.0/8 isp+town", "0.0.0.0/0 rest"]);
  assert.deepEqual(sitesOf(prefixes, "::ffff:10.21.0.1"), sitesOf(prefixes, "10.21.0.1"));
  assert.deepEqual(sitesOf(prefixes, "10.22.0.1"), ["10.0.0.0/8 isp+town", "0.0.0.0/0 rest"]);
  assert.deepEqual(sitesOf(prefixes, "2001:db8:1::1"), ["2001:db8::/32 isp", "::/0 rest"]);
  assert.deepEqual(sitesOf(prefixes, "2001:db9::1"), ["::/0 rest"]);
  assert.deepEqual(sitesOf(new SitePrefixes([]), "10.0.0.1"), []);
});

test("SitePrefixes takes a prefix of IPv4 in IPv6 for the IPv4 prefix it is", () => {
  const prefixes = new SitePrefixes([{ id: "isp", prefixes: ["::ffff:10.0.0.0/104"] }]);
  assert.equal(sitesOf(prefixes, "10.1.1.1").length, 1);
  assert.equal(sitesOf(prefixes, "11.1.1.1").length, 0);
});

test("parseAddress() refuses what is not a whole address", () => {
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
  for (const text of refused) assert.equal(parseAddress(text), undefined, text);
  assert.deepEqual(parseAddress("10.0.0.1"), [10, 0, 0, 1]);
  assert.equal(parseAddress("::1")?.length, 16);
});

test("SitePrefixes agrees with a search through all prefixes", () => {
  const v4 = fc.tuple(fc.ipV4(), fc.integer({ min: 0, max: 32 })).map(([address, bits]) => `${address}/${bits}`);
  const v6 = fc.tuple(fc.ipV6(), fc.integer({ min: 0, max: 128 })).map(([address, bits]) => `${address}/${bits}`);
  const site = fc.record({ id: fc.constantFrom("a", "b", "c"), prefixes: fc.array(fc.oneof(v4, v6), { maxLength: 10 }) });
  fc.assert(
    fc.property(fc.array(site, { maxLength: 4 }), fc.oneof(fc.ipV4(), fc.ipV6()), (sites, text) => {
      const address = ipaddr.process(text);
      const expected = new Set<string>();
      let longest = -1;
      for (const { id, prefixes } of sites) {
        for (const prefix of prefixes) {
          // "::10.0.0.0/104", which fc.ipV6() also makes, is read as IPv4 in IPv6.
          const [parsed, parsedBits] = ipaddr.parseCIDR(prefix);
          const isMapped = parsed instanceof ipaddr.IPv6 && parsed.isIPv4MappedAddress() && parsedBits >= 96;
          const network = isMapped ? parsed.toIPv4Address() : parsed;
          const bits = isMapped ? parsedBits - 96 : parsedBits;
          if (network.kind() !== address.kind() || !address.match([network, bits] as never)) continue;
          expected.add(`${bits} ${id}`);
          longest = Math.max(longest, bits);
        }
      }
      const found = new SitePrefixes(sites).matchesOf(parseAddress(text)!);
      assert.deepEqual(new Set(found.flatMap(({ lengthBits, siteIds }) => siteIds.map((id) => `${lengthBits} ${id}`))), expected);
      assert.equal(found[0]?.lengthBits ?? -1, longest);
    }),
    { numRuns: 500 },
  );
});
