// Login for browsers and players: each route is one method of LoginService, with its messages as JSON.
import { z } from "zod";
import type { Account, Profile, Tokens } from "../protocol/generated/millrace/login/v1/login.js";
import { jsonNumber } from "./api-answers.js";
import type { Route } from "./http-app.js";
import { getRoute, nothing, postRoute, type PostRoute } from "./json-route.js";
import type { ControlPlaneCalls } from "./services/call-table.js";

/** Whoever caches the keys sees a new one before it signs (KeyRing: two minutes). */
const keysMaxAgeS = 60;

const text = z.string().max(4096);
const yes = z.boolean().default(false);
const age = z.number().int().min(0).max(18);
const profileBody = { name: text, isKids: yes, maturityMaxAge: age.default(18) };
const account = z.object({
  id: z.string(),
  email: z.string(),
  roles: z.array(z.string()),
  disabled: z.boolean(),
  createdAtUnixMs: z.int(),
});
const profile = z.object({ id: z.string(), name: z.string(), isKids: z.boolean(), maturityMaxAge: z.int() });
const tokens = z.object({
  accessToken: z.string(),
  accessExpiresAtUnixMs: z.int(),
  refreshToken: z.string(),
  refreshExpiresAtUnixMs: z.int(),
});
const device = z.object({ deviceId: z.string(), name: z.string(), createdAtUnixMs: z.int(), lastSeenAtUnixMs: z.int() });
const auditEvent = z.object({ atUnixMs: z.int(), accountId: z.string(), kind: z.string(), address: z.string(), detail: z.string() });

