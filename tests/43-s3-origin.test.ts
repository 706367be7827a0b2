// An origin in S3: signed requests to a real S3 server program, ranges, digests, and what happens with wrong keys.
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { AwsClient } from "aws4fetch";
import { packageRoot } from "../runtime/package-root.js";
import { digestChunk, digestsPathOf, encodeObjectDigests, makeObjectDigests } from "../fill-protocol/object-digests.js";
import { runMillrace } from "./support/run-millrace.js";
import { readMetric, startAppliance, writeApplianceSettings } from "./support/start-appliance.js";
import { temporaryFolder } from "./support/temporary-folder.js";
import { waitUntil } from "./support/wait-until.js";

// The keys that s3rver knows.
const keys = { accessKeyId: "S3RVER", secretAccessKey: "S3RVER" };
const chunkBytes = 65_536;
const bytes = randomBytes(3 * chunkBytes + 17);
const folder = temporaryFolder();
let server: ChildProcess;
let endpoint: string;

before(async () => {
  const probe = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => probe.once("listening", resolve));
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  endpoint = `http://127.0.0.1:${port}`;
  mkdirSync(join(folder, "s3"));
  const program = join(packageRoot, "node_modules/s3rver/bin/s3rver.js");
  const options = ["--directory", join(folder, "s3"), "--address", "127.0.0.1", "--port", String(port), "--silent", "--no-vhost-buckets"];
  server = spawn(process.execPath, [program, ...options, "--configure-bucket", "films"], { stdio: "ignore" });
  const client = new AwsClient({ ...keys, service: "s3", region: "us-east-1" });
  const put = async (path: string, body: Uint8Array<ArrayBuffer>) => {
    const answer = await client.fetch(`${endpoint}/films/${path}`, { method: "PUT", body });
    assert.equal(answer.status, 200, await answer.text());
  };
  await waitUntil("the S3 server answers", async () => (await client.fetch(`${endpoint}/films`)).status === 200);
  await put("public/plain film.mp4", bytes);
  await put("public/checked.mp4", bytes);
  const chunkDigests = Array.from({ length: 4 }, (_, chunk) => digestChunk(bytes.subarray(chunk * chunkBytes, (chunk + 1) * chunkBytes)));
  const digests = makeObjectDigests({
    path: "checked.mp4",
    sizeBytes: bytes.length,
    chunkBytes,
    chunkDigests,
    lastModifiedUnixMs: Date.now(),
  });
  await put(`public/${digestsPathOf("checked.mp4")}`, new Uint8Array(encodeObjectDigests(digests)));
});
after(() => {
  server.kill("SIGKILL");
});

function upstream() {
  return { upstreams: [{ url: "s3://films/public", endpoint }] };
}

async function withKeys<Result>(
  set: { accessKeyId: string; secretAccessKey: string } | undefined,
  run: () => Promise<Result>,
): Promise<Result> {
  const before = { ...process.env };
  if (set) Object.assign(process.env, { AWS_ACCESS_KEY_ID: set.accessKeyId, AWS_SECRET_ACCESS_KEY: set.secretAccessKey });
  try {
    return await run();
  } finally {
    process.env = before;
  }
}

test("objects in S3 are served whole and by range, with and without digests", async () => {
  const appliance = await withKeys(keys, () =>
    startAppliance({ folder: join(folder, "edge"), upstreams: [], chunk: chunkBytes, settings: upstream() }),
  );
  for (const path of ["plain%20film.mp4", "checked.mp4"]) {
    const whole = await fetch(appliance.url + path);
    assert.equal(whole.status, 200, path);
    assert.ok(Buffer.from(await whole.arrayBuffer()).equals(bytes), path);
    const part = await fetch(appliance.url + path, { headers: { range: `bytes=${chunkBytes - 1}-${chunkBytes}` } });
    assert.equal(part.status, 206);
    assert.ok(Buffer.from(await part.arrayBuffer()).equals(bytes.subarray(chunkBytes - 1, chunkBytes + 1)));
  }
  assert.equal((await fetch(`${appliance.url}nothing.mp4`)).status, 404);
  assert.equal(await readMetric(appliance, "millrace_fill_fetches_total"), 8);
  assert.equal((await appliance.stop()).code, 0);
});

test("wrong keys are an upstream's refusal, not a missing film", async () => {
  const wrong = { ...keys, accessKeyId: "STRANGER" };
  const appliance = await withKeys(wrong, () =>
    startAppliance({ folder: join(folder, "stranger"), upstreams: [], chunk: chunkBytes, settings: upstream() }),
  );
  assert.equal((await fetch(`${appliance.url}checked.mp4`)).status, 502);
  assert.equal((await appliance.stop()).code, 0);
});

test("no keys, and no bucket, are said at the start", async () => {
  const noKeys = await runMillrace([
    "appliance",
    "--config",
    writeApplianceSettings({ folder: join(folder, "keyless"), upstreams: [], settings: upstream() }),
  ]);
  assert.equal(noKeys.code, 1);
  assert.match(noKeys.stderr, /Cannot use upstream s3:\/\/films\/public: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set/);
});
