// The gateway's HTTP server, and the only file of it that names uWebSockets.js: requests in, answers out, limits, orderly end.
import { randomUUID } from "node:crypto";
import { App, us_listen_socket_close, us_socket_local_port, type HttpRequest, type HttpResponse } from "uWebSockets.js";
import type { Log } from "../../runtime/log.js";
import { OperatingError } from "../../runtime/operating-error.js";
import { clientAddressOf, type TrustedProxies } from "./client-address.js";
import { compress } from "./filters/compress.js";
import { logRequest, openRequestCount, type RequestEnd } from "./filters/count-requests.js";
import type { RateLimit } from "./filters/rate-limit.js";
import { allowedMethods, preflightHeaders, withStandardHeaders } from "./filters/standard-headers.js";
import { failureAnswer } from "./http-failure.js";
import type { RouteDescription } from "./json-route.js";
import type { GatewayMetrics } from "./metrics.js";

/** The largest body that a route reads: a playback request has 100 bytes. */
const bodyMaxBytes = 16 * 1024;
/** Of a body that is too large so much is read and dropped, so that the client gets to read the 413; then the connection is cut. */
const bodyDropMaxBytes = 1024 * 1024;
/** For the whole body to arrive. */
const bodyMaxMs = 10_000;
/** Requests that wait for an answer; more are refused at once. */
const requestsAtOnceMax = 1000;
/** After it, requests that still run when the gateway stops are cut. */
const drainMaxMs = 5000;
/** Fail when the port is taken; without it uWebSockets.js shares the port with whoever has it. */
const listenExclusively = 1;

export interface RouteRequest {
  method: string;
  query: URLSearchParams;
  clientAddress: string;
  /** What the client calls us: "http://host:port", by its Host header and the trusted proxy's X-Forwarded-Proto. */
  origin: string;
  requestId: string;
  /** Empty for a route that does not read it. */
  body: Buffer;
  ifNoneMatch: string;
  acceptEncoding: string;
  /** As sent: "Bearer TOKEN". */
  authorization: string;
  /** The header Idempotency-Key. */
  idempotencyKey: string;
  /** Of a payment provider: Millrace-Signature or Stripe-Signature. */
  webhookSignature: string;
}

export interface RouteAnswer {
  status: number;
  headers: Readonly<Record<string, string>>;
  body: string | Buffer;
}

export interface Route {
  /** For metrics. */
  name: string;
  /** Those that it answers; GET brings HEAD with it. */
  methods: readonly ("GET" | "POST")[];
  /** Pages of other origins may call it. */
  crossOrigin: boolean;
  answer: (request: RouteRequest) => Promise<RouteAnswer> | RouteAnswer;
  /** For the OpenAPI document; a page or an asset has none. */
  description?: RouteDescription;
}

export interface HttpAppOptions {
  host: string;
  port: number;
  /** The route for a path without its query; undefined when there is none. */
  routeOf: (path: string) => Route | undefined;
  trustedProxies: TrustedProxies;
  rateLimit: RateLimit;
  metrics: GatewayMetrics;
  log: Log;
}

export interface HttpApp {
  /** The port that was taken. */
  port: number;
  /** Stops listening, finishes the requests that run (for 5 s at most), closes. */
  drain(): Promise<void>;
}

/** A connection that is waiting for its answer. */
interface Pending {
  response: HttpResponse;
  /** The client has gone: `response` must not be touched any more. */
  aborted: boolean;
  answered: boolean;
}

