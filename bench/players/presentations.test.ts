// HLS playlists and ladders, as players read them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { aggregatePlayers, quantilesOf } from "./aggregate-players.js";
import { openHls } from "./hls-presentation.js";
import { openLadder, parseLadder } from "./ladder-presentation.js";
import type { MediaGetter } from "./media-range.js";

function getterOf(files: Record<string, string>, lengths: Record<string, number> = {}): MediaGetter {
  return {
    getText: async (references) => files[references.join(" ")]!,
    getLength: async (references) => lengths[references.join(" ")]!,
  };
}

const master = `#EXTM3U
#EXT-X-VERSION:7
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="en",DEFAULT=YES,URI="sound/a.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=3000000,AVERAGE-BANDWIDTH=2500000,RESOLUTION=1280x720,AUDIO="a"
high.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=500000,RESOLUTION=320x180,AUDIO="a"
low/v.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=100000,CODECS="mp4a.40.2",AUDIO="a"
only-sound.m3u8
`;
const media = `#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:4
#EXT-X-PLAYLIST-TYPE:VOD
#EXT-X-MAP:URI="v.mp4",BYTERANGE="700@0"
#EXTINF:4.0,
#EXT-X-BYTERANGE:1000@700
v.mp4
#EXTINF:4.0,
#EXT-X-BYTERANGE:1500
v.mp4
#EXTINF:2.5,
../tail.mp4
#EXT-X-ENDLIST
`;

test("openHls() sorts the variants, leaves sound alone out, and reads byte ranges that follow each other", async () => {
  const presentation = await openHls(getterOf({ "": master, "low/v.m3u8": media, "sound/a.m3u8": media }));
  assert.deepEqual(presentation.bitsPerSecond, [500000, 2500000]);
  const { initialization, segments } = await presentation.loadVideo(0);
  assert.deepEqual(initialization, { references: ["low/v.m3u8", "v.mp4"], range: { firstByte: 0, bytes: 700 } });
  assert.deepEqual(segments, [
    { references: ["low/v.m3u8", "v.mp4"], range: { firstByte: 700, bytes: 1000 }, startSeconds: 0, endSeconds: 4 },
    { references: ["low/v.m3u8", "v.mp4"], range: { firstByte: 1700, bytes: 1500 }, startSeconds: 4, endSeconds: 8 },
    { references: ["low/v.m3u8", "../tail.mp4"], range: null, startSeconds: 8, endSeconds: 10.5 },
  ]);
  assert.equal((await presentation.loadAudio())!.segments[0]!.references[0], "sound/a.m3u8");
});

test("openHls() takes a media playlist as a ladder of one rung", async () => {
  const presentation = await openHls(getterOf({ "": media }));
  assert.deepEqual(presentation.bitsPerSecond, [Math.round((2500 * 8) / 10.5)]);
  assert.deepEqual((await presentation.loadVideo(0)).segments[0]!.references, ["v.mp4"]);
  assert.equal(await presentation.loadAudio(), null);
});

test("openHls() refuses what it cannot play", async () => {
  await assert.rejects(openHls(getterOf({ "": "<html>404</html>" })), /the URL is not an HLS playlist/);
  await assert.rejects(openHls(getterOf({ "": "" })), /the URL is not an HLS playlist/);
  await assert.rejects(openHls(getterOf({ "": media.replace("#EXT-X-ENDLIST\n", "") })), /live streams are not simulated/);
  const nested = await openHls(getterOf({ "": master, "low/v.m3u8": master }));
  await assert.rejects(nested.loadVideo(0), /master playlist inside a master playlist/);
});

test("parseLadder() sorts rungs and reads units", () => {
  assert.deepEqual(parseLadder("2M=high.mp4, 400k=low.mp4"), [
    { bitsPerSecond: 400_000, url: "low.mp4" },
    { bitsPerSecond: 2_000_000, url: "high.mp4" },
  ]);
  assert.deepEqual(parseLadder("800"), [{ bitsPerSecond: 800, url: "" }]);
  for (const text of ["", "fast", "0", "1M=", "1M,,2M", "-1M"]) assert.throws(() => parseLadder(text), /Cannot use --ladder/, text);
});

test("openLadder() cuts segments of the bitrate's length and begins again where the file ends", async () => {
  const options = { rungs: parseLadder("8k=low,16k"), segmentSeconds: 4, durationSeconds: 15 };
  const presentation = openLadder(getterOf({}, { low: 9000, "": 1_000_000 }), options);
  const { segments } = await presentation.loadVideo(0);
  assert.deepEqual(
    segments.map(({ range }) => range),
    [0, 4000, 0, 4000].map((firstByte) => ({ firstByte, bytes: 4000 })),
  );
  assert.deepEqual((await presentation.loadVideo(1)).segments.at(-1), {
    references: [],
    range: { firstByte: 24_000, bytes: 8000 },
    startSeconds: 12,
    endSeconds: 16,
  });
  const short = openLadder(getterOf({}, { low: 3999 }), options);
  await assert.rejects(short.loadVideo(0), /low has 3999 bytes, less than one segment of 4000/);
});

test("quantilesOf() gives nearest ranks", () => {
  const values = Array.from({ length: 100 }, (_, index) => 100 - index);
  assert.deepEqual(quantilesOf(values), { mean: 50.5, p5: 5, p25: 25, p50: 50, p75: 75, p95: 95, max: 100 });
  assert.deepEqual(quantilesOf([7]), { mean: 7, p5: 7, p25: 7, p50: 7, p75: 7, p95: 7, max: 7 });
  assert.equal(quantilesOf([]), null);
});

test("aggregatePlayers() leaves out players without a figure and adds errors up", () => {
  const player = {
    player: 0,
    trace: "t",
    end: "finished",
    startupSeconds: 1,
    playedSeconds: 10,
    stallSeconds: 0,
    stalls: 0,
    rebufferRatio: 0,
    averageBitsPerSecond: 1e6,
    switches: 2,
    segments: 5,
    receivedBytes: 1000,
    failovers: 1,
    errors: { refused: 1 },
    reason: null,
  } as const;
  const gone = {
    ...player,
    end: "gave-up",
    startupSeconds: null,
    rebufferRatio: null,
    averageBitsPerSecond: null,
    errors: { refused: 2 },
  } as const;
  const aggregate = aggregatePlayers([player, gone], 4);
  assert.equal(aggregate.startupSeconds!.mean, 1);
  assert.deepEqual([aggregate.players, aggregate.finished, aggregate.gaveUp, aggregate.stalled], [2, 1, 1, 0]);
  assert.deepEqual(aggregate.errors, { refused: 3 });
  assert.deepEqual([aggregate.receivedBytes, aggregate.bytesPerSecond, aggregate.failovers], [2000, 500, 2]);
});
