// An object of 50 GB, in a sparse file: what it costs does not grow with it.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { closeSync, ftruncateSync, mkdirSync, openSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { request } from "undici";
import { digestsPathOf, encodeObjectDigests, makeObjectDigests } from "../fill-protocol/object-digests.js";
import { runMillrace } from "./support/run-millrace.js";
import { readMetric, startAppliance } from "./support/start-appliance.js";
import { temporaryFolder } from "./support/temporary-folder.js";

const chunkBytes = 2 ** 20;
const chunks = 50_000;
/** The last chunk is short. */
const sizeBytes = chunks * chunkBytes - 777_777;
const lastBytes = chunkBytes - 777_777;

/** A file of zeros with noise in the first, the middle and the last chunk, which takes no room for the rest. */
function writeSparseFile(path: string): Map<number, Buffer> {
  const noise = new Map([0, 25_000, chunks - 1].map((chunk) => [chunk, randomBytes(chunk === chunks - 1 ? lastBytes : chunkBytes)]));
  mkdirSync(dirname(path), { recursive: true });
  const file = openSync(path, "w");
  ftruncateSync(file, sizeBytes);
  for (const [chunk, bytes] of noise) writeSync(file, bytes, 0, bytes.length, chunk * chunkBytes);
  closeSync(file);
  return noise;
}

function writeDigests(origin: string, path: string, noise: ReadonlyMap<number, Buffer>): void {
  const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest();
  const ofZeros = sha256(new Uint8Array(chunkBytes));
  const chunkDigests = Array.from({ length: chunks }, (_, chunk) => (noise.has(chunk) ? sha256(noise.get(chunk)!) : ofZeros));
  const digests = makeObjectDigests({ path, sizeBytes, chunkBytes, chunkDigests, lastModifiedUnixMs: Date.now() });
  const file = join(origin, digestsPathOf(path));
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, encodeObjectDigests(digests));
}

function residentMiB(pid: number): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) / 1024;
}

test("an object of 50 GB is served at its ends and in the middle, checked against its 50,000 digests, and stored; a restart finds it", async (t) => {
  const folder = temporaryFolder();
  const origin = join(folder, "origin");
  const noise = writeSparseFile(join(origin, "films/large.mp4"));
  writeDigests(origin, "films/large.mp4", noise);
  const options = {
    folder,
    upstreams: [`file://${origin}/`],
    chunk: "1MiB",
    settings: {
      ram: "32MiB",
      revalidateAfter: "1s",
      disks: ["disk1", "disk2"].map((name) => ({ path: join(folder, name), size: "128MiB" })),
    },
  };
  for (const { path } of options.settings.disks) mkdirSync(path, { recursive: true });
  let appliance = await startAppliance(options);
  t.after(() => appliance.kill());
  const get = async (first: number, last: number) => {
    const answer = await request(`${appliance.url}films/large.mp4`, { headers: { range: `bytes=${first}-${last}` } });
    assert.equal(answer.statusCode, 206);
    assert.equal(answer.headers["content-range"], `bytes ${first}-${last}/${sizeBytes}`);
    return Buffer.from(await answer.body.arrayBuffer());
  };
  const middle = 25_000 * chunkBytes;
  const readEverywhere = async () => {
    assert.ok((await get(0, chunkBytes - 1)).equals(noise.get(0)!));
    // Over both borders of the middle chunk.
    const around = await get(middle - 10, middle + chunkBytes + 9);
    assert.ok(around.equals(Buffer.concat([Buffer.alloc(10), noise.get(25_000)!, Buffer.alloc(10)])));
    assert.ok((await get(sizeBytes - lastBytes, sizeBytes - 1)).equals(noise.get(chunks - 1)!));
    assert.ok((await get(sizeBytes - 1, sizeBytes - 1)).equals(noise.get(chunks - 1)!.subarray(-1)));
  };
  const head = await request(`${appliance.url}films/large.mp4`, { method: "HEAD" });
  assert.equal(Number(head.headers["content-length"]), sizeBytes);
  await head.body.dump();
  await readEverywhere();
  const suffix = await request(`${appliance.url}films/large.mp4`, { headers: { range: "bytes=-5" } });
  assert.equal(suffix.headers["content-range"], `bytes ${sizeBytes - 5}-${sizeBytes - 1}/${sizeBytes}`);
  assert.ok(Buffer.from(await suffix.body.arrayBuffer()).equals(noise.get(chunks - 1)!.subarray(-5)));

  const before = residentMiB(appliance.pid);
  // Each is a fetch that is checked against the digests: 1.6 MB that must not be read and hashed for each.
  for (let round = 0; round < 200; round++) {
    const at = 1001 * chunkBytes + round * 200 * chunkBytes;
    assert.ok((await get(at, at + 99)).equals(Buffer.alloc(100)));
  }
  const grown = residentMiB(appliance.pid) - before;
  t.diagnostic(`200 chunks all over it: ${grown.toFixed(0)} MiB more resident memory`);
  assert.ok(grown < 150, `${grown} MiB more for 200 chunks of 1 MiB in 32 MiB of frames`);
  assert.equal(await readMetric(appliance, "millrace_fill_wrong_chunks_total"), 0);
  await readEverywhere();
  assert.equal((await appliance.stop()).code, 0);

  const check = await runMillrace(["index", "check", "--config", join(folder, "appliance.yaml"), "--bytes"]);
  assert.equal(check.code, 0, check.stdout + check.stderr);
  appliance = await startAppliance(options);
  await readEverywhere();
});
