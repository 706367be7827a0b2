// Sign-up and password reset: everything that goes by mail.
import { randomBytes, randomUUID } from "node:crypto";
import { OperatingError } from "../../runtime/operating-error.js";
import type { LoginServiceServer } from "../protocol/generated/millrace/login/v1/login.js";
import type { ServiceCalls } from "../service-calls.js";
import { transact } from "../store/transact.js";
import { findAccountByEmail, insertProfile, type StoredAccount } from "./account-store.js";
import { writeAudit } from "./audit-log.js";
import { accountMessage, limitAddress, type LoginParts } from "./login-parts.js";
import { checkNewPassword, normalEmail, sha256Hex } from "./login-rules.js";
import { passwordResetMail, passwordResetUnknownMail, signUpKnownMail, verifyMail } from "./mail-texts.js";
import { endSessions } from "./session-store.js";

type Methods = "signUp" | "verifyEmail" | "requestPasswordReset" | "resetPassword";

/** Long enough to find the mail in a folder for junk, short enough that an old mailbox opens nothing. */
const verifyTokenValidMs = 86_400_000;
const resetTokenValidMs = 3_600_000;
/** A mail's token is 32 random bytes in base64url. */
const emailTokenPattern = /^[\w-]{43}$/;

export function makeSignUpMethods(calls: ServiceCalls, parts: LoginParts): Pick<LoginServiceServer, Methods> {
  const { store, hasher, guard, outbox, clock, settings } = parts;

  const limitRecipient = async (email: string) => {
    const limit = { usesMax: settings.rates.mailsPerRecipient, windowMs: settings.rates.window };
    const { allowed, retryAfterMs } = await parts.shared.use(`login mail to ${sha256Hex(email)}`, limit);
    if (!allowed) throw new OperatingError("rate-limited", "Cannot send more mail to this address now", { retryAfterMs });
  };

  /** Takes the token out of the database, so that it is good once. @throws OperatingError "email-token-invalid". */
  const takeToken = async (transaction: typeof store, { token, purpose }: { token: string; purpose: "verify" | "reset" }) => {
    const tokenHash = sha256Hex(token);
    const row = await transaction.selectFrom("email_token").selectAll().where("token_hash", "=", tokenHash).forUpdate().executeTakeFirst();
    if (!row || row.purpose !== purpose || row.expires_at_unix_ms <= clock.unixMs()) throw tokenInvalid();
    await transaction.deleteFrom("email_token").where("email", "=", row.email).where("purpose", "=", purpose).execute();
    return row;
  };

  return {
    signUp: calls.unary(async ({ email: given, password }, { clientAddress }) => {
      const email = normalEmail(given);
      checkNewPassword(password, email);
      await limitAddress(parts, "mail", clientAddress);
      await limitRecipient(email);
      // The same work for an address that has an account: an answer's time must not tell.
      const passwordHash = await hasher.hash(password);
      const token = randomBytes(32).toString("base64url");
      const nowUnixMs = clock.unixMs();
      await transact(store, async (transaction) => {
        const account = await findAccountByEmail(transaction, email);
        const mail = account ? signUpKnownMail() : verifyMail(token, settings.publicUrl);
        await transaction
          .insertInto("email_token")
          .values({
            token_hash: sha256Hex(token),
            purpose: "verify",
            email,
            // Of several sign-ups for an address, the one whose mail is answered decides the password.
            password_hash: passwordHash,
            expires_at_unix_ms: account ? 0 : nowUnixMs + verifyTokenValidMs,
          })
          .execute();
        await outbox.add(transaction, { recipient: email, ...mail });
        const accountId = account?.accountId ?? "";
        await writeAudit(transaction, { accountId, atUnixMs: nowUnixMs, kind: "sign-up-requested", address: clientAddress, detail: {} });
      });
      void outbox.sendWaiting();
      return {};
    }),

    verifyEmail: calls.unary(async ({ token }, { clientAddress }) => {
      await limitAddress(parts, "token", clientAddress);
      if (!emailTokenPattern.test(token)) throw tokenInvalid();
      const nowUnixMs = clock.unixMs();
      const account = await transact(store, async (transaction): Promise<StoredAccount> => {
        const { email, password_hash: passwordHash } = await takeToken(transaction, { token, purpose: "verify" });
        if (await findAccountByEmail(transaction, email)) throw tokenInvalid();
        const made: StoredAccount = {
          accountId: randomUUID(),
          email,
          passwordHash,
          roles: [],
          disabled: false,
          createdAtUnixMs: nowUnixMs,
        };
        await transaction
          .insertInto("account")
          .values({
            account_id: made.accountId,
            email,
            password_hash: passwordHash,
            roles: "[]",
            disabled: 0,
            created_at_unix_ms: nowUnixMs,
          })
          .execute();
        const profile = { profileId: randomUUID(), name: "Main", isKids: false, maturityMaxAge: 18 };
        await insertProfile(transaction, made.accountId, { profile, nowUnixMs });
        const event = { accountId: made.accountId, atUnixMs: nowUnixMs, address: clientAddress, detail: {} };
        await writeAudit(transaction, { ...event, kind: "account-made" });
        return made;
      });
      return { account: accountMessage(account) };
    }),

    requestPasswordReset: calls.unary(async ({ email: given }, { clientAddress }) => {
      const email = normalEmail(given);
      await limitAddress(parts, "mail", clientAddress);
      await limitRecipient(email);
      const token = randomBytes(32).toString("base64url");
      const nowUnixMs = clock.unixMs();
      await transact(store, async (transaction) => {
        const account = await findAccountByEmail(transaction, email);
        await transaction
          .insertInto("email_token")
          .values({
            token_hash: sha256Hex(token),
            purpose: "reset",
            email,
            password_hash: "",
            expires_at_unix_ms: account ? nowUnixMs + resetTokenValidMs : 0,
          })
          .execute();
        const mail = account ? passwordResetMail(token, settings.publicUrl) : passwordResetUnknownMail();
        await outbox.add(transaction, { recipient: email, ...mail });
        const event = { accountId: account?.accountId ?? "", atUnixMs: nowUnixMs, address: clientAddress, detail: {} };
        await writeAudit(transaction, { ...event, kind: "password-reset-requested" });
      });
      void outbox.sendWaiting();
      return {};
    }),

    resetPassword: calls.unary(async ({ token, newPassword }, { clientAddress }) => {
      await limitAddress(parts, "token", clientAddress);
      if (!emailTokenPattern.test(token)) throw tokenInvalid();
      checkNewPassword(newPassword, "");
      // Before argon2, so that tokens that are none cost nothing.
      const known = await store.selectFrom("email_token").select("email").where("token_hash", "=", sha256Hex(token)).executeTakeFirst();
      if (!known) throw tokenInvalid();
      checkNewPassword(newPassword, known.email);
      const passwordHash = await hasher.hash(newPassword);
      const nowUnixMs = clock.unixMs();
      const ended = await transact(store, async (transaction) => {
        const { email } = await takeToken(transaction, { token, purpose: "reset" });
        const account = await findAccountByEmail(transaction, email);
        if (!account) throw tokenInvalid();
        const { accountId } = account;
        await transaction.updateTable("account").set({ password_hash: passwordHash }).where("account_id", "=", accountId).execute();
        await guard.clear(transaction, email);
        await writeAudit(transaction, { accountId, atUnixMs: nowUnixMs, kind: "password-reset", address: clientAddress, detail: {} });
        return await endSessions(transaction, { accountId }, { reason: "password-reset", nowUnixMs });
      });
      await parts.endedSessions.announce(ended);
      return {};
    }),
  };
}

function tokenInvalid(): OperatingError {
  return new OperatingError("email-token-invalid", "Cannot use this token: it was used, has expired, or was not sent by us");
}
