import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { addressGroup, checkNewPassword, decideGuess, normalEmail, type Guard, type GuardRules } from "./login-rules.js";

const rules: GuardRules = { failuresMax: 5, windowMs: 1000, lockFirstMs: 2000, lockMaxMs: 16_000 };

test("decideGuess() lets no more guesses through than the rules allow, whenever they come", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 3000 }), { minLength: 1, maxLength: 400, size: "max" }), (pausesMs) => {
      let guard: Guard | undefined;
      let nowUnixMs = 1_000_000;
      let sinceLock = 0;
      let lockMsBefore = 0;
      for (const pauseMs of pausesMs) {
        nowUnixMs += pauseMs;
        const decision = decideGuess(guard, nowUnixMs, rules);
        if (decision.locked) {
          assert.ok(guard && nowUnixMs < guard.lockedUntilUnixMs);
          assert.ok(decision.retryAfterMs > 0 && decision.retryAfterMs <= rules.lockMaxMs);
          continue;
        }
        assert.ok(!guard || nowUnixMs >= guard.lockedUntilUnixMs);
        guard = decision.next;
        sinceLock++;
        assert.ok(guard.failures < rules.failuresMax);
        if (guard.lockedUntilUnixMs === 0) continue;
        // With pauses within the window every fifth guess locks; longer pauses only forget.
        assert.ok(sinceLock >= rules.failuresMax);
        const lockMs = guard.lockedUntilUnixMs - nowUnixMs;
        assert.equal(lockMs, Math.min(rules.lockMaxMs, Math.max(rules.lockFirstMs, lockMsBefore * 2)));
        lockMsBefore = lockMs;
        sinceLock = 0;
      }
    }),
  );
});

test("decideGuess() never locks for longer than the longest lock, whatever a clock did", () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 45n), max: 2n ** 45n }), (jumpMs) => {
      const guard: Guard = { failures: 0, locks: 3, lockedUntilUnixMs: 10_000_000, lastFailureAtUnixMs: 9_000_000 };
      const decision = decideGuess(guard, 10_000_000 + Number(jumpMs), rules);
      if (decision.locked) assert.ok(decision.retryAfterMs <= rules.lockMaxMs);
      else assert.ok(Number(jumpMs) >= 0);
    }),
  );
});

test("decideGuess() begins with the first lock again after a day without a failure", () => {
  const guard: Guard = { failures: 4, locks: 7, lockedUntilUnixMs: 0, lastFailureAtUnixMs: 0 };
  assert.deepEqual(decideGuess(guard, 86_400_001, rules), {
    locked: false,
    next: { failures: 1, locks: 0, lockedUntilUnixMs: 0, lastFailureAtUnixMs: 86_400_001 },
  });
});

test("normalEmail() writes an address in one way and refuses what is none, or several", () => {
  assert.equal(normalEmail(" Ann.O'Neil+tv@Example.ORG "), "ann.o'neil+tv@example.org");
  for (const text of [
    "",
    "ann",
    "ann@",
    "@example.org",
    "a b@example.org",
    "a@b,c@d",
    "a@b\r\nBcc: c@d",
    "<a@b>",
    '"x"@y',
    "ä@example.org",
    `${"a".repeat(251)}@b.c`,
  ]) {
    assert.throws(() => normalEmail(text), { code: "invalid-argument" }, JSON.stringify(text));
  }
});

test("checkNewPassword() refuses the short, the long, the same letter and the address itself", () => {
  for (const password of ["", "1234567", "aaaaaaaaaaaa", "x".repeat(257), "my ann@example.org", "ANN@example.org"]) {
    assert.throws(() => checkNewPassword(password, "ann@example.org"), { code: "invalid-argument" }, password);
  }
  for (const password of ["hunter42", "пароль 1", "🎬🍿📺🎞️🎥🎦🎭🎟️ab", " spaces count ", "abcd".repeat(64)])
    checkNewPassword(password, "ann@example.org");
});

test("addressGroup() takes an IPv6 /64 for one client, and an IPv4 address", () => {
  assert.equal(addressGroup("10.1.2.3"), "10.1.2.3");
  assert.equal(addressGroup("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
  assert.equal(addressGroup("2001:db8::1"), "2001:db8:0:0::/64");
  assert.equal(addressGroup("2001:db8::ffff:1"), addressGroup("2001:db8::2"));
  assert.equal(addressGroup("::1"), "0:0:0:0::/64");
});
