import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { orderByRendezvous } from "./rendezvous.js";

const members = (count: number, weight = 1) => Array.from({ length: count }, (_, number) => ({ id: `box-${number}`, weight }));
const keys = Array.from({ length: 4000 }, (_, number) => `title/${number}/master.m3u8`);
const winnersOf = (boxes: { id: string; weight: number }[]) => keys.map((key) => orderByRendezvous(boxes, key)[0]!.id);

test("orderByRendezvous() gives each member its share by weight", () => {
  const boxes = [...members(3), { id: "big", weight: 3 }];
  const winners = winnersOf(boxes);
  const share = (id: string) => winners.filter((winner) => winner === id).length / keys.length;
  // Shares 1/6, 1/6, 1/6, 1/2; one standard deviation is 0.6 and 0.8 % of the keys.
  for (const { id } of members(3)) assert.ok(Math.abs(share(id) - 1 / 6) < 0.03, `${id} ${share(id)}`);
  assert.ok(Math.abs(share("big") - 1 / 2) < 0.04, String(share("big")));
});

test("orderByRendezvous() moves only keys of the member that goes, and to the one that stood next", () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 12 }), fc.nat(11), fc.string(), (count, gone, key) => {
      const boxes = members(count);
      const left = boxes.filter((_, at) => at !== gone % count);
      const before = orderByRendezvous(boxes, key).map(({ id }) => id);
      const after = orderByRendezvous(left, key).map(({ id }) => id);
      assert.deepEqual(
        after,
        before.filter((id) => id !== `box-${gone % count}`),
      );
    }),
  );
});

test("orderByRendezvous() moves about 1/n of the keys to a member that joins", () => {
  const before = winnersOf(members(9));
  const after = winnersOf(members(10));
  const moved = before.filter((winner, at) => winner !== after[at]).length / keys.length;
  assert.ok(moved > 0.07 && moved < 0.12, String(moved));
});
