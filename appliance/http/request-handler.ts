// Answers one request after another: admission, token, object, conditions, ranges, body.
import type { HttpRequest, HttpResponse } from "uWebSockets.js";
import { holdingsPrefix, type HoldingsPage } from "../../fill-protocol/holdings-listing.js";
import { digestsPrefix } from "../../fill-protocol/object-digests.js";
import type { PlaybackClaims } from "../../fill-protocol/playback-token.js";
import { applianceHeader, appliancePath, viaMax } from "../../fill-protocol/via-header.js";
import { counterPlace } from "../counters.js";
import { fillFailures, type FillFailure } from "../fill-messages.js";
import type { HeatCounter } from "../heat-table.js";
import type { FrameArena } from "../memory/frame-arena.js";
import type { ChunkGetter, ChunkOutcome } from "../serve/chunk-getter.js";
import { decideResponse, type BodyDecision, type PartsDecision } from "../serve/decide-response.js";
import type { FillClient } from "../serve/fill-client.js";
import type { ObjectFinder, ServedObject } from "../serve/object-finder.js";
import { choosePace, type PaceRules } from "../serve/choose-pace.js";
import type { ClientLimiter } from "../serve/client-limiter.js";
import type { ClientRules } from "../serve/client-rules.js";
import type { PaceWheel } from "../serve/pace-wheel.js";
import { parseCmcd, type Cmcd } from "../serve/parse-cmcd.js";
import { parseObjectPath } from "../serve/parse-object-path.js";
import type { RangeWarmer } from "../serve/range-warmer.js";
import type { SessionCounter } from "../serve/session-counter.js";
import type { TokenChecker } from "../serve/token-checker.js";
import type { AccessLog } from "./access-log.js";
import { Admission, statusOfRefusal } from "./admission.js";
import { AnswerBook } from "./answer-book.js";
import { BodySender, noBytes, type Body } from "./body-sender.js";
import { cacheLinesOf, cacheOutcomes, failedCacheLineOf, type CacheOutcome } from "./cache-outcome.js";
import { Exchange } from "./exchange.js";
import { multipartBodyOf, multipartBoundary } from "./multipart-body.js";
import { contentRangeName, ObjectHeads, statusLineOf, writePlainHead, writePreflight } from "./response-head.js";

/** Before a token in a path. */
const tokenPrefix = "/~";
const retryAfterSeconds = "1";
const plainText = "text/plain; charset=utf-8";
/** Fill requests are refused when so much of what the worker can take is in use: players go first. */
const fillShareMax = 0.9;
/** Paths of our own. */
const reservedPrefix = ".millrace/";
/** A path of an object has no slash at its end: the first page is asked for without it. */
const holdingsPath = holdingsPrefix.slice(0, -1);

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
  /** A page of what is held, for neighbours; undefined: there is no such page. */
  listHoldings: (after: string) => HoldingsPage | undefined;
  clients: ClientRules;
  /** Undefined: clients may take what they want. */
  limiter?: ClientLimiter | undefined;
  tokens: TokenChecker;
  /** Undefined: what players will ask for next is left to them. */
  warmer?: RangeWarmer | undefined;
  /** Undefined: sessions are not counted. */
  sessions?: SessionCounter | undefined;
  pacing: PaceRules;
  wheel: PaceWheel;
  /** Whether answers say in Server-Timing how long their first byte was waited for. */
  serverTiming?: boolean;
  /** Tests ask for these paths to see a worker fail; none in earnest. */
  faults?: Readonly<Record<string, () => void>>;
  /** Undefined: requests are counted only. */
  accessLog?: AccessLog | undefined;
}

export class RequestHandler {
  readonly #options: RequestHandlerOptions;
  readonly #admission: Admission;
  readonly #book: AnswerBook;
  readonly #heads = new WeakMap<Buffer, ObjectHeads>();
  /** Whether anything that players say in CMCD is of use. */
  readonly #readsCmcd: boolean;
  #underWay = 0;
  #fillUnderWay = 0;
  #draining = false;
  #onIdle: (() => void) | undefined;

