import assert from "node:assert/strict";
import { test } from "node:test";
import { TrackKind } from "../protocol/generated/millrace/catalog/v1/catalog.js";
import { mistakesInMedia } from "../catalog/details-rules.js";
import { parseDashManifest } from "./dash-manifest.js";
import { describeMedia } from "./describe-media.js";
import { parseHlsPlaylist } from "./hls-playlist.js";

const master = `#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac",NAME="Deutsch",LANGUAGE="de",URI="audio-de.m3u8"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac",NAME="English",LANGUAGE="en",URI="audio-en.m3u8"
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="subs",NAME="Français",LANGUAGE="fr",URI="subs-fr.m3u8"
#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID="cc",NAME="English",LANGUAGE="en",INSTREAM-ID="CC1"
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=10000,CODECS="avc1.640028",URI="iframes.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=5200000,CODECS="avc1.640028,mp4a.40.2",RESOLUTION=1920x1080,AUDIO="aac",SUBTITLES="subs"
video-1080.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=3100000,CODECS="hvc1.2.4.L120,mp4a.40.2",RESOLUTION=1280x720,AUDIO="aac"
video-720.m3u8
`;
const manifest = `<MPD type="static" mediaPresentationDuration="PT60S"><Period>
<AdaptationSet mimeType="video/mp4"><Representation id="v" codecs="avc1.640028" bandwidth="5000000" width="1920" height="1080"><BaseURL>video-1080.mp4</BaseURL></Representation></AdaptationSet>
<AdaptationSet contentType="audio" mimeType="audio/mp4" lang="de"><Representation id="a" codecs="mp4a.40.2" bandwidth="128000"><BaseURL>audio-de.mp4</BaseURL></Representation></AdaptationSet>
<AdaptationSet mimeType="audio/webm" lang="pt-BR"><Representation id="o" codecs="opus" bandwidth="96000"><BaseURL>audio-pt.webm</BaseURL></Representation></AdaptationSet>
<AdaptationSet mimeType="application/mp4" lang="en"><Representation id="s" codecs="stpp.ttml.im1t" bandwidth="800"><BaseURL>subs-en.mp4</BaseURL></Representation></AdaptationSet>
<AdaptationSet mimeType="image/jpeg"><Representation id="t" bandwidth="1"><BaseURL>thumbs.jpg</BaseURL></Representation></AdaptationSet>
</Period></MPD>`;

test("describeMedia() names each encode once, with what HLS and DASH say of it, and the languages", () => {
  const files = ["video-1080.mp4", "video-720.mp4", "audio-de.mp4", "audio-en.mp4", "subs-fr.vtt"];
  const media = describeMedia({
    hlsTracks: parseHlsPlaylist(master, "master.m3u8").tracks,
    dashTracks: parseDashManifest(manifest, "manifest.mpd").tracks,
    firstFiles: new Map(files.map((file) => [file.replace(/\.\w+$/, ".m3u8"), file])),
  });
  const short = media.encodes.map(({ kind, codecs, height, bitsPerSecond, container, path, language, inHls, inDash }) =>
    [kind, codecs.join("+"), height, bitsPerSecond, container, path, language, inHls ? "H" : "", inDash ? "D" : ""].join(" "),
  );
  const { TRACK_KIND_VIDEO: video, TRACK_KIND_AUDIO: audio, TRACK_KIND_SUBTITLES: subtitles } = TrackKind;
  assert.deepEqual(short, [
    `${audio} mp4a.40.2 0 128000 mp4 audio-de.mp4 de H D`,
    `${audio} mp4a.40.2 0 0 mp4 audio-en.mp4 en H `,
    `${subtitles}  0 0 vtt subs-fr.vtt fr H `,
    `${video} avc1.640028 1080 5000000 mp4 video-1080.mp4  H D`,
    `${video} hvc1.2.4.L120 720 3100000 mp4 video-720.mp4  H `,
    `${audio} opus 0 96000 webm audio-pt.webm pt-BR  D`,
    `${subtitles} stpp.ttml.im1t 0 800 mp4 subs-en.mp4 en  D`,
  ]);
  assert.deepEqual(
    [media.audioLanguages, media.subtitleLanguages],
    [
      ["de", "en", "pt-BR"],
      ["fr", "en"],
    ],
  );
  assert.deepEqual(mistakesInMedia(media), []);
});

test("describeMedia() keeps the sound's codec of a variant that has the sound inside", () => {
  const text = '#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1000,CODECS="avc1.4d401f,mp4a.40.2",RESOLUTION=640x360\na.m3u8\n';
  const { encodes } = describeMedia({
    hlsTracks: parseHlsPlaylist(text, "m.m3u8").tracks,
    dashTracks: [],
    firstFiles: new Map([["a.m3u8", "a-1.ts"]]),
  });
  assert.deepEqual(
    encodes.map(({ codecs, container, path }) => ({ codecs, container, path })),
    [{ codecs: ["avc1.4d401f", "mp4a.40.2"], container: "ts", path: "a-1.ts" }],
  );
});

test("describeMedia() leaves out what the catalog would refuse: the film plays all the same", () => {
  const text = `#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="?",LANGUAGE="not a language",URI="a.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=-5,CODECS="avc1 <b>",RESOLUTION=999999999x1
v.m3u8
`;
  const media = describeMedia({ hlsTracks: parseHlsPlaylist(text, "m.m3u8").tracks, dashTracks: [], firstFiles: new Map() });
  assert.equal(media.encodes.length, 2);
  assert.deepEqual(mistakesInMedia(media), []);
});
