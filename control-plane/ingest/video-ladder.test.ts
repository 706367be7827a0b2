import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { chooseRenditions, defaultLadder } from "./video-ladder.js";

test("chooseRenditions() takes the rungs up to the source's height", () => {
  const names = chooseRenditions({ width: 1920, height: 800 }, defaultLadder).map(
    ({ name, width, height }) => `${name} ${width}x${height}`,
  );
  assert.deepEqual(names, ["240p 576x240", "360p 864x360", "480p 1152x480", "720p 1728x720"]);
});

test("chooseRenditions() keeps an upright film upright", () => {
  assert.deepEqual(chooseRenditions({ width: 540, height: 960 }, [{ lines: 360, maxBitsPerSecond: 1 }]), [
    { name: "360p", width: 360, height: 640, maxBitsPerSecond: 1 },
  ]);
});

test("chooseRenditions() gives a tiny source its own size", () => {
  assert.deepEqual(chooseRenditions({ width: 161, height: 91 }, defaultLadder), [
    { name: "91p", width: 162, height: 92, maxBitsPerSecond: 300_000 },
  ]);
});

test("chooseRenditions() gives one or more even sizes, rising, whatever the source", () => {
  const side = fc.integer({ min: 1, max: 8192 });
  fc.assert(
    fc.property(side, side, (width, height) => {
      const renditions = chooseRenditions({ width, height }, defaultLadder);
      assert.ok(renditions.length > 0);
      for (const [number, rendition] of renditions.entries()) {
        assert.ok(rendition.width % 2 === 0 && rendition.height % 2 === 0 && rendition.width > 0 && rendition.height > 0);
        assert.ok(rendition.width <= width + 1 && rendition.height <= height + 1);
        if (number > 0) assert.ok(rendition.maxBitsPerSecond > renditions[number - 1]!.maxBitsPerSecond);
      }
    }),
  );
});
