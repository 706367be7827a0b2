// Whether a request may have what it asks for: by its token, checked here and now, without asking anyone.
import { LRUCache } from "lru-cache";
import { parseFillToken } from "../../fill-protocol/fill-token.js";
import type { TokenKey } from "../../fill-protocol/token-key.js";
import { isSignedWith, parsePlaybackToken, type PlaybackClaims } from "../../fill-protocol/playback-token.js";
import type { Clock } from "../../runtime/clock.js";
import { isInPrefix, parseClientPrefix, type ClientPrefix } from "./client-prefix.js";
import { checkSecureLink } from "./secure-link.js";

/** Why a request is refused with 403. */
export const tokenRefusals = [
  "token-missing",
  "token-malformed",
  "token-unknown-key",
  "token-bad-signature",
  "token-expired",
  "token-other-path",
  "token-other-client",
  "token-revoked",
] as const;
export type TokenRefusal = (typeof tokenRefusals)[number];

/** Tokens whose signature is known to be right; about 500 bytes each. */
const knownTokensMax = 50_000;
/** Fill tokens whose signature is known to be right: a few for each appliance that fills from this one. */
const knownFillTokensMax = 1000;

export interface TokenRules {
  required: boolean;
  keys: readonly TokenKey[];
  /** Sessions whose tokens are worth nothing any more. */
  revokedSessions: readonly string[];
  /** nginx's secure_link_md5 expression, where such links are taken as well. */
  secureLinkMd5?: string | undefined;
}

/** What of a request counts here. `query` and the addresses are looked up only where they are needed. */
export interface TokenRequest {
  /** From the path; "" when there is none. */
  token: string;
  /** Of the object, decoded, without the token. */
  path: string;
  query: (key: string) => string;
  clientAddress: () => Uint8Array;
  clientAddressText: () => string;
}

interface KnownToken {
  keyId: string;
  claims: PlaybackClaims;
  client: ClientPrefix | undefined;
}

export class TokenChecker {
  readonly #clock: Clock;
  readonly #known = new LRUCache<string, KnownToken>({ max: knownTokensMax });
  readonly #knownFill = new LRUCache<string, { keyId: string; expiresUnixMs: number }>({ max: knownFillTokensMax });
  #rules: TokenRules;
  #keys = new Map<string, TokenKey>();
  #revoked = new Set<string>();
  #claims: PlaybackClaims | undefined;

  constructor(rules: TokenRules, clock: Clock) {
    this.#clock = clock;
    this.#rules = rules;
    this.setRules(rules);
  }

  /** Whether tokens mean anything here: without a key, "~" at the start of a path is a letter like others. */
  get active(): boolean {
    return this.#rules.required || this.#keys.size > 0;
  }

  /** New keys, or new revocations. What was known of tokens is forgotten: a secret may have changed under its id. */
  setRules(rules: TokenRules): void {
    this.#rules = rules;
    this.#keys = new Map(rules.keys.map((key) => [key.id, key]));
    this.#revoked = new Set(rules.revokedSessions);
    this.#known.clear();
    this.#knownFill.clear();
  }

  /** What the token of the last request that was checked says; undefined when it had none. Worth something only when it passed. */
  get lastClaims(): PlaybackClaims | undefined {
    return this.#claims;
  }

  /** Undefined when the request may go on. */
  check(request: TokenRequest): TokenRefusal | undefined {
    this.#claims = undefined;
    const text = request.token === "" ? request.query("tk") : request.token;
    if (text === "") return this.#checkWithout(request);
    const known = this.#known.get(text) ?? this.#learn(text);
    if (typeof known === "string") return known;
    const { claims, client } = known;
    this.#claims = claims;
    const nowUnixMs = this.#clock.unixMs();
    if (nowUnixMs >= claims.expiresUnixS * 1000) return "token-expired";
    if (this.#isOver(known.keyId, nowUnixMs)) return "token-unknown-key";
    if (!request.path.startsWith(claims.pathPrefix)) return "token-other-path";
    if (client && !isInPrefix(request.clientAddress(), client)) return "token-other-client";
    if (claims.session !== undefined && this.#revoked.has(claims.session)) return "token-revoked";
    return undefined;
  }

  /** Undefined when `text` is the token of an appliance that may fill from this one: it opens everything. */
  checkFill(text: string): TokenRefusal | undefined {
    let known = this.#knownFill.get(text);
    if (!known) {
      const token = parseFillToken(text);
      if (!token) return "token-malformed";
      const key = this.#keys.get(token.keyId);
      if (!key) return "token-unknown-key";
      if (!token.isSignedWith(key.secret)) return "token-bad-signature";
      this.#knownFill.set(text, (known = { keyId: token.keyId, expiresUnixMs: token.claims.expiresUnixS * 1000 }));
    }
    const nowUnixMs = this.#clock.unixMs();
    if (nowUnixMs >= known.expiresUnixMs) return "token-expired";
    return this.#isOver(known.keyId, nowUnixMs) ? "token-unknown-key" : undefined;
  }

  #isOver(keyId: string, nowUnixMs: number): boolean {
    const untilUnixMs = this.#keys.get(keyId)?.untilUnixMs;
    return untilUnixMs !== undefined && nowUnixMs >= untilUnixMs;
  }

  #checkWithout(request: TokenRequest): TokenRefusal | undefined {
    const { required, secureLinkMd5 } = this.#rules;
    if (secureLinkMd5 !== undefined) {
      const md5 = request.query("md5");
      if (md5 !== "") {
        const link = { md5, expires: request.query("expires"), uri: `/${request.path}`, clientAddress: request.clientAddressText() };
        const verdict = checkSecureLink(link, secureLinkMd5, this.#clock.unixMs() / 1000);
        return verdict === "ok" ? undefined : `token-${verdict}`;
      }
    }
    return required ? "token-missing" : undefined;
  }

  /** Wrong tokens are not remembered: whoever makes them up makes up new ones. */
  #learn(text: string): KnownToken | TokenRefusal {
    const token = parsePlaybackToken(text);
    if (!token) return "token-malformed";
    const key = this.#keys.get(token.keyId);
    if (!key) return "token-unknown-key";
    if (!isSignedWith(token, key.secret)) return "token-bad-signature";
    const { clientPrefix } = token.claims;
    const client = clientPrefix === undefined ? undefined : parseClientPrefix(clientPrefix);
    // Signed, and yet not to be read: nobody is in it.
    if (clientPrefix !== undefined && !client) return "token-malformed";
    const known = { keyId: token.keyId, claims: token.claims, client };
    this.#known.set(text, known);
    return known;
  }
}
