import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { OperatingError } from "../../runtime/operating-error.js";
import { parseHlsPlaylist } from "./hls-playlist.js";

function media(...lines: string[]): string {
  return ["#EXTM3U", "#EXT-X-TARGETDURATION:2", ...lines, "#EXT-X-ENDLIST"].join("\n");
}

function refuses(text: string, reason: RegExp, path = "a.m3u8") {
  assert.throws(
    () => parseHlsPlaylist(text, path),
    (error) => error instanceof OperatingError && error.code === "package-invalid" && reason.test(error.message),
  );
}

test("parseHlsPlaylist() finds the initialization section, the ranges and the length of a media playlist", () => {
  const text = media(
    '#EXT-X-MAP:URI="v.mp4",BYTERANGE="840@0"',
    "#EXTINF:2.5,",
    "#EXT-X-BYTERANGE:100@840",
    "v.mp4",
    "#EXTINF:2,a title",
    "v2.mp4",
  );
  assert.deepEqual(parseHlsPlaylist(text, "sub/a.m3u8"), {
    kind: "media",
    playlists: [],
    tracks: [],
    durationSeconds: 4.5,
    references: [
      { path: "sub/v.mp4", span: { firstByte: 0, lastByte: 839 } },
      { path: "sub/v.mp4", span: { firstByte: 840, lastByte: 939 } },
      { path: "sub/v2.mp4", span: undefined },
    ],
  });
});

test("parseHlsPlaylist() lets a range without offset follow on the one before it in the same file", () => {
  const range = (bytes: string, file: string) => ["#EXTINF:2,", `#EXT-X-BYTERANGE:${bytes}`, file];
  const text = media(...range("10@5", "a.mp4"), ...range("7@0", "b.mp4"), ...range("3", "a.mp4"));
  assert.deepEqual(parseHlsPlaylist(text, "x.m3u8").references.at(-1), { path: "a.mp4", span: { firstByte: 15, lastByte: 17 } });
  refuses(media(...range("10", "a.mp4")), /byte range "10"/);
});

test("parseHlsPlaylist() finds variants, alternative tracks and I-frame playlists, and reads CRLF and a byte order mark", () => {
  const text =
    '\uFEFF#EXTM3U\r\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="x, URI=no",URI="audio.m3u8"\r\n' +
    '#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS="avc1,mp4a"\r\n\r\nlow%20rate/v.m3u8\r\n#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI="i.m3u8"\r\n';
  const { kind, playlists } = parseHlsPlaylist(text, "master.m3u8");
  assert.equal(kind, "multivariant");
  assert.deepEqual(playlists, ["audio.m3u8", "low rate/v.m3u8", "i.m3u8"]);
});

test("parseHlsPlaylist() counts a key beside the playlist as a file, and a key server not", () => {
  const text = media('#EXT-X-KEY:METHOD=AES-128,URI="k.key"', '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://x"', "#EXTINF:1,", "s.ts");
  assert.deepEqual(
    parseHlsPlaylist(text, "a.m3u8").references.map(({ path }) => path),
    ["k.key", "s.ts"],
  );
});

test("parseHlsPlaylist() refuses names that lead out of the package", () => {
  const naming = (uri: string) => media("#EXTINF:2,", uri);
  refuses(naming("../../etc/passwd"), /outside of the package/);
  refuses(naming("%2e%2e/x.mp4"), /outside of the package/);
  refuses(naming("/etc/passwd"), /absolute path/);
  refuses(naming("//host/x.mp4"), /absolute path/);
  refuses(naming("http://elsewhere/x.mp4"), /another server/);
  refuses(naming("..\\x.mp4"), /backslash/);
  refuses(naming("x%00.mp4"), /control character/);
  refuses(naming("x%zz.mp4"), /broken %-escape/);
  refuses(naming("x.mp4?token=1"), /query/);
  refuses(naming(".millrace/digests/x"), /hidden file/);
  assert.equal(parseHlsPlaylist(naming("../audio/x.mp4"), "video/a.m3u8").references[0]?.path, "audio/x.mp4");
});

test("parseHlsPlaylist() refuses what is no playlist, a live one and an empty one", () => {
  refuses("hello", /does not start with #EXTM3U/);
  refuses("#EXTM3U\n", /neither variants nor segments/);
  refuses("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\na.ts\n", /live streams/);
  refuses(media(), /names no segment/);
  refuses("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n", /names no variant/);
  refuses(media("#EXTINF:soon,", "a.ts"), /no duration/);
});

test("parseHlsPlaylist() answers any text with a playlist or an OperatingError, and never with a path out of the package", () => {
  const piece = fc.constantFrom(
    "#EXTM3U",
    "#EXT-X-ENDLIST",
    "#EXT-X-TARGETDURATION:2",
    "#EXT-X-STREAM-INF:",
    "#EXTINF:1,",
    "..",
    "/",
    "%2e",
    "a.mp4",
    "\n",
    ".",
    "\\",
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(piece, fc.string())), (pieces) => {
      let parsed;
      try {
        parsed = parseHlsPlaylist(`#EXTM3U\n#EXT-X-TARGETDURATION:1\n${pieces.join("")}\n#EXT-X-ENDLIST`, "a/b.m3u8");
      } catch (error) {
        assert.ok(error instanceof OperatingError, String(error));
        return;
      }
      for (const path of [...parsed.playlists, ...parsed.references.map(({ path }) => path)])
        assert.ok(!path.startsWith("/") && !path.split("/").includes(".."), path);
    }),
  );
});
