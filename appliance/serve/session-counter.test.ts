import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { allocateSessionCounter, SessionCounter } from "./session-counter.js";

test("SessionCounter counts sessions once, whichever worker sees them, and forgets them after two periods", () => {
  const memory = allocateSessionCounter();
  const [one, other] = [new SessionCounter(memory), new SessionCounter(memory)];
  assert.equal(one.count(), 0);
  for (let round = 0; round < 10; round++) for (const session of ["a", "b", "c"]) (round % 2 === 0 ? one : other).note(session);
  assert.equal(one.count(), 3);
  one.turn();
  other.note("d");
  assert.equal(one.count(), 4);
  one.turn();
  assert.equal(other.count(), 1);
  one.turn();
  assert.equal(other.count(), 0);
});

test("SessionCounter is within 2 % for a hundred thousand", () => {
  const counter = new SessionCounter(allocateSessionCounter());
  for (let number = 0; number < 100_000; number++) counter.note(randomUUID());
  assert.ok(Math.abs(counter.count() - 100_000) < 2000, String(counter.count()));
});
