import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { packageRoot } from "../../runtime/package-root.js";
import { parseSegments, readMp4Index } from "./mp4-index.js";

test("readMp4Index() finds the codec and 30 segments of 2 s that fill the shipped film's file", async () => {
  const index = await readMp4Index(join(packageRoot, "film/clock/video-540p.mp4"));
  assert.ok(index);
  assert.match(index.videoCodec ?? "", /^avc1\.64[0-9A-F]{4}$/);
  assert.equal(index.segments.length, 30);
  assert.ok(index.segments.every(({ durationSeconds }) => durationSeconds === 2));
  assert.equal(index.segments[0]?.offset, index.indexLastByte + 1);
  const last = index.segments.at(-1)!;
  assert.ok(last.offset + last.sizeBytes <= index.sizeBytes);
});

test("readMp4Index() finds no index in any noise", async () => {
  const folder = await mkdtemp(join(tmpdir(), "millrace-mp4-"));
  try {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (noise) => {
        await writeFile(join(folder, "noise.mp4"), noise);
        assert.equal(await readMp4Index(join(folder, "noise.mp4")), undefined);
      }),
    );
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("parseSegments() reads both versions of the box and counts offsets from its end", () => {
  for (const version of [0, 1]) {
    const countAt = version === 0 ? 30 : 38;
    const box = Buffer.alloc(countAt + 2 + 24);
    box.writeUInt32BE(box.length, 0);
    box.write("sidx", 4);
    box[8] = version;
    box.writeUInt32BE(1000, 16);
    box.writeUInt32BE(50, countAt - 6);
    box.writeUInt16BE(2, countAt);
    box.writeUInt32BE(300, countAt + 2);
    box.writeUInt32BE(2000, countAt + 6);
    box.writeUInt32BE(400, countAt + 14);
    box.writeUInt32BE(1500, countAt + 18);
    assert.deepEqual(parseSegments(box, 100), [
      { offset: 150 + box.length, sizeBytes: 300, durationSeconds: 2 },
      { offset: 450 + box.length, sizeBytes: 400, durationSeconds: 1.5 },
    ]);
    box.writeUInt16BE(3, countAt);
    assert.equal(parseSegments(box, 100), undefined, "more references than bytes");
  }
});
