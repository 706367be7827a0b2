// `millrace ingest` and `millrace origin`, as an operator runs them.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { cp, mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, symlink, truncate, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { digestsPathOf, matchesDigest, parseObjectDigests } from "../fill-protocol/object-digests.js";
import { packageRoot } from "../runtime/package-root.js";
import { openCatalogRecorder } from "./support/catalog-recorder.js";
import { requireProgram } from "./support/require-program.js";
import { runMillrace, startMillrace, type MillraceAnswer } from "./support/run-millrace.js";

const film = join(packageRoot, "film/clock");
/** Unless `--chunk` says otherwise. */
const defaultPieceBytes = 65_536;

interface Ingested {
  titleId: string;
  hlsPath: string;
  dashPath: string;
  durationSeconds: number;
  changed: boolean;
  published: boolean;
  unnamed: string[];
  objects: { path: string; sizeBytes: number; chunks: number; etag: string }[];
}

async function scratchFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "millrace-ingest-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

async function ingestJson(path: string, origin: string, ...args: string[]): Promise<Ingested> {
  const { code, stdout, stderr } = await runMillrace(["ingest", path, "--origin", origin, "--json", ...args]);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout) as Ingested;
}

/** Every file of `folder` that is not a link, with its bytes. */
async function filesOf(folder: string): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []))
    if (entry.isFile()) {
      const file = join(entry.parentPath, entry.name);
      files.set(file.slice(folder.length + 1), await readFile(file));
    }
  return files;
}

/** Asserts that `titleId` is whole in `origin`: exactly `expected`'s files, each with digests that fit every chunk. */
async function assertTitle(origin: string, titleId: string, expected: ReadonlyMap<string, Buffer>, chunkBytes: number): Promise<void> {
  const names = [...expected.keys()].sort();
  // readdir({ recursive }) does not go into a link that it is given without a slash.
  assert.deepEqual((await readdir(join(origin, titleId, "/"))).sort(), names);
  for (const name of names) {
    const bytes = await readFile(join(origin, titleId, name));
    assert.ok(bytes.equals(expected.get(name)!), `${name} has other bytes`);
    const path = `${titleId}/${name}`;
    const digests = parseObjectDigests(await readFile(join(origin, digestsPathOf(path))), path);
    assert.ok(digests, `${name} has no digests`);
    assert.equal(Number(digests.sizeBytes), bytes.length);
    assert.equal(digests.chunkBytes, chunkBytes);
    for (let chunk = 0; chunk * chunkBytes < bytes.length; chunk++)
      assert.ok(matchesDigest(digests, chunk, bytes.subarray(chunk * chunkBytes, (chunk + 1) * chunkBytes)), `${name}, chunk ${chunk}`);
  }
}

function assertFails({ code, stdout, stderr }: MillraceAnswer, reason: RegExp): void {
  assert.match(stderr, reason);
  assert.doesNotMatch(stderr, /\n\s+at /, "a person's mistake shows no stack");
  assert.equal(code, 1);
  assert.equal(stdout, "");
}

test("ingest stores a packaged folder with digests of every chunk, and says what it stored", async (t) => {
  const origin = join(await scratchFolder(t), "new/origin");
  const title = await ingestJson(film, origin);
  await assertTitle(origin, "clock", await filesOf(film), defaultPieceBytes);
  assert.deepEqual(
    [title.titleId, title.hlsPath, title.dashPath, title.changed, title.published],
    ["clock", "clock/master.m3u8", "clock/clock.mpd", true, false],
  );
  const largest = title.objects.find(({ path }) => path === "clock/video-540p.mp4")!;
  assert.equal(largest.sizeBytes, (await stat(join(film, "video-540p.mp4"))).size);
  assert.equal(largest.chunks, Math.ceil(largest.sizeBytes / defaultPieceBytes));
  const table = await runMillrace(["ingest", film, "--origin", origin, "--title-id", "again", "--name", "The clock"]);
  assert.match(table.stdout, /again\/video-540p\.mp4.*2\.0 MiB.*3 │ "[0-9a-f]{32}"/);
  assert.match(table.stdout, /"The clock" \(again\): 60\.0 s, 10 objects/);
  assert.equal(table.stderr, "", "no progress bar without a terminal");
  const { mode } = await stat(join(origin, ".millrace/titles/clock/current/"));
  assert.equal(mode & 0o777, 0o777 & ~process.umask(), "a web server of another user may read it");
});

