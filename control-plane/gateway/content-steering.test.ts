import assert from "node:assert/strict";
import { test } from "node:test";
import { steerDashManifest } from "./steer-dash-manifest.js";
import { cloneHlsPathway, steerHlsPlaylist } from "./steer-hls-playlist.js";

const playlist = `#EXTM3U
#EXT-X-VERSION:7
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="English, main",DEFAULT=YES,URI="audio/en.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=800000,CODECS="avc1.64001f,mp4a.40.2",AUDIO="a"
video/360.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=2000000,AUDIO="a"
video/720.m3u8?x=1
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=100000,URI="video/i.m3u8"
`;
const pathways = [
  { id: "box-1", playlistUrl: "http://a:8080/~t/film/master.m3u8" },
  { id: "box-2", playlistUrl: "https://b/film/master.m3u8" },
];

test("steerHlsPlaylist() gives each pathway its variants, with groups and absolute URIs of its own, and names the steering server", () => {
  const lines = steerHlsPlaylist(playlist, { pathways, serverUri: "/api/steering/hls?session=x" }).split("\n");
  assert.deepEqual(lines.slice(0, 4), [
    "#EXTM3U",
    '#EXT-X-CONTENT-STEERING:SERVER-URI="/api/steering/hls?session=x",PATHWAY-ID="box-1"',
    "#EXT-X-VERSION:7",
    "#EXT-X-INDEPENDENT-SEGMENTS",
  ]);
  assert.equal(
    lines[4],
    '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a@box-1",NAME="English, main",DEFAULT=YES,URI="http://a:8080/~t/film/audio/en.m3u8",STABLE-RENDITION-ID="e0"',
  );
  assert.equal(
    lines[5],
    '#EXT-X-STREAM-INF:BANDWIDTH=800000,CODECS="avc1.64001f,mp4a.40.2",AUDIO="a@box-1",PATHWAY-ID="box-1",STABLE-VARIANT-ID="e1"',
  );
  assert.equal(lines[6], "http://a:8080/~t/film/video/360.m3u8");
  assert.equal(lines[8], "http://a:8080/~t/film/video/720.m3u8?x=1");
  assert.match(lines[9]!, /URI="http:\/\/a:8080\/~t\/film\/video\/i.m3u8",PATHWAY-ID="box-1"/);
  assert.equal(lines.filter((line) => line.startsWith("https://b/film/video/")).length, 2);
  assert.equal(lines.filter((line) => line.includes('PATHWAY-ID="box-2"')).length, 3);
});

test("cloneHlsPathway() names the URI of every variant and rendition of the clone", () => {
  const clone = cloneHlsPathway(playlist, { baseId: "box-1", clone: pathways[1]! });
  assert.deepEqual(clone, {
    "BASE-ID": "box-1",
    ID: "box-2",
    "URI-REPLACEMENT": {
      HOST: "b",
      "PER-VARIANT-URIS": {
        e1: "https://b/film/video/360.m3u8",
        e2: "https://b/film/video/720.m3u8?x=1",
        e3: "https://b/film/video/i.m3u8",
      },
      "PER-RENDITION-URIS": { e0: "https://b/film/audio/en.m3u8" },
    },
  });
});

test("steerDashManifest() puts a base for each pathway and the steering server before the first period", () => {
  const mpd = `<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static">\n<BaseURL>v/</BaseURL>\n<Period id="1"><BaseURL>inner/</BaseURL></Period></MPD>`;
  const steered = steerDashManifest(mpd, { pathways, serverUri: "http://gw/api/steering/dash?session=x&known=a" })!;
  assert.match(steered, /<BaseURL serviceLocation="box-1">http:\/\/a:8080\/~t\/film\/v\/<\/BaseURL>/);
  assert.match(steered, /<BaseURL serviceLocation="box-2">https:\/\/b\/film\/v\/<\/BaseURL>/);
  assert.match(
    steered,
    /<ContentSteering defaultServiceLocation="box-1" queryBeforeStart="false">http:\/\/gw\/api\/steering\/dash\?session=x&amp;known=a<\/ContentSteering>/,
  );
  assert.equal(steered.match(/<BaseURL/g)!.length, 3, "the period keeps its own, the manifest's is part of the pathways'");
  assert.equal(steerDashManifest("<html>", { pathways, serverUri: "x" }), undefined);
});
