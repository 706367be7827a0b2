// An upstream that speaks HTTP and answers Range: an origin server, or another appliance.
import { errors, Pool, type Dispatcher } from "undici";
import { holdingsPrefix, parseHoldingsPage, type HoldingsPage } from "../../fill-protocol/holdings-listing.js";
import { digestsPathOf, parseObjectDigests } from "../../fill-protocol/object-digests.js";
import { applianceHeader, appliancePath, formatVia, viaHeader } from "../../fill-protocol/via-header.js";
import { messageOf } from "../../runtime/operating-error.js";
import type { Upstream, UpstreamFailure, UpstreamKind, UpstreamObject, UpstreamRange, UpstreamRequest } from "./upstream.js";

/** An appliance may be replaced by another behind its address: who it is is asked again after so long. */
const identityForMs = 60_000;
/** A busy upstream may ask for no more patience than this, and for no less. */
const retryAfterMsMax = 60_000;
const retryAfterMsMin = 1000;
/** Digests are 32 bytes a piece: this is enough for an object of 128 GiB in pieces of 64 KiB. */
const digestsBytesMax = 64 * 2 ** 20;
/** Two hundred versions, and runs of chunks of those that are held in part. */
const holdingsPageBytesMax = 16 * 2 ** 20;

export interface HttpUpstreamOptions {
  connections: number;
  connectTimeoutMs: number;
  /** Longest silence before the first byte of an answer, and between two parts of a body. */
  silenceTimeoutMs: number;
  /** What it is; by default an origin. */
  kind?: UpstreamKind;
  /** The id of the appliance that it is, when that is known. */
  applianceId?: string;
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
  readonly kind: UpstreamKind;
  #applianceId: string | undefined;
  #identifiedAtMs = -Infinity;
  #identifying: Promise<void> | undefined;
  readonly #basePath: string;
  readonly #origin: string;
  readonly #sign: HttpUpstreamOptions["sign"];
  readonly #pool: Pool;

  /** `base`: an http: or https: URL; paths are put behind its own. */
  constructor(base: URL, options: HttpUpstreamOptions) {
    this.name = base.href;
    this.kind = options.kind ?? "origin";
    this.#applianceId = options.applianceId;
    // Who named it knows.
    if (options.applianceId !== undefined) this.#identifiedAtMs = Infinity;
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

  get applianceId(): string | undefined {
    return this.#applianceId;
  }

  async identify(): Promise<void> {
    if (this.kind !== "appliance" || performance.now() - this.#identifiedAtMs < identityForMs) return;
    this.#identifying ??= this.#askWhoItIs().finally(() => (this.#identifying = undefined));
    await this.#identifying;
  }

  async #askWhoItIs(): Promise<void> {
    await this.#send(
      "GET",
      appliancePath,
      [],
      {},
      {
        start: (answer) => {
          if (answer.status === 200) this.#applianceId = headerOf(answer, applianceHeader);
          this.#identifiedAtMs = performance.now();
          return undefined;
        },
        take: () => ({ failure: "bad-answer", detail: "it has a body" }),
        end: () => undefined,
      },
    );
  }

  async describe(request: UpstreamRequest): Promise<UpstreamObject | "not-found" | UpstreamFailure> {
    const published = await this.#describeByDigests(request);
    if (published !== "none") return published;
    let described: UpstreamObject | undefined;
    const failure = await this.#send(
      "HEAD",
      request.path,
      request.via,
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
    const answer = await this.#readWhole(digestsPathOf(request.path), request.via, digestsBytesMax);
    if (typeof answer === "number") return "none";
    if ("failure" in answer) return answer;
    const digests = parseObjectDigests(answer.bytes, request.path);
    // A server that answers 200 with its own page for every unknown name has no digests.
    if (!digests) return "none";
    return {
      sizeBytes: Number(digests.sizeBytes),
      etag: digests.etag,
      lastModifiedUnixMs: Number(digests.lastModifiedUnixMs),
      digests,
    };
  }

  /** A page of what an appliance holds: its first, or the one after `after`. */
  async listHoldings(after: string, via: readonly string[]): Promise<HoldingsPage | UpstreamFailure> {
    const answer = await this.#readWhole(after === "" ? holdingsPrefix.slice(0, -1) : holdingsPrefix + after, via, holdingsPageBytesMax);
    if (typeof answer === "number") return { failure: "bad-status", detail: `it answers ${answer} when it is asked what it holds` };
    if ("failure" in answer) return answer;
    const page = parseHoldingsPage(answer.bytes.toString("utf8"));
    return page ?? { failure: "bad-answer", detail: "its list of what it holds cannot be read" };
  }

