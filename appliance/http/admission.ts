// Whether a request is let in: by its client's address, by what that client has under way, by its token.
import type { HttpRequest, HttpResponse } from "uWebSockets.js";
import { fillTokenHeader } from "../../fill-protocol/fill-token.js";
import { digestsPrefix } from "../../fill-protocol/object-digests.js";
import type { PlaybackClaims } from "../../fill-protocol/playback-token.js";
import { counterPlace } from "../counters.js";
import type { ClientLimiter, LimitRefusal } from "../serve/client-limiter.js";
import type { ClientRules } from "../serve/client-rules.js";
import type { TokenChecker, TokenRefusal } from "../serve/token-checker.js";

export type Refusal = TokenRefusal | LimitRefusal | "client-refused";

/** 429 for those who may come again later, 403 for the others. */
export function statusOfRefusal(refusal: Refusal): 403 | 429 {
  return refusal === "client-rate" || refusal === "client-requests" || refusal === "client-connections" ? 429 : 403;
}

export interface AdmissionOptions {
  clients: ClientRules;
  counters: Float64Array;
  /** Undefined: clients may take what they want. */
  limiter?: ClientLimiter | undefined;
  tokens: TokenChecker;
}

/** Looks at no more than the settings ask for: without rules, limits and keys it looks at nothing. */
export class Admission {
  readonly #options: AdmissionOptions;
  #place = -1;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /** Where the limiter counts the client of the last request; -1: nowhere. */
  get lastPlace(): number {
    return this.#place;
  }

  /** What the token of the last request says; undefined when it had none. */
  get lastClaims(): PlaybackClaims | undefined {
    return this.#options.tokens.lastClaims;
  }

  /** Before anything is read but the address. Undefined: go on. */
  refuseClient(response: HttpResponse, request: HttpRequest): Refusal | undefined {
    const { clients, limiter } = this.#options;
    this.#place = -1;
    if (limiter === undefined && !clients.active) return undefined;
    const address = new Uint8Array(response.getRemoteAddress());
    if (clients.refuses(address)) return this.#count("client-refused");
    if (limiter === undefined || clients.isUnlimited(address) || this.isAppliance(request)) return undefined;
    const admitted = limiter.admit(address);
    if (typeof admitted === "string") return this.#count(admitted);
    this.#place = admitted;
    return undefined;
  }

  /** `token`: from the path; "" when there is none. Undefined: go on. */
  refuseToken(response: HttpResponse, request: HttpRequest, token: string, path: string): Refusal | undefined {
    const { tokens } = this.#options;
    let refusal = this.checkToken(response, request, token, path);
    if (refusal === "token-missing") {
      const fillToken = request.getHeader(fillTokenHeader);
      if (fillToken !== "") refusal = tokens.checkFill(fillToken);
    }
    return refusal === undefined ? undefined : this.#count(refusal);
  }

  /** Whether the token opens `path`; counts nothing. */
  checkToken(response: HttpResponse, request: HttpRequest, token: string, path: string): TokenRefusal | undefined {
    return this.#options.tokens.check({
      token,
      // The digests of an object are for whoever may have the object.
      path: path.startsWith(digestsPrefix) ? path.slice(digestsPrefix.length) : path,
      query: (key) => request.getQuery(key) ?? "",
      clientAddress: () => new Uint8Array(response.getRemoteAddress()),
      clientAddressText: () => Buffer.from(response.getRemoteAddressAsText()).toString("latin1"),
    });
  }

  /** Whether the request has a fill token that is right. */
  isAppliance(request: HttpRequest): boolean {
    const { tokens } = this.#options;
    if (!tokens.active) return false;
    const fillToken = request.getHeader(fillTokenHeader);
    return fillToken !== "" && tokens.checkFill(fillToken) === undefined;
  }

  #count(refusal: Refusal): Refusal {
    this.#options.counters[counterPlace[refusal]]!++;
    return refusal;
  }
}
