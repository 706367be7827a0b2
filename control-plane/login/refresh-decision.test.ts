import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decideRefresh, refreshGraceMs, type RefreshState } from "./refresh-decision.js";

test("decideRefresh() never lets two holders of a family's tokens both go on", () => {
  // Two parties, each with the token it was last given, one of which copied the other's. They refresh in any order at any pace.
  fc.assert(
    fc.property(
      fc.array(fc.record({ who: fc.constantFrom(0, 1), pauseMs: fc.integer({ min: 0, max: 60_000 }) }), { maxLength: 60, size: "max" }),
      (turns) => {
        const state: RefreshState = { tokenNumber: 5, rotatedAtUnixMs: 0, expiresAtUnixMs: Number.MAX_SAFE_INTEGER, ended: false };
        const held = [5, 5];
        /** Whether the other has rotated since this one's last use. */
        const overtaken = [false, false];
        let nowUnixMs = 1_000_000;
        for (const { who, pauseMs } of turns) {
          nowUnixMs += pauseMs;
          const decision = decideRefresh(state, { number: held[who]!, nowUnixMs });
          if (state.ended) assert.equal(decision, "refuse");
          const rotatedAtUnixMs = state.rotatedAtUnixMs;
          if (decision === "rotate") {
            state.tokenNumber++;
            state.rotatedAtUnixMs = nowUnixMs;
          }
          if (decision === "rotate" || decision === "again") held[who] = state.tokenNumber;
          if (decision === "end-family") state.ended = true;
          if (overtaken[who] && nowUnixMs - rotatedAtUnixMs > refreshGraceMs) {
            assert.ok(decision === "end-family" || decision === "refuse", `${decision} for who was overtaken`);
          }
          overtaken[who] = false;
          if (decision === "rotate") overtaken[1 - who] = true;
        }
      },
    ),
  );
});

test("decideRefresh() refuses what is unknown, ended, expired, or ahead of the database", () => {
  const state: RefreshState = { tokenNumber: 3, rotatedAtUnixMs: 0, expiresAtUnixMs: 1000, ended: false };
  assert.equal(decideRefresh(undefined, { number: 1, nowUnixMs: 0 }), "refuse");
  assert.equal(decideRefresh({ ...state, ended: true }, { number: 3, nowUnixMs: 0 }), "refuse");
  assert.equal(decideRefresh(state, { number: 3, nowUnixMs: 1000 }), "refuse");
  assert.equal(decideRefresh(state, { number: 4, nowUnixMs: 0 }), "refuse");
  assert.equal(decideRefresh(state, { number: 3, nowUnixMs: 999 }), "rotate");
  // A clock that went back makes a use neither fresh nor old: it is not believed.
  assert.equal(decideRefresh({ ...state, rotatedAtUnixMs: 500 }, { number: 2, nowUnixMs: 499 }), "end-family");
});
