import assert from "node:assert/strict";
import { test } from "node:test";
import { tokenRulesOf } from "./token-rules.js";

const tokens = {
  required: true,
  keys: [{ id: "own", secret: "the secret of the settings", until: "2027-01-01T00:00:00Z" }],
  revokedSessions: ["s1"],
  secureLinkMd5: undefined,
};
const key = (id: string, untilUnixMs: number) => ({ id, secret: `the leased secret of ${id}`, signsFromUnixMs: 5, untilUnixMs });

test("tokenRulesOf() puts keys and revocations of settings and lease together, and the settings' own first", () => {
  const rules = tokenRulesOf(
    { tokens },
    { expiresAtUnixMs: 100, tokenKeys: [key("own", 50), key("a", 50), key("b", 500)], revokedSessions: ["s2"] },
  );
  assert.deepEqual(
    rules.keys.map(({ id, secret, untilUnixMs }) => [id, secret, untilUnixMs]),
    [
      ["own", "the secret of the settings", Date.parse("2027-01-01T00:00:00Z")],
      ["a", "the leased secret of a", 50],
      // No key of a lease outlives it.
      ["b", "the leased secret of b", 100],
    ],
  );
  assert.deepEqual(rules.revokedSessions, ["s1", "s2"]);
  assert.equal(tokenRulesOf({ tokens }).keys.length, 1);
});