  /** A body that is wanted whole; or the status with which it was refused, when that says nothing of how the server does. */
  async #readWhole(path: string, via: readonly string[], bytesMax: number): Promise<{ bytes: Buffer } | number | UpstreamFailure> {
    const parts: Buffer[] = [];
    let bytes = 0;
    let status = 0;
    const failure = await this.#send(
      "GET",
      path,
      via,
      {},
      {
        start: (answer) => {
          // Any server may refuse a name with a dot in front in its own way: only its own trouble is a failure.
          status = answer.status;
          return status >= 500 || status === 429 ? badStatus(answer) : status !== 200 ? "not-found" : undefined;
        },
        take: (part) => {
          bytes += part.length;
          parts.push(part);
          return bytes > bytesMax ? { failure: "bad-answer", detail: `it sends more than ${bytesMax} bytes` } : undefined;
        },
        end: () => undefined,
      },
    );
    if (failure === "not-found") return status;
    return failure ?? { bytes: Buffer.concat(parts) };
  }

  async fetch(range: UpstreamRange): Promise<UpstreamFailure | "not-found" | undefined> {
    const { into, offsetBytes, sizeBytes } = range;
    const last = offsetBytes + into.length - 1;
    let done = 0;
    return this.#send(
      "GET",
      range.path,
      range.via,
      { range: `bytes=${offsetBytes}-${last}` },
      {
        start: (answer) => {
          if (answer.status === 404 || answer.status === 410) return "not-found";
          const whole = answer.status === 200 && offsetBytes === 0 && into.length === sizeBytes;
          if (answer.status === 416) return { failure: "version-changed", detail: "the object is shorter now" };
          if (answer.status !== 206 && !whole) return badStatus(answer);
          if (headerOf(answer, "content-encoding")) return { failure: "bad-answer", detail: "it sends an encoded body" };
          // Appliances pass the origin's tag on: one with another tag has another version, or makes things up.
          if ((!range.digested || this.kind === "appliance") && (headerOf(answer, "etag") ?? "") !== range.etag)
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
          range.onBytes?.(done);
          return undefined;
        },
        end: () => (done === into.length ? undefined : { failure: "bad-answer", detail: `it sent ${done} of ${into.length} bytes` }),
      },
      range.signal,
    );
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
  }

  async #send(
    method: "GET" | "HEAD",
    objectPath: string,
    via: readonly string[],
    headers: Record<string, string>,
    taker: BodyTaker,
    signal?: AbortSignal,
  ): Promise<UpstreamFailure | "not-found" | undefined> {
    const path = this.#basePath + objectPath.split("/").map(encodeURIComponent).join("/");
    const proof = await this.#sign?.(method, this.#origin + path);
    if (via.length > 0) headers[viaHeader] = formatVia(via);
    return new Promise((resolve) => {
      let over = false;
      let abort = () => {};
      const finish = (why: UpstreamFailure | "not-found" | undefined) => {
        if (over) return;
        over = true;
        signal?.removeEventListener("abort", cancel);
        resolve(why);
      };
      const stop = (controller: Dispatcher.DispatchController, why: UpstreamFailure | "not-found") => {
        finish(why);
        controller.abort(new Error("not wanted"));
      };
      const cancel = () => {
        finish({ failure: "cancelled", detail: "it was let go of" });
        abort();
      };
      if (signal?.aborted) return cancel();
      signal?.addEventListener("abort", cancel);
      this.#pool.dispatch(
        { method, path, headers: { ...headers, ...proof, "accept-encoding": "identity" } },
        {
          onRequestStart: (controller) => {
            abort = () => controller.abort(new Error("not wanted"));
            if (over) abort();
          },
          onResponseStart: (controller, status, answerHeaders) => {
            // 103 Early Hints and its like come before the answer.
            if (status < 200 || over) return;
            const why = taker.start({ status, headers: answerHeaders });
            if (why) stop(controller, why);
          },
          onResponseData: (controller, part) => {
            if (over) return;
            const why = taker.take(part);
            if (why) stop(controller, why);
          },
          onResponseEnd: () => {
            if (!over) finish(taker.end());
          },
          onResponseError: (_controller, error) => finish(failureOf(error)),
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
  const detail = `it answers ${answer.status}`;
  if (answer.status === 508) return { failure: "loop", detail };
  if (answer.status !== 503 && answer.status !== 429) return { failure: "bad-status", detail };
  // The form with a date is not for machines that are told to come back in a moment.
  const seconds = Number(headerOf(answer, "retry-after") ?? NaN);
  if (Number.isNaN(seconds)) return { failure: "busy", detail };
  return { failure: "busy", detail, retryAfterMs: Math.min(retryAfterMsMax, Math.max(retryAfterMsMin, seconds * 1000)) };
}

function failureOf(error: unknown): UpstreamFailure {
  const timeout =
    error instanceof errors.HeadersTimeoutError || error instanceof errors.BodyTimeoutError || error instanceof errors.ConnectTimeoutError;
  // What is no HTTP, or has another length than it promised, is an answer, and a bad one.
  const bad = error instanceof errors.HTTPParserError || error instanceof errors.ResponseContentLengthMismatchError;
  return { failure: timeout ? "timeout" : bad ? "bad-answer" : "unreachable", detail: messageOf(error) };
}
