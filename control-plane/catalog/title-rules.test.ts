import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import type { CatalogObject, Title } from "../protocol/generated/millrace/catalog/v1/catalog.js";
import { encodePageToken, parsePageToken } from "./page-token.js";
import { mistakesInTitle, objectsPerTitleMax, whyBadPath } from "./title-rules.js";

const object = (path: string, rest: Partial<CatalogObject> = {}): CatalogObject => ({
  path,
  sizeBytes: 10n,
  etag: '"a1"',
  chunkBytes: 4,
  ...rest,
});
const title = (rest: Partial<Title> = {}): Title => ({
  titleId: "big-film",
  name: "Big film",
  durationSeconds: 60,
  hlsPath: "film/master.m3u8",
  dashPath: "",
  sizeBytes: 0n,
  objectCount: 0,
  publishedAtUnixMs: 0n,
  ...rest,
});
const objects = [object("film/master.m3u8"), object("film/video.mp4")];

test("mistakesInTitle() accepts a title in order", () => {
  assert.deepEqual(mistakesInTitle({ title: title(), objects }), []);
  assert.deepEqual(mistakesInTitle({ title: title({ hlsPath: "" }), objects: [object("ä b/%20+.mp4", { sizeBytes: 0n })] }), []);
});

test("mistakesInTitle() names each thing that is wrong", () => {
  const wrong: [Partial<Title>, CatalogObject[], RegExp][] = [
    [{ titleId: "Big" }, objects, /^title_id/],
    [{ titleId: "" }, objects, /^title_id/],
    [{ titleId: "-a" }, objects, /^title_id/],
    [{ titleId: "a".repeat(65) }, objects, /^title_id/],
    [{ name: " " }, objects, /^name/],
    [{ hlsPath: "film/other.m3u8" }, objects, /^hls_path must be the path of one/],
    [{ dashPath: "film/other.mpd" }, objects, /^dash_path/],
    [{ hlsPath: "" }, [], /1 to 10000 objects: received 0/],
    [{ hlsPath: "" }, Array.from({ length: objectsPerTitleMax + 1 }, (_, n) => object(`o/${n}`)), /received 10001/],
    [{}, [...objects, object("film/video.mp4")], /"film\/video.mp4" is there twice/],
    [{}, [...objects, object("x", { etag: "a1" })], /etag of "x"/],
    [{}, [...objects, object("x", { etag: 'W/"a1"' })], /etag of "x"/],
    [{}, [...objects, object("x", { chunkBytes: 0 })], /chunk_bytes of "x"/],
    [{}, [...objects, object("x", { sizeBytes: 2n ** 53n - 1n })], /together must be below 2\^53/],
    [{}, [...objects, object("../x")], /path "..\/x" has a part/],
  ];
  for (const [change, list, message] of wrong) {
    const mistakes = mistakesInTitle({ title: title(change), objects: list });
    assert.equal(mistakes.length, 1, JSON.stringify(mistakes));
    assert.match(mistakes[0]!, message);
  }
  assert.deepEqual(mistakesInTitle({ title: undefined, objects }), ["title is missing"]);
});

test("mistakesInTitle() names ten mistakes at most", () => {
  const bad = Array.from({ length: 5000 }, () => object("/", { etag: "" }));
  assert.equal(mistakesInTitle({ title: title({ hlsPath: "" }), objects: bad }).length, 10);
});

test("whyBadPath() refuses what could leave the catalog or break a request line", () => {
  const bad = ["", "/a", "a//b", "a/", "..", "a/../b", "./a", "a\\b", "a?b", "a#b", "a\nb", "a\u0000", "~token/a", ".millrace/digests/a"];
  for (const path of [...bad, "ä".repeat(351)]) assert.notEqual(whyBadPath(path), undefined, JSON.stringify(path));
  for (const path of ["a", "a/b.c", "..a/b..", "a b", "ä", "x".repeat(700)]) assert.equal(whyBadPath(path), undefined, path);
});

test("parsePageToken() gives back what encodePageToken() wrote, and refuses noise", () => {
  const titleId = fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,63}$/);
  fc.assert(
    fc.property(fc.nat({ max: 2 ** 48 }), titleId, (publishedAtUnixMs, id) => {
      assert.deepEqual(parsePageToken(encodePageToken({ publishedAtUnixMs, titleId: id })), { publishedAtUnixMs, titleId: id });
    }),
  );
  const noise = ["", "x", "....", Buffer.from("1.").toString("base64url"), Buffer.from("-1.a").toString("base64url"), "A".repeat(1000)];
  for (const token of noise) assert.equal(parsePageToken(token), undefined, token);
});
