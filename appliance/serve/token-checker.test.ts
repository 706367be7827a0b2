import assert from "node:assert/strict";
import { test } from "node:test";
import { makeFillToken } from "../../fill-protocol/fill-token.js";
import {
  makePlaybackToken,
  parsePlaybackToken,
  playbackTokenCharactersMax,
  type PlaybackClaims,
} from "../../fill-protocol/playback-token.js";
import { ManualClock } from "../../runtime/manual-clock.js";
import { isInPrefix, parseClientPrefix } from "./client-prefix.js";
import { checkSecureLink } from "./secure-link.js";
import { TokenChecker, type TokenRequest, type TokenRules } from "./token-checker.js";

const key = { id: "k1", secret: "a secret of the test" };
const nextKey = { id: "k2", secret: "the secret after that" };
const nowUnixMs = 1_700_000_000_000;
const claims: PlaybackClaims = { expiresUnixS: nowUnixMs / 1000 + 60, pathPrefix: "films/a/" };

function open(rules: Partial<TokenRules> = {}) {
  const clock = new ManualClock(nowUnixMs);
  return { clock, checker: new TokenChecker({ required: true, keys: [key], revokedSessions: [], ...rules }, clock) };
}

function request(token: string, more: Partial<TokenRequest> & { queries?: Record<string, string> } = {}): TokenRequest {
  return {
    token,
    path: "films/a/1.mp4",
    query: (name) => more.queries?.[name] ?? "",
    clientAddress: () => Uint8Array.of(192, 0, 2, 7),
    clientAddressText: () => "192.0.2.7",
    ...more,
  };
}

test("TokenChecker takes a token in the path and one in the query, again and again", () => {
  const { checker } = open();
  const token = makePlaybackToken(claims, key);
  for (let round = 0; round < 3; round++) {
    assert.equal(checker.check(request(token)), undefined);
    assert.equal(checker.check(request("", { queries: { tk: token } })), undefined);
  }
});

test("TokenChecker refuses what is missing, made up, altered, or signed by a key that is not here", () => {
  const { checker } = open();
  const token = makePlaybackToken(claims, key);
  assert.equal(checker.check(request("")), "token-missing");
  for (const text of ["x", "a.b", "k1..", `${token}x`, token.slice(1).replace(".", ""), `k1.e30.${"A".repeat(43)}`]) {
    assert.equal(checker.check(request(text)), "token-malformed", text);
  }
  assert.equal(checker.check(request(makePlaybackToken(claims, nextKey))), "token-unknown-key");
  assert.equal(checker.check(request(makePlaybackToken(claims, { ...key, secret: "another" }))), "token-bad-signature");
  const wider = makePlaybackToken({ ...claims, pathPrefix: "" }, key).split(".")[1];
  const [id, , signature] = token.split(".");
  assert.equal(checker.check(request(`${id}.${wider}.${signature}`)), "token-bad-signature");
});

test("TokenChecker refuses every token with one bit turned", () => {
  const { checker } = open();
  const token = makePlaybackToken(claims, key);
  for (let at = 0; at < token.length; at++) {
    for (let bit = 0; bit < 7; bit++) {
      const turned = token.slice(0, at) + String.fromCharCode(token.charCodeAt(at) ^ (1 << bit)) + token.slice(at + 1);
      // The last character of base64url holds two bits that mean nothing.
      const same =
        parsePlaybackToken(turned)?.signature.equals(parsePlaybackToken(token)!.signature) && turned.slice(0, -1) === token.slice(0, -1);
      assert.equal(checker.check(request(turned)) === undefined, same === true, turned);
    }
  }
});

test("TokenChecker holds to the second of expiry, also for a token that it knows", () => {
  const { checker, clock } = open();
  const token = makePlaybackToken(claims, key);
  clock.turn(59_999);
  assert.equal(checker.check(request(token)), undefined);
  clock.turn(1);
  assert.equal(checker.check(request(token)), "token-expired");
});

test("TokenChecker refuses another path, another client, and a revoked session", () => {
  const { checker } = open({ revokedSessions: ["s9"] });
  assert.equal(checker.check(request(makePlaybackToken(claims, key), { path: "films/b/1.mp4" })), "token-other-path");
  const bound = (clientPrefix: string) => makePlaybackToken({ ...claims, clientPrefix }, key);
  assert.equal(checker.check(request(bound("192.0.2.0/24"))), undefined);
  assert.equal(checker.check(request(bound("192.0.3.0/24"))), "token-other-client");
  assert.equal(checker.check(request(bound("nonsense"))), "token-malformed");
  assert.equal(checker.check(request(makePlaybackToken({ ...claims, session: "s9" }, key))), "token-revoked");
  assert.equal(checker.check(request(makePlaybackToken({ ...claims, session: "s8" }, key))), undefined);
});

