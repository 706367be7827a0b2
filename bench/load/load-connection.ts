// One connection of the generator: opens itself (again), sends one request at a time, judges the response, counts.
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { errnoOf, messageOf } from "../../runtime/operating-error.js";
import type { NamedErrorKind } from "../report/bench-result.js";
import { recordLatency } from "./latency-counts.js";
import { counter, errorSlot, statusSlot, type LoadBoard } from "./load-board.js";
import type { CatalogObject, LoadPlan } from "./load-plan.js";
import { countWrongBytes } from "./offset-content.js";
import type { Choice, Viewer } from "./request-chooser.js";
import { ResponseReader, type ResponseHead, type ResponseSink } from "./response-reader.js";

/** Waiting before another try to connect doubles from the first to the last, so that a dead server is asked ten times a second, not 10 000. */
const firstRetryMs = 20;
const lastRetryMs = 500;

export interface ConnectionHost {
  readonly plan: LoadPlan;
  readonly board: LoadBoard;
  /** All connections of a worker read into one buffer: it stays in the processor's cache, and each read is used up before the next. */
  readonly readBuffer: Buffer;
  nowUs(): number;
  /** Whether the next response's body is to be verified. */
  verifyNext(): boolean;
  /** `connection` can take a request. */
  onFree(connection: LoadConnection): void;
  /** `connection` can't take requests until the next onFree. */
  onLost(connection: LoadConnection): void;
}

export class LoadConnection implements ResponseSink {
  readonly viewer: Viewer = { object: null, offset: 0 };
  readonly #host: ConnectionHost;
  readonly #url: URL;
  readonly #headTail: string;
  #socket: Socket | null = null;
  #reader: ResponseReader | null = null;
  #retryMs = firstRetryMs;
  /** Connected, and the TLS handshake done. */
  #up = false;
  #closed = false;

  // The request under way.
  #busy = false;
  #intendedUs = 0;
  #sentUs = 0;
  #firstByteSeen = false;
  #firstByteUs = 0;
  #object: CatalogObject | null = null;
  #first = 0;
  #bytes = 0;
  #ranged = false;
  #verify = false;
  #useful = false;
  #failedAs: NamedErrorKind | null = null;
  #closesAfter = false;

  constructor(host: ConnectionHost) {
    this.#host = host;
    this.#url = new URL(host.plan.baseUrl);
    const headers = Object.entries(host.plan.headers).map(([name, value]) => `${name}: ${value}\r\n`);
    this.#headTail = ` HTTP/1.1\r\nHost: ${this.#url.host}\r\n${headers.join("")}`;
  }

  get busy(): boolean {
    return this.#busy;
  }

  /** When the request under way was sent. */
  get sentUs(): number {
    return this.#sentUs;
  }

