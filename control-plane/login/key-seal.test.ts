import assert from "node:assert/strict";
import { test } from "node:test";
import { openSealed, seal } from "./key-seal.js";

const secret = "0123456789abcdef0123456789abcdef";

test("seal() hides the text, openSealed() gives it back to who has the secret and to nobody else", () => {
  const sealed = seal("private", secret);
  assert.doesNotMatch(sealed, /private/);
  assert.notEqual(sealed, seal("private", secret));
  assert.equal(openSealed(sealed, secret), "private");
  for (const other of [undefined, `${secret}!`]) assert.throws(() => openSealed(sealed, other), { code: "keys-sealed" });
  const changed = sealed.slice(0, -2) + (sealed.endsWith("A") ? "BB" : "AA");
  assert.throws(() => openSealed(changed, secret), { code: "keys-sealed" });
  assert.equal(openSealed(seal("private", undefined), secret), "private", "keys from before the secret was set");
});
