// The keys of the fleet's tokens: made ahead of time, handed out with leases, replaced by the calendar; and the sessions that were revoked.
import { createHash, randomBytes } from "node:crypto";
import { chooseSigningKey, type SigningKey } from "../../fill-protocol/token-key.js";
import type { Clock } from "../../runtime/clock.js";
import type { Log } from "../../runtime/log.js";
import { messageOf, OperatingError } from "../../runtime/operating-error.js";
import { keysToMake, type KeyCalendar } from "./key-calendar.js";
import type { StoredTokenKey, TokenKeyStore } from "./token-key-store.js";

/** A lease with all of them stays under the 4 MiB of a gRPC message. A service that revokes more has lost a key. */
export const revokedSessionsMax = 50_000;
/** As in the claims of a token. */
const sessionPattern = /^[\u0021-\u007e]{1,200}$/;
const secretBytes = 32;
/** Copies of the control plane see each other's revocations within this. */
const lookEveryMs = 1000;

export interface TokenKeysOptions {
  store: TokenKeyStore;
  clock: Clock;
  calendar: KeyCalendar;
  log: Log;
}

/** What goes into a lease. */
export interface LeaseKeys {
  keys: readonly StoredTokenKey[];
  revokedSessions: readonly string[];
  version: string;
}

export class TokenKeys {
  readonly #options: TokenKeysOptions;
  #current: LeaseKeys = { keys: [], revokedSessions: [], version: "" };
  #timer: NodeJS.Timeout | undefined;
  #failing = false;

  constructor(options: TokenKeysOptions) {
    this.#options = options;
  }

  /** Keys and revocations that are in force. */
  get current(): LeaseKeys {
    return this.#current;
  }

  /** What signs now. @throws OperatingError "no-token-key" when a database that was away has kept the next one from being made. */
  signingKey(): SigningKey {
    const key = chooseSigningKey(this.#current.keys, this.#options.clock.unixMs());
    if (!key) throw new OperatingError("no-token-key", "Cannot sign: there is no key whose time it is", { retryable: true });
    return key;
  }

  /** Makes what keys are missing, and looks from now on what other copies of the control plane have made. */
  async start(): Promise<void> {
    await this.refresh();
    this.#timer = setInterval(() => {
      this.refresh().then(
        () => (this.#failing = false),
        (error: unknown) => {
          if (!this.#failing) this.#options.log.warn({ error: messageOf(error) }, "the keys of tokens cannot be read; those at hand go on");
          this.#failing = true;
        },
      );
    }, lookEveryMs);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Reads and completes the keys. */
  async refresh(): Promise<void> {
    const { calendar, clock, log, store } = this.#options;
    const nowUnixMs = clock.unixMs();
    let keys = await store.keysUntil(nowUnixMs);
    const missing = keysToMake(calendar, nowUnixMs).filter(({ id }) => !keys.some((key) => key.id === id));
    if (missing.length > 0) {
      // Two copies may make the same key at once: the first one's row counts, for both.
      for (const key of missing) await store.addKey({ ...key, secret: randomBytes(secretBytes).toString("base64url") });
      keys = await store.keysUntil(nowUnixMs);
      log.info({ keys: missing.map(({ id }) => id) }, "keys of tokens were made");
      await store.dropOld(nowUnixMs);
    }
    const revokedSessions = await store.revokedSessions(nowUnixMs);
    this.#current = { keys, revokedSessions, version: versionOf(keys, revokedSessions) };
  }

  /** @throws OperatingError "invalid-argument" or "too-many-revoked". */
  async revoke(session: string): Promise<{ untilUnixMs: number }> {
    const { calendar, clock, log, store } = this.#options;
    if (!sessionPattern.test(session)) {
      throw new OperatingError("invalid-argument", "Cannot revoke the session: Expected up to 200 visible ASCII characters");
    }
    if (this.#current.revokedSessions.length >= revokedSessionsMax) {
      throw new OperatingError("too-many-revoked", `Cannot revoke the session: ${revokedSessionsMax} are revoked already`);
    }
    const untilUnixMs = clock.unixMs() + calendar.urlsValidForMs;
    await store.revoke(session, untilUnixMs);
    await this.refresh();
    log.info({ session }, "a session was revoked");
    return { untilUnixMs };
  }
}

/** The same for the same keys and sessions, whichever copy of the control plane is asked. */
function versionOf(keys: readonly StoredTokenKey[], revokedSessions: readonly string[]): string {
  if (keys.length === 0 && revokedSessions.length === 0) return "";
  const text = JSON.stringify([keys.map(({ id, signsFromUnixMs, untilUnixMs }) => [id, signsFromUnixMs, untilUnixMs]), revokedSessions]);
  return createHash("sha256").update(text).digest("base64url").slice(0, 16);
}