test("ingest of the same bytes changes nothing; of other bytes or chunks it replaces the title", async (t) => {
  const scratch = await scratchFolder(t);
  const [origin, changed] = [join(scratch, "origin"), join(scratch, "changed")];
  const first = await ingestJson(film, origin, "--title-id", "x");
  const link = () => readlink(join(origin, ".millrace/titles/x/current"));
  const version = await link();
  const second = await ingestJson(film, origin, "--title-id", "x");
  assert.deepEqual([second.changed, await link()], [false, version]);
  assert.deepEqual(second.objects, first.objects);

  await cp(film, changed, { recursive: true });
  await writeFile(join(changed, "audio.m3u8"), `${await readFile(join(film, "audio.m3u8"), "utf8")}# changed\n`);
  const third = await ingestJson(changed, origin, "--title-id", "x");
  assert.equal(third.changed, true);
  const differ = third.objects.filter(({ etag }, number) => etag !== first.objects[number]?.etag).map(({ path }) => path);
  assert.deepEqual(differ, ["x/audio.m3u8"]);
  await assertTitle(origin, "x", await filesOf(changed), defaultPieceBytes);

  assert.equal((await ingestJson(changed, origin, "--title-id", "x", "--chunk", "10007")).changed, true);
  await assertTitle(origin, "x", await filesOf(changed), 10007);
  assert.equal((await readdir(join(origin, ".millrace/titles/x"))).length, 2, "the current version and the link to it");
});

test("ingest refuses what it can't use, and leaves nothing behind", async (t) => {
  const scratch = await scratchFolder(t);
  const origin = join(scratch, "origin");
  const withFilm = async (name: string, change: (folder: string) => Promise<void>) => {
    await cp(film, join(scratch, name), { recursive: true });
    await change(join(scratch, name));
    return join(scratch, name);
  };
  const replace = (folder: string, file: string, from: string | RegExp, to: string) =>
    readFile(join(folder, file), "utf8").then((text) => writeFile(join(folder, file), text.replace(from, to)));
  await mkdir(join(scratch, "empty"));
  await mkdir(join(scratch, "Größe 你好"));
  const cases: [string, RegExp, ...string[]][] = [
    [join(scratch, "missing"), /^Cannot ingest .*missing: there is no such file or folder\n$/],
    [join(scratch, "empty"), /neither an HLS playlist \(\.m3u8\) nor a DASH manifest/],
    [
      await withFilm("no-file", (folder) => rm(join(folder, "audio.mp4"))),
      /Cannot use audio\.m3u8: it names audio\.mp4, which is not in the package/,
    ],
    [
      await withFilm("outside", (folder) => replace(folder, "audio.m3u8", "audio.mp4", "../audio.mp4")),
      /"\.\.\/audio\.mp4", which is outside of the package/,
    ],
    [
      await withFilm("beyond", (folder) => truncate(join(folder, "video-180p.mp4"), 100_000)),
      /video-180p\.mp4, which has only 100000 bytes/,
    ],
    [await withFilm("xml", (folder) => replace(folder, "clock.mpd", "</Period>", "")), /Cannot use clock\.mpd: it is not XML/],
    [film, /Cannot use title id "Clock!"/, "--title-id", "Clock!"],
    [film, /Cannot use title id "\.\.\/x"/, "--title-id", "../x"],
    [film, /Cannot use title id ""/, "--title-id", ""],
    [film, /Cannot use title id "-x"/, "--title-id=-x"],
    [film, /more than 1000000 chunks; choose a larger --chunk/, "--chunk", "1"],
    [film, /Cannot use control plane http:\/\/x: expected grpc:\/\/host:port/, "--control-plane", "http://x"],
    [join(film, "master.m3u8"), /it is a playlist; give the folder/],
    ["/dev/null", /neither a folder nor a file/],
  ];
  for (const [path, reason, ...args] of cases) {
    assertFails(await runMillrace(["ingest", path, "--origin", origin, ...args]), reason);
    assert.deepEqual(await readdir(origin).catch(() => []), [], `${path} ${args.join(" ")} left something`);
  }
  const mistyped = await runMillrace(["ingest", film, "--chunk", "huge"]);
  assert.equal(mistyped.code, 2);
  assert.match(mistyped.stderr, /'--chunk <size>'.*Expected 1 byte to 1\.0 GiB/);

  await mkdir(join(origin, "clock"), { recursive: true });
  await symlink(scratch, join(origin, "linked"));
  for (const titleId of ["clock", "linked"])
    assertFails(await runMillrace(["ingest", film, "--origin", origin, "--title-id", titleId]), /is there and was not made by ingest/);
  await writeFile(join(scratch, "plain-file"), "x");
  assertFails(await runMillrace(["ingest", film, "--origin", join(scratch, "plain-file")]), /Cannot ingest .*(EEXIST|ENOTDIR)/);
});

