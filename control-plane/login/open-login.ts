// Puts the login service together, and does what must be done from time to time.
import type { Clock } from "../../runtime/clock.js";
import type { Log } from "../../runtime/log.js";
import type { LoginServiceServer } from "../protocol/generated/millrace/login/v1/login.js";
import type { ServiceCalls } from "../service-calls.js";
import type { Store } from "../store/database.js";
import type { SharedState } from "../store/shared-state.js";
import { makeAccountMethods } from "./account-methods.js";
import { KeyRing, keyReloadEveryMs } from "./key-ring.js";
import type { LoginSettings } from "./login-settings.js";
import type { LoginParts } from "./login-parts.js";
import { MailOutbox } from "./mail-outbox.js";
import { openMailSender } from "./mail-sender.js";
import { PasswordHasher } from "./password-hasher.js";
import { makeSessionMethods } from "./session-methods.js";
import { EndedSessions } from "./session-store.js";
import { SignInGuard } from "./sign-in-guard.js";
import { makeSignUpMethods } from "./sign-up-methods.js";

/** Mail that could not be sent at once is looked for so often. */
const mailEveryMs = 5000;
const sweepEveryMs = 600_000;
/** An ended session is kept so long for who looks into what happened. */
const endedSessionsKeptMs = 30 * 86_400_000;
/** A guard that has had no failure for so long says nothing any more (see `decideGuess`). */
const guardsKeptMs = 2 * 86_400_000;

export interface Login {
  keys: KeyRing;
  hasher: PasswordHasher;
  endedSessions: EndedSessions;
  makeService(calls: ServiceCalls): LoginServiceServer;
  close(): void;
}

export interface LoginOptions {
  store: Store;
  shared: SharedState;
  settings: LoginSettings;
  clock: Clock;
  log: Log;
}

/** @throws OperatingError "keys-sealed", or as the store does. */
export async function openLogin({ store, shared, settings, clock, log }: LoginOptions): Promise<Login> {
  const accessLifetimeMs = settings.accessTokens.validFor;
  const keys = await KeyRing.open(store, {
    clock,
    rotateEveryMs: settings.keys.rotateEvery,
    accessLifetimeMs,
    refreshLifetimeMs: settings.refreshTokens.validFor,
    sealSecret: settings.keys.secret,
  });
  const { memory, iterations, atOnceMax, waitingMax } = settings.passwords;
  const hasher = await PasswordHasher.open({ memoryKiB: Math.ceil(memory / 1024), iterations, atOnceMax, waitingMax });
  const sender = openMailSender(settings.mail.url, settings.mail.from);
  const outbox = new MailOutbox({ store, sender, clock, log });
  const endedSessions = new EndedSessions({ store, shared, clock, accessLifetimeMs });
  await endedSessions.announceRecent();
  const { failuresMax, window, first, max } = settings.lockout;
  const guard = new SignInGuard(store, { failuresMax, windowMs: window, lockFirstMs: first, lockMaxMs: max });
  const parts: LoginParts = { store, shared, keys, hasher, guard, outbox, endedSessions, settings, clock, log };

  const everyNowAndThen = (everyMs: number, what: string, work: () => Promise<void>) =>
    setInterval(() => {
      work().catch((error: unknown) => log.warn({ err: error }, `login: ${what} waits`));
    }, everyMs);
  const timers = [
    everyNowAndThen(keyReloadEveryMs, "keys", () => keys.reload()),
    everyNowAndThen(keyReloadEveryMs, "ended sessions", () => endedSessions.announceRecent()),
    everyNowAndThen(mailEveryMs, "mail", () => outbox.sendWaiting()),
    everyNowAndThen(sweepEveryMs, "sweeping", () => sweep(store, { nowUnixMs: clock.unixMs(), auditKeptMs: settings.audit.keptFor })),
  ];
  return {
    keys,
    hasher,
    endedSessions,
    makeService: (calls) => ({
      ...makeSignUpMethods(calls, parts),
      ...makeSessionMethods(calls, parts),
      ...makeAccountMethods(calls, parts),
    }),
    close: () => {
      for (const timer of timers) clearInterval(timer);
      sender.close();
    },
  };
}

/** Deletes what has had its time. */
export async function sweep(store: Store, { nowUnixMs, auditKeptMs }: { nowUnixMs: number; auditKeptMs: number }): Promise<void> {
  await store.deleteFrom("email_token").where("expires_at_unix_ms", "<", nowUnixMs).execute();
  await store
    .deleteFrom("sign_in_guard")
    .where("last_failure_at_unix_ms", "<", nowUnixMs - guardsKeptMs)
    .execute();
  await store.deleteFrom("session").where("expires_at_unix_ms", "<", nowUnixMs).execute();
  await store
    .deleteFrom("session")
    .where("ended_at_unix_ms", ">", 0)
    .where("ended_at_unix_ms", "<", nowUnixMs - endedSessionsKeptMs)
    .execute();
  await store
    .deleteFrom("audit_event")
    .where("at_unix_ms", "<", nowUnixMs - auditKeptMs)
    .execute();
}
