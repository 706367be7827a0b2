// ffmpeg and ffprobe, as players, read the film through an edge to its end.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { packageRoot } from "../runtime/package-root.js";
import { requireProgram } from "./support/require-program.js";
import { runMillrace } from "./support/run-millrace.js";
import { startAppliance, type ApplianceFixture } from "./support/start-appliance.js";
import { temporaryFolder } from "./support/temporary-folder.js";

const run = promisify(execFile);
const folder = temporaryFolder();
let edge: ApplianceFixture;

before(async () => {
  const origin = join(folder, "origin");
  const ingested = await runMillrace([
    "ingest",
    join(packageRoot, "film/clock"),
    "--origin",
    origin,
    "--title-id",
    "clock",
    "--chunk",
    "64KiB",
  ]);
  assert.equal(ingested.code, 0, ingested.stderr);
  edge = await startAppliance({ folder: join(folder, "edge"), upstreams: [`file://${origin}/`] });
});
after(async () => {
  assert.equal((await edge.stop()).code, 0);
});

for (const [kind, document] of [
  ["HLS", "master.m3u8"],
  ["DASH", "clock.mpd"],
] as const) {
  test(`ffprobe finds every rendition of the ${kind} through an edge`, async (t) => {
    if (!requireProgram(t, "ffprobe")) return;
    const { stdout } = await run("ffprobe", [
      "-v",
      "error",
      "-show_entries",
      "stream=codec_type,width",
      "-of",
      "json",
      `${edge.url}clock/${document}`,
    ]);
    const { streams } = JSON.parse(stdout) as { streams: { codec_type: string; width?: number }[] };
    assert.ok(new Set(streams.filter((stream) => stream.codec_type === "video").map(({ width }) => width)).size >= 3, stdout);
    assert.ok(streams.some((stream) => stream.codec_type === "audio"));
  });

  test(`ffmpeg decodes the ${kind} through an edge to the last second without a word`, async (t) => {
    if (!requireProgram(t, "ffmpeg")) return;
    const { stdout, stderr } = await run(
      "ffmpeg",
      ["-v", "error", "-xerror", "-i", `${edge.url}clock/${document}`, "-progress", "-", "-f", "null", "-"],
      {
        maxBuffer: 2 ** 24,
      },
    );
    assert.equal(stderr, "");
    const times = [...stdout.matchAll(/out_time_us=(\d+)/g)].map(([, microseconds]) => Number(microseconds) / 1e6);
    assert.ok(Math.max(...times) >= 59.5, `decoded ${Math.max(...times)} s`);
  });
}
