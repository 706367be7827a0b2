import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createSocketServer, type AddressInfo, type Socket } from "node:net";
import { describe, test, type TestContext } from "node:test";
import { gzipSync } from "node:zlib";
import { viaHeader } from "../../fill-protocol/via-header.js";
import { digestChunk, digestsPathOf, encodeObjectDigests, makeObjectDigests } from "../../fill-protocol/object-digests.js";
import { HttpUpstream } from "./http-upstream.js";
import { byteAt } from "./temporary-stage.js";
import type { UpstreamRange } from "./upstream.js";

const sizeBytes = 100_000;
const version = { path: "dir/a b.mp4", etag: '"1"' };
const body = Buffer.from(Uint8Array.from({ length: sizeBytes }, (_, at) => byteAt(version, at)));
const lastModified = "Mon, 02 Nov 2026 10:00:00 GMT";
const lastModifiedUnixMs = Date.parse(lastModified);

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** A real server that answers as `answer` says, and an upstream that asks it. */
async function openServer(context: TestContext, answer: Answer, base = "/") {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    server,
    upstream: openUpstream(context, port, base, () => {
      server.closeAllConnections();
      server.close();
    }),
  };
}

function openUpstream(context: TestContext, port: number, base = "/", close = () => {}): HttpUpstream {
  const upstream = new HttpUpstream(new URL(`http://127.0.0.1:${port}${base}`), {
    connections: 4,
    connectTimeoutMs: 1000,
    silenceTimeoutMs: 150,
  });
  context.after(async () => {
    await upstream.close();
    close();
  });
  return upstream;
}

function rangeOf(over: Partial<UpstreamRange> = {}): UpstreamRange {
  return {
    path: version.path,
    via: [],
    sizeBytes,
    etag: version.etag,
    lastModifiedUnixMs,
    digested: false,
    offsetBytes: 5000,
    into: new Uint8Array(new SharedArrayBuffer(3000)),
    ...over,
  };
}

/** The right answer to a range, with `headers` over it. */
function sendRange(
  request: IncomingMessage,
  response: ServerResponse,
  headers: Record<string, string> = {},
  send = (part: Buffer) => part,
): void {
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
  assert.ok(first && last, `Range: ${request.headers.range}`);
  const part = send(body.subarray(Number(first), Number(last) + 1));
  response.writeHead(206, {
    "content-range": `bytes ${first}-${last}/${sizeBytes}`,
    etag: version.etag,
    "last-modified": lastModified,
    "content-length": String(part.length),
    ...headers,
  });
  response.end(part);
}

