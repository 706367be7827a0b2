import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { parseAddress, parsePrefix } from "./client-address.js";
import { RouteTable } from "./route-table.js";
import { distanceKmBetween, orderSites, whyThere } from "./site-order.js";

const plain = { asPathLength: 0, med: 0 };

function tableWith(...sites: string[]): RouteTable {
  const table = new RouteTable();
  for (const siteId of sites) table.setSite({ siteId, rank: 100 });
  return table;
}
const orderOf = (table: RouteTable, address: string) => table.orderFor(parseAddress(address)!).sites.map(({ siteId }) => siteId);

test("orderSites() goes by prefix length, AS path, MED, distance, rank and name, and puts those that announce nothing last", () => {
  const berlin = { latitude: 52.5, longitude: 13.4 };
  const sites = [
    { siteId: "rank-2", rank: 2 },
    { siteId: "rank-1", rank: 1 },
    { siteId: "hamburg", rank: 9, location: { latitude: 53.6, longitude: 10 } },
    { siteId: "madrid", rank: 1, location: { latitude: 40.4, longitude: -3.7 } },
    { siteId: "med-5", rank: 1 },
    { siteId: "med-0", rank: 1 },
    { siteId: "path-1", rank: 1 },
    { siteId: "long", rank: 1 },
  ];
  const routes = [
    { siteId: "med-5", lengthBits: 16, asPathLength: 2, med: 5 },
    { siteId: "med-0", lengthBits: 16, asPathLength: 2, med: 0 },
    { siteId: "path-1", lengthBits: 16, asPathLength: 1, med: 9 },
    { siteId: "long", lengthBits: 24, asPathLength: 9, med: 9 },
    { siteId: "med-0", lengthBits: 8, asPathLength: 0, med: 0 },
  ];
  const order = orderSites(sites, routes, berlin);
  assert.deepEqual(
    order.map(({ siteId }) => siteId),
    ["long", "path-1", "med-0", "med-5", "hamburg", "madrid", "rank-1", "rank-2"],
  );
  assert.equal(
    whyThere(order[0]!, (bits) => `10.0.0.0/${bits}`),
    "site announces 10.0.0.0/24, AS path 9, MED 9",
  );
  assert.match(whyThere(order[4]!, String), /announces no prefix of the client, 2\d\d km away/);
  assert.ok(Math.abs(distanceKmBetween(berlin, { latitude: 40.4, longitude: -3.7 }) - 1870) < 20);
});

test("RouteTable orders sites by every covering prefix, and at once otherwise when a route is withdrawn", () => {
  const table = tableWith("isp", "town", "rest", "silent");
  table.announce(parsePrefix("10.0.0.0/8")!, { source: "a", siteId: "isp", ...plain });
  table.announce(parsePrefix("10.20.0.0/15")!, { source: "a", siteId: "town", ...plain });
  table.announce(parsePrefix("0.0.0.0/0")!, { source: "a", siteId: "rest", ...plain });
  assert.deepEqual(orderOf(table, "10.21.0.1"), ["town", "isp", "rest", "silent"]);
  assert.equal(table.orderFor(parseAddress("10.21.0.1")!).matchedPrefix, "10.20.0.0/15");
  assert.deepEqual(orderOf(table, "10.22.0.1"), ["isp", "rest", "silent", "town"]);
  assert.deepEqual(orderOf(table, "::1"), ["isp", "rest", "silent", "town"]);
  assert.equal(table.orderFor(parseAddress("::1")!).matchedPrefix, undefined);
  assert.equal(table.orderFor(parseAddress("10.22.0.1")!), table.orderFor(parseAddress("10.22.0.1")!), "made once");
  assert.ok(table.withdraw(parsePrefix("10.20.0.0/15")!, "a"));
  assert.ok(!table.withdraw(parsePrefix("10.20.0.0/15")!, "a"));
  assert.deepEqual(orderOf(table, "10.21.0.1"), ["isp", "rest", "silent", "town"]);
  table.setSite({ siteId: "new", rank: 1 });
  assert.deepEqual(orderOf(table, "10.21.0.1"), ["isp", "rest", "new", "silent", "town"]);
});

test("RouteTable keeps the announcements of several sources for one prefix apart, and withdraws all of one source", () => {
  const table = tableWith("a", "b");
  const prefix = parsePrefix("2001:db8::/32")!;
  table.announce(prefix, { source: "bgp:1", siteId: "b", asPathLength: 1, med: 0 });
  table.announce(prefix, { source: "bgp:2", siteId: "a", asPathLength: 3, med: 0 });
  table.announce(parsePrefix("10.0.0.0/8")!, { source: "bgp:2", siteId: "b", ...plain });
  assert.deepEqual(orderOf(table, "2001:db8::1"), ["b", "a"]);
  table.announce(prefix, { source: "bgp:1", siteId: "b", asPathLength: 4, med: 0 });
  assert.deepEqual(orderOf(table, "2001:db8::1"), ["a", "b"], "a second announcement takes the place of the first");
  assert.deepEqual(
    table.countBySite(),
    new Map([
      ["a", 1],
      ["b", 2],
    ]),
  );
  assert.equal(
    table.withdrawAll((source) => source === "bgp:2"),
    2,
  );
  assert.deepEqual(
    [...table.routes()].map(({ prefix, route }) => [prefix, route.source]),
    [["2001:db8::/32", "bgp:1"]],
  );
  assert.equal(table.size, 1);
});

test("RouteTable agrees with the order made anew from all routes, over random histories", () => {
  const prefixes = ["0.0.0.0/0", "10.0.0.0/8", "10.128.0.0/9", "10.128.0.0/24", "10.128.0.1/32"];
  const step = fc.record({
    prefix: fc.constantFrom(...prefixes),
    source: fc.constantFrom("x", "y"),
    siteId: fc.constantFrom("a", "b", "c"),
    asPathLength: fc.nat(2),
    med: fc.nat(1),
    remove: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { size: "max", maxLength: 30 }), (steps) => {
      const table = tableWith("a", "b", "c");
      const model = new Map<string, (typeof steps)[number]>();
      for (const entry of steps) {
        const prefix = parsePrefix(entry.prefix)!;
        if (entry.remove) assert.equal(table.withdraw(prefix, entry.source), model.delete(`${entry.prefix} ${entry.source}`));
        else {
          const { siteId, source, asPathLength, med } = entry;
          table.announce(prefix, { siteId, source, asPathLength, med });
          model.set(`${entry.prefix} ${entry.source}`, entry);
        }
        for (const [address, covering] of [
          ["10.128.0.1", prefixes],
          ["10.128.0.2", prefixes.slice(0, 4)],
          ["11.0.0.0", prefixes.slice(0, 1)],
        ] as const) {
          const routes = [...model.values()]
            .filter(({ prefix }) => covering.includes(prefix))
            .map((route) => ({ ...route, lengthBits: Number(route.prefix.split("/")[1]) }));
          const sites = ["a", "b", "c"].map((siteId) => ({ siteId, rank: 100 }));
          assert.deepEqual(
            orderOf(table, address),
            orderSites(sites, routes).map(({ siteId }) => siteId),
          );
        }
      }
    }),
    { numRuns: 200 },
  );
});
