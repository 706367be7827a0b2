import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseResponseHead, ResponseReader, type ResponseHead } from "./response-reader.js";

interface Seen {
  status: number;
  body: string;
  bytes: number;
}

/** What a reader makes of `wire`, given in pieces that end at `cuts`, through one reused buffer as connections do. */
function readAll(wire: string, cuts: readonly number[]): { seen: Seen[]; whole: boolean; ok: boolean } {
  const seen: Seen[] = [];
  let head: ResponseHead | null = null;
  let body = "";
  const reader = new ResponseReader({
    onHead: (parsed) => {
      head = parsed;
      body = "";
      return true;
    },
    onBody: (buffer, start, end, offset) => {
      assert.equal(offset, body.length);
      body += buffer.toString("latin1", start, end);
    },
    onEnd: (bytes) => seen.push({ status: head!.status, body, bytes }),
  });
  // What an earlier read left behind must not be taken for part of this one.
  const buffer = Buffer.from("\r\n\r\nHTTP/1.1 200 OK\r\n\r\n\n".repeat(Math.ceil(wire.length / 20) + 1), "latin1");
  const ends = [...new Set(cuts.map((cut) => cut % wire.length))].sort((a, b) => a - b);
  let at = 0;
  let ok = true;
  for (const end of [...ends, wire.length]) {
    if (end === at) continue;
    buffer.write(wire.slice(at, end), 0, "latin1");
    ok = ok && reader.read(buffer, end - at);
    at = end;
  }
  return { seen, whole: !reader.midResponse, ok };
}

const responses = [
  { wire: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", seen: { status: 200, body: "hello", bytes: 5 } },
  {
    wire: "HTTP/1.1 206 Partial Content\r\ncontent-LENGTH:3\r\nContent-Range: bytes 0-2/9\r\n\r\n\r\n\r",
    seen: { status: 206, body: "\r\n\r", bytes: 3 },
  },
  { wire: "HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n", seen: { status: 304, body: "", bytes: 0 } },
  { wire: "HTTP/1.1 503 \r\nContent-Length: 0\r\n\r\n", seen: { status: 503, body: "", bytes: 0 } },
  { wire: "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", seen: { status: 204, body: "", bytes: 0 } },
  {
    wire: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;name=v\r\nwiki\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n",
    seen: { status: 200, body: "wiki0123456789", bytes: 14 },
  },
];

test("ResponseReader reads any sequence of responses, however the network cuts it", () => {
  const sequence = fc.array(fc.constantFrom(...responses), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(sequence, fc.array(fc.nat(), { maxLength: 30, size: "max" }), (picked, cuts) => {
      const { seen, whole, ok } = readAll(picked.map(({ wire }) => wire).join(""), cuts);
      assert.deepEqual(
        seen,
        picked.map((response) => response.seen),
      );
      assert.ok(whole && ok);
    }),
    { numRuns: 500 },
  );
});

test("ResponseReader knows that a response is not whole at any earlier byte", () => {
  for (const { wire } of responses) {
    for (let length = 1; length < wire.length; length++) {
      if (wire.slice(0, length).endsWith("Continue\r\n\r\n")) continue;
      assert.equal(readAll(wire.slice(0, length), []).whole, false, JSON.stringify(wire.slice(0, length)));
    }
  }
});

test("ResponseReader refuses what is not HTTP/1.1", () => {
  for (const wire of [
    "SSH-2.0-OpenSSH_9.2\r\n",
    "HTTP/2 200\r\n\r\n",
    "HTTP/1.1 20 OK\r\nContent-Length: 1\r\n\r\nx",
    "HTTP/1.1 200 OK\r\n\r\nuntil the end",
    "HTTP/1.1 101 Switching Protocols\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabcd\r\n",
    `HTTP/1.1 200 OK\r\nX: ${"y".repeat(40_000)}`,
  ]) {
    assert.equal(readAll(wire, []).ok, false, JSON.stringify(wire.slice(0, 60)));
  }
});

test("parseResponseHead() takes what it needs", () => {
  const text =
    "HTTP/1.1 206 Partial Content\r\nX-Content-Length: 9\r\nCONTENT-length:  12 \r\nConnection: Close\r\nContent-Range: bytes 100-111/5000";
  assert.deepEqual(parseResponseHead(text), { status: 206, contentLength: 12, closes: true, rangeFirst: 100, rangeLast: 111 });
});