/** @throws OperatingError "port-taken". */
export async function openHttpApp(options: HttpAppOptions): Promise<HttpApp> {
  const { metrics, log } = options;
  const app = App();
  const pending = new Set<Pending>();
  let draining = false;
  let whenIdle = () => {};

  const countRequest = openRequestCount(metrics);

  app.any("/*", (response, request) => {
    // `request` is only valid until this function returns, so everything is read from it first.
    const facts = factsOf(response, request, options.trustedProxies);
    const route = options.routeOf(facts.path);
    const startedAtMs = performance.now();
    const entry: Pending = { response, aborted: false, answered: false };
    pending.add(entry);
    const finish = (status: RequestEnd["status"]) => {
      pending.delete(entry);
      const end = { route: route?.name ?? "none", facts, status, tookMs: performance.now() - startedAtMs };
      countRequest(end);
      logRequest(log, end);
      if (draining && pending.size === 0) whenIdle();
    };
    response.onAborted(() => {
      entry.aborted = true;
      if (!entry.answered) finish("aborted");
    });
    /** The filters after: headers of all, compression, metrics and log. */
    const send = async (answer: RouteAnswer, closeAfter = false) => {
      if (entry.aborted || entry.answered) return;
      const filtered = await compress(withStandardHeaders(answer, route, facts.requestId), facts.acceptEncoding);
      // It may have gone meanwhile, and been counted as that.
      if (entry.aborted || entry.answered) return;
      entry.answered = true;
      writeAnswer(response, filtered, { isHead: facts.method === "HEAD", closeAfter: closeAfter || draining });
      finish(answer.status);
    };
    const fail = (error: unknown, closeAfter = false): void => {
      const answer = failureAnswer(error);
      if (answer.status === 500) log.error({ err: error, requestId: facts.requestId, path: facts.path }, "request failed");
      if (answer.status === 405 && route) answer.headers["Allow"] = allowedMethods(route).join(", ");
      send(answer, closeAfter).catch((error: unknown) => {
        // Nothing is left that could be said.
        log.error({ err: error, requestId: facts.requestId }, "answer failed");
        if (!entry.aborted) response.close();
      });
    };
    const run = async (body: Buffer) => send(await route!.answer({ ...facts, body }));

    // The filters before: is there such a route, is there room, is it this client's turn? Who may call is the services' to say.
    const refusal = refuse(facts, route);
    if (refusal) return fail(refusal);
    if (facts.method === "OPTIONS") {
      send({ status: 204, headers: { Allow: allowedMethods(route!).join(", "), ...preflightHeaders(route!) }, body: "" }).catch(fail);
      return;
    }
    if (facts.method !== "POST") {
      run(Buffer.alloc(0)).catch(fail);
      return;
    }
    readBody(response).then(
      ({ body, refused, closeAfter }) => (refused ? fail(refused, closeAfter) : run(body).catch(fail)),
      (error: unknown) => fail(error, true),
    );
  });

  const refuse = (facts: RequestFacts, route: Route | undefined): OperatingError | undefined => {
    if (!route) return new OperatingError("not-found", "Cannot find this page: see /, /console, /api/openapi.json");
    if (!allowedMethods(route).includes(facts.method)) {
      const allowed = allowedMethods(route).join(", ");
      return new OperatingError("method-not-allowed", `Cannot ${facts.method.slice(0, 20)} this: only ${allowed}`);
    }
    if (pending.size > requestsAtOnceMax) {
      return new OperatingError("gateway-busy", `Cannot answer: ${requestsAtOnceMax} requests are waiting already`);
    }
    // Whoever watches over the gateway must hear it when it is flooded.
    return route.name === "own" ? undefined : options.rateLimit.refuse(facts);
  };

  const listenSocket = await new Promise<Parameters<typeof us_listen_socket_close>[0]>((resolve, reject) => {
    // The fourth argument exists; the type declarations lack it.
    const listen = app.listen.bind(app) as unknown as (host: string, port: number, flags: number, done: (socket: unknown) => void) => void;
    listen(options.host, options.port, listenExclusively, (socket) => {
      if (socket) return resolve(socket as Parameters<typeof us_listen_socket_close>[0]);
      const address = `${options.host}:${options.port}`;
      reject(
        new OperatingError("port-taken", `Cannot listen on ${address}: the port is taken by another process, or the address is not ours`, {
          source: address,
        }),
      );
    });
  });

  const drain = async () => {
    draining = true;
    us_listen_socket_close(listenSocket);
    if (pending.size > 0) {
      await new Promise<void>((resolve) => {
        const cut = setTimeout(resolve, drainMaxMs);
        whenIdle = () => {
          clearTimeout(cut);
          resolve();
        };
      });
    }
    app.close();
  };
  // Once only: a listen socket that is closed twice takes the process with it.
  let drained: Promise<void> | undefined;

  return {
    port: us_socket_local_port(listenSocket as unknown as Parameters<typeof us_socket_local_port>[0]),
    drain: () => (drained ??= drain()),
  };
}

