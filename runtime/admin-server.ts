// The admin port of a process: /healthz, /readyz, /metrics, /status. For operators and Prometheus, not for players.
import { createServer, type Server } from "node:http";
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
  /** What POST to a path does, and answers as JSON with 202. */
  actions?: Readonly<Record<string, () => unknown>>;
}

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
    if (action && request.method === "POST") {
      // A page in an operator's browser could post here too, and says so by its Origin.
      if (request.headers.origin !== undefined) return answer(403, "text/plain", "Not from a page\n");
      return answer(202, "application/json", `${JSON.stringify(action(), null, 2)}\n`);
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
