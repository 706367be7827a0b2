// An origin of generated objects with digests that counts how often each of its chunks was asked for.
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { digestChunk, digestsPrefix, encodeObjectDigests, makeObjectDigests } from "../../fill-protocol/object-digests.js";

export interface OriginObject {
  path: string;
  sizeBytes: number;
  etag: string;
  sha256: string;
}

export interface CountingOrigin {
  url: string;
  objects: ReadonlyMap<string, OriginObject>;
  /** Each answer with bytes waits so long. */
  delayMs: number;
  /** Bytes of objects are answered with 503, and not counted. */
  refuses: boolean;
  /** How often each chunk was asked for: bytes asked for by bytes there are, so that a chunk that comes in pieces counts once. Keys are "PATH NUMBER". */
  askedFor(): Map<string, number>;
  close(): Promise<void>;
}

/** `sizes` by path. */
export async function openCountingOrigin(sizes: ReadonlyMap<string, number>, chunkBytes: number): Promise<CountingOrigin> {
  const objects = new Map<string, OriginObject>();
  const contents = new Map<string, Buffer>();
  const digests = new Map<string, Buffer>();
  const askedBytes = new Map<string, number>();
  for (const [path, sizeBytes] of sizes) {
    const content = contentOf(path, sizeBytes);
    const chunkDigests = Array.from({ length: Math.ceil(sizeBytes / chunkBytes) }, (_, at) =>
      digestChunk(content.subarray(at * chunkBytes, (at + 1) * chunkBytes)),
    );
    const made = makeObjectDigests({ path, sizeBytes, chunkBytes, chunkDigests, lastModifiedUnixMs: 1_700_000_000_000 });
    objects.set(path, { path, sizeBytes, etag: made.etag, sha256: createHash("sha256").update(content).digest("hex") });
    contents.set(path, content);
    digests.set(path, encodeObjectDigests(made));
  }
  const answer = (request: IncomingMessage, response: ServerResponse) => {
    const path = decodeURIComponent(request.url!.slice(1));
    const encoded = path.startsWith(digestsPrefix) ? digests.get(path.slice(digestsPrefix.length)) : undefined;
    if (encoded) return void response.writeHead(200, { "Content-Length": encoded.length }).end(encoded);
    const [object, content] = [objects.get(path), contents.get(path)];
    if (!object || !content) return void response.writeHead(404).end();
    if (origin.refuses && request.method !== "HEAD") return void response.writeHead(503, { "Retry-After": "1", "Content-Length": 0 }).end();
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
    const [first, last] = range ? [Number(range[1]), Math.min(Number(range[2]), content.length - 1)] : [0, content.length - 1];
    const body = content.subarray(first, last + 1);
    response.writeHead(range ? 206 : 200, {
      ETag: object.etag,
      "Last-Modified": new Date(1_700_000_000_000).toUTCString(),
      "Accept-Ranges": "bytes",
      "Content-Length": body.length,
      ...(range ? { "Content-Range": `bytes ${first}-${last}/${content.length}` } : {}),
    });
    if (request.method === "HEAD") return void response.end();
    for (let chunk = Math.floor(first / chunkBytes); chunk * chunkBytes <= last; chunk++) {
      const bytes = Math.min(last + 1, (chunk + 1) * chunkBytes) - Math.max(first, chunk * chunkBytes);
      askedBytes.set(`${path} ${chunk}`, (askedBytes.get(`${path} ${chunk}`) ?? 0) + bytes);
    }
    setTimeout(() => response.end(body), origin.delayMs);
  };
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const origin: CountingOrigin = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    objects,
    delayMs: 0,
    refuses: false,
    askedFor: () =>
      new Map(
        [...askedBytes].map(([key, bytes]) => {
          const [path, chunk] = key.split(" ") as [string, string];
          return [key, bytes / Math.min(chunkBytes, objects.get(path)!.sizeBytes - Number(chunk) * chunkBytes)];
        }),
      ),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return origin;
}

/** Bytes that repeat nowhere, made from the path. */
function contentOf(path: string, sizeBytes: number): Buffer {
  const content = Buffer.alloc(sizeBytes);
  for (let at = 0; at < sizeBytes; at += 32) createHash("sha256").update(`${path} ${at}`).digest().copy(content, at);
  return content;
}
