// An HTTP source of objects with digests, which can be told to lie, to stall and to break off.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { digestChunk, digestsPathOf, encodeObjectDigests, makeObjectDigests } from "../../fill-protocol/object-digests.js";

/** Digests are of pieces of this size. */
export const pieceBytes = 16_384;

export const misdeeds = [
  "flip",
  "other-bytes",
  "truncate",
  "reset",
  "wrong-etag",
  "stall",
  "stall-in-body",
  "wrong-range",
  "whole-object",
  "long-content-length",
  "short-content-length",
  "endless",
  "drip",
  "busy",
  "error",
  "garbage",
  "encoded",
] as const;
export type Misdeed = (typeof misdeeds)[number];

export interface SourceObject {
  path: string;
  bytes: Buffer;
  etag: string;
  digests: Buffer;
}

/** An object of `sizeBytes` whose bytes follow from its path. */
export function makeObject(path: string, sizeBytes: number): SourceObject {
  const bytes = Buffer.alloc(sizeBytes);
  for (let at = 0, state = path.length * 7919 + path.charCodeAt(path.length - 1); at < sizeBytes; at++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) | 0;
    bytes[at] = state >>> 16;
  }
  const chunkDigests = Array.from({ length: Math.ceil(sizeBytes / pieceBytes) }, (_, piece) =>
    digestChunk(bytes.subarray(piece * pieceBytes, (piece + 1) * pieceBytes)),
  );
  const digests = makeObjectDigests({ path, sizeBytes, chunkBytes: pieceBytes, chunkDigests, lastModifiedUnixMs: 1_700_000_000_000 });
  return { path, bytes, etag: digests.etag, digests: encodeObjectDigests(digests) };
}

export interface ScriptedSource {
  port: number;
  url: string;
  /** What it does with every range it is asked for. */
  misdeed: Misdeed | "none";
  /** While it is set, ranges come only up to here; then wait until it is cleared by `open`. */
  holdAfterBytes: number | undefined;
  open(): void;
  /** Ranges that were asked for: path and first byte. */
  readonly ranges: string[];
  /** Requests of any kind. */
  requests: number;
  close(): Promise<void>;
}

export async function openSource(objects: readonly SourceObject[], misdeed: ScriptedSource["misdeed"] = "none"): Promise<ScriptedSource> {
  const byPath = new Map(objects.map((object) => [`/${object.path}`, object]));
  const digestsByPath = new Map(objects.map((object) => [`/${digestsPathOf(object.path)}`, object.digests]));
  let waiting: (() => void)[] = [];
  const server = createServer((request, response) => {
    source.requests++;
    const digests = digestsByPath.get(request.url!);
    if (digests) return void response.end(digests);
    const object = byPath.get(request.url!);
    if (!object) return void response.writeHead(404).end();
    if (request.method === "HEAD") return void response.writeHead(200, { etag: object.etag, "content-length": object.bytes.length }).end();
    const [first, last] = /^bytes=(\d+)-(\d+)$/
      .exec(request.headers.range ?? "")!
      .slice(1)
      .map(Number) as [number, number];
    source.ranges.push(`${object.path} ${first}`);
    answer(request, response, object, first, last);
  });
  const answer = (request: IncomingMessage, response: ServerResponse, object: SourceObject, first: number, last: number) => {
    const part = Buffer.from(object.bytes.subarray(first, last + 1));
    const headers: Record<string, string | number> = {
      etag: object.etag,
      "content-range": `bytes ${first}-${last}/${object.bytes.length}`,
      "content-length": part.length,
    };
    const half = part.length >>> 1;
    switch (source.misdeed) {
      case "flip":
        part[(first * 31 + 7) % part.length]! ^= 1;
        break;
      case "other-bytes":
        part.fill(first & 255);
        break;
      case "truncate":
        headers["content-length"] = half;
        return void response.writeHead(206, headers).end(part.subarray(0, half));
      case "reset":
        return void response.writeHead(206, headers).write(part.subarray(0, half), () => request.socket.resetAndDestroy());
      case "wrong-etag":
        headers["etag"] = '"another"';
        part.fill(1);
        break;
      case "stall":
        return;
      case "stall-in-body":
        return void response.writeHead(206, headers).write(part.subarray(0, half));
      case "wrong-range":
        headers["content-range"] = `bytes ${first + 1}-${last + 1}/${object.bytes.length}`;
        break;
      case "whole-object":
        return void response.writeHead(200, { etag: object.etag, "content-length": object.bytes.length }).end(object.bytes);
      case "long-content-length":
        headers["content-length"] = part.length + 10;
        response.writeHead(206, headers).write(part);
        return void request.socket.end();
      case "short-content-length":
        return void request.socket.end(
          Buffer.concat([
            Buffer.from(
              `HTTP/1.1 206 Partial Content\r\nETag: ${object.etag}\r\nContent-Range: ${headers["content-range"]}\r\nContent-Length: ${half}\r\n\r\n`,
            ),
            part,
          ]),
        );
      case "endless": {
        delete headers["content-length"];
        response.writeHead(206, headers);
        const more = () => {
          if (response.destroyed || request.socket.destroyed) return;
          response.write(part, () => setImmediate(more));
        };
        return more();
      }
      case "drip": {
        response.writeHead(206, headers);
        let sent = 0;
        const timer = setInterval(() => {
          if (response.destroyed || sent >= part.length) clearInterval(timer);
          else response.write(part.subarray(sent, ++sent));
        }, 20);
        return;
      }
      case "busy":
        return void response.writeHead(503, { "retry-after": "1" }).end("busy\n");
      case "error":
        return void response.writeHead(500).end("error\n");
      case "garbage":
        return void request.socket.end(Buffer.concat([Buffer.from("SSH-2.0-x\r\n"), part]));
      case "encoded":
        headers["content-encoding"] = "gzip";
        break;
      case "none":
        break;
    }
    response.writeHead(206, headers);
    const hold = source.holdAfterBytes;
    if (hold === undefined || hold >= part.length) return void response.end(part);
    response.write(part.subarray(0, hold));
    waiting.push(() => response.end(part.subarray(hold)));
  };
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const source: ScriptedSource = {
    port,
    url: `http://127.0.0.1:${port}/`,
    misdeed,
    holdAfterBytes: undefined,
    open: () => {
      source.holdAfterBytes = undefined;
      for (const goOn of waiting) goOn();
      waiting = [];
    },
    ranges: [],
    requests: 0,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return source;
}
