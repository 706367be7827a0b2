// Answers one request after another: admission, token, object, conditions, ranges, body.
import type { HttpRequest, HttpResponse } from "uWebSockets.js";
import { fillTokenHeader } from "../../fill-protocol/fill-token.js";
import { digestsPrefix } from "../../fill-protocol/object-digests.js";
import { applianceHeader, appliancePath, viaMax } from "../../fill-protocol/via-header.js";
import { counterPlace, type CounterName } from "../counters.js";
import { fillFailures } from "../fill-messages.js";
import type { HeatCounter } from "../heat-table.js";
import type { FrameArena } from "../memory/frame-arena.js";
import type { ChunkGetter, ChunkOutcome } from "../serve/chunk-getter.js";
import { decideResponse, type BodyDecision, type PartsDecision } from "../serve/decide-response.js";
import type { FillClient } from "../serve/fill-client.js";
import type { ObjectFinder, ServedObject } from "../serve/object-finder.js";
import type { RangeWarmer } from "../serve/range-warmer.js";
import type { ClientRules } from "../serve/client-rules.js";
import { parseObjectPath } from "../serve/parse-object-path.js";
import type { TokenChecker, TokenRefusal } from "../serve/token-checker.js";
import type { AccessLog, AccessLogEntry } from "./access-log.js";
import { BodySender, noBytes, type Body } from "./body-sender.js";
import { Exchange } from "./exchange.js";
import { multipartBodyOf, multipartBoundary } from "./multipart-body.js";
import {
  contentRangeName,
  objectHeadsOf,
  statusLineOf,
  writePlainHead,
  writePreflight,
  type CacheStatus,
  type ObjectHeads,
} from "./response-head.js";

/** Before a token in a path. */
const tokenPrefix = "/~";
const retryAfterSeconds = "1";
/** Fill requests are refused when so much of what the worker can take is in use: players go first. */
const fillShareMax = 0.9;
/** Paths of our own; the digests are the only ones that are served. */
const reservedPrefix = ".millrace/";

export interface RequestHandlerOptions {
  /** What this appliance calls itself to others. */
  applianceId: string;
  arena: FrameArena;
  chunkBytes: number;
  counters: Float64Array;
  fill: FillClient;
  finder: ObjectFinder;
  heat: HeatCounter;
  getter: ChunkGetter;
  miss: "fill" | "redirect" | "reject";
  /** Where `redirect` sends a player; ends with a slash. */
  redirectBase: string;
  /** Requests under way at once in this worker; beyond it the answer is 503. */
  requestsMax: number;
  /** Of these, by other appliances that fill. */
  fillRequestsMax: number;
  readAheadChunks: number;
  clients: ClientRules;
  tokens: TokenChecker;
  /** Undefined: what players say in CMCD is not looked at. */
  warmer?: RangeWarmer | undefined;
  /** Tests ask for this path to see a worker crash; undefined in earnest. */
  crashPath?: string | undefined;
  /** Undefined: requests are counted only. */
  accessLog?: AccessLog | undefined;
}

export class RequestHandler {
  readonly #options: RequestHandlerOptions;
  readonly #heads = new WeakMap<Buffer, ObjectHeads>();
  /** Of responses that are not done, when there is a log. */
  readonly #logEntries = new Map<HttpResponse, AccessLogEntry>();
  #underWay = 0;
  #fillUnderWay = 0;
  #draining = false;
  #onIdle: (() => void) | undefined;

  constructor(options: RequestHandlerOptions) {
    this.#options = options;
  }