/** What is read of a request before its body. */
export interface RequestFacts extends Omit<RouteRequest, "body"> {
  path: string;
}

function factsOf(response: HttpResponse, request: HttpRequest, trustedProxies: TrustedProxies): RequestFacts {
  const sentId = request.getHeader("x-request-id");
  return {
    method: request.getCaseSensitiveMethod(),
    path: request.getUrl(),
    query: new URLSearchParams(request.getQuery() ?? ""),
    clientAddress: clientAddressOf(
      Buffer.from(response.getRemoteAddressAsText()).toString("latin1"),
      request.getHeader("x-forwarded-for"),
      trustedProxies,
    ),
    origin: originOf(request.getHeader("host"), request.getHeader("x-forwarded-proto")),
    requestId: /^[\w-]{8,64}$/.test(sentId) ? sentId : randomUUID(),
    ifNoneMatch: request.getHeader("if-none-match"),
    acceptEncoding: request.getHeader("accept-encoding"),
    authorization: request.getHeader("authorization"),
    idempotencyKey: request.getHeader("idempotency-key"),
    webhookSignature: request.getHeader("millrace-signature") || request.getHeader("stripe-signature"),
  };
}

/** A client that lies about it gets URLs that only it will use. */
function originOf(host: string, forwardedProto: string): string {
  return `${forwardedProto === "https" ? "https" : "http"}://${/^[\w.:[\]-]{1,255}$/.test(host) ? host : "localhost"}`;
}

interface ReadBody {
  body: Buffer;
  refused?: OperatingError;
  closeAfter?: boolean;
}

/** Settles once, also when the client goes away: then never, and the entry is finished by onAborted. */
function readBody(response: HttpResponse): Promise<ReadBody> {
  return new Promise((resolve) => {
    const parts: Buffer[] = [];
    let receivedBytes = 0;
    const tooSlow = new OperatingError("body-too-slow", `Cannot read the body: it took longer than ${bodyMaxMs} ms`);
    const timer = setTimeout(() => resolve({ body: Buffer.alloc(0), refused: tooSlow, closeAfter: true }), bodyMaxMs);
    response.onData((chunk, isLast) => {
      receivedBytes += chunk.byteLength;
      const isTooLarge = receivedBytes > bodyMaxBytes;
      // The chunk's memory is taken back when this function returns.
      if (!isTooLarge) parts.push(Buffer.from(chunk.slice(0)));
      if (!isLast && receivedBytes <= bodyDropMaxBytes) return;
      clearTimeout(timer);
      if (!isTooLarge) return resolve({ body: Buffer.concat(parts) });
      const refused = new OperatingError("body-too-large", `Cannot read the body: it is larger than ${bodyMaxBytes} bytes`);
      resolve({ body: Buffer.alloc(0), refused, closeAfter: !isLast });
    });
  });
}

function writeAnswer(response: HttpResponse, answer: RouteAnswer, { isHead, closeAfter }: { isHead: boolean; closeAfter: boolean }): void {
  response.cork(() => {
    response.writeStatus(`${answer.status} ${reasonPhrases[answer.status] ?? "Unknown"}`);
    for (const [name, value] of Object.entries(answer.headers)) response.writeHeader(name, value);
    const hasNoBody = isHead || answer.status === 204 || answer.status === 304;
    if (hasNoBody) {
      // endWithoutBody(n) leaves a HEAD open, and undefined counts as a number: the length is a header of our own, and so is
      // the wish to close.
      if (isHead) response.writeHeader("Content-Length", String(Buffer.byteLength(answer.body)));
      if (closeAfter) response.writeHeader("Connection", "close");
      response.endWithoutBody();
    } else {
      response.end(answer.body, closeAfter);
    }
  });
}

const reasonPhrases: Readonly<Record<number, string>> = {
  200: "OK",
  204: "No Content",
  304: "Not Modified",
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  409: "Conflict",
  413: "Content Too Large",
  429: "Too Many Requests",
  500: "Internal Server Error",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
};
