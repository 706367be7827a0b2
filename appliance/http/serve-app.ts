// The HTTP face of one serving worker: a uWebSockets.js app that answers from frames.
import {
  App,
  SSLApp,
  us_listen_socket_close,
  type HttpRequest,
  type HttpResponse,
  type TemplatedApp,
  type us_listen_socket,
} from "uWebSockets.js";
import { hopsHeader } from "../../fill-protocol/hops-header.js";
import { digestsPrefix } from "../../fill-protocol/object-digests.js";
import { OperatingError } from "../../runtime/operating-error.js";
import { counterPlace, type CounterName } from "../counters.js";
import { fillFailures } from "../fill-messages.js";
import type { FrameArena } from "../memory/frame-arena.js";
import type { ChunkGetter } from "../serve/chunk-getter.js";
import { decideResponse, type BodyDecision, type RequestHeaders } from "../serve/decide-response.js";
import type { FillClient } from "../serve/fill-client.js";
import type { ObjectFinder, ServedObject } from "../serve/object-finder.js";
import { parseObjectPath } from "../serve/parse-object-path.js";
import { BodySender } from "./body-sender.js";
import {
  objectHeadersOf,
  statusLineOf,
  writeCacheStatus,
  writeObjectHeaders,
  writePreflightHeaders,
  writeSharingHeaders,
  type cacheStatuses,
  type ObjectHeaders,
} from "./response-headers.js";

/** A request that has come through this many appliances is not filled for: the upstreams form a ring. */
const hopsMax = 4;
const retryAfterSeconds = "1";
/** Paths of our own; the digests are the only ones that are served. */
const reservedPrefix = ".millrace/";

export interface ServeAppOptions {
  host: string;
  /** Shared with the other workers. */
  port: number;
  tls: { cert: string; key: string } | undefined;
  arena: FrameArena;
  chunkBytes: number;
  counters: Float64Array;
  fill: FillClient;
  finder: ObjectFinder;
  getter: ChunkGetter;
  miss: "fill" | "redirect" | "reject";
  /** Where `redirect` sends a player; ends with a slash. */
  redirectBase: string;
  /** Requests under way at once in this worker; beyond it the answer is 503. */
  requestsMax: number;
}

interface Request {
  method: "GET" | "HEAD";
  path: string;
  target: string;
  headers: RequestHeaders;
  hops: number;
}

/** One response, as far as uWebSockets.js needs to be told. */
interface Exchange {
  readonly response: HttpResponse;
  /** An answer to HEAD has no body: the client would take it for the start of the next answer. */
  readonly headOnly: boolean;
  /** It will be finished after its handler has returned, so it is counted as under way and told when the client leaves. */
  watched: boolean;
  aborted: boolean;
  sender: BodySender | undefined;
}

export class ServeApp {
  readonly #options: ServeAppOptions;
  readonly #app: TemplatedApp;
  readonly #headers = new WeakMap<Buffer, ObjectHeaders>();
  #socket: us_listen_socket | undefined;
  #underWay = 0;
  #draining = false;
  #onIdle: (() => void) | undefined;

