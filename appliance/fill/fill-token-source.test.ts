import assert from "node:assert/strict";
import { test } from "node:test";
import { fillTokenHeader, parseFillToken } from "../../fill-protocol/fill-token.js";
import { ManualClock } from "../../runtime/manual-clock.js";
import { FillTokenSource } from "./fill-token-source.js";

const minuteMs = 60_000;

test("FillTokenSource signs with the newest key whose time has come, makes tokens anew, and has none without a key", () => {
  const clock = new ManualClock();
  const source = new FillTokenSource("a-1", clock);
  assert.deepEqual(source.headers(), {});
  const startUnixMs = clock.unixMs();
  source.setKeys([
    { id: "k1", secret: "one", signsFromUnixMs: 0, untilUnixMs: startUnixMs + 60 * minuteMs },
    { id: "k2", secret: "two", signsFromUnixMs: startUnixMs + 5 * minuteMs, untilUnixMs: startUnixMs + 60 * minuteMs },
  ]);
  const first = source.headers();
  assert.equal(parseFillToken(first[fillTokenHeader]!)!.keyId, "k1");
  assert.equal(parseFillToken(first[fillTokenHeader]!)!.claims.applianceId, "a-1");
  assert.equal(source.headers(), first, "it is kept");
  clock.turn(5 * minuteMs);
  const token = parseFillToken(source.headers()[fillTokenHeader]!)!;
  assert.equal(token.keyId, "k2");
  assert.ok(token.isSignedWith("two"));
  assert.ok(token.claims.expiresUnixS * 1000 > clock.unixMs() + 5 * minuteMs);
  clock.turn(60 * minuteMs);
  assert.deepEqual(source.headers(), {}, "every key is over");
});
