// The HTTP face of one serving worker: a uWebSockets.js app on the port that all workers share.
import { App, SSLApp, us_listen_socket_close, type TemplatedApp, type us_listen_socket } from "uWebSockets.js";
import { OperatingError } from "../../runtime/operating-error.js";
import type { RequestHandler } from "./request-handler.js";

export interface ServeAppOptions {
  host: string;
  /** Shared with the other workers. */
  port: number;
  tls: { cert: string; key: string } | undefined;
  handler: RequestHandler;
}

export class ServeApp {
  readonly #options: ServeAppOptions;
  readonly #app: TemplatedApp;
  #socket: us_listen_socket | undefined;

  constructor(options: ServeAppOptions) {
    this.#options = options;
    const { tls, handler } = options;
    this.#app = tls ? SSLApp({ cert_file_name: tls.cert, key_file_name: tls.key }) : App();
    this.#app.any("/*", (response, request) => handler.receive(response, request));
  }

  /** @throws OperatingError "listen-failed". */
  listen(): void {
    const { host, port } = this.#options;
    this.#app.listen(host, port, (socket) => {
      if (socket) this.#socket = socket;
    });
    // The call is answered before it returns.
    if (!this.#socket) throw new OperatingError("listen-failed", `Cannot listen on ${host}:${port}`, { source: `${host}:${port}` });
  }

  /** Stops accepting connections; resolves when no response is under way. */
  drain(): Promise<void> {
    if (this.#socket) us_listen_socket_close(this.#socket);
    this.#socket = undefined;
    return this.#options.handler.drain();
  }

  /** Closes every connection at once. */
  close(): void {
    this.#app.close();
  }
}
