import assert from "node:assert/strict";
import { test } from "node:test";
import { openLog } from "../../runtime/log.js";
import { ManualClock } from "../../runtime/manual-clock.js";
import { SourceHealth } from "./source-health.js";
import { ScriptedUpstream } from "./temporary-stage.js";
import type { UpstreamFailure } from "./upstream.js";

function openHealth() {
  const clock = new ManualClock();
  // The cache of wrong objects takes a start at 0 for none.
  clock.turn(1);
  const health = new SourceHealth({ clock, log: openLog("test", "silent"), random: () => 0 });
  const peer = new ScriptedUpstream("peer");
  peer.kind = "appliance";
  const origin = new ScriptedUpstream("origin");
  const fail = (source: ScriptedUpstream, failure: UpstreamFailure["failure"], more: Partial<UpstreamFailure> = {}) =>
    health.noteFailure(source, { failure, detail: "scripted", ...more }, "object");
  /** For how long it is not asked. */
  const pauseOf = (source: ScriptedUpstream) => health.statuses().find((status) => status.source === source.name)!.pausedForMs;
  return { clock, health, peer, origin, fail, pauseOf };
}

test("SourceHealth does not ask a liar for half a minute, and twice as long each time, up to an hour", () => {
  const { clock, health, peer, fail, pauseOf } = openHealth();
  for (const seconds of [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]) {
    fail(peer, "wrong-bytes");
    assert.equal(pauseOf(peer), seconds * 1000);
    clock.turn(seconds * 1000 - 1);
    assert.ok(health.isPaused(peer));
    clock.turn(1);
    assert.ok(!health.isPaused(peer));
    // Right bytes in between are no reason to trust it sooner.
    health.noteChunk(peer, 1, 1);
  }
  assert.equal(health.statuses()[0]!.lies, 9);
});

test("SourceHealth lets a source off after three failures in a row, for a second and then ever longer, until it gives a chunk", () => {
  const { clock, health, peer, fail, pauseOf } = openHealth();
  for (const seconds of [1, 2, 4]) {
    for (let count = 0; count < 3; count++) {
      assert.ok(!health.isPaused(peer));
      fail(peer, count === 1 ? "timeout" : "unreachable");
    }
    assert.equal(pauseOf(peer), seconds * 1000);
    clock.turn(seconds * 1000);
  }
  health.noteChunk(peer, 1, 1);
  for (let count = 0; count < 3; count++) fail(peer, "bad-status");
  assert.equal(pauseOf(peer), 1000);
});

test("SourceHealth leaves a busy source alone for as long as it asks", () => {
  const { peer, fail, pauseOf } = openHealth();
  fail(peer, "busy", { retryAfterMs: 7000 });
  assert.equal(pauseOf(peer), 7000);
});

test("SourceHealth orders sources before upstreams; the settings' own are always among them, but not for an object that they have wrong", () => {
  const { clock, health, peer, origin, fail } = openHealth();
  const mirror = new ScriptedUpstream("mirror");
  const names = (objectKey = "object") => health.order([peer], [origin, mirror], objectKey).map(({ name }) => name);
  assert.deepEqual(names(), ["peer", "origin", "mirror"]);
  fail(peer, "wrong-bytes");
  for (let count = 0; count < 3; count++) fail(origin, "timeout");
  assert.deepEqual(names(), ["mirror", "origin"], "the one that fails is asked last");
  fail(mirror, "wrong-bytes");
  assert.deepEqual(names(), ["origin"]);
  assert.deepEqual(names("another"), ["mirror", "origin"]);
  clock.turn(30_001);
  assert.deepEqual(names(), ["peer", "origin", "mirror"]);
});

test("SourceHealth takes a chunk for late at twice what nearly all chunks took, once it has seen some", () => {
  const { health, peer } = openHealth();
  for (let count = 0; count < 7; count++) health.noteChunk(peer, 1, 100);
  assert.equal(health.lateAfterMs(peer, 1000), 1000);
  for (let count = 0; count < 93; count++) health.noteChunk(peer, 1, 100);
  assert.equal(health.lateAfterMs(peer, 1000), 200);
  for (let count = 0; count < 64; count++) health.noteChunk(peer, 1, 1);
  assert.equal(health.lateAfterMs(peer, 1000), 50, "never at once");
  for (let count = 0; count < 64; count++) health.noteChunk(peer, 1, 5000);
  assert.equal(health.lateAfterMs(peer, 1000), 1000, "the setting is the most");
});
