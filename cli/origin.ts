// A small static origin over HTTP/1.1: files of a folder with ranges, entity tags and digests. For demos, tests and small networks.
import { closeSync, openSync, writeSync, type Stats } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { LRUCache } from "lru-cache";
import send from "send";
import { digestsPathOf, digestsPrefix, parseObjectDigests } from "../fill-protocol/object-digests.js";
import { listen } from "../runtime/admin-server.js";
import { messageOf, OperatingError } from "../runtime/operating-error.js";

/** How long a transfer may go on after the wish to stop. */
const drainMs = 5_000;
/** Of so many objects the tag is remembered; each takes some 200 bytes. */
const maxKnownTags = 10_000;

export interface OriginOptions {
  folder: string;
  host: string;
  /** 0 picks a free port. */
  port: number;
  /** Gets one JSON line per request: method, path, range, status, bytes of files that were sent. */
  accessLog?: string;
}

export interface Origin {
  port: number;
  requests: number;
  bodyBytes: number;
  close(): Promise<void>;
}

/** @throws OperatingError "folder-missing", "access-log-unwritable", "port-taken" or "listen-failed". */
export async function openOrigin({ folder, host, port, accessLog }: OriginOptions): Promise<Origin> {
  const found = await stat(folder).catch(() => undefined);
  if (!found?.isDirectory())
    throw new OperatingError("folder-missing", `Cannot serve ${folder}: there is no such folder`, { source: folder });
  const logFile = accessLog === undefined ? undefined : openLog(accessLog);
  const entityTags = new EntityTags(folder);
  const server = createServer((request, response) => {
    let bytes = 0;
    response.once("close", () => {
      origin.requests++;
      origin.bodyBytes += bytes;
      if (logFile === undefined) return;
      const { method, url: path } = request;
      writeSync(logFile, `${JSON.stringify({ method, path, range: request.headers.range, status: response.statusCode, bytes })}\n`);
    });
    void serve(request, response, (count) => (bytes += count));
  });

  async function serve(request: IncomingMessage, response: ServerResponse, onBodyBytes: (count: number) => void): Promise<void> {
    const refuse = (status: number, text: string) => {
      response.writeHead(status, { "Content-Type": "text/plain", "Content-Length": text.length });
      response.end(request.method === "HEAD" ? undefined : text);
    };
    if (request.method !== "GET" && request.method !== "HEAD") {
      response.setHeader("Allow", "GET, HEAD");
      return refuse(405, "Only GET and HEAD\n");
    }
    const path = request.url?.split("?", 1)[0] ?? "/";
    // Digests are the one hidden folder that is served; each of the two roots has no way out and no hidden files.
    const digests = path.startsWith(`/${digestsPrefix}`);
    const tag = digests ? undefined : await entityTags.get(path);
    send(request, digests ? path.slice(digestsPrefix.length) : path, {
      root: digests ? join(folder, digestsPrefix) : folder,
      dotfiles: "ignore",
      index: false,
    })
      .on("headers", (response: ServerResponse, _: string, file: Stats) => {
        // Read a moment ago: it is the tag of these bytes when size and time fit, too.
        if (tag && tag.sizeBytes === file.size && tag.modifiedMs === file.mtime.getTime()) response.setHeader("ETag", tag.etag);
      })
      .on("stream", (stream: NodeJS.ReadableStream) => {
        if (request.method === "GET") stream.on("data", (piece: Buffer) => onBodyBytes(piece.length));
      })
      .on("directory", () => refuse(404, "Not found\n"))
      .on("error", (error: { status?: number }) => {
        if (response.headersSent) response.destroy();
        else
          refuse(
            error.status ?? 500,
            error.status === 416 ? "Range not satisfiable\n" : error.status === 404 ? "Not found\n" : "Refused\n",
          );
      })
      .pipe(response);
  }

  const origin: Origin = {
    port,
    requests: 0,
    bodyBytes: 0,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      const timer = setTimeout(() => server.closeAllConnections(), drainMs);
      await closed;
      clearTimeout(timer);
      if (logFile !== undefined) closeSync(logFile);
    },
  };
  await listen(server, host, port);
  origin.port = (server.address() as AddressInfo).port;
  return origin;
}

function openLog(path: string): number {
  try {
    return openSync(path, "a");
  } catch (error) {
    throw new OperatingError("access-log-unwritable", `Cannot write the access log ${path}: ${messageOf(error)}`, {
      source: path,
      cause: error,
    });
  }
}

interface EntityTag {
  etag: string;
  sizeBytes: number;
  modifiedMs: number;
}

/** The strong entity tags that ingest made, remembered until the digests file changes. */
class EntityTags {
  private readonly known = new LRUCache<string, { version: string; tag: EntityTag | undefined }>({ max: maxKnownTags });

  constructor(private readonly folder: string) {}

  /** Undefined for what has no digests; `send` then makes a weak tag of size and time. */
  async get(urlPath: string): Promise<EntityTag | undefined> {
    let path: string;
    try {
      path = decodeURIComponent(urlPath).replace(/^\/+/, "");
    } catch {
      return undefined;
    }
    if (path.includes("\0") || path.split("/").includes("..")) return undefined;
    const file = join(this.folder, digestsPathOf(path));
    try {
      const { ino, mtimeMs, size } = await stat(file);
      const version = `${ino} ${mtimeMs} ${size}`;
      const known = this.known.get(path);
      if (known?.version === version) return known.tag;
      const digests = parseObjectDigests(await readFile(file), path);
      const tag = digests && { etag: digests.etag, sizeBytes: Number(digests.sizeBytes), modifiedMs: Number(digests.lastModifiedUnixMs) };
      this.known.set(path, { version, tag });
      return tag;
    } catch {
      return undefined;
    }
  }
}
