// Tests of moving URLs from one appliance to another.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { rebaseUrl } from "./rebase-url.js";

const from = "http://127.0.0.1:8080/clock/master.m3u8";
const to = "http://127.0.0.1:8090/clock/master.m3u8";

test("rebaseUrl() moves the manifest, what lies beside it, below it and above it", () => {
  assert.equal(rebaseUrl(from, from, to), to);
  assert.equal(rebaseUrl("http://127.0.0.1:8080/clock/v1.mp4", from, to), "http://127.0.0.1:8090/clock/v1.mp4");
  assert.equal(rebaseUrl("http://127.0.0.1:8080/clock/a/b.mp4?x=1", from, to), "http://127.0.0.1:8090/clock/a/b.mp4?x=1");
  assert.equal(rebaseUrl("http://127.0.0.1:8080/sound/b.mp4", from, to), "http://127.0.0.1:8090/sound/b.mp4");
});

test("rebaseUrl() exchanges the token folder of one appliance for that of the other", () => {
  assert.equal(
    rebaseUrl("http://a.test/~one/clock/v1.mp4", "http://a.test/~one/clock/m.m3u8", "https://b.test:444/x/~two/clock/m.m3u8"),
    "https://b.test:444/x/~two/clock/v1.mp4",
  );
});

test("rebaseUrl() gives the manifest URL with its query as it is", () => {
  assert.equal(rebaseUrl("http://a.test/m.m3u8?k=1", "http://a.test/m.m3u8?k=1", "http://b.test/m.m3u8?k=2"), "http://b.test/m.m3u8?k=2");
  assert.equal(rebaseUrl("http://a.test/v.mp4", "http://a.test/m.m3u8?k=1", "http://b.test/m.m3u8?k=2"), "http://b.test/v.mp4");
});

test("rebaseUrl() leaves the URLs of other servers alone", () => {
  assert.equal(rebaseUrl("http://ads.test/clock/v1.mp4", from, to), undefined);
  assert.equal(rebaseUrl("http://127.0.0.1:80801/clock/v1.mp4", from, to), undefined);
  assert.equal(rebaseUrl("http://a.test/other/v.mp4", "http://a.test/~one/clock/m.m3u8", "http://b.test/clock/m.m3u8"), undefined);
});

test("rebaseUrl() there and back again is the same URL", () => {
  const segment = fc.stringMatching(/^[a-z0-9~.-]{1,8}$/).filter((text) => !/^\.+$/.test(text));
  const base = fc.record({ port: fc.integer({ min: 1024, max: 65535 }), folder: fc.array(segment, { maxLength: 2 }) });
  fc.assert(
    fc.property(base, base, fc.array(segment, { minLength: 1, maxLength: 3 }), segment, (one, two, path, file) => {
      const oneManifest = [`http://127.0.0.1:${one.port}`, ...one.folder, ...path].join("/");
      const twoManifest = [`http://127.0.0.1:${two.port}`, ...two.folder, ...path].join("/");
      const url = [`http://127.0.0.1:${one.port}`, ...one.folder, ...path.slice(0, -1), file].join("/");
      const moved = rebaseUrl(url, oneManifest, twoManifest);
      assert.ok(moved !== undefined && moved.startsWith(`http://127.0.0.1:${two.port}/`));
      assert.equal(rebaseUrl(moved, twoManifest, oneManifest), url);
    }),
  );
});
