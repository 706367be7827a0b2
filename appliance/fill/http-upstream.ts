// An upstream that speaks HTTP and answers Range: an origin server, or another appliance.
import { errors, Pool, type Dispatcher } from "undici";
import { hopsHeader } from "../../fill-protocol/hops-header.js";
import { digestsPathOf, parseObjectDigests } from "../../fill-protocol/object-digests.js";
import { messageOf } from "../../runtime/operating-error.js";
import type { Upstream, UpstreamFailure, UpstreamObject, UpstreamRange, UpstreamRequest } from "./upstream.js";

/** Digests are 32 bytes a chunk: this is enough for an object of 2 TiB in chunks of 1 MiB. */
const digestsBytesMax = 64 * 2 ** 20;

export interface HttpUpstreamOptions {
  connections: number;
  connectTimeoutMs: number;
  /** Longest silence before the first byte of an answer, and between two parts of a body. */
  silenceTimeoutMs: number;
  /** Headers that prove who asks for the URL; by default nobody asks. */
  sign?: (method: "GET" | "HEAD", url: string) => Promise<Readonly<Record<string, string>>>;
}

interface Answer {
  status: number;
  headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** Takes the body as it comes. Answers why it cannot be used, to end it early. */
interface BodyTaker {
  start(answer: Answer): UpstreamFailure | "not-found" | undefined;
  take(part: Buffer): UpstreamFailure | undefined;
  end(): UpstreamFailure | undefined;
}

export class HttpUpstream implements Upstream {
  readonly name: string;
  readonly #basePath: string;
  readonly #origin: string;
  readonly #sign: HttpUpstreamOptions["sign"];
  readonly #pool: Pool;

