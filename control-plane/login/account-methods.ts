// What an account does with itself (password, devices, profiles), what operators see, what admins change.
import { randomUUID } from "node:crypto";
import { OperatingError } from "../../runtime/operating-error.js";
import { accountRoles } from "../caller.js";
import type { LoginServiceServer, Profile } from "../protocol/generated/millrace/login/v1/login.js";
import type { CallContext, ServiceCalls } from "../service-calls.js";
import { transact } from "../store/transact.js";
import { writeOnce } from "../store/write-once.js";
import {
  findAccount,
  findAccountByEmail,
  insertProfile,
  listDevices,
  listProfiles,
  lockAccount,
  type StoredProfile,
} from "./account-store.js";
import { listAudit, writeAudit, type AuditKind, type AuditPageEnd } from "./audit-log.js";
import { accountMessage, accountOfCall, profileMessage, type LoginParts } from "./login-parts.js";
import { checkedName, checkGivenPassword, checkMaturity, checkNewPassword, normalEmail } from "./login-rules.js";
import { endSessions } from "./session-store.js";

type Methods =
  | "changePassword"
  | "getAccount"
  | "removeDevice"
  | "createProfile"
  | "updateProfile"
  | "deleteProfile"
  | "listAuditEvents"
  | "listKeys"
  | "findAccount"
  | "setAccount"
  | "rotateKeys";

const pageSizeDefault = 50;
const pageSizeMax = 500;

