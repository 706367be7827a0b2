// What the methods of login work with, and the few steps that several of them share.
import { OperatingError } from "../../runtime/operating-error.js";
import type { Clock } from "../../runtime/clock.js";
import type { Log } from "../../runtime/log.js";
import type { AccessClaims } from "../caller.js";
import type { Account, Profile } from "../protocol/generated/millrace/login/v1/login.js";
import type { CallContext } from "../service-calls.js";
import type { Store } from "../store/database.js";
import type { SharedState } from "../store/shared-state.js";
import type { StoredAccount, StoredProfile } from "./account-store.js";
import type { KeyRing } from "./key-ring.js";
import type { LoginSettings } from "./login-settings.js";
import { addressGroup } from "./login-rules.js";
import type { MailOutbox } from "./mail-outbox.js";
import type { PasswordHasher } from "./password-hasher.js";
import type { EndedSessions } from "./session-store.js";
import type { SignInGuard } from "./sign-in-guard.js";

export interface LoginParts {
  store: Store;
  shared: SharedState;
  keys: KeyRing;
  hasher: PasswordHasher;
  guard: SignInGuard;
  outbox: MailOutbox;
  endedSessions: EndedSessions;
  settings: LoginSettings;
  clock: Clock;
  log: Log;
}

/** The account that calls. The access rules let nobody else in. */
export function accountOfCall(context: CallContext): AccessClaims {
  const { account } = context.caller;
  if (!account) throw new OperatingError("unauthenticated", "Cannot answer: no account calls");
  return account;
}

/** Counts one use of what clients of one address may do so often. @throws OperatingError "rate-limited". */
export async function limitAddress(
  { shared, settings }: LoginParts,
  what: "sign-in" | "mail" | "token",
  clientAddress: string,
): Promise<void> {
  const usesMax = {
    "sign-in": settings.rates.signInsPerAddress,
    mail: settings.rates.mailsPerAddress,
    token: settings.rates.tokensPerAddress,
  }[what];
  const limit = { usesMax, windowMs: settings.rates.window };
  const { allowed, retryAfterMs } = await shared.use(`login ${what} ${addressGroup(clientAddress)}`, limit);
  if (allowed) return;
  throw new OperatingError("rate-limited", `Cannot answer: too many tries from this address; wait ${Math.ceil(retryAfterMs / 1000)} s`, {
    retryAfterMs,
  });
}

export function accountMessage(account: StoredAccount): Account {
  const { accountId, email, roles, disabled, createdAtUnixMs } = account;
  return { accountId, email, roles, disabled, createdAtUnixMs: BigInt(createdAtUnixMs) };
}

export function profileMessage({ profileId, name, isKids, maturityMaxAge }: StoredProfile): Profile {
  return { profileId, name, isKids, maturityMaxAge };
}