// Silence takes its time to be found: the tests wait side by side.
describe("HttpUpstream", { concurrency: true }, () => {
  test("HttpUpstream fetches a range into shared memory, under the base path, with the path encoded and the appliances named that it came through", async (context) => {
    const seen: [string | undefined, unknown, unknown][] = [];
    const { upstream } = await openServer(
      context,
      (request, response) => {
        seen.push([request.url, request.headers[viaHeader], request.headers["accept-encoding"]]);
        response.writeEarlyHints({ link: "</x>; rel=preload" });
        sendRange(request, response);
      },
      "/films",
    );
    const range = rangeOf({ via: ["a", "b"] });
    assert.equal(await upstream.fetch(range), undefined);
    assert.deepEqual(Buffer.from(range.into), body.subarray(5000, 8000));
    assert.deepEqual(seen, [["/films/dir/a%20b.mp4", "1.1 millrace-a, 1.1 millrace-b", "identity"]]);
  });

  test("HttpUpstream takes a 200 for a range that is the whole object, of any length", async (context) => {
    const { upstream } = await openServer(context, (_request, response) => {
      response.writeHead(200, { etag: version.etag, "last-modified": lastModified });
      response.end(body);
    });
    const range = rangeOf({ offsetBytes: 0, into: new Uint8Array(sizeBytes) });
    assert.equal(await upstream.fetch(range), undefined);
    assert.deepEqual(Buffer.from(range.into), body);
  });

  const part = (request: IncomingMessage) => {
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range!)!;
    return { first: Number(first), last: Number(last), bytes: body.subarray(Number(first), Number(last) + 1) };
  };

  /** What a server may do wrong, and the failure that it must be. */
  const misdeeds: Record<string, { answer: Answer; failure: string; range?: Partial<UpstreamRange> }> = {
    "another range": {
      answer: (request, response) => {
        const { first, last } = part(request);
        sendRange(request, response, { "content-range": `bytes ${first - 1}-${last - 1}/${sizeBytes}` });
      },
      failure: "bad-answer",
    },
    "a range of an object of another size": {
      answer: (request, response) => {
        const { first, last } = part(request);
        sendRange(request, response, { "content-range": `bytes ${first}-${last}/${sizeBytes + 1}` });
      },
      failure: "bad-answer",
    },
    "no Content-Range": {
      answer: (request, response) => {
        response.writeHead(206, { etag: version.etag, "last-modified": lastModified });
        response.end(part(request).bytes);
      },
      failure: "bad-answer",
    },
    "a nonsense Content-Range": {
      answer: (request, response) => sendRange(request, response, { "content-range": "bytes a-b/c" }),
      failure: "bad-answer",
    },
    "a body that is too short, with its true length": {
      answer: (request, response) => sendRange(request, response, {}, (bytes) => bytes.subarray(1)),
      failure: "bad-answer",
    },
    "an empty body": { answer: (request, response) => sendRange(request, response, {}, () => Buffer.alloc(0)), failure: "bad-answer" },
    "a body that is too long": {
      answer: (request, response) => sendRange(request, response, {}, (bytes) => Buffer.concat([bytes, Buffer.alloc(70_000, 1)])),
      failure: "bad-answer",
    },
    "a body that is cut off before its promised length": {
      answer: (request, response) => {
        const { first, last, bytes } = part(request);
        response.writeHead(206, { "content-range": `bytes ${first}-${last}/${sizeBytes}`, etag: version.etag, "content-length": "3000" });
        response.write(bytes.subarray(0, 1000), () => response.destroy());
      },
      failure: "unreachable",
    },
    "chunked encoding that breaks off": {
      answer: (request, response) => {
        const { first, last, bytes } = part(request);
        response.writeHead(206, { "content-range": `bytes ${first}-${last}/${sizeBytes}`, etag: version.etag });
        response.write(bytes, () => response.destroy());
      },
      failure: "unreachable",
    },
    "a reset before the answer": { answer: (request) => request.socket.resetAndDestroy(), failure: "unreachable" },
    "a reset in mid-body": {
      answer: (request, response) => {
        const { first, last, bytes } = part(request);
        response.writeHead(206, { "content-range": `bytes ${first}-${last}/${sizeBytes}`, etag: version.etag, "content-length": "3000" });
        response.write(bytes.subarray(0, 10), () => request.socket.resetAndDestroy());
      },
      failure: "unreachable",
    },
    "silence before the answer": { answer: () => {}, failure: "timeout" },
    "silence in mid-body": {
      answer: (request, response) => {
        const { first, last, bytes } = part(request);
        response.writeHead(206, { "content-range": `bytes ${first}-${last}/${sizeBytes}`, etag: version.etag, "content-length": "3000" });
        response.write(bytes.subarray(0, 1000));
      },
      failure: "timeout",
    },
    "a gzipped body": {
      answer: (request, response) => sendRange(request, response, { "content-encoding": "gzip" }, (bytes) => gzipSync(bytes)),
      failure: "bad-answer",
    },
    "another ETag": { answer: (request, response) => sendRange(request, response, { etag: '"2"' }), failure: "version-changed" },
    "a weak ETag of the same text": {
      answer: (request, response) => sendRange(request, response, { etag: 'W/"1"' }),
      failure: "version-changed",
    },
    "no ETag where there was one": {
      answer: (request, response) => {
        const { first, last, bytes } = part(request);
        response.writeHead(206, { "content-range": `bytes ${first}-${last}/${sizeBytes}` });
        response.end(bytes);
      },
      failure: "version-changed",
    },
    "another date under a weak ETag": {
      answer: (request, response) => sendRange(request, response, { etag: 'W/"1"', "last-modified": "Mon, 02 Nov 2026 10:00:01 GMT" }),
      failure: "version-changed",
      range: { etag: 'W/"1"' },
    },
    "another date, and never an ETag": {
      answer: (request, response) => sendRange(request, response, { etag: "", "last-modified": "Mon, 02 Nov 2026 10:00:01 GMT" }),
      failure: "version-changed",
      range: { etag: "" },
    },
    "200 with the whole object for a part of it": {
      answer: (_request, response) => {
        response.writeHead(200, { etag: version.etag });
        response.end(body);
      },
      failure: "bad-status",
    },
    "416": { answer: (_request, response) => void response.writeHead(416).end(), failure: "version-changed" },
    "500": { answer: (_request, response) => void response.writeHead(500).end("no"), failure: "bad-status" },
    "503 with a long page": { answer: (_request, response) => void response.writeHead(503).end(Buffer.alloc(1e6)), failure: "busy" },
    "429": { answer: (_request, response) => void response.writeHead(429, { "retry-after": "7" }).end(), failure: "busy" },
    "508": { answer: (_request, response) => void response.writeHead(508).end(), failure: "loop" },
    "a redirect": { answer: (_request, response) => void response.writeHead(302, { location: "/b" }).end(), failure: "bad-status" },
    "204": { answer: (_request, response) => void response.writeHead(204).end(), failure: "bad-status" },
  };

  for (const [misdeed, { answer, failure, range }] of Object.entries(misdeeds)) {
    test(`HttpUpstream's fetch() names ${failure} when the server answers with ${misdeed}, and the next fetch is right`, async (context) => {
      let honest = false;
      const { upstream } = await openServer(context, (request, response) =>
        honest ? sendRange(request, response, range?.etag === undefined ? {} : { etag: range.etag }) : answer(request, response),
      );
      const wanted = rangeOf(range);
      const outcome = await upstream.fetch(wanted);
      assert.ok(typeof outcome === "object", `it answered ${outcome}`);
      assert.equal(outcome.failure, failure, outcome.detail);
      assert.ok(outcome.detail.length > 0);
      // The frame is somebody else's by now: nothing may come into it late.
      wanted.into.fill(7);
      honest = true;
      const next = rangeOf(range);
      assert.equal(await upstream.fetch(next), undefined);
      assert.deepEqual(Buffer.from(next.into), body.subarray(5000, 8000));
      assert.ok(
        wanted.into.every((byte) => byte === 7),
        "bytes came after the answer",
      );
    });
  }

  test("HttpUpstream knows 404 and 410 for absence", async (context) => {
    for (const status of [404, 410]) {
      const { upstream } = await openServer(context, (_request, response) => void response.writeHead(status).end("nothing here"));
      assert.equal(await upstream.fetch(rangeOf()), "not-found");
      assert.equal(await upstream.describe({ path: "a", via: [] }), "not-found");
    }
  });

  test("HttpUpstream does not mind another ETag on bytes that digests will be held against", async (context) => {
    const { upstream } = await openServer(context, (request, response) => sendRange(request, response, { etag: '"other"' }));
    assert.equal(await upstream.fetch(rangeOf({ digested: true })), undefined);
  });

  test("HttpUpstream names a port where nobody listens, and one that accepts and says nothing", async (context) => {
    const sockets: Socket[] = [];
    const silent = createSocketServer((socket) => void sockets.push(socket));
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const { port } = silent.address() as AddressInfo;
    const accepting = openUpstream(context, port);
    for (const outcome of [await accepting.fetch(rangeOf()), await accepting.describe({ path: "a", via: [] })]) {
      assert.ok(typeof outcome === "object" && "failure" in outcome);
      assert.equal(outcome.failure, "timeout");
    }
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => silent.close(resolve));
    const closed = await openUpstream(context, port).fetch(rangeOf());
    assert.ok(typeof closed === "object");
    assert.equal(closed.failure, "unreachable");
  });

  test("HttpUpstream names what speaks no HTTP", async (context) => {
    const server = createSocketServer((socket) => socket.end("220 mail.example ESMTP\r\n"));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const outcome = await openUpstream(context, port, "/", () => server.close()).fetch(rangeOf());
    assert.ok(typeof outcome === "object");
    assert.equal(outcome.failure, "bad-answer");
  });

  /** Answers HEAD with `headers`, and the digests with `digests`. */
  function describing(headers: Record<string, string>, digests?: { status: number; bytes: Buffer }): Answer {
    return (request, response) => {
      if (request.url!.startsWith("/.millrace/")) response.writeHead(digests?.status ?? 404).end(digests?.bytes);
      else response.writeHead(200, headers).end();
    };
  }

  const published = makeObjectDigests({
    path: "a",
    sizeBytes: 5,
    chunkBytes: 4,
    chunkDigests: [digestChunk(Buffer.from("hell")), digestChunk(Buffer.from("o"))],
    lastModifiedUnixMs: 7,
  });

  test("HttpUpstream describes an object by its headers when there are no digests", async (context) => {
    const head = { "content-length": "12", etag: 'W/"x"', "last-modified": lastModified };
    const { upstream } = await openServer(context, describing(head));
    assert.deepEqual(await upstream.describe({ path: "a", via: [] }), { sizeBytes: 12, etag: 'W/"x"', lastModifiedUnixMs });
    const { upstream: bare } = await openServer(context, describing({ "content-length": "0", "last-modified": "yesterday" }));
    assert.deepEqual(await bare.describe({ path: "a", via: [] }), { sizeBytes: 0, etag: "", lastModifiedUnixMs: 0 });
  });

  test("HttpUpstream describes an object by its digests, and asks nothing else then", async (context) => {
    const seen: string[] = [];
    const { upstream } = await openServer(context, (request, response) => {
      seen.push(request.url!);
      response.end(encodeObjectDigests(published));
    });
    const described = await upstream.describe({ path: "a", via: [] });
    assert.ok(typeof described === "object" && "etag" in described);
    assert.deepEqual([described.sizeBytes, described.etag, described.lastModifiedUnixMs], [5, published.etag, 7]);
    assert.equal(described.digests?.chunkBytes, 4);
    assert.deepEqual(seen, [`/${digestsPathOf("a")}`]);
  });

  test("HttpUpstream takes digests that are noise, another object's or contradict themselves for none", async (context) => {
    for (const bytes of [
      Buffer.from("<html>Welcome to our shop</html>"),
      Buffer.alloc(0),
      encodeObjectDigests({ ...published, path: "b" }),
      encodeObjectDigests({ ...published, etag: '"0"' }),
      encodeObjectDigests(published).subarray(0, 40),
    ]) {
      const { upstream } = await openServer(context, describing({ "content-length": "12", etag: '"x"' }, { status: 200, bytes }));
      assert.deepEqual(await upstream.describe({ path: "a", via: [] }), { sizeBytes: 12, etag: '"x"', lastModifiedUnixMs: 0 });
    }
  });

  test("HttpUpstream does not take trouble with the digests for their absence", async (context) => {
    for (const [answer, failure] of [
      [(_request, response) => void response.writeHead(500).end(), "bad-status"],
      [(request) => request.socket.destroy(), "unreachable"],
      [() => {}, "timeout"],
      [
        (_request, response) => {
          response.writeHead(200, { "content-length": "100" });
          response.write(encodeObjectDigests(published).subarray(0, 40), () => response.destroy());
        },
        "unreachable",
      ],
    ] satisfies [Answer, string][]) {
      const { upstream } = await openServer(context, (request, response) =>
        request.url!.startsWith("/.millrace/") ? answer(request, response) : response.writeHead(200, { "content-length": "12" }).end(),
      );
      const outcome = await upstream.describe({ path: "a", via: [] });
      assert.ok(typeof outcome === "object" && "failure" in outcome, "the object was described without its digests");
      assert.equal(outcome.failure, failure);
    }
  });

  test("HttpUpstream does not describe an object without a size, or behind an error or a redirect", async (context) => {
    for (const [answer, failure] of [
      [(_request, response) => void response.writeHead(200, { "transfer-encoding": "chunked" }).end(), "bad-answer"],
      [(_request, response) => void response.writeHead(403).end(), "bad-status"],
      [(_request, response) => void response.writeHead(301, { location: "/b" }).end(), "bad-status"],
    ] satisfies [Answer, string][]) {
      const { upstream } = await openServer(context, (request, response) =>
        request.url!.startsWith("/.millrace/") ? response.writeHead(404).end() : answer(request, response),
      );
      const outcome = await upstream.describe({ path: "a", via: [] });
      assert.ok(typeof outcome === "object" && "failure" in outcome);
      assert.equal(outcome.failure, failure);
    }
  });
});
