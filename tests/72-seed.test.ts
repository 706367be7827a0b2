// Seeds: chunks are carried to a cold appliance by a folder or from a neighbour, and whatever a seed is like, not one wrong byte comes out of it.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, truncateSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createHash } from "node:crypto";
import { after, before, test } from "node:test";
import { xxh64 } from "@node-rs/xxhash";
import { request } from "undici";
import { openManifestServer, type ManifestServer } from "../bench/fill/manifest-server.js";
import { digestChunk, encodeObjectDigests, makeObjectDigests } from "../fill-protocol/object-digests.js";
import { openCountingOrigin, type CountingOrigin } from "./support/counting-origin.js";
import { runMillrace, type MillraceAnswer } from "./support/run-millrace.js";
import { readStatus, startAppliance, type ApplianceFixture } from "./support/start-appliance.js";
import { temporaryFolder } from "./support/temporary-folder.js";
import { waitUntil } from "./support/wait-until.js";

const chunkBytes = 65_536;
const folder = temporaryFolder();
const seedFolder = join(folder, "seed");
const nowhere = "http://127.0.0.1:1/";
const sizes = new Map(Array.from({ length: 12 }, (_, at) => [`films/é-${at}.mp4`, 1_500_000 + at * 10_007]));
const chunksInAll = [...sizes.values()].reduce((sum, size) => sum + Math.ceil(size / chunkBytes), 0);
let origin: CountingOrigin;
let full: ApplianceFixture;
let controlPlane: ManifestServer;

interface SeedAnswer {
  jobId: string;
  state: string;
  reason: string;
  chunks: number;
  chunksThere: number;
  chunksFailed: number;
  objectsRefused: number;
  failed: { path: string; reason: string }[];
}

before(async () => {
  origin = await openCountingOrigin(sizes, chunkBytes);
  controlPlane = await openManifestServer();
  controlPlane.setManifest([...origin.objects.values()]);
  full = await startAppliance({
    folder: join(folder, "full"),
    upstreams: [origin.url],
    settings: { controlPlane: { url: controlPlane.url } },
  });
  await waitUntil("everything is stored", async () => (await chunksStored(full)) >= chunksInAll);
});
after(async () => {
  await full.kill();
  controlPlane.close();
  await origin.close();
});

async function chunksStored({ adminUrl }: ApplianceFixture): Promise<number> {
  const { disks } = (await (await fetch(`${adminUrl}status`)).json()) as { disks: { chunks: number }[] };
  return disks.reduce((sum, { chunks }) => sum + chunks, 0);
}

function seed({ adminUrl }: ApplianceFixture, ...args: string[]): Promise<MillraceAnswer> {
  return runMillrace(["seed", ...args, "--json", "--admin", adminUrl]);
}

/** The same without a process for each. */
async function importDirectly({ adminUrl }: ApplianceFixture, seed: { folder: string } | { from: string }): Promise<SeedAnswer> {
  const headers = { "Content-Type": "application/json" };
  const begun = await fetch(`${adminUrl}seed/import`, { method: "POST", headers, body: JSON.stringify(seed) });
  const { jobId } = (await begun.json()) as { jobId: string };
  return waitUntil("the import has ended", async () => {
    const now = await readSeed({ adminUrl });
    return now?.jobId === jobId && now.state !== "running" && now;
  });
}

function answerOf({ stdout, stderr }: MillraceAnswer): SeedAnswer {
  assert.notEqual(stdout, "", stderr);
  return JSON.parse(stdout) as SeedAnswer;
}

function askedOfOrigin(): number {
  return [...origin.askedFor().values()].reduce((sum, times) => sum + times, 0);
}

/** Everything is on the disks, and right: nobody is there who could help. */
async function assertHeldAlone(name: string): Promise<void> {
  const alone = await startAppliance({ folder: join(folder, name), upstreams: [nowhere] });
  try {
    for (const { path, sha256 } of origin.objects.values()) {
      const answer = await request(alone.url + encodeURI(path));
      assert.equal(answer.statusCode, 200, path);
      assert.equal(
        createHash("sha256")
          .update(Buffer.from(await answer.body.arrayBuffer()))
          .digest("hex"),
        sha256,
        path,
      );
    }
  } finally {
    await alone.kill();
  }
}