/** Path → route. Errors are those of LoginService; see http-failure.ts for their statuses. */
export function makeLoginRoutes(calls: ControlPlaneCalls): Map<string, Route> {
  const routes = new Map<string, Route>();
  const post = <Shape extends z.ZodRawShape, Answer extends z.ZodType>(
    path: string,
    shape: Shape,
    options: Omit<PostRoute<z.ZodObject<Shape, z.core.$strict>, Answer>, "name" | "body">,
  ) => routes.set(`/api/login/${path}`, postRoute({ name: "login", body: z.strictObject(shape), ...options }));

  post(
    "sign-up",
    { email: text, password: text },
    { summary: "Sends a mail that makes the account", call: "signUp", answer: nothing, work: (body, facts) => calls.signUp(body, facts) },
  );
  post(
    "verify-email",
    { token: text },
    {
      summary: "Makes the account with the token of its mail",
      call: "verifyEmail",
      answer: z.object({ account }),
      work: async (body, facts) => ({ account: accountJson((await calls.verifyEmail(body, facts)).account!) }),
    },
  );
  post(
    "sign-in",
    { email: text, password: text, deviceId: text.default(""), deviceName: text.default(""), replaceOldestDevice: yes },
    {
      summary: "Tokens for mail and password",
      call: "signIn",
      answer: z.object({ tokens, account, profiles: z.array(profile), deviceId: z.string() }),
      work: async (body, facts) => {
        const { tokens, account, profiles, deviceId } = await calls.signIn(body, facts);
        return { tokens: tokensJson(tokens!), account: accountJson(account!), profiles: profiles.map(profileJson), deviceId };
      },
    },
  );
  post(
    "refresh",
    { refreshToken: text },
    {
      summary: "New tokens for a refresh token",
      call: "refresh",
      answer: z.object({ tokens }),
      work: async (body, facts) => ({ tokens: tokensJson((await calls.refresh(body, facts)).tokens!) }),
    },
  );
  post(
    "sign-out",
    { everywhere: yes },
    {
      summary: "Ends the session, or all of the account's",
      call: "signOut",
      answer: nothing,
      work: (body, facts) => calls.signOut(body, facts),
    },
  );
  post(
    "request-password-reset",
    { email: text },
    {
      summary: "Sends a mail that sets a new password",
      call: "requestPasswordReset",
      answer: nothing,
      work: (body, facts) => calls.requestPasswordReset(body, facts),
    },
  );
  post(
    "reset-password",
    { token: text, newPassword: text },
    {
      summary: "Sets a new password with the token of the mail",
      call: "resetPassword",
      answer: nothing,
      work: (body, facts) => calls.resetPassword(body, facts),
    },
  );
  post(
    "change-password",
    { password: text, newPassword: text },
    { summary: "Sets a new password", call: "changePassword", answer: nothing, work: (body, facts) => calls.changePassword(body, facts) },
  );
  post(
    "remove-device",
    { deviceId: text },
    {
      summary: "Signs a device out and forgets it",
      call: "removeDevice",
      answer: nothing,
      work: (body, facts) => calls.removeDevice(body, facts),
    },
  );
  post("create-profile", profileBody, {
    summary: "Adds a profile",
    call: "createProfile",
    answer: z.object({ profile }),
    work: async (body, facts) => ({ profile: profileJson((await calls.createProfile(body, facts)).profile!) }),
  });
  post(
    "update-profile",
    { profileId: text, ...profileBody },
    {
      summary: "Changes a profile",
      call: "updateProfile",
      answer: z.object({ profile }),
      work: async (body, facts) => ({ profile: profileJson((await calls.updateProfile({ profile: body }, facts)).profile!) }),
    },
  );
  post(
    "delete-profile",
    { profileId: text },
    { summary: "Deletes a profile", call: "deleteProfile", answer: nothing, work: (body, facts) => calls.deleteProfile(body, facts) },
  );
  post(
    "choose-profile",
    { profileId: text },
    {
      summary: "An access token for a profile",
      call: "chooseProfile",
      answer: z.object({ accessToken: z.string(), accessExpiresAtUnixMs: z.int(), profile }),
      work: async (body, facts) => {
        const answer = await calls.chooseProfile(body, facts);
        return {
          accessToken: answer.accessToken,
          accessExpiresAtUnixMs: jsonNumber(answer.accessExpiresAtUnixMs),
          profile: profileJson(answer.profile!),
        };
      },
    },
  );
  post(
    "find-account",
    { email: text },
    {
      summary: "The account with a mail address",
      call: "findAccount",
      answer: z.object({ account }),
      work: async (body, facts) => ({ account: accountJson((await calls.findAccount(body, facts)).account!) }),
    },
  );
  post(
    "set-account",
    { accountId: text, roles: z.array(text).max(10), disabled: yes },
    {
      summary: "Sets an account's roles, and whether it may sign in",
      call: "setAccount",
      answer: z.object({ account }),
      work: async (body, facts) => ({ account: accountJson((await calls.setAccount(body, facts)).account!) }),
    },
  );
  post(
    "rotate-keys",
    {},
    {
      summary: "Makes a new key for access tokens",
      call: "rotateKeys",
      answer: z.object({ keyId: z.string() }),
      work: (body, facts) => calls.rotateKeys(body, facts),
    },
  );
  post(
    "audit-events",
    { accountId: text.default(""), pageSize: z.number().int().min(0).max(500).default(0), pageToken: text.default("") },
    {
      summary: "What was done with the account, newest first",
      call: "listAuditEvents",
      answer: z.object({ events: z.array(auditEvent), nextPageToken: z.string() }),
      work: async (body, facts) => {
        const { events, nextPageToken } = await calls.listAuditEvents(body, facts);
        return { events: events.map((event) => ({ ...event, atUnixMs: jsonNumber(event.atUnixMs) })), nextPageToken };
      },
    },
  );
  routes.set(
    "/api/login/account",
    getRoute({
      name: "login",
      summary: "The account with its profiles and devices",
      call: "getAccount",
      answer: z.object({ account, profiles: z.array(profile), devices: z.array(device) }),
      work: async (_, facts) => {
        const { account, profiles, devices } = await calls.getAccount({}, facts);
        return {
          account: accountJson(account!),
          profiles: profiles.map(profileJson),
          devices: devices.map(({ deviceId, name, createdAtUnixMs, lastSeenAtUnixMs }) => ({
            deviceId,
            name,
            createdAtUnixMs: jsonNumber(createdAtUnixMs),
            lastSeenAtUnixMs: jsonNumber(lastSeenAtUnixMs),
          })),
        };
      },
    }),
  );
  routes.set(
    "/.well-known/jwks.json",
    getRoute({
      name: "login",
      summary: "The public keys of access tokens (RFC 7517)",
      call: "listKeys",
      headers: { "Content-Type": "application/jwk-set+json", "Cache-Control": `public, max-age=${keysMaxAgeS}` },
      answer: z.object({ keys: z.array(z.looseObject({ kty: z.string(), kid: z.string() })) }),
      work: async (_, facts) => JSON.parse((await calls.listKeys({}, facts)).jwksJson) as { keys: { kty: string; kid: string }[] },
    }),
  );
  return routes;
}

function accountJson({ accountId, email, roles, disabled, createdAtUnixMs }: Account) {
  return { id: accountId, email, roles, disabled, createdAtUnixMs: jsonNumber(createdAtUnixMs) };
}

function profileJson({ profileId, name, isKids, maturityMaxAge }: Profile) {
  return { id: profileId, name, isKids, maturityMaxAge };
}

function tokensJson({ accessToken, accessExpiresAtUnixMs, refreshToken, refreshExpiresAtUnixMs }: Tokens) {
  return {
    accessToken,
    accessExpiresAtUnixMs: jsonNumber(accessExpiresAtUnixMs),
    refreshToken,
    refreshExpiresAtUnixMs: jsonNumber(refreshExpiresAtUnixMs),
  };
}
