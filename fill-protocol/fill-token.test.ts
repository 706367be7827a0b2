import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { makeFillToken, parseFillToken } from "./fill-token.js";
import { makePlaybackToken, parsePlaybackToken } from "./playback-token.js";
import { chooseSigningKey } from "./token-key.js";

const key = { id: "k1", secret: "the secret of the test" };
const claims = { expiresUnixS: 4e9, applianceId: "a-1" };

test("parseFillToken() reads what makeFillToken() makes, and only the right secret signs it", () => {
  const token = parseFillToken(makeFillToken(claims, key))!;
  assert.deepEqual([token.keyId, token.claims], ["k1", claims]);
  assert.ok(token.isSignedWith(key.secret));
  assert.ok(!token.isSignedWith("another secret"));
});

test("a playback token is no fill token, nor the other way round, though the key is the same", () => {
  assert.equal(parseFillToken(makePlaybackToken({ expiresUnixS: 4e9, pathPrefix: "" }, key)), undefined);
  assert.equal(parsePlaybackToken(makeFillToken(claims, key)), undefined);
  // Claims that would pass for both: the signatures still differ.
  const both = Buffer.from(JSON.stringify({ e: 4e9, p: "", a: "a-1" })).toString("base64url");
  const [, , signature] = makeFillToken(claims, key).split(".");
  assert.ok(!parseFillToken(`k1.${both}.${signature}`)!.isSignedWith(key.secret));
});

test("parseFillToken() never throws, and takes no text that was changed in any one character", () => {
  fc.assert(fc.property(fc.string({ size: "max", maxLength: 600 }), (text) => void parseFillToken(text)));
  const good = makeFillToken(claims, key);
  for (let at = 0; at < good.length - 1; at++) {
    const wrong = `${good.slice(0, at)}${good[at] === "A" ? "B" : "A"}${good.slice(at + 1)}`;
    assert.ok(!parseFillToken(wrong)?.isSignedWith(key.secret), wrong);
  }
});

test("chooseSigningKey() takes the newest key that may sign already", () => {
  const keys = [
    { id: "old", secret: "", signsFromUnixMs: 0, untilUnixMs: 300 },
    { id: "now", secret: "", signsFromUnixMs: 100, untilUnixMs: 400 },
    { id: "next", secret: "", signsFromUnixMs: 200, untilUnixMs: 500 },
  ];
  for (const [at, id] of [
    [50, "old"],
    [100, "now"],
    [199, "now"],
    [200, "next"],
    [499, "next"],
    [500, undefined],
  ] as const)
    assert.equal(chooseSigningKey(keys, at)?.id, id, String(at));
  assert.equal(chooseSigningKey([key, { id: "k2", secret: "" }], 0)?.id, "k1");
});
