import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { TrackKind, type Encode } from "../protocol/generated/millrace/catalog/v1/catalog.js";
import { chooseEncodes, type PlaybackLimits } from "./choose-encodes.js";

const encode = (kind: TrackKind, codec: string, height = 0): Encode => ({
  kind,
  codecs: codec === "" ? [] : codec.split("+"),
  width: 0,
  height,
  bitsPerSecond: height * 1000,
  container: "mp4",
  path: `${codec}-${height}`,
  language: "",
  inHls: true,
  inDash: true,
});
const video = (codec: string, height: number) => encode(TrackKind.TRACK_KIND_VIDEO, codec, height);
const audio = (codec: string) => encode(TrackKind.TRACK_KIND_AUDIO, codec);
const subtitles = encode(TrackKind.TRACK_KIND_SUBTITLES, "wvtt");
const film = [
  video("avc1.640028", 540),
  video("avc1.640028", 1080),
  video("hvc1.2.4.L150", 2160),
  audio("mp4a.40.2"),
  audio("ec-3"),
  subtitles,
];
const any: PlaybackLimits = { codecs: [], deviceHeightMax: 0, planHeightMax: 0 };
const pathsOf = (chosen: Encode[] | { whyNone: string }) =>
  Array.isArray(chosen) ? chosen.map(({ path }) => path).join(" ") : chosen.whyNone;

test("chooseEncodes() leaves what the device plays and the plan includes, best picture first", () => {
  const rows: [limits: Partial<PlaybackLimits>, paths: string][] = [
    [{}, "hvc1.2.4.L150-2160 avc1.640028-1080 avc1.640028-540 mp4a.40.2-0 ec-3-0 wvtt-0"],
    [{ codecs: ["avc1", "mp4a"] }, "avc1.640028-1080 avc1.640028-540 mp4a.40.2-0 wvtt-0"],
    [{ codecs: ["AVC3"] }, "avc1.640028-1080 avc1.640028-540 mp4a.40.2-0 ec-3-0 wvtt-0"],
    [{ codecs: ["hev1.2"] }, "hvc1.2.4.L150-2160 mp4a.40.2-0 ec-3-0 wvtt-0"],
    [{ codecs: ["mp4a.40"] }, "hvc1.2.4.L150-2160 avc1.640028-1080 avc1.640028-540 mp4a.40.2-0 wvtt-0"],
    [{ deviceHeightMax: 720 }, "avc1.640028-540 mp4a.40.2-0 ec-3-0 wvtt-0"],
    [{ planHeightMax: 1080 }, "avc1.640028-1080 avc1.640028-540 mp4a.40.2-0 ec-3-0 wvtt-0"],
  ];
  for (const [limits, paths] of rows) assert.equal(pathsOf(chooseEncodes(film, { ...any, ...limits })), paths, JSON.stringify(limits));
});

test("chooseEncodes() says which limit leaves nothing", () => {
  const rows: [limits: Partial<PlaybackLimits>, why: RegExp][] = [
    [{ codecs: ["vp09"] }, /does not play any of its codecs: avc1.640028, hvc1.2.4.L150/],
    [{ codecs: ["hvc1.1"] }, /codecs/],
    [{ codecs: ["avc1.6400"] }, /codecs/],
    [{ codecs: ["avc1", "opus"] }, /sound codecs: mp4a.40.2, ec-3/],
    [{ deviceHeightMax: 480 }, /plays up to 480 lines, and it begins at 540/],
    [{ planHeightMax: 480 }, /plan includes up to 480 lines, .* begins at 540/],
    [{ codecs: ["hvc1"], planHeightMax: 1080 }, /plan includes up to 1080 lines, .* begins at 2160/],
  ];
  for (const [limits, why] of rows) assert.match(pathsOf(chooseEncodes(film, { ...any, ...limits })), why);
});

test("chooseEncodes() does not hold against an encode what nobody knows of it, and refuses no title without encodes", () => {
  assert.deepEqual(chooseEncodes([], { codecs: ["avc1"], deviceHeightMax: 1, planHeightMax: 1 }), []);
  assert.equal(pathsOf(chooseEncodes([video("", 0)], { codecs: ["avc1"], deviceHeightMax: 1, planHeightMax: 1 })), "-0");
  // Sound in the same file counts.
  assert.match(pathsOf(chooseEncodes([video("avc1.1+mp4a.40.2", 1)], { ...any, codecs: ["avc1", "opus"] })), /codecs/);
});

test("chooseEncodes() gives a part of what there is, all of it within the limits", () => {
  const anyEncode = fc.oneof(
    fc
      .tuple(fc.constantFrom("avc1.1", "hvc1.2", "av01.0"), fc.integer({ min: 1, max: 3000 }))
      .map(([codec, height]) => video(codec, height)),
    fc.constantFrom("mp4a.40.2", "opus", "ac-3").map(audio),
  );
  const limits = fc.record({
    codecs: fc.subarray(["avc1", "hvc1", "av01", "mp4a", "opus"]),
    deviceHeightMax: fc.nat({ max: 3000 }),
    planHeightMax: fc.nat({ max: 3000 }),
  });
  fc.assert(
    fc.property(fc.array(anyEncode), limits, (encodes, limits) => {
      const chosen = chooseEncodes(encodes, limits);
      if (!Array.isArray(chosen)) return;
      const heightMax = Math.min(limits.deviceHeightMax || Infinity, limits.planHeightMax || Infinity);
      for (const each of chosen) assert.ok(encodes.includes(each) && each.height <= heightMax);
      for (const kind of [TrackKind.TRACK_KIND_VIDEO, TrackKind.TRACK_KIND_AUDIO]) {
        assert.equal(
          chosen.some((each) => each.kind === kind),
          encodes.some((each) => each.kind === kind),
          "never sound without pictures",
        );
      }
    }),
  );
});
