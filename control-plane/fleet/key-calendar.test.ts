import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { chooseSigningKey } from "../../fill-protocol/token-key.js";
import { keysToMake } from "./key-calendar.js";

test("keysToMake(): at any time one key signs, the next is known, and a key outlives every token and lease that relies on it", () => {
  const calendars = fc.record({
    rotateEveryMs: fc.integer({ min: 1000, max: 10 ** 10 }),
    urlsValidForMs: fc.integer({ min: 1, max: 10 ** 10 }),
    leaseValidForMs: fc.integer({ min: 1, max: 10 ** 10 }),
  });
  fc.assert(
    fc.property(calendars, fc.nat(2 ** 41), (calendar, nowUnixMs) => {
      const keys = keysToMake(calendar, nowUnixMs);
      for (const { id } of keys) assert.match(id, /^[A-Za-z0-9-]{1,63}$/);
      const withSecrets = keys.map((key) => ({ ...key, secret: "" }));
      const signing = chooseSigningKey(withSecrets, nowUnixMs);
      assert.equal(signing?.id, keys[0]!.id);
      // The last token that it signs, and the last lease that it is handed out with.
      const lastUse = keys[1]!.signsFromUnixMs - 1 + Math.max(calendar.urlsValidForMs, calendar.leaseValidForMs);
      assert.ok(signing.untilUnixMs > lastUse);
      // The one that was made a period ago is the one that signs now.
      const before = keysToMake(calendar, nowUnixMs - calendar.rotateEveryMs);
      if (nowUnixMs >= calendar.rotateEveryMs) assert.deepEqual(before[1], keys[0]);
    }),
  );
});

test("keysToMake(): another length of the period makes keys of other names", () => {
  const rest = { urlsValidForMs: 1, leaseValidForMs: 1 };
  const names = (rotateEveryMs: number) => keysToMake({ ...rest, rotateEveryMs }, 0).map(({ id }) => id);
  assert.equal(new Set([...names(1000), ...names(2000), ...names(1500)]).size, 6);
});
