// The token that this appliance fills with: made from the newest key that it has, again and again before it expires.
import { fillTokenHeader, makeFillToken } from "../../fill-protocol/fill-token.js";
import { chooseSigningKey, type TokenKey } from "../../fill-protocol/token-key.js";
import type { Clock } from "../../runtime/clock.js";

/** Long enough for clocks that differ by minutes, short enough that a token someone has overheard is soon worth nothing. */
const validForMs = 10 * 60_000;
/** A token is made anew when it is older than this. */
const renewAfterMs = 60_000;

export class FillTokenSource {
  readonly #applianceId: string;
  readonly #clock: Clock;
  #keys: readonly TokenKey[] = [];
  #headers: Readonly<Record<string, string>> = {};
  #madeUnixMs = -Infinity;

  constructor(applianceId: string, clock: Clock) {
    this.#applianceId = applianceId;
    this.#clock = clock;
  }

  setKeys(keys: readonly TokenKey[]): void {
    this.#keys = keys;
    this.#madeUnixMs = -Infinity;
  }

  /** The header for a request to another appliance; none while there is no key to sign with. */
  headers(): Readonly<Record<string, string>> {
    const nowUnixMs = this.#clock.unixMs();
    const ageMs = nowUnixMs - this.#madeUnixMs;
    // A negative age is a clock that was set back: the token might be one of the future.
    if (ageMs >= 0 && ageMs < renewAfterMs) return this.#headers;
    const key = chooseSigningKey(this.#keys, nowUnixMs);
    const claims = { expiresUnixS: Math.floor((nowUnixMs + validForMs) / 1000), applianceId: this.#applianceId };
    this.#headers = key ? { [fillTokenHeader]: makeFillToken(claims, key) } : {};
    this.#madeUnixMs = nowUnixMs;
    return this.#headers;
  }
}
