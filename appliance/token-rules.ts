// What tokens are held against: the keys and revocations of the settings, and those of the lease.
import type { TokenKey } from "../fill-protocol/token-key.js";
import type { TokenRules } from "./serve/token-checker.js";
import type { ApplianceSettings } from "./settings.js";

/** What a lease says of tokens. */
export interface LeaseTokens {
  expiresAtUnixMs: number;
  tokenKeys: readonly TokenKey[];
  revokedSessions: readonly string[];
}

/** A key of the settings counts before one of the lease with the same id: it was put there by hand. No key of a lease outlives it. */
export function tokenRulesOf({ tokens }: Pick<ApplianceSettings, "tokens">, lease?: LeaseTokens): TokenRules {
  const { required, revokedSessions, secureLinkMd5 } = tokens;
  const own: TokenKey[] = tokens.keys.map(({ id, secret, until }) => ({
    id,
    secret,
    ...(until === undefined ? {} : { untilUnixMs: Date.parse(until) }),
  }));
  const leased = (lease?.tokenKeys ?? [])
    .filter(({ id }) => !own.some((key) => key.id === id))
    .map((key) => ({ ...key, untilUnixMs: Math.min(key.untilUnixMs ?? Infinity, lease!.expiresAtUnixMs) }));
  return {
    required,
    keys: [...own, ...leased],
    revokedSessions: [...revokedSessions, ...(lease?.revokedSessions ?? [])],
    secureLinkMd5,
  };
}