  open(): void {
    if (this.#closed) return;
    const { plan, readBuffer } = this.#host;
    const reader = new ResponseReader(this);
    const secure = this.#url.protocol === "https:";
    const host = this.#url.hostname.replace(/^\[|\]$/g, "");
    const target = { host, port: Number(this.#url.port) || (secure ? 443 : 80), noDelay: true };
    const onread = { buffer: readBuffer, callback: (length: number) => this.#onRead(socket, reader, length) };
    const socket: Socket = secure
      ? connectTls({
          ...target,
          ...(/^[\d.]+$|:/.test(host) ? {} : { servername: host }),
          minVersion: "TLSv1.3",
          ...(plan.tls.caPem === null ? {} : { ca: plan.tls.caPem }),
          rejectUnauthorized: !plan.tls.insecure,
          // @types/node has `onread` on net.connect's options only; tls.connect takes it since Node 14.18.
          ...({ onread } as object),
        })
      : connectTcp({ ...target, onread });
    this.#socket = socket;
    this.#reader = reader;
    this.#up = false;
    socket.setTimeout(plan.requestTimeoutMs, () => {
      if (!this.#up) this.#lose(socket, "unreachable");
    });
    socket.on(secure ? "secureConnect" : "connect", () => {
      socket.setTimeout(0);
      this.#up = true;
      this.#retryMs = firstRetryMs;
      this.#host.board.counters[counter.connected]!++;
      this.#host.onFree(this);
    });
    socket.on("error", (error) => this.#lose(socket, this.#up ? breakKind(error) : connectKind(error)));
    socket.on("end", () => this.#lose(socket, this.#reader?.midResponse === true ? "short-body" : "reset"));
    socket.on("close", () => this.#lose(socket, "reset"));
  }

  /** Asks for `choice`. Latency counts from `intendedUs`. */
  send(choice: Choice, intendedUs: number): void {
    this.#busy = true;
    this.#intendedUs = intendedUs;
    this.#sentUs = this.#host.nowUs();
    this.#firstByteSeen = false;
    this.#object = choice.object;
    this.#first = choice.first;
    this.#bytes = choice.bytes;
    this.#ranged = this.#host.plan.requests.rangeBytes !== "whole";
    this.#verify = choice.object.contentNumber !== null && this.#host.verifyNext();
    this.#useful = false;
    this.#failedAs = null;
    this.#closesAfter = false;
    const start = `GET ${this.#url.pathname}${choice.object.name}${this.#url.search}${this.#headTail}`;
    const text = this.#ranged ? `${start}Range: bytes=${choice.first}-${choice.first + choice.bytes - 1}\r\n\r\n` : `${start}\r\n`;
    this.#socket!.write(text, "latin1");
  }

  /** Gives up the request under way, if there is one, and counts it as `kind`. */
  giveUp(kind: NamedErrorKind): void {
    if (this.#socket !== null) this.#lose(this.#socket, kind);
  }

  /** Ends the connection without counting anything. */
  close(): void {
    this.#closed = true;
    this.#busy = false;
    this.#socket?.destroy();
    this.#socket = null;
  }

  #onRead(socket: Socket, reader: ResponseReader, length: number): boolean {
    if (socket !== this.#socket) return true;
    if (!this.#busy) {
      this.#lose(socket, "bad-framing");
      return true;
    }
    if (!this.#firstByteSeen) {
      this.#firstByteSeen = true;
      this.#firstByteUs = this.#host.nowUs();
    }
    if (!reader.read(this.#host.readBuffer, length)) this.#lose(socket, this.#failedAs ?? "bad-framing");
    return true;
  }

  onHead(head: ResponseHead): boolean {
    if (!this.#busy) return false;
    this.#closesAfter = head.closes;
    const wanted = this.#ranged ? 206 : 200;
    if (head.status !== wanted) {
      if (head.status !== 200) {
        this.#host.board.counters[statusSlot(head.status)]!++;
        return true;
      }
      // The whole object in answer to a range may be any length: give it up.
      this.#failedAs = "wrong-range";
      return false;
    }
    if (this.#ranged && (head.rangeFirst !== this.#first || head.rangeLast !== this.#first + this.#bytes - 1)) {
      this.#failedAs = "wrong-range";
      return false;
    }
    if (head.contentLength >= 0 && head.contentLength !== this.#bytes) {
      this.#failedAs = "wrong-length";
      return false;
    }
    this.#useful = true;
    return true;
  }

  onBody(buffer: Buffer, start: number, end: number, offset: number): void {
    if (!this.#useful) return;
    const { counters } = this.#host.board;
    counters[counter.bodyBytes]! += end - start;
    if (!this.#verify) return;
    const wrong = countWrongBytes(buffer, start, end, this.#object!.contentNumber!, this.#first + offset);
    counters[counter.verifiedBytes]! += end - start;
    if (wrong > 0) {
      counters[counter.wrongBytes]! += wrong;
      this.#failedAs = "wrong-bytes";
    }
  }

  onEnd(bodyBytes: number): void {
    const { board } = this.#host;
    this.#busy = false;
    if (this.#useful && bodyBytes !== this.#bytes) this.#failedAs ??= "wrong-length";
    if (this.#failedAs !== null) board.counters[errorSlot(this.#failedAs)]!++;
    else if (this.#useful) {
      board.counters[counter.requests]!++;
      recordLatency(board.ttfb, this.#firstByteUs - this.#intendedUs);
      recordLatency(board.response, this.#host.nowUs() - this.#intendedUs);
    }
    if (this.#closesAfter) this.#lose(this.#socket!, null);
    else this.#host.onFree(this);
  }

  /** The connection is of no more use; `kind` says why if that failed a request or the connecting itself. */
  #lose(socket: Socket, kind: NamedErrorKind | null): void {
    if (socket !== this.#socket) return;
    // A server may close an idle connection (RFC 9112 9.5): no request was lost. A connection that never came up is always counted.
    const idleClose = this.#up && !this.#busy && kind === "reset";
    if (kind !== null && !idleClose) this.#host.board.counters[errorSlot(kind)]!++;
    const wasUp = this.#up;
    this.#busy = false;
    this.#up = false;
    this.#socket = null;
    this.#reader = null;
    socket.destroy();
    if (this.#closed) return;
    this.#host.onLost(this);
    if (wasUp && (kind === null || idleClose)) this.open();
    else {
      setTimeout(() => this.open(), this.#retryMs);
      this.#retryMs = Math.min(this.#retryMs * 2, lastRetryMs);
    }
  }
}

/** Why a connection with a request under way broke. */
function breakKind(error: unknown): NamedErrorKind {
  const code = errnoOf(error) ?? "";
  return code === "ETIMEDOUT" ? "timeout" : code.startsWith("ERR_SSL") ? "tls-failed" : "reset";
}

const certificateCodes =
  /CERT|SELF_SIGNED|UNABLE_TO_(?:VERIFY|GET_ISSUER)|HOSTNAME_MISMATCH|ALTNAME|CRL|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH/;

/** Why a connection did not come up. */
function connectKind(error: unknown): NamedErrorKind {
  const code = errnoOf(error) ?? "";
  if (code === "ECONNREFUSED") return "refused";
  if (/^E(?:HOSTUNREACH|NETUNREACH|TIMEDOUT|ADDRNOTAVAIL|AI_AGAIN)$|ENOTFOUND/.test(code)) return "unreachable";
  if (certificateCodes.test(code)) return "bad-certificate";
  return /SSL|TLS|EPROTO/.test(`${code} ${messageOf(error)}`) ? "tls-failed" : "reset";
}