test("ingest says what it left out", async (t) => {
  const scratch = await scratchFolder(t);
  await cp(film, join(scratch, "film"), { recursive: true });
  await writeFile(join(scratch, "film/notes.txt"), "x");
  const { code, stderr } = await runMillrace(["ingest", join(scratch, "film"), "--origin", join(scratch, "origin")]);
  assert.equal(code, 0);
  assert.equal(stderr, "Left out, since no playlist names them: notes.txt\n");
});

test("a kill -9 at any moment of an ingest leaves the old title or the new one, whole, and the next ingest cleans up", async (t) => {
  const scratch = await scratchFolder(t);
  const origin = join(scratch, "origin");
  const chunkBytes = 5000;
  const versions = [film, join(scratch, "other")];
  await cp(film, versions[1]!, { recursive: true });
  for (const name of await readdir(film))
    if (!name.endsWith(".mp4")) {
      const text = await readFile(join(film, name), "utf8");
      await writeFile(join(versions[1]!, name), name.endsWith(".mpd") ? text.replace("<Period>", "<Period >") : `${text}# other\n`);
    }
  const contents = await Promise.all(versions.map(filesOf));
  const args = (number: number) => ["ingest", versions[number]!, "--origin", origin, "--title-id", "x", "--chunk", String(chunkBytes)];
  const home = join(origin, ".millrace/titles/x");
  /** Calls `then` as soon as an ingest has opened a version beside the `known` ones. */
  const onVersion = (known: readonly string[], then: () => void) => {
    const watch = setInterval(() => {
      if (!existsSync(home) || readdirSync(home).every((name) => known.includes(name))) return;
      clearInterval(watch);
      then();
    }, 1);
    return watch;
  };
  let openedAt = 0;
  let watch = onVersion([], () => (openedAt = performance.now()));
  assert.equal((await runMillrace(args(0))).code, 0);
  const storeMs = performance.now() - openedAt;

  let current = 0;
  const seen = { killed: 0, old: 0, new: 0 };
  for (let round = 0; round < 20; round++) {
    const next = 1 - current;
    const known = readdirSync(home);
    const { code } = await runMillrace(args(next), {
      onStart: (child) => {
        const kill = () => setTimeout(() => child.kill("SIGKILL"), storeMs * Math.random());
        watch = onVersion(known, kill);
      },
    });
    clearInterval(watch);
    if (code === null) seen.killed++;
    const manifest = await readFile(join(origin, "x/clock.mpd"));
    const found = contents[next]!.get("clock.mpd")!.equals(manifest) ? next : current;
    assert.ok(code !== 0 || found === next, "an ingest that ended well is in force");
    seen[found === next ? "new" : "old"]++;
    await assertTitle(origin, "x", contents[found]!, chunkBytes);
    current = found;
  }
  t.diagnostic(`of 20 ingests ${seen.killed} were killed; the title was the old one after ${seen.old}, the new one after ${seen.new}`);
  assert.equal((await runMillrace(args(1 - current))).code, 0);
  assert.equal(readdirSync(home).length, 2, "the current version and the link to it");
});

test("Ctrl-C stops an ingest and leaves nothing behind", async (t) => {
  if (!requireProgram(t, "ffmpeg")) return;
  const scratch = await scratchFolder(t);
  const origin = join(scratch, "origin");
  const source = join(scratch, "long.mkv");
  execFileSync("ffmpeg", [
    "-v",
    "error",
    "-f",
    "lavfi",
    "-i",
    "testsrc2=s=1280x720:r=25:d=60",
    "-c:v",
    "libx264",
    "-preset",
    "ultrafast",
    source,
  ]);
  const { code, stderr } = await runMillrace(["ingest", source, "--origin", origin], {
    onStart: (child) => {
      // As soon as ffmpeg has begun to write.
      const watch = setInterval(() => {
        if (spawnSync("find", [origin, "-name", "*.mp4"], { encoding: "utf8" }).stdout) {
          clearInterval(watch);
          child.kill("SIGINT");
        }
      }, 50);
      child.once("close", () => clearInterval(watch));
    },
  });
  assert.equal(code, 130);
  assert.match(stderr, /^Stopped: nothing was changed/);
  assert.deepEqual(await readdir(origin), []);
});