export function makeAccountMethods(calls: ServiceCalls, parts: LoginParts): Pick<LoginServiceServer, Methods> {
  const { store, keys, hasher, guard, clock, settings } = parts;

  const audit = (
    transaction: typeof store,
    context: CallContext,
    event: { kind: AuditKind; accountId: string; detail: Record<string, unknown> },
  ) => writeAudit(transaction, { ...event, atUnixMs: clock.unixMs(), address: context.clientAddress });

  const knownAccount = async (accountId: string) => {
    const account = await findAccount(store, accountId);
    if (!account) throw new OperatingError("account-unknown", `Cannot find account ${accountId.slice(0, 40)}`);
    return account;
  };

  return {
    changePassword: calls.unary(async ({ password, newPassword }, context) => {
      const { accountId, sessionId } = accountOfCall(context);
      checkGivenPassword(password);
      const account = await knownAccount(accountId);
      checkNewPassword(newPassword, account.email);
      // A stolen access token must not become a way to guess the password.
      await guard.admit(account.email, clock.unixMs());
      if (!(await hasher.verify(account.passwordHash, password))) {
        throw new OperatingError("credentials-wrong", "Cannot change the password: the present one is wrong");
      }
      const passwordHash = await hasher.hash(newPassword);
      const ended = await transact(store, async (transaction) => {
        const now = await lockAccount(transaction, accountId);
        if (now.passwordHash !== account.passwordHash) {
          throw new OperatingError("credentials-wrong", "Cannot change the password: it has just been changed");
        }
        await transaction.updateTable("account").set({ password_hash: passwordHash }).where("account_id", "=", accountId).execute();
        await guard.clear(transaction, account.email);
        await audit(transaction, context, { kind: "password-changed", accountId, detail: {} });
        const which = { accountId, exceptSessionId: sessionId };
        return await endSessions(transaction, which, { reason: "password-changed", nowUnixMs: clock.unixMs() });
      });
      await parts.endedSessions.announce(ended);
      return {};
    }),

    getAccount: calls.unary(async (_, context) => {
      const { accountId } = accountOfCall(context);
      const account = await knownAccount(accountId);
      const [profiles, devices] = [await listProfiles(store, accountId), await listDevices(store, accountId)];
      return {
        account: accountMessage(account),
        profiles: profiles.map(profileMessage),
        devices: devices.map(({ deviceId, name, createdAtUnixMs, lastSeenAtUnixMs }) => ({
          deviceId,
          name,
          createdAtUnixMs: BigInt(createdAtUnixMs),
          lastSeenAtUnixMs: BigInt(lastSeenAtUnixMs),
        })),
      };
    }),

    removeDevice: calls.unary(async ({ deviceId }, context) => {
      const { accountId } = accountOfCall(context);
      const ended = await transact(store, async (transaction) => {
        await lockAccount(transaction, accountId);
        const own = transaction.deleteFrom("device").where("device_id", "=", deviceId).where("account_id", "=", accountId);
        const { numDeletedRows } = await own.executeTakeFirst();
        if (numDeletedRows === 0n) throw new OperatingError("device-unknown", "Cannot remove the device: the account has no such device");
        await audit(transaction, context, { kind: "device-removed", accountId, detail: { deviceId } });
        return await endSessions(transaction, { accountId, deviceId }, { reason: "device-removed", nowUnixMs: clock.unixMs() });
      });
      await parts.endedSessions.announce(ended);
      return {};
    }),

    createProfile: calls.unary(async (request, context) => {
      const { accountId } = accountOfCall(context);
      const profile = checkedProfile({ ...request, profileId: randomUUID() });
      const create = async (transaction: typeof store): Promise<StoredProfile> => {
        await lockAccount(transaction, accountId);
        if ((await listProfiles(transaction, accountId)).length >= settings.profilesMax) {
          throw new OperatingError("profile-limit-reached", `Cannot add a profile: an account has ${settings.profilesMax} at most`);
        }
        await insertProfile(transaction, accountId, { profile, nowUnixMs: clock.unixMs() });
        await audit(transaction, context, { kind: "profile-made", accountId, detail: { profileId: profile.profileId } });
        return profile;
      };
      const { idempotencyKey: key } = context;
      const once = {
        scope: `login.CreateProfile ${accountId}`,
        key,
        request: Buffer.from(JSON.stringify([profile.name, profile.isKids, profile.maturityMaxAge])),
        nowUnixMs: clock.unixMs(),
      };
      return { profile: profileMessage(key === "" ? await transact(store, create) : await writeOnce(store, once, create)) };
    }),

    updateProfile: calls.unary(async ({ profile: given }, context) => {
      const { accountId } = accountOfCall(context);
      if (!given) throw new OperatingError("invalid-argument", "Cannot change the profile: it is missing");
      const profile = checkedProfile(given);
      await transact(store, async (transaction) => {
        await lockAccount(transaction, accountId);
        const { numUpdatedRows } = await transaction
          .updateTable("profile")
          .set({ name: profile.name, is_kids: profile.isKids ? 1 : 0, maturity_max_age: profile.maturityMaxAge })
          .where("profile_id", "=", profile.profileId)
          .where("account_id", "=", accountId)
          .executeTakeFirst();
        if (numUpdatedRows === 0n) throw profileUnknown();
        await audit(transaction, context, { kind: "profile-changed", accountId, detail: { profileId: profile.profileId } });
      });
      return { profile: profileMessage(profile) };
    }),

    deleteProfile: calls.unary(async ({ profileId }, context) => {
      const { accountId } = accountOfCall(context);
      await transact(store, async (transaction) => {
        await lockAccount(transaction, accountId);
        const profiles = await listProfiles(transaction, accountId);
        if (!profiles.some((profile) => profile.profileId === profileId)) throw profileUnknown();
        if (profiles.length === 1) throw new OperatingError("profile-last", "Cannot remove the profile: it is the account's last");
        await transaction.deleteFrom("profile").where("profile_id", "=", profileId).execute();
        await transaction
          .updateTable("session")
          .set({ profile_id: "" })
          .where("account_id", "=", accountId)
          .where("profile_id", "=", profileId)
          .execute();
        await audit(transaction, context, { kind: "profile-removed", accountId, detail: { profileId } });
      });
      return {};
    }),

    listAuditEvents: calls.unary(async (request, context) => {
      const caller = accountOfCall(context);
      const accountId = request.accountId === "" ? caller.accountId : request.accountId;
      if (accountId !== caller.accountId && caller.roles.length === 0) {
        throw new OperatingError("forbidden", "Cannot list the events of another account: it is for operators");
      }
      if (request.pageSize > pageSizeMax)
        throw new OperatingError("invalid-argument", `Cannot list events: pageSize is 1 to ${pageSizeMax}`);
      const limit = request.pageSize === 0 ? pageSizeDefault : request.pageSize;
      const events = await listAudit(store, { accountId, limit, after: parseAuditPageToken(request.pageToken) });
      const last = events.at(-1);
      return {
        events: events.map(({ atUnixMs, accountId, kind, address, detail }) => ({
          atUnixMs: BigInt(atUnixMs),
          accountId,
          kind,
          address,
          detail,
        })),
        nextPageToken: last && events.length === limit ? `${last.atUnixMs}.${last.eventId}` : "",
      };
    }),

    listKeys: calls.unary(() => ({ jwksJson: JSON.stringify(keys.publicKeys()) })),

    findAccount: calls.unary(async ({ email }) => {
      const account = await findAccountByEmail(store, normalEmail(email));
      if (!account) throw new OperatingError("account-unknown", "Cannot find an account with this mail address");
      return { account: accountMessage(account) };
    }),

    setAccount: calls.unary(async ({ accountId, roles, disabled }, context) => {
      const { accountId: adminId } = accountOfCall(context);
      const unknown = roles.find((role) => !accountRoles.some((known) => known === role));
      if (unknown !== undefined) {
        throw new OperatingError(
          "invalid-argument",
          `Cannot set the account: Expected the roles ${accountRoles.join(", ")}: received ${JSON.stringify(unknown.slice(0, 40))}`,
        );
      }
      const wanted = accountRoles.filter((role) => roles.includes(role));
      // Else the last admin could lock everyone out with one call.
      if (accountId === adminId && (disabled || !wanted.includes("admin"))) {
        throw new OperatingError("invalid-argument", "Cannot set the account: an admin can't take this away from itself");
      }
      const { account, ended } = await transact(store, async (transaction) => {
        const before = await lockAccount(transaction, accountId);
        const change = { roles: JSON.stringify(wanted), disabled: disabled ? 1 : 0 };
        await transaction.updateTable("account").set(change).where("account_id", "=", accountId).execute();
        await audit(transaction, context, { kind: "account-set", accountId, detail: { by: adminId, roles: wanted, disabled } });
        const isSame = before.disabled === disabled && JSON.stringify(before.roles) === change.roles;
        // Roles are in the access tokens: new ones are asked for with the new roles.
        const ended = isSame ? [] : await endSessions(transaction, { accountId }, { reason: "account-changed", nowUnixMs: clock.unixMs() });
        return { account: { ...before, roles: wanted, disabled }, ended };
      });
      await parts.endedSessions.announce(ended);
      return { account: accountMessage(account) };
    }),

    rotateKeys: calls.unary(async (_, context) => {
      const { accountId } = accountOfCall(context);
      const keyId = await keys.rotate();
      await audit(store, context, { kind: "keys-rotated", accountId, detail: { keyId } });
      parts.log.info({ keyId, accountId }, "signing keys rotated");
      return { keyId };
    }),
  };
}

function checkedProfile({ profileId, name, isKids, maturityMaxAge }: Profile): StoredProfile {
  checkMaturity({ isKids, maturityMaxAge });
  return { profileId, name: checkedName("profile", name), isKids, maturityMaxAge };
}

function profileUnknown(): OperatingError {
  return new OperatingError("profile-unknown", "Cannot find the profile: the account has no such profile");
}

function parseAuditPageToken(text: string): AuditPageEnd | undefined {
  if (text === "") return undefined;
  const [, atUnixMs, eventId] = /^(\d{1,15})\.([\w-]{36})$/.exec(text) ?? [];
  if (eventId === undefined)
    throw new OperatingError("page-token-invalid", "Cannot list events: this page token is not from an earlier answer");
  return { atUnixMs: Number(atUnixMs), eventId };
}
