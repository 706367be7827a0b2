import assert from "node:assert/strict";
import { cp, mkdir, mkdtemp, readFile, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test, type TestContext } from "node:test";
import { OperatingError } from "../../runtime/operating-error.js";
import { packageRoot } from "../../runtime/package-root.js";
import { checkPackage } from "./check-package.js";

const film = join(packageRoot, "film/clock");

async function scratchFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "millrace-package-"));
  t.after(() => rm(folder, { recursive: true }));
  return folder;
}

async function folderOf(t: TestContext, files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await scratchFolder(t);
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
  return folder;
}

async function refuses(folder: string, reason: RegExp) {
  await assert.rejects(
    checkPackage(folder),
    (error) => error instanceof OperatingError && error.code === "package-invalid" && reason.test(error.message),
  );
}

const media = (uri: string, range = "") => `#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n${range}${uri}\n#EXT-X-ENDLIST\n`;

test("checkPackage() takes the shipped film: both entry documents, every file, a minute", async () => {
  const checked = await checkPackage(film);
  assert.equal(checked.hlsPath, "master.m3u8");
  assert.equal(checked.dashPath, "clock.mpd");
  assert.equal(checked.files.length, 10);
  assert.deepEqual(checked.unnamed, []);
  assert.equal(Math.round(checked.durationSeconds), 60);
});

test("checkPackage() takes a lone media playlist, and leaves out files that nothing names", async (t) => {
  const folder = await folderOf(t, { "a.m3u8": media("seg/1.ts"), "seg/1.ts": "bytes", "notes.txt": "x", ".hidden": "x" });
  const checked = await checkPackage(folder);
  assert.deepEqual(checked.files, [
    { path: "a.m3u8", sizeBytes: media("seg/1.ts").length },
    { path: "seg/1.ts", sizeBytes: 5 },
  ]);
  assert.deepEqual(checked.unnamed, [".hidden", "notes.txt"]);
  assert.equal(checked.dashPath, "");
});

test("checkPackage() refuses a folder without playlists, and one with several titles", async (t) => {
  await refuses(await folderOf(t, { "film.mp4": "x" }), /neither an HLS playlist .* nor a DASH manifest/);
  await refuses(
    await folderOf(t, { "a.m3u8": media("s.ts"), "b.m3u8": media("s.ts"), "s.ts": "x" }),
    /several HLS entry playlists: a\.m3u8, b\.m3u8/,
  );
  await refuses(await folderOf(t, { "a.mpd": "<MPD/>", "b.mpd": "<MPD/>" }), /several DASH manifests/);
});

test("checkPackage() refuses a missing file, a folder for a file and a range beyond the end", async (t) => {
  await refuses(await folderOf(t, { "a.m3u8": media("s.ts") }), /a\.m3u8: it names s\.ts, which is not in the package/);
  await refuses(await folderOf(t, { "a.m3u8": media("dir"), "dir/x": "x" }), /dir, which is not a file/);
  const beyond = media("s.ts", "#EXT-X-BYTERANGE:5@1\n");
  await refuses(await folderOf(t, { "a.m3u8": beyond, "s.ts": "12345" }), /bytes 1-5 of s\.ts, which has only 5 bytes/);
  await checkPackage(await folderOf(t, { "a.m3u8": beyond, "s.ts": "123456" }));
});

test("checkPackage() refuses a link out of the package and takes one inside of it", async (t) => {
  const folder = await folderOf(t, { "a.m3u8": media("s.ts"), "real.ts": "x" });
  await symlink("real.ts", join(folder, "s.ts"));
  await checkPackage(folder);
  await rm(join(folder, "s.ts"));
  await symlink("/etc/hostname", join(folder, "s.ts"));
  await refuses(folder, /a link out of the package/);
});

test("checkPackage() refuses variants inside variants, and a playlist that names itself", async (t) => {
  const master = (uri: string) => `#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n${uri}\n`;
  await refuses(
    await folderOf(t, { "a.m3u8": master("sub/b.m3u8"), "sub/b.m3u8": master("../a.m3u8") }),
    /sub\/b\.m3u8: it is named as a media playlist/,
  );
  await refuses(await folderOf(t, { "a.m3u8": master("a.m3u8") }), /names itself/);
});

test("checkPackage() follows a DASH index to the end of its file", async (t) => {
  const folder = await scratchFolder(t);
  for (const name of ["clock.mpd", "audio.mp4", "video-180p.mp4", "video-360p.mp4", "video-540p.mp4"])
    await cp(join(film, name), join(folder, name));
  assert.equal((await checkPackage(folder)).hlsPath, "");
  await truncate(join(folder, "video-360p.mp4"), 500_000);
  await refuses(folder, /video-360p\.mp4, which has only 500000 bytes/);
  await cp(join(film, "video-360p.mp4"), join(folder, "video-360p.mp4"));
  const manifest = await readFile(join(folder, "clock.mpd"), "utf8");
  await writeFile(join(folder, "clock.mpd"), manifest.replace(/indexRange="\d+-/, 'indexRange="100-'));
  await refuses(folder, /are a segment index, and they are not/);
});