test("TokenChecker takes both keys of a rotation, and forgets a key that is taken away", () => {
  const { checker, clock } = open({ keys: [{ ...key, untilUnixMs: nowUnixMs + 10_000 }, nextKey] });
  const [old, next] = [makePlaybackToken(claims, key), makePlaybackToken(claims, nextKey)];
  assert.equal(checker.check(request(old)), undefined);
  assert.equal(checker.check(request(next)), undefined);
  clock.turn(10_000);
  assert.equal(checker.check(request(old)), "token-unknown-key");
  checker.setRules({ required: true, keys: [key], revokedSessions: [] });
  assert.equal(checker.check(request(next)), "token-unknown-key");
});

test("TokenChecker lets all through where no token is required, but no wrong one where there are keys", () => {
  const { checker } = open({ required: false });
  assert.equal(checker.check(request("")), undefined);
  assert.equal(checker.check(request("x")), "token-malformed");
  assert.ok(checker.active);
  assert.ok(!open({ required: false, keys: [] }).checker.active);
});

test("TokenChecker takes links that were signed for nginx", () => {
  const { checker, clock } = open({ keys: [], secureLinkMd5: "$secure_link_expires$uri$remote_addr secret" });
  // echo -n '1700000060/films/a/1.mp4192.0.2.7 secret' | openssl md5 -binary | openssl base64 | tr +/ -_ | tr -d =
  const queries = { md5: "nzNB0KrTIWWUbgVTCU3ozA", expires: "1700000060" };
  assert.equal(checker.check(request("", { queries })), undefined);
  assert.equal(checker.check(request("", { queries, path: "films/b/1.mp4" })), "token-bad-signature");
  assert.equal(checker.check(request("", { queries: { ...queries, expires: "1800000000" } })), "token-bad-signature");
  clock.turn(61_000);
  assert.equal(checker.check(request("", { queries })), "token-expired");
  const link = { md5: "", expires: "", uri: "/", clientAddress: "" };
  assert.equal(checkSecureLink(link, "$uri", 0), "bad-signature");
});

test("isInPrefix() counts bits, and takes mapped addresses for IPv4", () => {
  const rows: [prefix: string, client: number[], inside: boolean][] = [
    ["192.0.2.0/24", [192, 0, 2, 255], true],
    ["192.0.2.0/25", [192, 0, 2, 128], false],
    ["192.0.2.129", [192, 0, 2, 129], true],
    ["0.0.0.0/0", [1, 2, 3, 4], true],
    ["192.0.2.0/24", [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 1], true],
    ["2001:db8::/33", [32, 1, 13, 184, 0x7f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], true],
    ["2001:db8::/33", [32, 1, 13, 184, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], false],
    ["2001:db8::/32", [192, 0, 2, 1], false],
  ];
  for (const [prefix, client, inside] of rows)
    assert.equal(isInPrefix(Uint8Array.from(client), parseClientPrefix(prefix)!), inside, prefix);
  for (const text of ["", "x", "1.2.3.4/33", "::/129"]) assert.equal(parseClientPrefix(text), undefined, text);
});

test("parsePlaybackToken() looks at no text that is too long", () => {
  assert.equal(parsePlaybackToken(makePlaybackToken({ ...claims, pathPrefix: "x".repeat(playbackTokenCharactersMax) }, key)), undefined);
});

test("TokenChecker takes a fill token of a key that is in force, however often, and nothing else in its place", () => {
  const clock = new ManualClock();
  const nowUnixMs = clock.unixMs();
  const fillKey = { id: "f1", secret: "the secret of the fleet", untilUnixMs: nowUnixMs + 600_000 };
  const checker = new TokenChecker({ required: true, keys: [fillKey], revokedSessions: [] }, clock);
  const make = (seconds: number, by = fillKey) =>
    makeFillToken({ expiresUnixS: Math.floor(nowUnixMs / 1000) + seconds, applianceId: "a" }, by);
  const good = make(60);
  assert.equal(checker.checkFill(good), undefined);
  assert.equal(checker.checkFill(good), undefined, "from memory");
  assert.equal(checker.checkFill(make(-1)), "token-expired");
  assert.equal(checker.checkFill(make(60, { ...fillKey, secret: "another" })), "token-bad-signature");
  assert.equal(checker.checkFill(make(60, { ...fillKey, id: "f2" })), "token-unknown-key");
  assert.equal(checker.checkFill(makePlaybackToken({ expiresUnixS: 4e9, pathPrefix: "" }, fillKey)), "token-malformed");
  assert.equal(checker.check(request(good)), "token-malformed", "it is no playback token");
  clock.turn(61_000);
  assert.equal(checker.checkFill(good), "token-expired");
  const long = make(3600);
  assert.equal(checker.checkFill(long), undefined);
  clock.turn(600_000);
  assert.equal(checker.checkFill(long), "token-unknown-key", "its key is over");
  checker.setRules({ required: true, keys: [], revokedSessions: [] });
  assert.equal(checker.checkFill(long), "token-unknown-key");
});
