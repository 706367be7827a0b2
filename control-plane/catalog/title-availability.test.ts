import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { rulesInForce, whyUnavailable, type Viewer } from "./title-availability.js";
import type { TitleWindow } from "./title-details.js";

const now = Date.parse("2026-06-01T12:00:00Z");
const day = 86_400_000;
const viewer: Viewer = { country: "DE", maturityMaxAge: undefined, nowUnixMs: now };
const window = (rest: Partial<TitleWindow>): TitleWindow => ({ countries: [], fromUnixMs: 0, untilUnixMs: 0, ...rest });
const codeFor = (windows: TitleWindow[], change: Partial<Viewer> = {}) =>
  whyUnavailable({ maturityAge: 12, windows }, { ...viewer, ...change })?.code;

test("whyUnavailable() tells country, too early, too late and too young apart", () => {
  assert.equal(codeFor([]), undefined);
  assert.equal(codeFor([], { country: undefined }), undefined);
  assert.equal(codeFor([window({ countries: ["DE", "AT"] })]), undefined);
  assert.equal(codeFor([window({ countries: ["AT"] })]), "title-not-in-country");
  assert.equal(codeFor([window({ countries: ["AT"] })], { country: undefined }), "title-country-unknown");
  assert.equal(codeFor([window({ countries: ["AT"] }), window({})], { country: undefined }), undefined);
  assert.equal(codeFor([window({ fromUnixMs: now + day })]), "title-not-yet");
  assert.equal(codeFor([window({ untilUnixMs: now })]), "title-no-longer");
  assert.equal(codeFor([window({ fromUnixMs: now, untilUnixMs: now + 1 })]), undefined);
  // Gone here, but it comes back; open elsewhere does not help.
  const seasons = [window({ untilUnixMs: now - day }), window({ fromUnixMs: now + day }), window({ countries: ["FR"] })];
  assert.equal(codeFor(seasons), "title-not-yet");
  assert.equal(codeFor(seasons, { country: "FR" }), undefined);
  assert.equal(codeFor([], { maturityMaxAge: 11 }), "title-over-age");
  assert.equal(codeFor([], { maturityMaxAge: 12 }), undefined);
  // The age first: a child is not told when a horror film starts.
  assert.equal(codeFor([window({ fromUnixMs: now + day })], { maturityMaxAge: 7 }), "title-over-age");
});

test("whyUnavailable() says the date", () => {
  const early = whyUnavailable(
    { maturityAge: 0, windows: [window({ fromUnixMs: now + day }), window({ fromUnixMs: now + 2 * day })] },
    viewer,
  );
  assert.match(early!.why, /from 2026-06-02T12:00:00/);
  const late = whyUnavailable(
    { maturityAge: 0, windows: [window({ untilUnixMs: now - 2 * day }), window({ untilUnixMs: now - day })] },
    viewer,
  );
  assert.match(late!.why, /until 2026-05-31T12:00:00/);
});

test("rulesInForce() takes what the title does not say from what it is part of, and keeps the unrated from children", () => {
  const series = { maturityAge: 6, windows: [window({ countries: ["DE"] })] };
  const season = { windows: [window({ countries: ["AT"] })] };
  const episode = { windows: [] };
  assert.deepEqual(rulesInForce([episode, season, series]), { maturityAge: 6, windows: season.windows });
  assert.deepEqual(rulesInForce([{ ...episode, maturityAge: 0 }, season, series]).maturityAge, 0);
  assert.deepEqual(rulesInForce([episode]), { maturityAge: 18, windows: [] });
  assert.deepEqual(rulesInForce([]), { maturityAge: 18, windows: [] });
});

test("whyUnavailable() lets through exactly when a window of the country, or of all, is open", () => {
  const moment = fc.integer({ min: now - 3, max: now + 3 });
  const anyWindow = fc.record({
    countries: fc.subarray(["DE", "AT", "FR"]),
    fromUnixMs: fc.oneof(fc.constant(0), moment),
    untilUnixMs: fc.oneof(fc.constant(0), moment),
  });
  fc.assert(
    fc.property(fc.array(anyWindow, { minLength: 1 }), fc.constantFrom("DE", "AT", "FR", "US", undefined), (windows, country) => {
      const open = windows.some(
        (each) =>
          (each.countries.length === 0 || each.countries.some((code) => code === country)) &&
          each.fromUnixMs <= now &&
          (each.untilUnixMs === 0 || each.untilUnixMs > now),
      );
      assert.equal(codeFor(windows, { country }) === undefined, open);
    }),
  );
});