test("a full disk is said so and leaves the title as it was", async (t) => {
  const scratch = await scratchFolder(t);
  const small = join(scratch, "small");
  await mkdir(small);
  if (process.getuid?.() !== 0 || spawnSync("mount", ["-t", "tmpfs", "-o", "size=6M", "millrace-test", small]).status !== 0)
    return t.skip("needs the right to mount a small disk");
  try {
    await ingestJson(film, small, "--title-id", "x");
    const before = await filesOf(film);
    await cp(film, join(scratch, "other"), { recursive: true });
    await writeFile(join(scratch, "other/master.m3u8"), `${await readFile(join(film, "master.m3u8"), "utf8")}# other\n`);
    assertFails(
      await runMillrace(["ingest", join(scratch, "other"), "--origin", small, "--title-id", "x"]),
      /^Cannot ingest .*other: the disk of .*small is full\n$/,
    );
    await assertTitle(small, "x", before, defaultPieceBytes);
    assertFails(await runMillrace(["ingest", film, "--origin", small, "--title-id", "y"]), /is full/);
    assert.deepEqual((await readdir(small)).sort(), [".millrace", "x"]);
    assert.deepEqual(await readdir(join(small, ".millrace/titles")), ["x"]);
    await assertTitle(small, "x", before, defaultPieceBytes);
  } finally {
    spawnSync("umount", [small]);
  }
});

test("ingest publishes title and objects to the catalog; without the catalog nothing is stored", async (t) => {
  const scratch = await scratchFolder(t);
  const origin = join(scratch, "origin");
  const catalog = await openCatalogRecorder();
  t.after(() => catalog.close());
  const title = await ingestJson(film, origin, "--name", "The clock", "--control-plane", catalog.url);
  assert.equal(title.published, true);
  const [request] = catalog.published;
  assert.deepEqual(
    { ...request?.title, sizeBytes: Number(request?.title?.sizeBytes) },
    {
      titleId: "clock",
      name: "The clock",
      durationSeconds: 60,
      hlsPath: "clock/master.m3u8",
      dashPath: "clock/clock.mpd",
      sizeBytes: title.objects.reduce((total, { sizeBytes }) => total + sizeBytes, 0),
      objectCount: 10,
      publishedAtUnixMs: 0n,
    },
  );
  assert.deepEqual(
    request?.objects.map(({ path, sizeBytes, etag }) => ({ path, sizeBytes: Number(sizeBytes), etag })),
    title.objects.map(({ path, sizeBytes, etag }) => ({ path, sizeBytes, etag })),
  );

  catalog.refusal = "no such plan";
  assertFails(
    await runMillrace(["ingest", film, "--origin", origin, "--control-plane", catalog.url]),
    /^Cannot publish to the control plane at grpc:.*: no such plan\. The origin has the title: run the same command again\n$/,
  );
  catalog.refusal = undefined;
  assert.equal((await ingestJson(film, origin, "--control-plane", catalog.url)).changed, false);
  assert.equal(catalog.published.length, 2, "an unchanged title is published again");

  catalog.close();
  const away = await runMillrace(["ingest", film, "--origin", join(scratch, "second"), "--control-plane", catalog.url]);
  assertFails(away, /Cannot publish to the control plane at grpc:.*: it did not answer within 5 s\n$/);
  assert.deepEqual(await readdir(join(scratch, "second")).catch(() => []), []);
});

