// Login for browsers and players: each route is one method of LoginService, with its messages as JSON.
import { z } from "zod";
import type { CallFacts, ControlPlaneClient } from "../control-plane-client.js";
import type { Account, Profile, Tokens } from "../protocol/generated/millrace/login/v1/login.js";
import { jsonNumber } from "./api-answers.js";
import type { Route, RouteAnswer, RouteRequest } from "./http-app.js";
import { jsonAnswer, parseJsonBody } from "./json-body.js";

/** Whoever caches the keys sees a new one before it signs (KeyRing: two minutes). */
const keysMaxAgeS = 60;

const text = z.string().max(4096);
const yes = z.boolean().default(false);
const age = z.number().int().min(0).max(18);
const profile = z.strictObject({ name: text, isKids: yes, maturityMaxAge: age.default(18) });

/** Path → route. Errors are those of LoginService; see http-failure.ts for their statuses. */
export function makeLoginRoutes(client: ControlPlaneClient): Map<string, Route> {
  const routes = new Map<string, Route>();
  const add = (path: string, methods: Route["methods"], answer: (request: RouteRequest, facts: CallFacts) => Promise<RouteAnswer>) =>
    routes.set(path, {
      name: "login",
      methods,
      crossOrigin: true,
      answer: (request) => {
        const { requestId, authorization, clientAddress, idempotencyKey } = request;
        return answer(request, { requestId, authorization, clientAddress, idempotencyKey });
      },
    });
  /** A route that takes the fields of `shape` and answers with what `work` gives. */
  const post = <Shape extends z.ZodRawShape>(
    name: string,
    shape: Shape,
    work: (body: z.output<z.ZodObject<Shape, z.core.$strict>>, facts: CallFacts) => Promise<unknown>,
  ) => {
    const schema = z.strictObject(shape);
    add(`/api/login/${name}`, ["POST"], async ({ body }, facts) => jsonAnswer(await work(parseJsonBody(body, schema), facts)));
  };

  post("sign-up", { email: text, password: text }, (body, facts) => client.signUp(body, facts));
  post("verify-email", { token: text }, async (body, facts) => {
    const { account } = await client.verifyEmail(body, facts);
    return { account: accountJson(account!) };
  });
  post(
    "sign-in",
    { email: text, password: text, deviceId: text.default(""), deviceName: text.default(""), replaceOldestDevice: yes },
    async (body, facts) => {
      const { tokens, account, profiles, deviceId } = await client.signIn(body, facts);
      return { tokens: tokensJson(tokens!), account: accountJson(account!), profiles: profiles.map(profileJson), deviceId };
    },
  );
  post("refresh", { refreshToken: text }, async (body, facts) => {
    const { tokens } = await client.refresh(body, facts);
    return { tokens: tokensJson(tokens!) };
  });
  post("sign-out", { everywhere: yes }, (body, facts) => client.signOut(body, facts));
  post("request-password-reset", { email: text }, (body, facts) => client.requestPasswordReset(body, facts));
  post("reset-password", { token: text, newPassword: text }, (body, facts) => client.resetPassword(body, facts));
  post("change-password", { password: text, newPassword: text }, (body, facts) => client.changePassword(body, facts));
  post("remove-device", { deviceId: text }, (body, facts) => client.removeDevice(body, facts));
  post("create-profile", profile.shape, async (body, facts) => {
    const answer = await client.createProfile(body, facts);
    return { profile: profileJson(answer.profile!) };
  });
  post("update-profile", { profileId: text, ...profile.shape }, async (body, facts) => {
    const answer = await client.updateProfile({ profile: body }, facts);
    return { profile: profileJson(answer.profile!) };
  });
  post("delete-profile", { profileId: text }, (body, facts) => client.deleteProfile(body, facts));
  post("choose-profile", { profileId: text }, async (body, facts) => {
    const answer = await client.chooseProfile(body, facts);
    return {
      accessToken: answer.accessToken,
      accessExpiresAtUnixMs: jsonNumber(answer.accessExpiresAtUnixMs),
      profile: profileJson(answer.profile!),
    };
  });
  post("find-account", { email: text }, async (body, facts) => {
    const { account } = await client.findAccount(body, facts);
    return { account: accountJson(account!) };
  });
  post("set-account", { accountId: text, roles: z.array(text).max(10), disabled: yes }, async (body, facts) => {
    const { account } = await client.setAccount(body, facts);
    return { account: accountJson(account!) };
  });
  post("rotate-keys", {}, (body, facts) => client.rotateKeys(body, facts));
  const auditBody = { accountId: text.default(""), pageSize: z.number().int().min(0).max(500).default(0), pageToken: text.default("") };
  post("audit-events", auditBody, async (body, facts) => {
    const { events, nextPageToken } = await client.listAuditEvents(body, facts);
    return { events: events.map((event) => ({ ...event, atUnixMs: jsonNumber(event.atUnixMs) })), nextPageToken };
  });
  add("/api/login/account", ["GET"], async (_, facts) => {
    const { account, profiles, devices } = await client.getAccount({}, facts);
    return jsonAnswer({
      account: accountJson(account!),
      profiles: profiles.map(profileJson),
      devices: devices.map(({ deviceId, name, createdAtUnixMs, lastSeenAtUnixMs }) => ({
        deviceId,
        name,
        createdAtUnixMs: jsonNumber(createdAtUnixMs),
        lastSeenAtUnixMs: jsonNumber(lastSeenAtUnixMs),
      })),
    });
  });
  add("/.well-known/jwks.json", ["GET"], async (_, facts) => {
    const { jwksJson } = await client.listKeys({}, facts);
    const headers = { "Content-Type": "application/jwk-set+json", "Cache-Control": `public, max-age=${keysMaxAgeS}` };
    return { status: 200, headers, body: jwksJson };
  });
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