test("an export that is killed is gone on with, and its bound is kept", async () => {
  const bounded = answerOf(await seed(full, "export", seedFolder, "--all", "--max-bytes", String(20 * chunkBytes)));
  assert.equal(bounded.chunks, 20);
  // As a kill leaves it: bytes that no line names, and half a line.
  writeFileSync(join(seedFolder, "pack-000001.bin"), Buffer.alloc(1000, 1), { flag: "a" });
  writeFileSync(join(seedFolder, "seed.jsonl"), "[7,1,99", { flag: "a" });
  const whole = answerOf(await seed(full, "export", seedFolder, "--prefix", "films/"));
  assert.deepEqual([whole.state, whole.chunksThere, whole.chunks], ["done", 20, chunksInAll - 20]);
  const again = answerOf(await seed(full, "export", seedFolder, "--all"));
  assert.deepEqual([again.state, again.chunksThere, again.chunks], ["done", chunksInAll, 0]);
});

test("an import is killed, goes on by itself, and asks the origin for no chunk", async () => {
  const asked = askedOfOrigin();
  const options = { folder: join(folder, "cold"), upstreams: [origin.url], settings: { disk: { syncBytes: chunkBytes } } };
  const killed = await startAppliance(options);
  const following = seed(killed, "import", seedFolder, "--no-wait");
  await waitUntil("some of it is stored", async () => (await chunksStored(killed)) > 5);
  await killed.kill();
  await following;
  const cold = await startAppliance(options);
  await waitUntil("it is done", async () => (await readSeed(cold))?.state === "done");
  const { chunks, chunksThere } = (await readSeed(cold))!;
  assert.equal(chunks + chunksThere, chunksInAll);
  assert.ok(chunks > 0, "the kill came too late");
  assert.equal((await importDirectly(cold, { folder: seedFolder })).chunksThere, chunksInAll);
  assert.equal(askedOfOrigin(), asked);
  assert.equal((await cold.stop()).code, 0);
  await assertHeldAlone("cold");
});

test("with a manifest, an import needs no upstream at all", async () => {
  const settings = { controlPlane: { url: controlPlane.url } };
  const cold = await startAppliance({ folder: join(folder, "manifest"), upstreams: [nowhere], settings });
  try {
    await waitUntil("the manifest is there", async () => (await readStatus(cold)).fill?.objects === sizes.size);
    const answer = await seed(cold, "import", seedFolder);
    assert.equal(answer.code, 0, answer.stdout);
    assert.equal(answerOf(answer).chunks, chunksInAll);
    const copy = join(folder, "copy");
    assert.equal(answerOf(await seed(cold, "export", copy)).chunks, chunksInAll);
  } finally {
    await cold.kill();
  }
  await assertHeldAlone("manifest");
});

test("a neighbour that runs gives what it holds to one with a fill token, and to nobody else", async () => {
  const asked = askedOfOrigin();
  const tokens = { required: true, keys: [{ id: "k1", secret: "0123456789abcdef0123456789abcdef" }] };
  const neighbour = await startAppliance({ folder: join(folder, "cold"), upstreams: [origin.url], settings: { tokens } });
  const cold = await startAppliance({ folder: join(folder, "neighbour"), upstreams: [origin.url], settings: { tokens } });
  const stranger = await startAppliance({ folder: join(folder, "stranger"), upstreams: [origin.url] });
  try {
    const from = neighbour.url.replace("http://", "appliance:").replace(/\/$/, "");
    assert.match((await importDirectly(stranger, { from })).reason, /403/);
    assert.equal((await request(`${neighbour.url}.millrace/holdings`)).statusCode, 403);
    const answer = await seed(cold, "import", "--from", from);
    assert.equal(answer.code, 0, answer.stdout + answer.stderr);
    assert.equal(answerOf(answer).chunks, chunksInAll);
    assert.equal(askedOfOrigin(), asked);
  } finally {
    for (const one of [neighbour, cold, stranger]) await one.kill();
  }
  await assertHeldAlone("neighbour");
});

