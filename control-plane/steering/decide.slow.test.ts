import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { DiskState } from "../../fill-protocol/generated/millrace/fleet/v1/fleet.js";
import { ManualClock } from "../../runtime/manual-clock.js";
import { parsePrefix } from "./client-address.js";
import { MadeUpFleet, type MadeUpBox } from "./made-up-fleet.js";

const path = "t/master.m3u8";
const wanted = [{ path, etag: "1" }];
const client = "10.1.2.3";

function open(boxes: readonly MadeUpBox[], limits = {}) {
  const clock = new ManualClock();
  const made = new MadeUpFleet({ clock, limits });
  made.routes.setSite({ siteId: "near", rank: 50 });
  made.routes.setSite({ siteId: "wide", rank: 50 });
  made.routes.setSite({ siteId: "far-b", rank: 1 });
  made.routes.setSite({ siteId: "far-a", rank: 2 });
  made.routes.announce(parsePrefix("10.0.0.0/8")!, { source: "s", siteId: "near", asPathLength: 0, med: 0 });
  made.routes.announce(parsePrefix("0.0.0.0/0")!, { source: "s", siteId: "wide", asPathLength: 0, med: 0 });
  made.add(...boxes);
  const rank = (options = {}, title = wanted) => made.steering.rank(client, title, { everyBox: true, ...options });
  const ids = (options = {}, title = wanted) => rank(options, title).ranked.map(({ candidate }) => candidate.id);
  return { clock, ...made, made, rank, ids };
}
const box = (id: string, siteId: string, rest: Partial<MadeUpBox> = {}): MadeUpBox => ({ id, siteId, holds: [path], ...rest });

test("decide() puts sites in order of prefix length, then rank, then name, and unlisted sites last", () => {
  const { rank } = open(["nowhere", "far-a", "far-b", "wide", "near"].map((site) => box(site, site)));
  const answer = rank();
  assert.deepEqual(
    answer.ranked.map(({ candidate }) => candidate.id),
    ["near", "wide", "far-b", "far-a", "nowhere"],
  );
  assert.equal(answer.matchedPrefix, "10.0.0.0/8");
  assert.equal(answer.ranked[0]!.reason, "site announces 10.0.0.0/8; holds the title");
  assert.equal(answer.ranked[1]!.reason, "site announces 0.0.0.0/0; holds the title");
  assert.deepEqual(answer.rejected, []);
});

test("decide() puts edges before storage and holders before those that read through, with C for these", () => {
  const { rank } = open([
    box("storage-cold", "near", { role: "storage", holds: [] }),
    box("storage", "near", { role: "storage" }),
    box("edge-cold", "near", { holds: [], holdsPart: [path] }),
    box("edge-far", "far-a"),
    box("edge", "near"),
  ]);
  const { ranked, rejected } = rank();
  assert.deepEqual(
    ranked.map(({ candidate }) => `${candidate.id} ${candidate.holds}`),
    ["edge all", "edge-far all", "edge-cold some", "storage all", "storage-cold none"],
  );
  assert.deepEqual(
    rejected.map(({ candidate, letter, reason }) => `${letter} ${candidate.id} ${reason}`),
    ["C edge-cold holds only a part of the title", "C storage-cold holds nothing of the title"],
  );
});

test("decide() gives H to the unhealthy and never ranks them; those that have run out of something come last", () => {
  const disks = (...states: DiskState[]) =>
    states.map((state, at) => ({ uuid: `${at}`, path: "", state, capacityBytes: 10n, usedBytes: 0n }));
  const { ONLINE, SUSPECT, RETIRED } = {
    ONLINE: DiskState.DISK_STATE_ONLINE,
    SUSPECT: DiskState.DISK_STATE_SUSPECT,
    RETIRED: DiskState.DISK_STATE_RETIRED,
  };
  const headroom = { nicBitsPerSecond: 10n ** 9n, nicFreePermille: 900, diskFreePermille: 900, cpuFreePermille: 900 };
  const { rank } = open([
    box("cpu", "near", { says: { headroom: { ...headroom, cpuFreePermille: 10 } } }),
    box("disks", "near", { says: { disks: disks(ONLINE, SUSPECT) } }),
    box("draining", "near", { says: { draining: true } }),
    box("full", "near", { says: { requestHeadroom: 0 } }),
    box("good", "far-a", { says: { disks: disks(ONLINE, ONLINE, SUSPECT, RETIRED, RETIRED), headroom } }),
    box("network", "near", { says: { headroom: { ...headroom, nicFreePermille: 10 } } }),
  ]);
  const { ranked, rejected } = rank();
  assert.deepEqual(ranked[0]!.candidate.id, "good");
  assert.deepEqual(new Set(ranked.slice(1).map(({ candidate }) => candidate.id)), new Set(["cpu", "network"]));
  assert.deepEqual(
    rejected.map(({ candidate, letter, reason }) => `${letter} ${candidate.id}: ${reason}`),
    [
      "H cpu: full: no headroom of its processors",
      "H disks: disks: 1 of 2 are suspect or offline",
      "H draining: draining: it takes no new players",
      "H full: full: no headroom for more requests",
      "H network: full: no headroom of its network",
    ],
  );
});