  constructor(options: ServeAppOptions) {
    this.#options = options;
    const { tls } = options;
    this.#app = tls ? SSLApp({ cert_file_name: tls.cert, key_file_name: tls.key }) : App();
    this.#app.any("/*", (response, request) => this.#receive(response, request));
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
  async drain(): Promise<void> {
    this.#draining = true;
    if (this.#socket) us_listen_socket_close(this.#socket);
    this.#socket = undefined;
    if (this.#underWay > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve));
  }

  /** Closes every connection at once. */
  close(): void {
    this.#app.close();
  }

  #receive(response: HttpResponse, request: HttpRequest): void {
    this.#options.counters[counterPlace.requests]!++;
    const method = request.getMethod();
    const exchange: Exchange = { response, headOnly: method === "head", watched: false, aborted: false, sender: undefined };
    if (method === "options") return this.#answerPreflight(exchange);
    if (method !== "get" && method !== "head") return this.#refuse(exchange, 405, "Only GET, HEAD and OPTIONS");
    const target = request.getUrl();
    const path = parseObjectPath(target);
    if (path === undefined) return this.#refuse(exchange, 400, "That is not the path of an object");
    if (this.#underWay >= this.#options.requestsMax) return this.#refuse(exchange, 503, "Too many requests are under way");
    const headers: RequestHeaders = {
      range: request.getHeader("range"),
      ifMatch: request.getHeader("if-match"),
      ifNoneMatch: request.getHeader("if-none-match"),
      ifModifiedSince: request.getHeader("if-modified-since"),
      ifUnmodifiedSince: request.getHeader("if-unmodified-since"),
      ifRange: request.getHeader("if-range"),
    };
    const hops = Number(request.getHeader(hopsHeader)) || 0;
    this.#find(exchange, { method: method === "get" ? "GET" : "HEAD", path, target, headers, hops });
  }

  /** Finds the object, here or upstream, and goes on with `#answer`. */
  #find(exchange: Exchange, request: Request): void {
    const wantsDigests = request.path.startsWith(digestsPrefix);
    if (request.path.startsWith(reservedPrefix) && !wantsDigests) return this.#refuse(exchange, 404, "There is no such object");
    const path = wantsDigests ? request.path.slice(digestsPrefix.length) : request.path;
    const answer = (object: ServedObject) => {
      if (wantsDigests) this.#answerDigests(exchange, request, object);
      else this.#answer(exchange, request, object);
    };
    const known = this.#options.finder.findKnown(path);
    if (known) return answer(known);
    if (this.#options.miss !== "fill") return this.#answerMissing(exchange, request);
    if (request.hops >= hopsMax) return this.#refuse(exchange, 502, "The upstreams form a ring");
    this.#watch(exchange);
    this.#options.finder.ask(path, request.hops, (outcome) => {
      if (exchange.aborted) return;
      exchange.response.cork(() => {
        if ("object" in outcome) answer(outcome.object);
        else this.#refuse(exchange, fillFailures[outcome.failure], `No upstream gives this object: ${outcome.failure}`);
      });
    });
  }

  #answer(exchange: Exchange, request: Request, object: ServedObject): void {
    const { response } = exchange;
    const decision = decideResponse(request.method, request.headers, object.record);
    if (!("first" in decision)) {
      this.#writeStatus(response, decision.status);
      if (decision.status === 416) response.writeHeader("Content-Range", `bytes */${object.record.sizeBytes}`);
      writeObjectHeaders(response, this.#headersOf(object));
      if (decision.status === 304) response.endWithoutBody();
      else response.end();
      return this.#finish(exchange);
    }
    if (request.method === "HEAD" || decision.last < decision.first) {
      this.#writeHead(response, object, decision, "HIT");
      response.writeHeader("Content-Length", String(object.record.sizeBytes));
      response.endWithoutBody();
      return this.#finish(exchange);
    }
    const { arena, chunkBytes, getter } = this.#options;
    const chunk = Math.floor(decision.first / chunkBytes);
    const frame = getter.pinAtHand(object, chunk);
    if (frame >= 0) return this.#send(exchange, request, object, decision, frame, "HIT");
    this.#watch(exchange);
    getter.get(object, chunk, request.hops, (outcome) => {
      if (exchange.aborted) {
        if ("frame" in outcome) arena.unpin(outcome.frame);
        return;
      }
      exchange.response.cork(() => {
        if ("frame" in outcome)
          this.#send(exchange, request, object, decision, outcome.frame, outcome.from === "upstream" ? "MISS" : "HIT");
        else if (outcome.failure === "missing") this.#answerMissing(exchange, request);
        else this.#refuse(exchange, fillFailures[outcome.failure], `No upstream gives this part of the object: ${outcome.failure}`);
      });
    });
  }

  /** Called corked, with the first chunk's frame pinned for us. */
  #send(
    exchange: Exchange,
    request: Request,
    object: ServedObject,
    decision: BodyDecision,
    frame: number,
    status: keyof typeof cacheStatuses,
  ): void {
    this.#writeHead(exchange.response, object, decision, status);
    const body = { object, first: decision.first, last: decision.last, hops: request.hops };
    const sender = new BodySender(this.#options, exchange.response, body, () => this.#finish(exchange));
    exchange.sender = sender;
    if (!sender.send(frame) && !exchange.watched) this.#watch(exchange);
  }

  #writeHead(response: HttpResponse, object: ServedObject, decision: BodyDecision, status: keyof typeof cacheStatuses): void {
    const headers = this.#headersOf(object);
    this.#writeStatus(response, decision.status);
    if (decision.status === 206)
      response.writeHeader("Content-Range", `bytes ${decision.first}-${decision.last}/${object.record.sizeBytes}`);
    response.writeHeader("Content-Type", headers.contentType);
    writeObjectHeaders(response, headers);
    writeCacheStatus(response, status);
  }

