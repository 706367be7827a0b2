// Signing in and out, and what keeps a session going.
import { randomUUID } from "node:crypto";
import { OperatingError } from "../../runtime/operating-error.js";
import type { LoginServiceServer, Tokens } from "../protocol/generated/millrace/login/v1/login.js";
import type { ServiceCalls } from "../service-calls.js";
import type { Store } from "../store/database.js";
import { transact } from "../store/transact.js";
import {
  findAccount,
  findAccountByEmail,
  findProfile,
  listDevices,
  listProfiles,
  lockAccount,
  type StoredAccount,
} from "./account-store.js";
import { writeAudit } from "./audit-log.js";
import { accountMessage, accountOfCall, limitAddress, profileMessage, type LoginParts } from "./login-parts.js";
import { checkedName, checkGivenPassword, normalEmail } from "./login-rules.js";
import { decideRefresh } from "./refresh-decision.js";
import { endSessions } from "./session-store.js";

type Methods = "signIn" | "refresh" | "signOut" | "chooseProfile";

const deviceNameDefault = "A device";

interface SessionFacts {
  sessionId: string;
  deviceId: string;
  profileId: string;
  tokenNumber: number;
  expiresAtUnixMs: number;
}

export function makeSessionMethods(calls: ServiceCalls, parts: LoginParts): Pick<LoginServiceServer, Methods> {
  const { store, keys, hasher, guard, clock, settings } = parts;

  const tokensOf = async (database: Store, account: StoredAccount, session: SessionFacts): Promise<Tokens> => {
    const { accountId, roles } = account;
    const { sessionId, deviceId } = session;
    const profile = await findProfile(database, accountId, session.profileId);
    const access = await keys.signAccess({ accountId, sessionId, deviceId, roles, ...(profile && { profile }) });
    return {
      accessToken: access.token,
      accessExpiresAtUnixMs: BigInt(access.expiresAtUnixMs),
      refreshToken: keys.makeRefreshToken(sessionId, session.tokenNumber),
      refreshExpiresAtUnixMs: BigInt(session.expiresAtUnixMs),
    };
  };

  return {
    signIn: calls.unary(async (request, { clientAddress }) => {
      const email = normalEmail(request.email);
      const { password } = request;
      checkGivenPassword(password);
      const deviceName = request.deviceName === "" ? deviceNameDefault : checkedName("device", request.deviceName);
      await limitAddress(parts, "sign-in", clientAddress);
      // From here to the verdict, every address and every password takes the same steps: whether there is an account must not show.
      const atUnixMs = clock.unixMs();
      await guard.admit(email, atUnixMs);
      const found = await findAccountByEmail(store, email);
      if (!(await hasher.verify(found?.passwordHash, password)) || !found) {
        await writeAudit(store, {
          accountId: found?.accountId ?? "",
          atUnixMs,
          kind: "sign-in-failed",
          address: clientAddress,
          detail: {},
        });
        throw new OperatingError("credentials-wrong", "Cannot sign in: the mail address or the password is wrong");
      }
      const newHash = hasher.isOutdated(found.passwordHash) ? await hasher.hash(password) : undefined;
      const { account, session, ended } = await transact(store, async (transaction) => {
        const account = await lockAccount(transaction, found.accountId);
        if (account.disabled) throw new OperatingError("account-disabled", "Cannot sign in: the account is disabled");
        // A password that was changed while this one was being looked at.
        if (account.passwordHash !== found.passwordHash) {
          throw new OperatingError("credentials-wrong", "Cannot sign in: the mail address or the password is wrong");
        }
        const { accountId } = account;
        const nowUnixMs = clock.unixMs();
        await guard.clear(transaction, email);
        if (newHash !== undefined) {
          await transaction.updateTable("account").set({ password_hash: newHash }).where("account_id", "=", accountId).execute();
        }
        const devices = await listDevices(transaction, accountId);
        const known = devices.find(({ deviceId }) => deviceId === request.deviceId);
        const deviceId = known?.deviceId ?? randomUUID();
        const ended: string[] = [];
        if (known) {
          // One session per device: the earlier one has been forgotten there.
          ended.push(...(await endSessions(transaction, { accountId, deviceId }, { reason: "signed-out", nowUnixMs })));
          const seen = { last_seen_at_unix_ms: nowUnixMs, ...(request.deviceName !== "" && { name: deviceName }) };
          await transaction.updateTable("device").set(seen).where("device_id", "=", deviceId).execute();
        } else {
          const tooMany = devices.slice(settings.devicesMax - 1);
          if (tooMany.length > 0 && !request.replaceOldestDevice) {
            const message = `Cannot sign in: the account has ${devices.length} devices, ${settings.devicesMax} at most; remove one, or replace the oldest`;
            throw new OperatingError("device-limit-reached", message);
          }
          for (const { deviceId } of tooMany) {
            ended.push(...(await endSessions(transaction, { accountId, deviceId }, { reason: "device-removed", nowUnixMs })));
            await transaction.deleteFrom("device").where("device_id", "=", deviceId).execute();
          }
          const times = { created_at_unix_ms: nowUnixMs, last_seen_at_unix_ms: nowUnixMs };
          await transaction
            .insertInto("device")
            .values({ device_id: deviceId, account_id: accountId, name: deviceName, ...times })
            .execute();
        }
        const expiresAtUnixMs = nowUnixMs + settings.refreshTokens.validFor;
        const session: SessionFacts = { sessionId: randomUUID(), deviceId, profileId: "", tokenNumber: 1, expiresAtUnixMs };
        await transaction
          .insertInto("session")
          .values({
            session_id: session.sessionId,
            account_id: accountId,
            device_id: deviceId,
            profile_id: "",
            token_number: 1,
            rotated_at_unix_ms: nowUnixMs,
            created_at_unix_ms: nowUnixMs,
            expires_at_unix_ms: expiresAtUnixMs,
            ended_at_unix_ms: 0,
            end_reason: "",
          })
          .execute();
        await writeAudit(transaction, { accountId, atUnixMs: nowUnixMs, kind: "signed-in", address: clientAddress, detail: { deviceId } });
        return { account, session, ended };
      });
      await parts.endedSessions.announce(ended);
      return {
        tokens: await tokensOf(store, account, session),
        account: accountMessage(account),
        profiles: (await listProfiles(store, account.accountId)).map(profileMessage),
        deviceId: session.deviceId,
      };
    }),

    refresh: calls.unary(async ({ refreshToken }, { clientAddress }) => {
      await limitAddress(parts, "token", clientAddress);
      const given = await keys.readRefreshToken(refreshToken);
      if (!given) throw refreshInvalid();
      const outcome = await transact(store, async (transaction) => {
        const row = await transaction
          .selectFrom("session")
          .selectAll()
          .where("session_id", "=", given.sessionId)
          .forUpdate()
          .executeTakeFirst();
        const nowUnixMs = clock.unixMs();
        const decision = decideRefresh(
          row && {
            tokenNumber: row.token_number,
            rotatedAtUnixMs: row.rotated_at_unix_ms,
            expiresAtUnixMs: row.expires_at_unix_ms,
            ended: row.ended_at_unix_ms > 0,
          },
          { number: given.number, nowUnixMs },
        );
        if (!row || decision === "refuse") throw refreshInvalid();
        const { session_id: sessionId, account_id: accountId } = row;
        if (decision === "end-family") {
          const ended = await endSessions(transaction, { accountId, sessionId }, { reason: "token-reused", nowUnixMs });
          const event = { accountId, atUnixMs: nowUnixMs, address: clientAddress };
          await writeAudit(transaction, { ...event, kind: "refresh-token-reused", detail: { sessionId, number: given.number } });
          return { stolen: true as const, ended };
        }
        const account = await findAccount(transaction, accountId);
        if (!account || account.disabled) throw new OperatingError("account-disabled", "Cannot go on: the account is disabled");
        const tokenNumber = decision === "again" ? row.token_number : row.token_number + 1;
        const expiresAtUnixMs = nowUnixMs + settings.refreshTokens.validFor;
        if (decision === "rotate") {
          await transaction
            .updateTable("session")
            .set({ token_number: tokenNumber, rotated_at_unix_ms: nowUnixMs, expires_at_unix_ms: expiresAtUnixMs })
            .where("session_id", "=", sessionId)
            .execute();
          await transaction.updateTable("device").set({ last_seen_at_unix_ms: nowUnixMs }).where("device_id", "=", row.device_id).execute();
        }
        const session: SessionFacts = { sessionId, deviceId: row.device_id, profileId: row.profile_id, tokenNumber, expiresAtUnixMs };
        return { stolen: false as const, tokens: await tokensOf(transaction, account, session) };
      });
      if (!outcome.stolen) return { tokens: outcome.tokens };
      // Committed before the refusal: whoever has the other token is signed out too.
      await parts.endedSessions.announce(outcome.ended);
      throw new OperatingError(
        "refresh-token-reused",
        "Cannot use this refresh token: it was used before, so the session has been ended; sign in again",
      );
    }),

    signOut: calls.unary(async ({ everywhere }, context) => {
      const { accountId, sessionId } = accountOfCall(context);
      const ended = await transact(store, async (transaction) => {
        const nowUnixMs = clock.unixMs();
        const which = everywhere ? { accountId } : { accountId, sessionId };
        const ended = await endSessions(transaction, which, { reason: "signed-out", nowUnixMs });
        const event = { accountId, atUnixMs: nowUnixMs, address: context.clientAddress, detail: { sessions: ended.length } };
        await writeAudit(transaction, { ...event, kind: "signed-out" });
        return ended;
      });
      await parts.endedSessions.announce(ended);
      return {};
    }),

    chooseProfile: calls.unary(async ({ profileId }, context) => {
      const { accountId, sessionId, deviceId } = accountOfCall(context);
      const { profile, roles } = await transact(store, async (transaction) => {
        const { roles } = await lockAccount(transaction, accountId);
        const profile = await findProfile(transaction, accountId, profileId);
        if (!profile) throw new OperatingError("profile-unknown", "Cannot choose the profile: the account has no such profile");
        const running = transaction.updateTable("session").set({ profile_id: profileId }).where("session_id", "=", sessionId);
        const { numUpdatedRows } = await running.where("ended_at_unix_ms", "=", 0).executeTakeFirst();
        if (numUpdatedRows === 0n) throw new OperatingError("session-ended", "Cannot choose the profile: the session has ended");
        return { profile, roles };
      });
      const access = await keys.signAccess({ accountId, sessionId, deviceId, roles, profile });
      return { accessToken: access.token, accessExpiresAtUnixMs: BigInt(access.expiresAtUnixMs), profile: profileMessage(profile) };
    }),
  };
}

function refreshInvalid(): OperatingError {
  return new OperatingError(
    "refresh-token-invalid",
    "Cannot use this refresh token: it was not made here, has expired, or its session has ended",
  );
}
