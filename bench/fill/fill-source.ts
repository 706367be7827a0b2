// The source of the fill bench, a thread of its own: objects from memory with their digests, as fast as they are taken, or slowly from far away.
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import { parentPort, workerData } from "node:worker_threads";
import { digestChunk, digestsPathOf, encodeObjectDigests, makeObjectDigests } from "../../fill-protocol/object-digests.js";
import type { ManifestObject } from "./manifest-server.js";

export interface FillSourceData {
  /** `fast-N.bin`, as fast as they are taken, and `far-N.bin`: each answer begins after `delayMs` and comes at `bytesPerSecond`. */
  fast: number;
  far: number;
  objectBytes: number;
  pieceBytes: number;
  delayMs: number;
  bytesPerSecond: number;
}

export interface FillSourceReady {
  url: string;
  objects: ManifestObject[];
}

const slowPartBytes = 64 * 1024;
const { fast, far, objectBytes, pieceBytes, delayMs, bytesPerSecond } = workerData as FillSourceData;

// All objects have the same bytes, so that they are made and hashed once; their paths make them different objects.
const content = Buffer.alloc(objectBytes);
for (let at = 0, state = 1; at < objectBytes; at += 4) content.writeInt32LE((state = (Math.imul(state, 1_103_515_245) + 12_345) | 0), at);
const chunkDigests = Array.from({ length: Math.ceil(objectBytes / pieceBytes) }, (_, piece) =>
  digestChunk(content.subarray(piece * pieceBytes, (piece + 1) * pieceBytes)),
);
const answers = new Map<string, Buffer>();
const objects: ManifestObject[] = [];
const etags = new Map<string, string>();
for (const path of [...names("fast", fast), ...names("far", far)]) {
  const digests = makeObjectDigests({
    path,
    sizeBytes: objectBytes,
    chunkBytes: pieceBytes,
    chunkDigests,
    lastModifiedUnixMs: 1_700_000_000_000,
  });
  answers.set(`/${digestsPathOf(path)}`, encodeObjectDigests(digests));
  etags.set(`/${path}`, digests.etag);
  objects.push({ path, etag: digests.etag, sizeBytes: objectBytes });
}
/** Ranges asked for, by object. */
const asked = new Map<string, number>();

const server = createServer((request, response) => {
  const path = request.url!;
  const digests = answers.get(path);
  if (digests) return void response.end(digests);
  const etag = etags.get(path);
  const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
  if (etag === undefined || !range) return void response.writeHead(404).end();
  asked.set(path, (asked.get(path) ?? 0) + 1);
  const [first, last] = [Number(range[1]), Number(range[2])];
  const head = { etag, "content-length": last - first + 1, "content-range": `bytes ${first}-${last}/${objectBytes}` };
  if (path.startsWith("/fast")) return void response.writeHead(206, head).end(content.subarray(first, last + 1));
  void sendFromFar(response, head, first, last);
});

async function sendFromFar(response: ServerResponse, head: Record<string, string | number>, first: number, last: number): Promise<void> {
  await wait(delayMs);
  response.writeHead(206, head);
  for (let at = first; at <= last && !response.destroyed; at += slowPartBytes) {
    response.write(content.subarray(at, Math.min(at + slowPartBytes, last + 1)));
    await wait((slowPartBytes / bytesPerSecond) * 1000);
  }
  response.end();
}

function names(kind: string, count: number): string[] {
  return Array.from({ length: count }, (_, at) => `${kind}-${at}.bin`);
}

server.listen(0, "127.0.0.1", () => {
  parentPort!.postMessage({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, objects } satisfies FillSourceReady);
});
// The one question: how often was each object asked for.
parentPort!.on("message", () => parentPort!.postMessage(asked));