test("decide() drops a box when its heartbeats stop, at once when it drains, and a full one until it has room again", () => {
  const { clock, made, ids } = open([box("a", "near"), box("b", "far-a")]);
  assert.deepEqual(ids(), ["a", "b"]);
  made.beat("a", { draining: true });
  assert.deepEqual(ids(), ["b"]);
  const headroom = (free: number) => ({ nicBitsPerSecond: 0n, nicFreePermille: 0, diskFreePermille: free, cpuFreePermille: 1000 });
  made.beat("a", { headroom: headroom(49) });
  assert.deepEqual(ids(), ["b", "a"]);
  made.beat("a", { headroom: headroom(90) });
  assert.deepEqual(ids(), ["b", "a"], "not before it has twice as much");
  made.beat("a", { headroom: headroom(100) });
  assert.deepEqual(ids(), ["a", "b"]);
  clock.turn(5000);
  made.beat("b");
  clock.turn(1001);
  assert.deepEqual(ids(), ["b"]);
});

test("decide() has the second site among the first minUrls, so that a dead site is left early", () => {
  const near = Array.from({ length: 12 }, (_, number) => box(`near-${number}`, "near"));
  const { rank } = open([...near, box("far", "far-a"), box("store", "exchange", { role: "storage" })]);
  for (const everyBox of [true, false]) {
    const { ranked } = rank({ everyBox });
    assert.equal(ranked.length, 10);
    assert.deepEqual(
      ranked.slice(0, 3).map(({ candidate }) => candidate.siteId),
      ["near", "near", "far-a"],
    );
  }
});