test("ingest packages a video file, and ffprobe reads its HLS and DASH through the origin by ranges", async (t) => {
  if (!requireProgram(t, "ffmpeg") || !requireProgram(t, "ffprobe")) return;
  const scratch = await scratchFolder(t);
  const [origin, accessLog] = [join(scratch, "origin"), join(scratch, "access.jsonl")];
  const source = join(scratch, "-My: film #1 100%.mkv");
  // 29.97 frames a second, the picture late by 0.3 s, 5.1 sound (the longer one: ffmpeg's DASH reader stops where the first track ends),
  // and a name that is an option, a protocol and a URL to the careless.
  const inputs = ["-f", "lavfi", "-itsoffset", "0.3", "-i", "testsrc2=s=640x362:r=30000/1001:d=6", "-f", "lavfi", "-i", "sine=f=440:d=7"];
  execFileSync("ffmpeg", [
    "-v",
    "error",
    ...inputs,
    "-c:v",
    "libx264",
    "-preset",
    "ultrafast",
    "-c:a",
    "ac3",
    "-ac",
    "6",
    `file:${source}`,
  ]);
  const title = await ingestJson(source, origin);
  assert.equal(title.titleId, "my-film-1-100");
  assert.deepEqual(
    title.objects.map(({ path }) => path.slice("my-film-1-100/".length)),
    [
      "audio.m3u8",
      "audio.mp4",
      "master.m3u8",
      "my-film-1-100.mpd",
      "video-240p.m3u8",
      "video-240p.mp4",
      "video-360p.m3u8",
      "video-360p.mp4",
    ],
  );
  const master = await readFile(join(origin, title.hlsPath), "utf8");
  assert.match(master, /CODECS="avc1\.64[0-9A-F]{4},mp4a\.40\.2",RESOLUTION=424x240,FRAME-RATE=29\.970/);
  assert.match(await readFile(join(origin, "my-film-1-100/video-240p.m3u8"), "utf8"), /#EXT-X-BYTERANGE:\d+@\d+\nvideo-240p\.mp4/);
  assert.match(await readFile(join(origin, title.dashPath), "utf8"), /<SegmentBase indexRange="\d+-\d+">/);

  const server = await startMillrace(["origin", origin, "--port", "0", "--access-log", accessLog]);
  t.after(() => server.stop());
  for (const path of [title.hlsPath, title.dashPath]) {
    const answer = spawnSync(
      "ffprobe",
      [
        "-v",
        "error",
        "-count_frames",
        "-show_entries",
        "stream=codec_name,width,nb_read_frames",
        "-of",
        "json",
        `http://127.0.0.1:${server.ready.port}/${path}`,
      ],
      { encoding: "utf8" },
    );
    assert.equal(answer.status, 0, answer.stderr);
    const { streams } = JSON.parse(answer.stdout) as { streams: { codec_name: string; width?: number; nb_read_frames: string }[] };
    const videos = streams.filter(({ codec_name }) => codec_name === "h264");
    assert.deepEqual(videos.map(({ width }) => width).sort(), [424, 636]);
    // Six seconds and the 0.3 s by which the picture came late, filled with its first frame.
    for (const { nb_read_frames } of videos) assert.ok(Math.abs(Number(nb_read_frames) - 189) <= 1, nb_read_frames);
    assert.ok(streams.some(({ codec_name }) => codec_name === "aac"));
  }
  const requests = (await readFile(accessLog, "utf8"))
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as { path: string; status: number });
  const media = requests.filter(({ path }) => path.endsWith(".mp4"));
  assert.ok(media.length > 0 && media.every(({ status }) => status === 206), "media are asked for by range");
  const keyFrames = (rendition: string) =>
    execFileSync(
      "ffprobe",
      ["-v", "error", "-skip_frame", "nokey", "-show_entries", "frame=pts", "-of", "csv=p=0", join(origin, title.titleId, rendition)],
      {
        encoding: "utf8",
      },
    );
  assert.equal(keyFrames("video-240p.mp4"), keyFrames("video-360p.mp4"), "segments of all renditions begin at the same frames");

  const again = await ingestJson(source, origin);
  assert.equal(again.changed, false, "the same file packages to the same bytes");
});

test("ingest packages a video without sound that is smaller than the ladder", async (t) => {
  if (!requireProgram(t, "ffmpeg")) return;
  const scratch = await scratchFolder(t);
  const source = join(scratch, "tiny.mp4");
  execFileSync("ffmpeg", ["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=98x74:r=10:d=1", source]);
  const title = await ingestJson(source, join(scratch, "origin"));
  assert.deepEqual(
    title.objects.map(({ path }) => path),
    ["tiny/master.m3u8", "tiny/tiny.mpd", "tiny/video-74p.m3u8", "tiny/video-74p.mp4"],
  );
});

