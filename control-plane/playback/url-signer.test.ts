import assert from "node:assert/strict";
import { test } from "node:test";
import { isSignedWith, parsePlaybackToken } from "../../fill-protocol/playback-token.js";
import { ManualClock } from "../../runtime/manual-clock.js";
import { sharedFolderOf, UrlSigner } from "./url-signer.js";

test("sharedFolderOf() is the longest folder that holds all paths, and never half a name", () => {
  const rows: [paths: string[], folder: string][] = [
    [["films/a/v.mp4", "films/a/a.mp4"], "films/a/"],
    [["films/ab/v.mp4", "films/ac/a.mp4"], "films/"],
    [["films/a/deep/v.mp4", "films/a/m.m3u8"], "films/a/"],
    [["a.mp4", "b.mp4"], ""],
    [["film/v.mp4"], "film/v.mp4"],
  ];
  for (const [paths, folder] of rows) assert.equal(sharedFolderOf(paths), folder, paths.join(" "));
});

test("UrlSigner signs with the key of the moment, for the title's folder, with a session of its own, in the client's network where asked", () => {
  const clock = new ManualClock();
  const key = { id: "k", secret: "the secret of the test" };
  const make = (bindClients: boolean, clientAddress: string) => {
    const signer = new UrlSigner({ keys: { signingKey: () => key }, clock, validForMs: 60_000, bindClients });
    return parsePlaybackToken(signer.sign({ paths: ["films/a/1", "films/a/2"], clientAddress }))!;
  };
  const free = make(false, "198.51.100.77");
  assert.ok(isSignedWith(free, key.secret));
  assert.equal(free.claims.pathPrefix, "films/a/");
  assert.equal(free.claims.clientPrefix, undefined);
  assert.equal(free.claims.expiresUnixS, Math.ceil(clock.unixMs() / 1000) + 60);
  assert.notEqual(make(false, "198.51.100.77").claims.session, free.claims.session);
  assert.equal(make(true, "198.51.100.77").claims.clientPrefix, "198.51.100.0/24");
  assert.equal(make(true, "::ffff:198.51.100.77").claims.clientPrefix, "198.51.100.0/24");
  assert.equal(make(true, "2001:db8:1:2::3").claims.clientPrefix, "2001:db8:1::/48");
});
