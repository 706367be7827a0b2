// Keeps count of answers by status, and has a line written of each when there is an access log.
import type { HttpRequest, HttpResponse } from "uWebSockets.js";
import { counterPlace, type CounterName } from "../counters.js";
import type { Cmcd } from "../serve/parse-cmcd.js";
import type { AccessLog, AccessLogEntry } from "./access-log.js";
import type { Exchange } from "./exchange.js";

export class AnswerBook {
  readonly #counters: Float64Array;
  readonly #log: AccessLog | undefined;
  /** Of responses that are not done, when there is a log. */
  readonly #entries = new Map<HttpResponse, AccessLogEntry>();

  constructor(counters: Float64Array, log: AccessLog | undefined) {
    this.#counters = counters;
    this.#log = log;
  }

  /** A request has come. `hasTokens`: its path may begin with one. */
  open(response: HttpResponse, request: HttpRequest, method: string, hasTokens: boolean): void {
    if (this.#log === undefined) return;
    this.#entries.set(response, {
      startedUnixMs: Date.now(),
      startedAtMs: performance.now(),
      client: Buffer.from(response.getRemoteAddressAsText()).toString("latin1"),
      method: method.toUpperCase(),
      // A token opens what it names to whoever reads it here.
      target: hasTokens ? request.getUrl().replace(/^\/~[^/]*/, "") : request.getUrl(),
      range: request.getHeader("range"),
      session: "",
      content: "",
      cache: "",
      status: 0,
    });
  }

  /** Whose playback it is, and of what. */
  noteSession(response: HttpResponse, session: string | undefined, cmcd: Cmcd | undefined): void {
    const entry = this.#log && this.#entries.get(response);
    if (!entry) return;
    entry.session = session ?? "";
    entry.content = cmcd?.contentId ?? "";
  }

  noteCache(response: HttpResponse, xCacheStatus: string): void {
    const entry = this.#log && this.#entries.get(response);
    if (entry) entry.cache = xCacheStatus;
  }

  countStatus(response: HttpResponse, status: number): void {
    const entry = this.#log && this.#entries.get(response);
    if (entry) entry.status = status;
    this.#counters[statusPlaces[status] ?? counterPlace.statusOther]!++;
  }

  /** The response is over. */
  close(response: HttpResponse, exchange?: Exchange): void {
    if (this.#log === undefined) return;
    const entry = this.#entries.get(response);
    if (!entry) return;
    this.#entries.delete(response);
    this.#log.write(entry, { bytes: exchange?.sender?.sentBytes ?? 0, aborted: exchange?.aborted ?? false });
  }
}

/** Where each status is counted, by its number. */
const statusPlaces: Readonly<Record<number, number>> = Object.fromEntries(
  (Object.keys(counterPlace) as CounterName[])
    .filter((name) => /^status\d+$/.test(name))
    .map((name) => [Number(name.slice("status".length)), counterPlace[name]]),
);