  constructor(options: RequestHandlerOptions) {
    this.#options = options;
    this.#admission = new Admission(options);
    this.#book = new AnswerBook(options.counters, options.accessLog);
    this.#readsCmcd = options.warmer !== undefined || options.sessions !== undefined || options.pacing.followPlayers;
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
    const { tokens } = this.#options;
    this.#book.open(response, request, method, tokens.active);
    if (method !== "get" && method !== "head") {
      if (method === "options") return this.#answerPreflight(response);
      return this.#turnAway(response, 405, "Only GET, HEAD and OPTIONS", false);
    }
    const headOnly = method === "head";
    const refusedClient = this.#admission.refuseClient(response, request);
    if (refusedClient !== undefined) return this.#turnAway(response, statusOfRefusal(refusedClient), `Refused: ${refusedClient}`, headOnly);
    const place = this.#admission.lastPlace;
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
    let claims: PlaybackClaims | undefined;
    if (tokens.active) {
      const refusal = this.#admission.refuseToken(response, request, token, path);
      if (refusal !== undefined) return this.#turnAway(response, 403, `Refused: ${refusal}`, headOnly);
      claims = this.#admission.lastClaims;
      // Who may play one object need not know of all the others.
      if (path.startsWith(holdingsPath) && !this.#admission.isAppliance(request))
        return this.#turnAway(response, 403, "Refused: only an appliance may ask for that", headOnly);
    }
    if (this.#underWay >= requestsMax) return this.#turnAway(response, 503, "Too many requests are under way", headOnly);
    const exchange = new Exchange(response, request, { method: headOnly ? "HEAD" : "GET", path, place });
    if (this.#options.serverTiming) exchange.startedMs = performance.now();
    exchange.divertedBy = claims?.divertedBy;
    if (exchange.via.length > 0 && this.#refusesToFill(exchange)) return;
    if (path.startsWith(reservedPrefix)) return this.#receiveReserved(exchange);
    const cmcd = this.#readsCmcd ? parseCmcd(cmcdTextOf(request, this.#options.pacing.followPlayers)) : undefined;
    if (cmcd !== undefined || claims !== undefined) this.#heed(exchange, request, { token, claims, cmcd });
    const { pacing } = this.#options;
    if (pacing.bytesPerSecond !== undefined) exchange.pace ??= choosePace(pacing, noWishes);
    const object = this.#options.finder.findKnown(path);
    if (object) this.#answer(exchange, object);
    else this.#ask(exchange, path, (found) => this.#answer(exchange, found));
  }

  /** Does what token and CMCD say, besides letting the request in. */
  #heed(
    exchange: Exchange,
    request: HttpRequest,
    { token, claims, cmcd }: { token: string; claims: PlaybackClaims | undefined; cmcd: Cmcd | undefined },
  ): void {
    const { counters, pacing, sessions, tokens, warmer } = this.#options;
    const { response, path } = exchange;
    const session = claims?.session ?? cmcd?.sessionId;
    if (session !== undefined) sessions?.note(session);
    this.#book.noteSession(response, session, cmcd);
    exchange.pace = choosePace(pacing, { tokenBytesPerSecond: claims?.bytesPerSecond, wishKbps: cmcd?.wishKbps });
    if (cmcd === undefined) return;
    if (cmcd.starved) counters[counterPlace.playersStarved]!++;
    warmer?.warm(cmcd, path, (next) => !tokens.active || this.#admission.checkToken(response, request, token, next) === undefined);
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
    this.#book.countStatus(response, 200);
    writePlainHead(response, 200, { contentType: plainText });
    response.writeHeader(applianceHeader, this.#options.applianceId);
    this.#sayClosing(response);
    if (headOnly) response.writeHeader("Content-Length", "0").endWithoutBody();
    else response.end();
    this.#book.close(response);
  }

  #receiveReserved(exchange: Exchange): void {
    this.#options.faults?.[exchange.path]?.();
    if (exchange.path.startsWith(holdingsPath)) return this.#answerHoldings(exchange);
    if (!exchange.path.startsWith(digestsPrefix)) return this.#fail(exchange, 404, "There is no such object");
    const path = exchange.path.slice(digestsPrefix.length);
    const object = this.#options.finder.findKnown(path);
    if (object) this.#answerDigests(exchange, object);
    else this.#ask(exchange, path, (found) => this.#answerDigests(exchange, found));
  }

  #answerHoldings(exchange: Exchange): void {
    const page = this.#options.listHoldings(exchange.path.slice(holdingsPrefix.length));
    if (!page) return this.#fail(exchange, 404, "There is no such page");
    const { response } = exchange;
    const body = JSON.stringify(page);
    this.#book.countStatus(response, 200);
    writePlainHead(response, 200, { contentType: "application/json" });
    this.#sayClosing(response);
    if (exchange.method === "GET") response.end(body);
    else response.writeHeader("Content-Length", String(Buffer.byteLength(body))).endWithoutBody();
    this.#finish(exchange);
  }

  /** Asks upstream what the object is, where this appliance fills; goes on with `answer`. */
  #ask(exchange: Exchange, path: string, answer: (object: ServedObject) => void): void {
    if (this.#options.miss !== "fill") return this.#answerMissing(exchange);
    this.#watch(exchange);
    this.#options.finder.ask(path, exchange.via, (outcome) => {
      if (exchange.aborted) return;
      exchange.response.cork(() => {
        exchange.wasUnknown = true;
        if ("object" in outcome) answer(outcome.object);
        else this.#failToFill(exchange, outcome.failure, "object");
      });
    });
  }

  #answer(exchange: Exchange, object: ServedObject): void {
    const { response } = exchange;
    const decision = decideResponse(exchange.method, exchange, object.record);
    if ("parts" in decision) return this.#begin(exchange, object, decision, decision.parts[0]!.first);
    if (!("first" in decision)) {
      this.#book.countStatus(response, decision.status);
      const cache = cacheLinesOf("described", this.#options.finder.ttlSecondsOf(object));
      response.writeStatus(statusLineOf(decision.status) + this.#headsOf(object).lines + cache);
      if (decision.status === 416) response.writeHeader("Content-Range", `bytes */${object.record.sizeBytes}`);
      this.#sayClosing(response);
      if (decision.status === 304) response.endWithoutBody();
      else response.end();
      return this.#finish(exchange);
    }
    if (exchange.method === "HEAD" || decision.last < decision.first) {
      this.#writeHead(exchange, object, decision, "described");
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
    if (frame >= 0) return this.#send(exchange, object, decision, { frame, from: "memory" }, "memory");
    this.#watch(exchange);
    const shared = getter.isPending(object, chunk, exchange.via);
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
        if ("frame" in outcome) {
          const how = outcome.from === "upstream" ? missOf(exchange.wasUnknown, shared) : "disk";
          this.#send(exchange, object, decision, outcome, how);
        } else if (outcome.failure === "missing") this.#answerMissing(exchange);
        else this.#failToFill(exchange, outcome.failure, "part of the object");
      });
    });
  }

  /** Called corked, with the first chunk's frame pinned for us. */
  #send(
    exchange: Exchange,
    object: ServedObject,
    decision: BodyDecision | PartsDecision,
    chunk: Extract<ChunkOutcome, { frame: number }>,
    how: CacheOutcome,
  ): void {
    this.#writeHead(exchange, object, decision, how);
    const sender = new BodySender(this.#options, exchange.response, this.#bodyOf(exchange, object, decision), () => this.#finish(exchange));
    exchange.sender = sender;
    if (!sender.send(chunk)) this.#watch(exchange);
  }

  #bodyOf(exchange: Exchange, object: ServedObject, decision: BodyDecision | PartsDecision): Body {
    if (!("parts" in decision)) {
      const { first, last } = decision;
      return {
        object,
        first,
        last,
        before: noBytes,
        parts: noParts,
        totalBytes: last - first + 1,
        via: exchange.via,
        pace: exchange.pace,
      };
    }
    const { contentType } = this.#headsOf(object);
    const { parts, totalBytes } = multipartBodyOf(decision.parts, { contentType, sizeBytes: object.record.sizeBytes });
    return { object, ...parts[0]!, parts: parts.slice(1), totalBytes, via: exchange.via, pace: exchange.pace };
  }

  #writeHead(exchange: Exchange, object: ServedObject, decision: BodyDecision | PartsDecision, how: CacheOutcome): void {
    const { response } = exchange;
    const { finder } = this.#options;
    const ttlS = finder.ttlSecondsOf(object);
    const outcome = ttlS >= 0 || !cacheOutcomes[how].hasTtl ? how : finder.isUnreachable(object) ? "stale" : "updating";
    const heads = this.#headsOf(object);
    this.#book.countStatus(response, decision.status);
    this.#book.noteCache(response, cacheOutcomes[outcome].xCacheStatus);
    if ("parts" in decision) {
      response
        .writeStatus(heads.headOf("parts", outcome, ttlS))
        .writeHeader("Content-Type", `multipart/byteranges; boundary=${multipartBoundary}`);
    } else if (decision.status === 200) response.writeStatus(heads.headOf("whole", outcome, ttlS));
    else {
      response
        .writeStatus(heads.headOf("part", outcome, ttlS))
        .writeHeader(contentRangeName, `bytes ${decision.first}-${decision.last}${heads.ofSize}`);
    }
    if (exchange.startedMs !== undefined) {
      const waitedMs = (performance.now() - exchange.startedMs).toFixed(1);
      response.writeHeader("Server-Timing", `cache;desc=${outcome}, wait;dur=${waitedMs}`);
    }
    this.#sayClosing(response);
  }

  #answerDigests(exchange: Exchange, object: ServedObject): void {
    this.#watch(exchange);
    this.#options.fill.findDigests(object.record, (digests) => {
      if (exchange.aborted) return;
      exchange.response.cork(() => {
        if (!digests) return this.#fail(exchange, 404, "The origin published no digests of this object");
        this.#book.countStatus(exchange.response, 200);
        writePlainHead(exchange.response, 200, { contentType: "application/x-protobuf", cacheControl: "no-cache" });
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
    this.#book.countStatus(response, 307);
    writePlainHead(response, 307, { contentType: plainText });
    response.writeHeader("Location", redirectBase + exchange.path.split("/").map(encodeURIComponent).join("/"));
    this.#sayClosing(response);
    response.end();
    this.#finish(exchange);
  }

  #answerPreflight(response: HttpResponse): void {
    this.#book.countStatus(response, 204);
    writePreflight(response);
    this.#sayClosing(response);
    response.endWithoutBody();
    this.#book.close(response);
  }

  /** No upstream gives what is wanted. */
  #failToFill(exchange: Exchange, failure: FillFailure, what: string): void {
    const reason = `No upstream gives this ${what}: ${failure}`;
    this.#refuse(exchange.response, fillFailures[failure], reason, exchange.method === "HEAD", failedCacheLineOf(failure));
    this.#finish(exchange);
  }

  #fail(exchange: Exchange, status: number, reason: string): void {
    this.#refuse(exchange.response, status, reason, exchange.method === "HEAD");
    this.#finish(exchange);
  }

  /** Answers a request that has not become an exchange. */
  #turnAway(response: HttpResponse, status: number, reason: string, headOnly: boolean): void {
    this.#refuse(response, status, reason, headOnly);
    this.#book.close(response);
  }

  /** Answers a request that is not under way, or no longer. */
  #refuse(response: HttpResponse, status: number, reason: string, headOnly: boolean, moreLines = ""): void {
    this.#book.countStatus(response, status);
    writePlainHead(response, status, { contentType: plainText, moreLines });
    if (status === 405) response.writeHeader("Allow", "GET, HEAD, OPTIONS");
    if (status === 503 || status === 429) response.writeHeader("Retry-After", retryAfterSeconds);
    const body = `${reason}\n`;
    // Who has too much open does not keep this one; nor does anybody while we drain.
    const closes = this.#draining || status === 429;
    // An answer to HEAD has no body: the client would take it for the start of the next answer.
    if (headOnly) {
      if (closes) response.writeHeader("Connection", "close");
      response.writeHeader("Content-Length", String(body.length)).endWithoutBody();
    } else response.end(body, closes);
  }

  /** The engine offers no way to end a connection behind a streamed body: the client is told to. */
  #sayClosing(response: HttpResponse): void {
    if (this.#draining) response.writeHeader("Connection", "close");
  }

  #headsOf(object: ServedObject): ObjectHeads {
    let heads = this.#heads.get(object.key);
    if (!heads) this.#heads.set(object.key, (heads = new ObjectHeads(object.record)));
    return heads;
  }

  #watch(exchange: Exchange): void {
    if (exchange.watched) return;
    exchange.watched = true;
    this.#options.limiter?.begin(exchange.place);
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
    this.#book.close(exchange.response, exchange);
    this.#countHeat(exchange);
    if (!exchange.watched) return;
    exchange.watched = false;
    this.#options.limiter?.end(exchange.place);
    this.#countUnderWay(-1, exchange);
    if (this.#underWay === 0) this.#onIdle?.();
  }

  /** What appliances fetch for each other says nothing new of players. */
  #countHeat({ sender, via, divertedBy }: Exchange): void {
    if (sender && via.length === 0 && sender.sentBytes > 0)
      this.#options.heat.add(sender.object, sender.sentBytes, sender.readThroughBytes, divertedBy);
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
const noWishes = { tokenBytesPerSecond: undefined, wishKbps: undefined };

function missOf(wasUnknown: boolean, shared: boolean): CacheOutcome {
  if (wasUnknown) return shared ? "missCollapsed" : "miss";
  return shared ? "partialCollapsed" : "partial";
}

/** CMCD as the query has it, else its headers put together. Each look into a request costs a crossing into C++, so none is for nothing. */
function cmcdTextOf(request: HttpRequest, wantsStatus: boolean): string {
  const first = request.getHeader("cmcd-request");
  const session = request.getHeader("cmcd-session");
  // A player that sends its CMCD in headers and has something in the third one alone has no session: only its rate can be of use.
  const status = wantsStatus || first !== "" || session !== "" ? request.getHeader("cmcd-status") : "";
  if (first === "" && session === "" && status === "") return request.getQuery("CMCD") ?? "";
  if (session === "" && status === "") return first;
  return [first, session, status].filter((text) => text !== "").join(",");
}