test("decide() sends players elsewhere when a box's network is given away at nominal rates, and back when they have gone", () => {
  const { clock, ledger, rank, ids } = open([
    box("a", "near", { nicBitsPerSecond: 100e6 }),
    box("b", "far-a", { nicBitsPerSecond: 100e6 }),
  ]);
  for (let session = 0; session < 19; session++) rank({ sessionId: `s${session}` });
  assert.deepEqual(ids(), ["b", "a"]);
  assert.match(rank().rejected[0]!.reason, /^full: 95\.0 Mb\/s of its network's 100\.0 Mb\/s are reserved, and 5\.0 Mb\/s are asked for$/);
  assert.deepEqual(ids({ bitsPerSecond: 1 }), ["b", "a"], "95 % may be reserved, and they are");
  assert.ok(ledger.release("s3"));
  assert.ok(!ledger.release("s3"));
  assert.deepEqual(ids(), ["a", "b"]);
  clock.turn(60_000);
  ledger.expire(clock.monotonicMs());
  assert.equal(ledger.size, 0);
});

const someBoxes = fc
  .array(
    fc.record({
      siteId: fc.constantFrom("near", "wide", "far-a", "nowhere"),
      role: fc.constantFrom("edge" as const, "storage" as const),
      capacityBytes: fc.integer({ min: 1, max: 4 }),
      holds: fc.constantFrom([path], [path], []),
      says: fc.constantFrom({}, {}, { requestHeadroom: 0 }),
    }),
    { maxLength: 30 },
  )
  .map((list) => list.map((rest, number) => box(`box-${number}`, rest.siteId, rest)));
const someLimits = fc
  .tuple(fc.integer({ min: 1, max: 4 }), fc.nat(3), fc.nat(8))
  .map(([minSites, more, yetMore]) => ({ minSites, minUrls: minSites + more, maxUrls: minSites + more + yetMore }));

test("decide() ranks as many as it may, none unhealthy, none twice, over the sites it must, whether or not it looks at every box", () => {
  fc.assert(
    fc.property(someBoxes, someLimits, (list, limits) => {
      const { made, rank } = open(list, limits);
      const { ranked, rejected } = rank();
      const ids = ranked.map(({ candidate }) => candidate.id);
      assert.equal(new Set(ids).size, ids.length);
      const healthy = list.filter(({ says }) => says?.requestHeadroom !== 0);
      assert.ok(ids.every((id) => healthy.some((box) => box.id === id)));
      const sitesIn = (boxes: { siteId: string }[]) => new Set(boxes.map(({ siteId }) => siteId)).size;
      assert.ok(sitesIn(ranked.slice(0, limits.minUrls).map(({ candidate }) => candidate)) >= Math.min(limits.minSites, sitesIn(healthy)));
      assert.ok(ranked.length >= Math.min(healthy.length, limits.maxUrls));
      const letters = new Map(rejected.map(({ candidate, letter }) => [candidate.id, letter]));
      for (const { id, says, holds } of list) {
        assert.equal(letters.get(id), says?.requestHeadroom === 0 ? "H" : holds!.length === 0 ? "C" : undefined);
      }
      const quick = made.steering.rank(client, wanted).ranked.map(({ candidate }) => candidate.id);
      assert.deepEqual(quick, ids, "the short way gives the same");
    }),
    { numRuns: 500 },
  );
});

test("decide() keeps every box of a site within 1.25 × the mean, whatever is popular, while sessions come and go", () => {
  const n = 8;
  const titles = Array.from({ length: 50 }, (_, number) => `title-${number}`);
  const boxes = Array.from({ length: n }, (_, number) => box(`box-${number}`, "near", { holds: titles }));
  const { rank, fleet, ledger } = open(boxes);
  let state = 7;
  const random = () => (state = (Math.imul(state, 1103515245) + 12345) >>> 0) / 2 ** 32;
  let worst = 0;
  for (let session = 0; session < 4000; session++) {
    // Zipf with exponent 1: the first title has a fifth of all sessions.
    const title = titles[Math.min(titles.length - 1, Math.floor(Math.exp(random() * Math.log(titles.length + 1)) - 1))]!;
    rank({ sessionId: `s${session}`, everyBox: false }, [{ path: title, etag: "1" }]);
    if (session >= 2000) ledger.release(`s${session - 2000 + Math.floor(random() * 500)}`);
    const loads = [...fleet.boxes()].map(({ reserved }) => reserved);
    const mean = loads.reduce((sum, load) => sum + load, 0) / n;
    if (session > 500 && session < 2000) worst = Math.max(worst, Math.max(...loads) / (mean + 5_000_000 / n));
  }
  assert.ok(worst <= 1.25, `${worst} × the mean`);
});

test("decide() moves a hot title only when its box has more than its share, and back only when it has clearly less", () => {
  const boxes = ["a", "b", "c", "d"].map((id) => box(id, "near"));
  const { fleet, ids } = open(boxes);
  const [first, second] = ids() as [string, string];
  const others = [...fleet.boxes()].filter(({ id }) => id !== first);
  const own = fleet.get(first)!;
  for (const other of others) other.reserved = 100e6;
  const firstWith = (reserved: number) => {
    own.reserved = reserved;
    return ids()[0];
  };
  assert.equal(firstWith(120e6), first);
  assert.equal(firstWith(140e6), second);
  assert.equal(firstWith(120e6), second, "1.17 × its share: it stays away");
  assert.equal(firstWith(110e6), first);
  assert.equal(firstWith(125e6), first, "1.22 × its share: it stays");
});

test("decide() moves only 1/n of the titles when a box comes or goes, with load and without", () => {
  const titles = Array.from({ length: 2000 }, (_, number) => `title-${number}`);
  const boxes = Array.from({ length: 10 }, (_, number) => box(`box-${number}`, "near", { holds: titles }));
  for (const sessionsPerTitle of [0, 1]) {
    const place = (some: MadeUpBox[]) => {
      const { rank } = open(some);
      return titles.map((title) => {
        const reserve = sessionsPerTitle > 0 ? { sessionId: title } : {};
        return rank({ everyBox: false, ...reserve }, [{ path: title, etag: "1" }]).ranked[0]!.candidate.id;
      });
    };
    const whole = place(boxes);
    const without = place(boxes.slice(1));
    const moved = whole.filter((id, at) => id !== without[at]).length / titles.length;
    assert.ok(moved <= 1 / 10 + 0.02, `${moved} with ${sessionsPerTitle} sessions per title`);
    assert.ok(moved > 0.05);
  }
});

test("decide() gives a box titles by its weight", () => {
  const titles = Array.from({ length: 2000 }, (_, number) => `title-${number}`);
  const sizes = [1000, 1000, 2000];
  const { ids } = open(sizes.map((capacityBytes, number) => box(`box-${number}`, "near", { capacityBytes, holds: titles })));
  const big = titles.filter((title) => ids({}, [{ path: title, etag: "1" }])[0] === "box-2").length / titles.length;
  // One half; a standard deviation is 1.1 %.
  assert.ok(Math.abs(big - 0.5) < 0.045, String(big));
});