test("a folder that lies gets nothing wrong in, and what is right of it is taken", async () => {
  const victim = await startAppliance({ folder: join(folder, "victim"), upstreams: [origin.url] });
  const asked = askedOfOrigin();
  try {
    for (const [name, spoil] of Object.entries(spoilers)) {
      const lying = join(folder, `lying-${name}`);
      cpSync(seedFolder, lying, { recursive: true });
      spoil(lying);
      const { chunks, chunksThere, chunksFailed, objectsRefused, state } = await importDirectly(victim, { folder: lying });
      assert.ok(state === "failed" || chunksFailed + objectsRefused > 0, `${name} was taken for honest`);
      assert.ok(chunks + chunksThere < chunksInAll, name);
      rmSync(lying, { recursive: true });
    }
    const honest = await importDirectly(victim, { folder: seedFolder });
    assert.equal(honest.chunksFailed + honest.objectsRefused, 0);
    assert.equal(askedOfOrigin(), asked);
  } finally {
    await victim.kill();
  }
  await assertHeldAlone("victim");
});

test("what does not fit is left out, and nothing that was there goes for it", async () => {
  const disks = ["disk1", "disk2"].map((name) => ({ path: join(folder, "small", name), size: "8MiB" }));
  const small = await startAppliance({ folder: join(folder, "small"), upstreams: [origin.url], settings: { disks } });
  try {
    const answer = await seed(small, "import", seedFolder);
    const { chunks, chunksFailed, failed } = answerOf(answer);
    assert.equal(answer.code, 1);
    assert.equal(chunks + chunksFailed, chunksInAll);
    assert.match(failed[0]!.reason, /free space/);
    assert.equal(await chunksStored(small), chunks);
    for (const { path, sizeBytes } of origin.objects.values()) {
      const response = await request(small.url + encodeURI(path));
      assert.equal((await response.body.arrayBuffer()).byteLength, sizeBytes);
    }
  } finally {
    await small.kill();
  }
});

test("a folder that is none and an address that is none are refused by name", async () => {
  const refused = [
    [["import", join(folder, "not-there")], /there is no .*seed\.jsonl/],
    [["import", "--from", "ftp:x"], /is not appliance:HOST:PORT/],
    [["export", seedFolder, "--all", "--prefix", "x"], /choose one/],
    [["export", join(seedFolder, "seed.jsonl"), "--all"], /Cannot export/],
  ] as const;
  await Promise.all(
    refused.map(async ([args, reason]) => {
      const answer = await seed(full, ...args);
      assert.equal(answer.code, 1, args.join(" "));
      assert.match(answer.stderr, reason);
    }),
  );
});

test("an export that finds no room says so, and goes on when there is some", async (t) => {
  const mounted = join(folder, "mounted");
  mkdirSync(mounted);
  if (spawnSync("mount", ["-t", "tmpfs", "-o", "size=2m", "tmpfs", mounted]).status !== 0)
    return t.skip("mounting a tmpfs is not allowed here");
  try {
    const first = await seed(full, "export", mounted);
    assert.equal(first.code, 1);
    assert.match(answerOf(first).reason, /no room left/);
    execFileSync("mount", ["-o", "remount,size=64m", mounted]);
    const { state, chunks, chunksThere } = answerOf(await seed(full, "export", mounted));
    assert.deepEqual([state, chunks + chunksThere], ["done", chunksInAll]);
    assert.ok(chunks < chunksInAll, "nothing was saved of the first");
  } finally {
    execFileSync("umount", [mounted]);
  }
});

const seedFile = (lying: string) => join(lying, "seed.jsonl");
const packFile = (lying: string) => join(lying, "pack-000001.bin");

