// The HTTP face of one serving worker: a uWebSockets.js app on the port that all workers share.
import {
  App,
  SSLApp,
  us_listen_socket_close,
  type HttpRequest,
  type HttpResponse,
  type TemplatedApp,
  type us_listen_socket,
} from "uWebSockets.js";
import { OperatingError } from "../../runtime/operating-error.js";
import type { ServedCertificate } from "../certificates.js";
import type { RequestHandler } from "./request-handler.js";

/**
 * For TLS 1.2; those of 1.3 are fixed, and the client's order decides among them. Only AES-GCM and ChaCha20 with a key exchange of
 * their own: AES-128 first, since its instructions do a tenth more a second than AES-256's at no loss that matters for films.
 */
const ciphers = [
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-CHACHA20-POLY1305",
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
].join(":");

/** Apps of certificates that are no longer served keep their connections until those end; the oldest of more than this is cut off. */
const retiredAppsMax = 8;

export interface ServeAppOptions {
  host: string;
  /** Shared with the other workers. */
  port: number;
  /** None: plain HTTP. The first is for clients that ask for no name that the others have. */
  certificates: readonly ServedCertificate[];
  handler: RequestHandler;
  /** A request could not be handled because of a bug. */
  onCrash: (error: unknown) => void;
}

/** What the engine offers to hand accepted sockets from one app to another, and its types leave out. */
interface SocketSharingApp extends TemplatedApp {
  getDescriptor(): unknown;
  addChildAppDescriptor(descriptor: unknown): void;
  removeChildAppDescriptor(descriptor: unknown): void;
}

export class ServeApp {
  readonly #options: ServeAppOptions;
  readonly #retired: TemplatedApp[] = [];
  /** Listens as long as this lives: closing its socket would lose what the kernel has queued for it. */
  #listener: SocketSharingApp | undefined;
  /** Has the newest certificates, and is handed every connection that the listener accepts; undefined while the listener's own are the newest. */
  #successor: SocketSharingApp | undefined;
  #socket: us_listen_socket | undefined;

  constructor(options: ServeAppOptions) {
    this.#options = options;
  }

  /** @throws OperatingError "listen-failed" or "certificate-unusable". */
  listen(): void {
    const { certificates, host, port } = this.#options;
    this.#listener = this.#make(certificates);
    // The call is answered before it returns.
    this.#listener.listen(host, port, (socket) => {
      if (socket) this.#socket = socket;
    });
    if (!this.#socket) throw new OperatingError("listen-failed", `Cannot listen on ${host}:${port}`, { source: `${host}:${port}` });
  }

  /**
   * New connections get these certificates; those that are open keep theirs, and none is lost.
   *
   * @throws OperatingError "certificate-unusable"; then all stays as it was.
   */
  useCertificates(certificates: readonly ServedCertificate[]): void {
    if (!this.#listener || !this.#socket) return;
    const successor = this.#make(certificates);
    this.#listener.addChildAppDescriptor(successor.getDescriptor());
    if (this.#successor) {
      this.#listener.removeChildAppDescriptor(this.#successor.getDescriptor());
      this.#retired.push(this.#successor);
      if (this.#retired.length > retiredAppsMax) this.#retired.shift()!.close();
    }
    this.#successor = successor;
  }

  /** Stops accepting connections; resolves when no response is under way. */
  drain(): Promise<void> {
    if (this.#socket) us_listen_socket_close(this.#socket);
    this.#socket = undefined;
    return this.#options.handler.drain();
  }

  /** Closes every connection at once. */
  close(): void {
    this.#socket = undefined;
    for (const app of [this.#listener, this.#successor, ...this.#retired.splice(0)]) app?.close();
    this.#listener = undefined;
    this.#successor = undefined;
  }

  #make([standard, ...others]: readonly ServedCertificate[]): SocketSharingApp {
    const receive = (response: HttpResponse, request: HttpRequest) => this.#receive(response, request);
    if (!standard) return App().any("/*", receive) as SocketSharingApp;
    const optionsOf = ({ cert, key }: ServedCertificate) => ({ cert_file_name: cert, key_file_name: key, ssl_ciphers: ciphers });
    let app: TemplatedApp;
    try {
      app = SSLApp(optionsOf(standard));
    } catch (error) {
      throw new OperatingError("certificate-unusable", `Cannot use certificate ${standard.cert}`, { source: standard.cert, cause: error });
    }
    app.any("/*", receive);
    for (const other of others) {
      for (const name of other.names) {
        app.addServerName(name, optionsOf(other));
        // Each name has routes of its own. (The engine prints two lines about it.)
        app.domain(name).any("/*", receive);
      }
    }
    return app as SocketSharingApp;
  }

  #receive(response: HttpResponse, request: HttpRequest): void {
    try {
      this.#options.handler.receive(response, request);
    } catch (error) {
      // The engine ends the process when a handler leaves a response open: close it first, then crash in order.
      try {
        response.onAborted(() => {});
        response.close();
      } catch {
        // It was done, and may not be touched any more.
      }
      this.#options.onCrash(error);
    }
  }
}
