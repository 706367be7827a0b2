// The admin port of a process: /healthz, /readyz, /metrics, /status. For operators and Prometheus, not for players.
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Registry } from "prom-client";
import { errnoOf, messageOf, OperatingError } from "./operating-error.js";

export interface AdminServerOptions {
  host: string;
  /** 0 picks a free port. */
  port: number;
  registry: Registry;
  /** Undefined when the process can do its work, else why it can't. */
  whyNotReady: () => string | undefined;
  /** What GET /status answers, as JSON. */
  status: () => unknown;
  /** What POST does, by path: it takes the JSON of the request and gives the JSON of the answer. Only this machine may ask. */
  actions?: Readonly<Record<string, (body: unknown) => Promise<unknown>>>;
}

/** The body of an action is a few names. */
const actionBytesMax = 64 * 1024;

export interface AdminServer {
  /** The port that was taken. */
  port: number;
  close(): Promise<void>;
}

/** Opens the admin port. @throws OperatingError "port-taken" or "listen-failed". */
export async function openAdminServer(options: AdminServerOptions): Promise<AdminServer> {
  const server = createServer((request, response) => {
    const answer = (status: number, type: string, body: string) => {
      response.writeHead(status, { "Content-Type": type, "Cache-Control": "no-store" });
      response.end(request.method === "HEAD" ? undefined : body);
    };
    const path = request.url?.split("?", 1)[0] ?? "";
    const action = options.actions?.[path];
    if (request.method === "POST" && action) {
      runAction(request, action).then(
        ({ status, body }) => answer(status, "application/json", `${JSON.stringify(body, null, 2)}\n`),
        () => request.destroy(),
      );
      return;
    }
    if (action) {
      response.setHeader("Allow", "POST");
      return answer(405, "text/plain", "Only POST\n");
    }
    if (request.method !== "GET" && request.method !== "HEAD") {
      response.setHeader("Allow", "GET, HEAD");
      answer(405, "text/plain", "Only GET and HEAD\n");
      return;
    }
    switch (path) {
      case "/healthz":
        return answer(200, "text/plain", "ok\n");
      case "/readyz": {
        const why = options.whyNotReady();
        return why === undefined ? answer(200, "text/plain", "ready\n") : answer(503, "text/plain", `not ready: ${why}\n`);
      }
      case "/metrics":
        options.registry.metrics().then(
          (text) => answer(200, options.registry.contentType, text),
          (error: unknown) => answer(500, "text/plain", `${messageOf(error)}\n`),
        );
        return;
      case "/status":
        return answer(200, "application/json", `${JSON.stringify(options.status(), null, 2)}\n`);
      default:
        return answer(404, "text/plain", "Here are /healthz, /readyz, /metrics and /status\n");
    }
  });
  await listen(server, options.host, options.port);
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function runAction(
  request: IncomingMessage,
  action: (body: unknown) => Promise<unknown>,
): Promise<{ status: number; body: unknown }> {
  const refuse = (status: number, code: string, message: string) => ({ status, body: { error: { code, message } } });
  const from = request.socket.remoteAddress ?? "";
  if (!/^(?:::ffff:)?127\.|^::1$/.test(from)) return refuse(403, "not-from-here", "Actions are taken from this machine only");
  // A page in a browser on this machine cannot send this type without asking first, and nobody answers that question.
  if (!/^application\/json\b/.test(request.headers["content-type"] ?? ""))
    return refuse(415, "request-refused", "Expected Content-Type: application/json");
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > actionBytesMax) return refuse(413, "request-refused", `Expected at most ${actionBytesMax} bytes`);
    parts.push(part);
  }
  let body: unknown;
  try {
    body = JSON.parse(Buffer.concat(parts).toString("utf8"));
  } catch {
    return refuse(400, "request-refused", "Expected JSON");
  }
  try {
    return { status: 200, body: await action(body) };
  } catch (error) {
    if (error instanceof OperatingError) return refuse(409, error.code, error.message);
    return refuse(500, "bug", messageOf(error));
  }
}

/** Binds `server`; rejects with an error that names the address. */
export function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) => {
      const taken = errnoOf(error) === "EADDRINUSE";
      reject(
        new OperatingError(
          taken ? "port-taken" : "listen-failed",
          `Cannot listen on ${host}:${port}: ${taken ? "the port is taken by another process" : error.message}`,
          { source: `${host}:${port}`, cause: error },
        ),
      );
    });
    server.listen(port, host, () => resolve());
  });
}