  /** From now on every answer ends its connection. Resolves when no response is under way. */
  async drain(): Promise<void> {
    this.#draining = true;
    if (this.#underWay > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve));
  }

  /** The one handler of the app: every request begins here. */
  receive(response: HttpResponse, request: HttpRequest): void {
    const { counters, requestsMax } = this.#options;
    counters[counterPlace.requests]!++;
    const method = request.getMethod();
    if (this.#options.accessLog) this.#openLogEntry(response, request, method);
    if (method !== "get" && method !== "head") {
      if (method === "options") return this.#answerPreflight(response);
      return this.#turnAway(response, 405, "Only GET, HEAD and OPTIONS", false);
    }
    const headOnly = method === "head";
    const { clients, tokens, warmer } = this.#options;
    if (clients.active && clients.refuses(new Uint8Array(response.getRemoteAddress()))) {
      counters[counterPlace["client-refused"]]!++;
      return this.#turnAway(response, 403, "Refused: client-refused", headOnly);
    }
    let target = request.getUrl();
    let token = "";
    if (tokens.active && target.startsWith(tokenPrefix)) {
      const end = target.indexOf("/", tokenPrefix.length);
      token = target.slice(tokenPrefix.length, end < 0 ? target.length : end);
      target = end < 0 ? "" : target.slice(end);
    }
    const path = parseObjectPath(target);
    if (path === undefined) return this.#turnAway(response, 400, "That is not the path of an object", headOnly);
    if (path === appliancePath) return this.#answerWhoItIs(response, headOnly);
    if (tokens.active) {
      let refusal = this.#checkToken(response, request, token, path);
      if (refusal === "token-missing") {
        const fillToken = request.getHeader(fillTokenHeader);
        if (fillToken !== "") refusal = tokens.checkFill(fillToken);
      }
      if (refusal !== undefined) {
        counters[counterPlace[refusal]]!++;
        return this.#turnAway(response, 403, `Refused: ${refusal}`, headOnly);
      }
    }
    if (this.#underWay >= requestsMax) return this.#turnAway(response, 503, "Too many requests are under way", headOnly);
    const exchange = new Exchange(response, request, { method: headOnly ? "HEAD" : "GET", path });
    if (tokens.active) exchange.divertedBy = tokens.divertedBy({ token, query: (key) => request.getQuery(key) ?? "" });
    if (exchange.via.length > 0 && this.#refusesToFill(exchange)) return;
    if (path.startsWith(reservedPrefix)) return this.#receiveReserved(exchange);
    if (warmer) {
      const cmcd = request.getHeader("cmcd-request") || (request.getQuery("CMCD") ?? "");
      if (cmcd !== "") warmer.warm(cmcd, path, (next) => !tokens.active || this.#checkToken(response, request, token, next) === undefined);
    }
    const object = this.#options.finder.findKnown(path);
    if (object) this.#answer(exchange, object);
    else this.#ask(exchange, path, (found) => this.#answer(exchange, found));
  }

  #checkToken(response: HttpResponse, request: HttpRequest, token: string, path: string): TokenRefusal | undefined {
    return this.#options.tokens.check({
      token,
      // The digests of an object are for whoever may have the object.
      path: path.startsWith(digestsPrefix) ? path.slice(digestsPrefix.length) : path,
      query: (key) => request.getQuery(key) ?? "",
      clientAddress: () => new Uint8Array(response.getRemoteAddress()),
      clientAddressText: () => Buffer.from(response.getRemoteAddressAsText()).toString("latin1"),
    });
  }

  /** Answers a request of another appliance that must not go on. */
  #refusesToFill(exchange: Exchange): boolean {
    const { applianceId, counters, fillRequestsMax, requestsMax } = this.#options;
    if (exchange.via.includes(applianceId) || exchange.via.length >= viaMax) {
      counters[counterPlace.fillRequestsLooped]!++;
      this.#fail(exchange, 508, "The upstreams of appliances form a ring");
      return true;
    }
    if (this.#fillUnderWay < fillRequestsMax && this.#underWay < requestsMax * fillShareMax) return false;
    counters[counterPlace.fillRequestsRefused]!++;
    this.#fail(exchange, 503, "Busy: fill from another source");
    return true;
  }

  #answerWhoItIs(response: HttpResponse, headOnly: boolean): void {
    this.#countStatus(response, 200);
    writePlainHead(response, 200, "text/plain; charset=utf-8");
    response.writeHeader(applianceHeader, this.#options.applianceId);
    this.#sayClosing(response);
    if (headOnly) response.writeHeader("Content-Length", "0").endWithoutBody();
    else response.end();
    this.#writeLogEntry(response);
  }

  #receiveReserved(exchange: Exchange): void {
    if (exchange.path === this.#options.crashPath) throw new Error("Crashed as it was asked to");
    if (!exchange.path.startsWith(digestsPrefix)) return this.#fail(exchange, 404, "There is no such object");
    const path = exchange.path.slice(digestsPrefix.length);
    const object = this.#options.finder.findKnown(path);
    if (object) this.#answerDigests(exchange, object);
    else this.#ask(exchange, path, (found) => this.#answerDigests(exchange, found));
  }

  /** Asks upstream what the object is, where this appliance fills; goes on with `answer`. */
  #ask(exchange: Exchange, path: string, answer: (object: ServedObject) => void): void {
    if (this.#options.miss !== "fill") return this.#answerMissing(exchange);
    this.#watch(exchange);
    this.#options.finder.ask(path, exchange.via, (outcome) => {
      if (exchange.aborted) return;
      exchange.response.cork(() => {
        if ("object" in outcome) answer(outcome.object);
        else this.#fail(exchange, fillFailures[outcome.failure], `No upstream gives this object: ${outcome.failure}`);
      });
    });
  }

