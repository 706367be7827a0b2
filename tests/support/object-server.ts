// An HTTP server of generated objects for the bench's tests, with faults that can be turned on.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo } from "node:net";
import { fillWithContent } from "../../bench/load/offset-content.js";

export const objectBytes = 2 ** 20;

export type Fault =
  | "none"
  /** One byte of each body is wrong. */
  | "wrong-byte"
  /** The body of another object. */
  | "wrong-object"
  /** The connection ends in order in the middle of each body. */
  | "short-body"
  | "wrong-range"
  /** Answers 200 with the whole object. */
  | "ignore-range"
  | "503"
  /** The connection is reset in the middle of each body. */
  | "reset"
  /** Never answers. */
  | "silent";

export interface ObjectServer {
  url: string;
  port: number;
  fault: Fault;
  requests: number;
  /** No request is answered from now until `ms` later. */
  stall(ms: number): void;
  close(): Promise<void>;
}

export async function openObjectServer(tls?: { cert: string; key: string }): Promise<ObjectServer> {
  let stalledUntilMs = 0;
  const onRequest = (request: IncomingMessage, response: ServerResponse) => {
    state.requests++;
    const waitMs = stalledUntilMs - performance.now();
    if (waitMs > 0) setTimeout(() => answer(request, response, state.fault), waitMs);
    else answer(request, response, state.fault);
  };
  const server = tls === undefined ? createServer(onRequest) : createSecureServer(tls, onRequest);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const state: ObjectServer = {
    url: `${tls === undefined ? "http" : "https"}://127.0.0.1:${port}/`,
    port,
    fault: "none",
    requests: 0,
    stall: (ms) => {
      stalledUntilMs = performance.now() + ms;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return state;
}

function answer(request: IncomingMessage, response: ServerResponse, fault: Fault): void {
  const number = /^\/object-(\d{6})\.bin$/.exec(request.url ?? "")?.[1];
  const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
  if (number === undefined) {
    response.writeHead(404).end();
    return;
  }
  if (fault === "silent") return;
  if (fault === "503") {
    response.writeHead(503, { "Retry-After": "1", "Content-Length": 5 }).end("busy\n");
    return;
  }
  const [first, last] = range === null || fault === "ignore-range" ? [0, objectBytes - 1] : [Number(range[1]), Number(range[2])];
  const body = Buffer.alloc(last - first + 1);
  fillWithContent(body, Number(number) + (fault === "wrong-object" ? 1 : 0), first);
  if (fault === "wrong-byte") body[body.length - 1]! ^= 1;
  const shift = fault === "wrong-range" ? 1 : 0;
  const ranged = range !== null && fault !== "ignore-range";
  response.writeHead(ranged ? 206 : 200, {
    "Content-Length": body.length,
    ...(ranged ? { "Content-Range": `bytes ${first + shift}-${last + shift}/${objectBytes}` } : {}),
  });
  if (fault === "short-body" || fault === "reset") {
    response.write(body.subarray(0, body.length >>> 1), () => {
      if (fault === "reset") request.socket.resetAndDestroy();
      else request.socket.end();
    });
  } else response.end(body);
}