  #answerDigests(exchange: Exchange, request: Request, object: ServedObject): void {
    if (!exchange.watched) this.#watch(exchange);
    this.#options.fill.findDigests(object.record, (digests) => {
      if (exchange.aborted) return;
      exchange.response.cork(() => {
        if (!digests) return this.#refuse(exchange, 404, "The origin published no digests of this object");
        this.#writeStatus(exchange.response, 200);
        exchange.response.writeHeader("Content-Type", "application/x-protobuf");
        exchange.response.writeHeader("Cache-Control", "no-cache");
        writeSharingHeaders(exchange.response);
        if (request.method === "GET") exchange.response.end(digests);
        else exchange.response.writeHeader("Content-Length", String(digests.length)).endWithoutBody();
        this.#finish(exchange);
      });
    });
  }

  /** What is not here is not filled on request: the player is sent on, or told so. */
  #answerMissing(exchange: Exchange, request: Request): void {
    if (this.#options.miss !== "redirect") return this.#refuse(exchange, 404, "This appliance does not hold this object");
    this.#writeStatus(exchange.response, 307);
    exchange.response.writeHeader("Location", this.#options.redirectBase + request.target.slice(1));
    exchange.response.writeHeader("Cache-Control", "no-store");
    writeSharingHeaders(exchange.response);
    exchange.response.end();
    this.#finish(exchange);
  }

  #answerPreflight(exchange: Exchange): void {
    this.#writeStatus(exchange.response, 204);
    writePreflightHeaders(exchange.response);
    exchange.response.endWithoutBody();
  }

  #refuse(exchange: Exchange, status: number, reason: string): void {
    const { response } = exchange;
    this.#writeStatus(response, status);
    if (status === 405) response.writeHeader("Allow", "GET, HEAD, OPTIONS");
    if (status === 503) response.writeHeader("Retry-After", retryAfterSeconds);
    response.writeHeader("Content-Type", "text/plain; charset=utf-8");
    response.writeHeader("Cache-Control", "no-store");
    writeSharingHeaders(response);
    const body = Buffer.from(`${reason}\n`);
    if (exchange.headOnly) response.writeHeader("Content-Length", String(body.length)).endWithoutBody();
    else response.end(body);
    this.#finish(exchange);
  }

  #writeStatus(response: HttpResponse, status: number): void {
    const name = `status${status}`;
    this.#options.counters[name in counterPlace ? counterPlace[name as CounterName] : counterPlace.statusOther]!++;
    response.writeStatus(statusLineOf(status));
    if (this.#draining) response.writeHeader("Connection", "close");
  }

  #headersOf(object: ServedObject): ObjectHeaders {
    let headers = this.#headers.get(object.key);
    if (!headers) this.#headers.set(object.key, (headers = objectHeadersOf(object)));
    return headers;
  }

  #watch(exchange: Exchange): void {
    if (exchange.watched) return;
    exchange.watched = true;
    this.#countUnderWay(1);
    exchange.response.onAborted(() => {
      exchange.aborted = true;
      if (!exchange.sender?.broken) this.#options.counters[counterPlace.responsesAborted]!++;
      exchange.sender?.abort();
      this.#finish(exchange);
    });
  }

  #finish(exchange: Exchange): void {
    if (!exchange.watched) return;
    exchange.watched = false;
    this.#countUnderWay(-1);
    if (this.#underWay === 0) this.#onIdle?.();
  }

  #countUnderWay(difference: 1 | -1): void {
    this.#underWay += difference;
    this.#options.counters[counterPlace.underWay] = this.#underWay;
  }
}
