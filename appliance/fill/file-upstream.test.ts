import assert from "node:assert/strict";
import { appendFileSync, chmodSync, mkdirSync, mkdtempSync, rmSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test, type TestContext } from "node:test";
import { digestChunk, digestsPathOf, encodeObjectDigests, makeObjectDigests } from "../../fill-protocol/object-digests.js";
import { FileUpstream } from "./file-upstream.js";
import type { UpstreamObject, UpstreamRange } from "./upstream.js";

const text = "the bytes of a film";

function openFolder(context: TestContext): { root: string; upstream: FileUpstream; put: (path: string, bytes: string | Buffer) => void } {
  const root = mkdtempSync(join(tmpdir(), "millrace-origin-"));
  context.after(() => rmSync(root, { recursive: true, force: true }));
  const put = (path: string, bytes: string | Buffer) => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), bytes);
  };
  put("films/a.mp4", text);
  return { root, upstream: new FileUpstream(root), put };
}

async function described(upstream: FileUpstream, path = "films/a.mp4"): Promise<UpstreamObject> {
  const outcome = await upstream.describe({ path, via: [] });
  assert.ok(typeof outcome === "object" && !("failure" in outcome));
  return outcome;
}

function rangeOf(object: UpstreamObject, over: Partial<UpstreamRange> = {}): UpstreamRange {
  return { path: "films/a.mp4", via: [], ...object, digested: false, offsetBytes: 4, into: new Uint8Array(5), ...over };
}

function digestsOf(path: string, bytes: string) {
  return makeObjectDigests({
    path,
    sizeBytes: bytes.length,
    chunkBytes: 100,
    chunkDigests: [digestChunk(Buffer.from(bytes))],
    lastModifiedUnixMs: 3,
  });
}

test("FileUpstream describes a file and reads its ranges, to the last byte", async (context) => {
  const { upstream } = openFolder(context);
  const object = await described(upstream);
  assert.equal(object.sizeBytes, text.length);
  assert.match(object.etag, /^"[0-9a-f]+-[0-9a-f]+"$/);
  for (const [offsetBytes, length] of [
    [0, text.length],
    [4, 5],
    [text.length - 1, 1],
  ] as const) {
    const range = rangeOf(object, { offsetBytes, into: new Uint8Array(new SharedArrayBuffer(length)) });
    assert.equal(await upstream.fetch(range), undefined);
    assert.equal(Buffer.from(range.into).toString(), text.slice(offsetBytes, offsetBytes + length));
  }
});

test("FileUpstream knows no folder, no missing file and no path through a file", async (context) => {
  const { upstream } = openFolder(context);
  for (const path of ["films", "films/b.mp4", "films/a.mp4/b", "x".repeat(300)]) {
    assert.equal(await upstream.describe({ path, via: [] }), "not-found", path);
    if (path !== "films") assert.equal(await upstream.fetch(rangeOf(await described(upstream), { path })), "not-found");
  }
});

test("FileUpstream does not give bytes of a file that was changed, cut, or replaced since it was described", async (context) => {
  const { upstream, root, put } = openFolder(context);
  const file = join(root, "films/a.mp4");
  for (const change of [
    () => appendFileSync(file, "!"),
    () => truncateSync(file, 3),
    () => utimesSync(file, 1, 1),
    () => put("films/a.mp4", text.toUpperCase()),
  ]) {
    put("films/a.mp4", text);
    const object = await described(upstream);
    // The clock of a file system is coarse: an older date makes sure that the change has another.
    utimesSync(file, 2, 2);
    const older = await described(upstream);
    change();
    for (const each of [object, older]) {
      const outcome = await upstream.fetch(rangeOf(each));
      assert.ok(typeof outcome === "object");
      assert.equal(outcome.failure, "version-changed");
    }
  }
});

test("FileUpstream describes by digests where there are some, and reads without minding the date then", async (context) => {
  const { upstream, root, put } = openFolder(context);
  const digests = digestsOf("films/a.mp4", text);
  put(digestsPathOf("films/a.mp4"), encodeObjectDigests(digests));
  const object = await described(upstream);
  assert.deepEqual([object.etag, object.lastModifiedUnixMs, object.digests?.chunkBytes], [digests.etag, 3, 100]);
  utimesSync(join(root, "films/a.mp4"), 1, 1);
  assert.equal(await upstream.fetch(rangeOf(object, { digested: true })), undefined);
  truncateSync(join(root, "films/a.mp4"), 6);
  const outcome = await upstream.fetch(rangeOf(object, { digested: true }));
  assert.ok(typeof outcome === "object");
  assert.equal(outcome.failure, "version-changed");
});

test("FileUpstream refuses an object whose digests are damaged, another's, or older than the file", async (context) => {
  const { upstream, root, put } = openFolder(context);
  const right = encodeObjectDigests(digestsOf("films/a.mp4", text));
  for (const bytes of [Buffer.from("noise"), Buffer.alloc(0), right.subarray(0, 30), encodeObjectDigests(digestsOf("films/b.mp4", text))]) {
    put(digestsPathOf("films/a.mp4"), bytes);
    const outcome = await upstream.describe({ path: "films/a.mp4", via: [] });
    assert.ok(typeof outcome === "object" && "failure" in outcome);
    assert.equal(outcome.failure, "bad-answer");
    assert.match(outcome.detail, /ingest it again/);
  }
  put(digestsPathOf("films/a.mp4"), right);
  appendFileSync(join(root, "films/a.mp4"), "!");
  const outcome = await upstream.describe({ path: "films/a.mp4", via: [] });
  assert.ok(typeof outcome === "object" && "failure" in outcome);
  assert.match(outcome.detail, /was changed after its digests were made/);
});

test("FileUpstream tells a file that may not be read from one that is not there", async (context) => {
  const { upstream, root, put } = openFolder(context);
  const object = await described(upstream);
  if (process.getuid?.() === 0) {
    // Root may read everything; a folder in the file's place is as unreadable.
    rmSync(join(root, "films/a.mp4"));
    mkdirSync(join(root, "films/a.mp4"));
  } else {
    put("films/a.mp4", text);
    chmodSync(join(root, "films/a.mp4"), 0);
  }
  const outcome = await upstream.fetch(rangeOf(object, { digested: true }));
  assert.ok(typeof outcome === "object");
  assert.equal(outcome.failure, "unreachable");
});