  #answer(exchange: Exchange, object: ServedObject): void {
    const { response } = exchange;
    const decision = decideResponse(exchange.method, exchange, object.record);
    if ("parts" in decision) return this.#begin(exchange, object, decision, decision.parts[0]!.first);
    if (!("first" in decision)) {
      this.#countStatus(response, decision.status);
      response.writeStatus(statusLineOf(decision.status) + this.#headsOf(object).lines);
      if (decision.status === 416) response.writeHeader("Content-Range", `bytes */${object.record.sizeBytes}`);
      this.#sayClosing(response);
      if (decision.status === 304) response.endWithoutBody();
      else response.end();
      return this.#finish(exchange);
    }
    if (exchange.method === "HEAD" || decision.last < decision.first) {
      this.#writeHead(response, object, decision, "HIT");
      response.writeHeader("Content-Length", String(object.record.sizeBytes));
      response.endWithoutBody();
      return this.#finish(exchange);
    }
    this.#begin(exchange, object, decision, decision.first);
  }

  /** Gets the frame of the first chunk, at once or later, and sends. */
  #begin(exchange: Exchange, object: ServedObject, decision: BodyDecision | PartsDecision, firstByte: number): void {
    const { arena, chunkBytes, getter } = this.#options;
    const chunk = Math.floor(firstByte / chunkBytes);
    const frame = getter.pinAtHand(object, chunk);
    if (frame >= 0) return this.#send(exchange, object, decision, { frame, from: "memory" });
    this.#watch(exchange);
    const firstInChunk = firstByte - chunk * chunkBytes;
    exchange.leave = getter.get(object, chunk, { via: exchange.via, firstByte: firstInChunk }, (outcome) => {
      exchange.leave = undefined;
      if (exchange.aborted) {
        if ("frame" in outcome) {
          outcome.arrival?.leave();
          arena.unpin(outcome.frame);
        }
        return;
      }
      exchange.response.cork(() => {
        if ("frame" in outcome) this.#send(exchange, object, decision, outcome);
        else if (outcome.failure === "missing") this.#answerMissing(exchange);
        else this.#fail(exchange, fillFailures[outcome.failure], `No upstream gives this part of the object: ${outcome.failure}`);
      });
    });
  }

  /** Called corked, with the first chunk's frame pinned for us. */
  #send(
    exchange: Exchange,
    object: ServedObject,
    decision: BodyDecision | PartsDecision,
    chunk: Extract<ChunkOutcome, { frame: number }>,
  ): void {
    this.#writeHead(exchange.response, object, decision, chunk.from === "upstream" ? "MISS" : "HIT");
    const sender = new BodySender(this.#options, exchange.response, this.#bodyOf(exchange, object, decision), () => this.#finish(exchange));
    exchange.sender = sender;
    if (!sender.send(chunk)) this.#watch(exchange);
  }

  #bodyOf(exchange: Exchange, object: ServedObject, decision: BodyDecision | PartsDecision): Body {
    if (!("parts" in decision)) {
      const { first, last } = decision;
      return { object, first, last, before: noBytes, parts: noParts, totalBytes: last - first + 1, via: exchange.via };
    }
    const { contentType } = this.#headsOf(object);
    const { parts, totalBytes } = multipartBodyOf(decision.parts, { contentType, sizeBytes: object.record.sizeBytes });
    return { object, ...parts[0]!, parts: parts.slice(1), totalBytes, via: exchange.via };
  }

  #writeHead(response: HttpResponse, object: ServedObject, decision: BodyDecision | PartsDecision, status: CacheStatus): void {
    const heads = this.#headsOf(object);
    this.#countStatus(response, decision.status);
    if ("parts" in decision) {
      response.writeStatus(heads.parts[status]).writeHeader("Content-Type", `multipart/byteranges; boundary=${multipartBoundary}`);
    } else if (decision.status === 200) response.writeStatus(heads.whole[status]);
    else response.writeStatus(heads.part[status]).writeHeader(contentRangeName, `bytes ${decision.first}-${decision.last}${heads.ofSize}`);
    this.#sayClosing(response);
  }

  #answerDigests(exchange: Exchange, object: ServedObject): void {
    this.#watch(exchange);
    this.#options.fill.findDigests(object.record, (digests) => {
      if (exchange.aborted) return;
      exchange.response.cork(() => {
        if (!digests) return this.#fail(exchange, 404, "The origin published no digests of this object");
        this.#countStatus(exchange.response, 200);
        writePlainHead(exchange.response, 200, "application/x-protobuf", "no-cache");
        this.#sayClosing(exchange.response);
        if (exchange.method === "GET") exchange.response.end(digests);
        else exchange.response.writeHeader("Content-Length", String(digests.length)).endWithoutBody();
        this.#finish(exchange);
      });
    });
  }

  /** What is not here is not filled on request: the player is sent on, or told so. */
  #answerMissing(exchange: Exchange): void {
    const { miss, redirectBase } = this.#options;
    if (miss !== "redirect") return this.#fail(exchange, 404, "This appliance does not hold this object");
    const { response } = exchange;
    this.#countStatus(response, 307);
    writePlainHead(response, 307, "text/plain; charset=utf-8");
    response.writeHeader("Location", redirectBase + exchange.path.split("/").map(encodeURIComponent).join("/"));
    this.#sayClosing(response);
    response.end();
    this.#finish(exchange);
  }

  #answerPreflight(response: HttpResponse): void {
    this.#countStatus(response, 204);
    writePreflight(response);
    this.#sayClosing(response);
    response.endWithoutBody();
    this.#writeLogEntry(response);
  }

  #fail(exchange: Exchange, status: number, reason: string): void {
    this.#refuse(exchange.response, status, reason, exchange.method === "HEAD");
    this.#finish(exchange);
  }

  /** Answers a request that has not become an exchange. */
  #turnAway(response: HttpResponse, status: number, reason: string, headOnly: boolean): void {
    this.#refuse(response, status, reason, headOnly);
    this.#writeLogEntry(response);
  }

  /** Answers a request that is not under way, or no longer. */
  #refuse(response: HttpResponse, status: number, reason: string, headOnly: boolean): void {
    this.#countStatus(response, status);
    writePlainHead(response, status, "text/plain; charset=utf-8");
    if (status === 405) response.writeHeader("Allow", "GET, HEAD, OPTIONS");
    if (status === 503 || status === 429) response.writeHeader("Retry-After", retryAfterSeconds);
    const body = `${reason}\n`;
    // An answer to HEAD has no body: the client would take it for the start of the next answer.
    if (headOnly) {
      this.#sayClosing(response);
      response.writeHeader("Content-Length", String(body.length)).endWithoutBody();
    } else response.end(body, this.#draining);
  }

  #countStatus(response: HttpResponse, status: number): void {
    const entry = this.#logEntries.get(response);
    if (entry) entry.status = status;
    this.#options.counters[statusPlaces[status] ?? counterPlace.statusOther]!++;
  }

  /** The engine offers no way to end a connection behind a streamed body: the client is told to. */
  #sayClosing(response: HttpResponse): void {
    if (this.#draining) response.writeHeader("Connection", "close");
  }

  #headsOf(object: ServedObject): ObjectHeads {
    let heads = this.#heads.get(object.key);
    if (!heads) this.#heads.set(object.key, (heads = objectHeadsOf(object.record)));
    return heads;
  }

  #watch(exchange: Exchange): void {
    if (exchange.watched) return;
    exchange.watched = true;
    this.#countUnderWay(1, exchange);
    exchange.response.onAborted(() => {
      exchange.aborted = true;
      exchange.leave?.();
      if (!exchange.sender?.broken) this.#options.counters[counterPlace.responsesAborted]!++;
      exchange.sender?.abort();
      this.#finish(exchange);
    });
  }

  #finish(exchange: Exchange): void {
    this.#writeLogEntry(exchange.response, exchange);
    this.#countHeat(exchange);
    if (!exchange.watched) return;
    exchange.watched = false;
    this.#countUnderWay(-1, exchange);
    if (this.#underWay === 0) this.#onIdle?.();
  }

  /** What appliances fetch for each other says nothing new of players. */
  #countHeat({ sender, via, divertedBy }: Exchange): void {
    if (sender && via.length === 0 && sender.sentBytes > 0)
      this.#options.heat.add(sender.object, sender.sentBytes, sender.readThroughBytes, divertedBy);
  }

  #openLogEntry(response: HttpResponse, request: HttpRequest, method: string): void {
    this.#logEntries.set(response, {
      startedUnixMs: Date.now(),
      startedAtMs: performance.now(),
      client: Buffer.from(response.getRemoteAddressAsText()).toString("latin1"),
      method: method.toUpperCase(),
      // A token opens what it names to whoever reads it here.
      target: this.#options.tokens.active ? request.getUrl().replace(/^\/~[^/]*/, "") : request.getUrl(),
      range: request.getHeader("range"),
      status: 0,
    });
  }

  #writeLogEntry(response: HttpResponse, exchange?: Exchange): void {
    if (!this.#options.accessLog) return;
    const entry = this.#logEntries.get(response);
    if (!entry) return;
    this.#logEntries.delete(response);
    this.#options.accessLog.write(entry, { bytes: exchange?.sender?.sentBytes ?? 0, aborted: exchange?.aborted ?? false });
  }

  #countUnderWay(difference: 1 | -1, { via }: Exchange): void {
    const { counters } = this.#options;
    this.#underWay += difference;
    counters[counterPlace.underWay] = this.#underWay;
    if (via.length === 0) return;
    this.#fillUnderWay += difference;
    counters[counterPlace.fillRequestsUnderWay] = this.#fillUnderWay;
  }
}

const noParts: [] = [];

/** Where each status is counted, by its number. */
const statusPlaces: Readonly<Record<number, number>> = Object.fromEntries(
  (Object.keys(counterPlace) as CounterName[])
    .filter((name) => /^status\d+$/.test(name))
    .map((name) => [Number(name.slice("status".length)), counterPlace[name]]),
);