test("ingest refuses files that are no video with ffprobe's reason, and leaves nothing behind", async (t) => {
  if (!requireProgram(t, "ffmpeg")) return;
  const scratch = await scratchFolder(t);
  const origin = join(scratch, "origin");
  const make = async (name: string, bytes: string | Buffer) => {
    await writeFile(join(scratch, name), bytes);
    return join(scratch, name);
  };
  const sound = join(scratch, "sound.m4a");
  execFileSync("ffmpeg", ["-v", "error", "-f", "lavfi", "-i", "sine=d=1", sound]);
  const picture = join(scratch, "picture.png");
  execFileSync("ffmpeg", ["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=64x64", "-frames:v", "1", picture]);
  const cases: [string, RegExp][] = [
    [await make("noise.mp4", Buffer.alloc(5000, 7)), /Cannot package .*noise\.mp4: .*Invalid data found/],
    [await make("empty.mp4", ""), /Cannot package .*empty\.mp4: .*(Invalid data|End of file)/],
    [await make("cut.mp4", (await readFile(join(film, "video-180p.mp4"))).subarray(0, 300)), /Cannot package .*cut\.mp4: /],
    [await make("letter.txt", "Dear reader\n".repeat(100)), /it is not a video file/],
    [await make("list.ffconcat", `ffconcat version 1.0\nfile '${join(film, "video-180p.mp4")}'\n`), /Cannot package .*list\.ffconcat: /],
    [
      await make("list.mp4", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n"),
      /Cannot package .*list\.mp4: /,
    ],
    [sound, /it has no video track/],
    [picture, /it is not a video file/],
  ];
  for (const [path, reason] of cases) {
    assertFails(await runMillrace(["ingest", path, "--origin", origin]), reason);
    assert.deepEqual(await readdir(origin).catch(() => []), [], path);
  }
});

test("ingest of a video file without ffmpeg says how to get it; of a packaged folder it needs none", async (t) => {
  const scratch = await scratchFolder(t);
  const origin = join(scratch, "origin");
  const env = { PATH: join(scratch, "nothing") };
  assertFails(
    await runMillrace(["ingest", join(film, "video-180p.mp4"), "--origin", origin], { env }),
    /^Cannot package .*video-180p\.mp4: ff(mpeg|probe) is not installed \(Debian: apt-get install ffmpeg\)\n$/,
  );
  assert.deepEqual(await readdir(origin).catch(() => []), []);
  assert.equal((await runMillrace(["ingest", film, "--origin", origin], { env })).code, 0);
});

test("the origin gives every object the tag that ingest printed, whatever the times of the source files", async (t) => {
  const scratch = await scratchFolder(t);
  await cp(film, join(scratch, "film"), { recursive: true });
  for (const [number, name] of (await readdir(film)).entries())
    await utimes(join(scratch, "film", name), 0, 1_700_000_000.1237 + number * 0.0101);
  const title = await ingestJson(join(scratch, "film"), join(scratch, "origin"));
  const server = await startMillrace(["origin", join(scratch, "origin"), "--port", "0"]);
  try {
    for (const { path, etag } of title.objects) {
      const answer = await fetch(`http://127.0.0.1:${server.ready.port}/${path}`, { method: "HEAD" });
      assert.equal(answer.headers.get("etag"), etag, path);
    }
  } finally {
    await server.stop();
  }
});

test("the origin stops in order, and says when its port is taken or its folder is missing", async (t) => {
  const scratch = await scratchFolder(t);
  const server = await startMillrace(["origin", film, "--port", "0"]);
  const port = String(server.ready.port);
  assert.equal(await (await fetch(`http://127.0.0.1:${port}/master.m3u8`)).text(), await readFile(join(film, "master.m3u8"), "utf8"));
  assertFails(
    await runMillrace(["origin", film, "--port", port]),
    /^Cannot listen on 127\.0\.0\.1:\d+: the port is taken by another process\n$/,
  );
  assertFails(await runMillrace(["origin", join(scratch, "missing")]), /^Cannot serve .*missing: there is no such folder\n$/);
  const { code, stderr } = await server.stop();
  assert.equal(code, 0);
  assert.match(stderr, /Origin stopped: 1 requests answered, 637 B sent/);
});
