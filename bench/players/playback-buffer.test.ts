// The buffer model on sequences worked by hand.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PlaybackBuffer } from "./playback-buffer.js";

const opened = (startLevelSeconds = 2) => new PlaybackBuffer({ openedSeconds: 10, startLevelSeconds });

test("PlaybackBuffer begins when the start level is there", () => {
  const buffer = opened(4);
  buffer.extendTo(2, 11, false);
  assert.equal(buffer.state, "starting");
  assert.equal(buffer.startupSeconds, undefined);
  buffer.extendTo(4, 13, false);
  assert.equal(buffer.state, "playing");
  assert.equal(buffer.startupSeconds, 3);
  assert.equal(buffer.levelSeconds, 4);
});

test("PlaybackBuffer plays a second a second and stalls at the moment it is empty", () => {
  const buffer = opened();
  buffer.extendTo(2, 11, false);
  buffer.advance(12);
  assert.equal(buffer.levelSeconds, 1);
  buffer.advance(13);
  assert.equal(buffer.state, "playing");
  assert.equal(buffer.levelSeconds, 0);
  // Looked at late: the stall began at 13.
  buffer.advance(14.5);
  assert.equal(buffer.state, "stalled");
  assert.equal(buffer.stallSeconds, 1.5);
  buffer.extendTo(4, 15, false);
  assert.equal(buffer.state, "playing");
  assert.equal(buffer.stallSeconds, 2);
  assert.equal(buffer.stalls, 1);
  assert.equal(buffer.playedSeconds, 2);
});

test("PlaybackBuffer goes on after a stall only at the start level, or at the end of the film", () => {
  const buffer = opened(4);
  buffer.extendTo(4, 11, false);
  buffer.extendTo(6, 20, false);
  assert.equal(buffer.state, "stalled");
  assert.equal(buffer.stallSeconds, 5);
  buffer.extendTo(7, 21, true);
  assert.equal(buffer.state, "playing");
  assert.equal(buffer.stallSeconds, 6);
  buffer.advance(30);
  assert.equal(buffer.state, "ended");
  assert.equal(buffer.playedSeconds, 7);
  assert.equal(buffer.stallSeconds, 6);
  assert.equal(buffer.stalls, 1);
});

test("PlaybackBuffer begins with less than the start level when the film is shorter", () => {
  const buffer = opened(4);
  buffer.extendTo(1, 10.5, true);
  assert.equal(buffer.startupSeconds, 0.5);
  buffer.advance(20);
  assert.equal(buffer.state, "ended");
  assert.equal(buffer.stalls, 0);
});

test("PlaybackBuffer: start-up, playing and stalls fill the time, however often it is looked at", () => {
  const steps = fc.array(fc.record({ seconds: fc.integer({ min: 0, max: 8 }), media: fc.integer({ min: 0, max: 6 }) }), {
    minLength: 1,
    maxLength: 40,
    size: "max",
  });
  fc.assert(
    fc.property(steps, (list) => {
      const rare = opened();
      const often = opened();
      let now = 10;
      let media = 0;
      for (const step of list) {
        for (let part = 1; part <= 4; part++) often.advance(now + (step.seconds * part) / 4);
        now += step.seconds;
        media += step.media;
        for (const buffer of [rare, often]) buffer.extendTo(media, now, false);
      }
      for (const key of ["state", "playedSeconds", "stallSeconds", "stalls", "startupSeconds", "levelSeconds"] as const) {
        assert.equal(often[key], rare[key], key);
      }
      assert.equal((rare.startupSeconds ?? now - 10) + rare.playedSeconds + rare.stallSeconds, now - 10);
    }),
  );
});
