import assert from "node:assert/strict";
import { test } from "node:test";
import { diversionOf } from "./diversion.js";

const rejected = (siteId: string, letter: "C" | "H") => ({ candidate: { siteId }, letter });

test("diversionOf() gives a URL away from the player's sites the reason that these were passed over", () => {
  assert.equal(diversionOf("near", ["near"], [rejected("near", "H")]), undefined);
  assert.equal(diversionOf("far", ["near"], [rejected("near", "C")]), "C");
  assert.equal(diversionOf("far", ["near"], [rejected("near", "C"), rejected("near", "H")]), "H");
  assert.equal(diversionOf("far", ["near"], [rejected("other", "H")]), undefined, "the near site has no appliance, or offers some too");
  assert.equal(diversionOf("far", [], [rejected("far", "H")]), undefined);
});