function editLines(lying: string, edit: (line: unknown, at: number) => unknown): void {
  const lines = readFileSync(seedFile(lying), "utf8").trimEnd().split("\n");
  writeFileSync(seedFile(lying), `${lines.map((line, at) => JSON.stringify(edit(JSON.parse(line), at))).join("\n")}\n`);
}

/** Flips a bit in each chunk but every third. */
function flipBits(lying: string): Buffer {
  const pack = readFileSync(packFile(lying));
  for (let at = 1000, nth = 0; at < pack.length; at += 3 * chunkBytes, nth++) pack[at]! ^= 1 << (nth & 7);
  writeFileSync(packFile(lying), pack);
  return pack;
}

interface ObjectLine {
  object: { path: string; sizeBytes: number; etag: string };
  digests: string;
}
const isObjectLine = (line: unknown): line is ObjectLine => typeof line === "object" && line !== null && "object" in line;

const spoilers: Record<string, (lying: string) => void> = {
  "bit-rot": flipBits,
  "bits with their checksums": (lying) => {
    const pack = flipBits(lying);
    editLines(lying, (line) => {
      if (!Array.isArray(line)) return line;
      const [chunk, number, offset, length] = line as [number, number, number, number];
      return [
        chunk,
        number,
        offset,
        length,
        xxh64(pack.subarray(offset, offset + length))
          .toString(16)
          .padStart(16, "0"),
      ];
    });
  },
  "bytes of its own with digests and tag made for them": (lying) => {
    const pack = Buffer.alloc(readFileSync(packFile(lying)).length, 7);
    writeFileSync(packFile(lying), pack);
    const sum = (bytes: Buffer) => xxh64(bytes).toString(16).padStart(16, "0");
    editLines(lying, (line) => {
      if (Array.isArray(line)) return [...(line as number[]).slice(0, 4), sum(pack.subarray(0, line[3] as number))];
      if (!isObjectLine(line)) return line;
      const { path, sizeBytes } = line.object;
      const chunkDigests = Array.from({ length: Math.ceil(sizeBytes / chunkBytes) }, (_, at) =>
        digestChunk(pack.subarray(0, Math.min(chunkBytes, sizeBytes - at * chunkBytes))),
      );
      const made = makeObjectDigests({ path, sizeBytes, chunkBytes, chunkDigests, lastModifiedUnixMs: 4_000_000_000_000 });
      return { object: { path, sizeBytes, etag: made.etag }, digests: encodeObjectDigests(made).toString("base64") };
    });
  },
  "chunks in each other's place": (lying) => {
    editLines(lying, (line) => (Array.isArray(line) && line[0] === 1 ? [2, ...(line as number[]).slice(1)] : line));
  },
  "another tag": (lying) => editLines(lying, (line) => (isObjectLine(line) ? { ...line, object: { ...line.object, etag: '"x"' } } : line)),
  "names that lead out": (lying) =>
    editLines(lying, (line, at) =>
      isObjectLine(line) ? { ...line, object: { ...line.object, path: at % 2 ? "../../etc/passwd" : ".millrace/digests/x" } } : line,
    ),
  "a pack that is cut off": (lying) => truncateSync(packFile(lying), 100_000),
  "a pack that is a link": (lying) => {
    unlinkSync(packFile(lying));
    symlinkSync("/dev/zero", packFile(lying));
  },
  "a pack that is a folder": (lying) => {
    unlinkSync(packFile(lying));
    mkdirSync(packFile(lying));
  },
  "a line that is none": (lying) => editLines(lying, (line, at) => (at === 10 ? { hello: "world" } : line)),
  "a list that is a link": (lying) => {
    unlinkSync(seedFile(lying));
    symlinkSync("/dev/zero", seedFile(lying));
  },
  "chunks of another size": (lying) => editLines(lying, (line, at) => (at === 0 ? { ...(line as object), chunkBytes: 4096 } : line)),
};

async function readSeed({ adminUrl }: Pick<ApplianceFixture, "adminUrl">): Promise<SeedAnswer | null> {
  return ((await (await fetch(`${adminUrl}status`)).json()) as { seed: SeedAnswer | null }).seed;
}