  /** `base`: an http: or https: URL; paths are put behind its own. */
  constructor(base: URL, options: HttpUpstreamOptions) {
    this.name = base.href;
    this.#basePath = base.pathname.endsWith("/") ? base.pathname : `${base.pathname}/`;
    this.#origin = base.origin;
    this.#sign = options.sign;
    this.#pool = new Pool(base.origin, {
      connections: options.connections,
      connect: { timeout: options.connectTimeoutMs },
      headersTimeout: options.silenceTimeoutMs,
      bodyTimeout: options.silenceTimeoutMs,
    });
  }

  async describe(request: UpstreamRequest): Promise<UpstreamObject | "not-found" | UpstreamFailure> {
    const published = await this.#describeByDigests(request);
    if (published !== "none") return published;
    let described: UpstreamObject | undefined;
    const failure = await this.#send(
      "HEAD",
      request.path,
      request.hops,
      {},
      {
        start: (answer) => {
          if (answer.status === 404 || answer.status === 410) return "not-found";
          if (answer.status !== 200) return badStatus(answer);
          const sizeBytes = Number(headerOf(answer, "content-length") ?? NaN);
          if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0)
            return { failure: "bad-answer", detail: "it does not say the object's size" };
          described = { sizeBytes, etag: headerOf(answer, "etag") ?? "", lastModifiedUnixMs: lastModifiedOf(answer) };
          return undefined;
        },
        take: () => undefined,
        end: () => undefined,
      },
    );
    return failure ?? described!;
  }

  async #describeByDigests(request: UpstreamRequest): Promise<UpstreamObject | "none" | UpstreamFailure> {
    const parts: Buffer[] = [];
    let bytes = 0;
    let none = false;
    const failure = await this.#send(
      "GET",
      digestsPathOf(request.path),
      request.hops,
      {},
      {
        start: (answer) => {
          // Any server may refuse a name with a dot in front in its own way: only its own trouble is a failure.
          none = answer.status !== 200;
          return answer.status >= 500 ? badStatus(answer) : none ? "not-found" : undefined;
        },
        take: (part) => {
          bytes += part.length;
          parts.push(part);
          return bytes > digestsBytesMax ? { failure: "bad-answer", detail: "the digests are too large" } : undefined;
        },
        end: () => undefined,
      },
    );
    if (none && failure === "not-found") return "none";
    if (failure && failure !== "not-found") return failure;
    const digests = parseObjectDigests(Buffer.concat(parts), request.path);
    // A server that answers 200 with its own page for every unknown name has no digests.
    if (!digests) return "none";
    return {
      sizeBytes: Number(digests.sizeBytes),
      etag: digests.etag,
      lastModifiedUnixMs: Number(digests.lastModifiedUnixMs),
      digests,
    };
  }

  async fetch(range: UpstreamRange): Promise<UpstreamFailure | "not-found" | undefined> {
    const { into, offsetBytes, sizeBytes } = range;
    const last = offsetBytes + into.length - 1;
    let done = 0;
    return this.#send(
      "GET",
      range.path,
      range.hops,
      { range: `bytes=${offsetBytes}-${last}` },
      {
        start: (answer) => {
          if (answer.status === 404 || answer.status === 410) return "not-found";
          const whole = answer.status === 200 && offsetBytes === 0 && into.length === sizeBytes;
          if (answer.status === 416) return { failure: "version-changed", detail: "the object is shorter now" };
          if (answer.status !== 206 && !whole) return badStatus(answer);
          if (headerOf(answer, "content-encoding")) return { failure: "bad-answer", detail: "it sends an encoded body" };
          if (!range.digested && (headerOf(answer, "etag") ?? "") !== range.etag)
            return { failure: "version-changed", detail: "its ETag is another now" };
          // A weak tag, or none, promises no equal bytes: the date has to be the same too, as it is part of the version.
          if (!range.digested && !range.etag.startsWith('"') && lastModifiedOf(answer) !== range.lastModifiedUnixMs)
            return { failure: "version-changed", detail: "its Last-Modified is another now" };
          if (answer.status === 206 && headerOf(answer, "content-range") !== `bytes ${offsetBytes}-${last}/${sizeBytes}`) {
            return {
              failure: "bad-answer",
              detail: `asked for bytes ${offsetBytes}-${last}/${sizeBytes}, it sends ${headerOf(answer, "content-range")}`,
            };
          }
          return undefined;
        },
        take: (part) => {
          if (done + part.length > into.length) return { failure: "bad-answer", detail: "it sends more than it was asked for" };
          into.set(part, done);
          done += part.length;
          return undefined;
        },
        end: () => (done === into.length ? undefined : { failure: "bad-answer", detail: `it sent ${done} of ${into.length} bytes` }),
      },
    );
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
  }

  async #send(
    method: "GET" | "HEAD",
    objectPath: string,
    hops: number,
    headers: Record<string, string>,
    taker: BodyTaker,
  ): Promise<UpstreamFailure | "not-found" | undefined> {
    const path = this.#basePath + objectPath.split("/").map(encodeURIComponent).join("/");
    const proof = await this.#sign?.(method, this.#origin + path);
    return new Promise((resolve) => {
      const stop = (controller: Dispatcher.DispatchController, why: UpstreamFailure | "not-found") => {
        resolve(why);
        controller.abort(new Error("not wanted"));
      };
      this.#pool.dispatch(
        { method, path, headers: { ...headers, ...proof, "accept-encoding": "identity", [hopsHeader]: String(hops + 1) } },
        {
          onRequestStart: () => {},
          onResponseStart: (controller, status, answerHeaders) => {
            // 103 Early Hints and its like come before the answer.
            if (status < 200) return;
            const why = taker.start({ status, headers: answerHeaders });
            if (why) stop(controller, why);
          },
          onResponseData: (controller, part) => {
            const why = taker.take(part);
            if (why) stop(controller, why);
          },
          onResponseEnd: () => resolve(taker.end()),
          onResponseError: (_controller, error) => resolve(failureOf(error)),
        },
      );
    });
  }
}

function headerOf(answer: Answer, name: string): string | undefined {
  const value = answer.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

/** 0 when the answer has no date. */
function lastModifiedOf(answer: Answer): number {
  const unixMs = Date.parse(headerOf(answer, "last-modified") ?? "");
  return Number.isNaN(unixMs) ? 0 : unixMs;
}

function badStatus(answer: Answer): UpstreamFailure {
  return { failure: "bad-status", detail: `it answers ${answer.status}` };
}

function failureOf(error: unknown): UpstreamFailure {
  const timeout =
    error instanceof errors.HeadersTimeoutError || error instanceof errors.BodyTimeoutError || error instanceof errors.ConnectTimeoutError;
  return { failure: timeout ? "timeout" : "unreachable", detail: messageOf(error) };
}
