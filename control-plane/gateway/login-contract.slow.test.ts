// The contract of every method of login, over gRPC and over JSON: right, wrong, unauthorised, too large, too late, twice.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { theMariadb } from "../../tests/support/each-store.js";
import {
  codeOf,
  goodPassword,
  mailedToken,
  makeAccount,
  openLoginControlPlane,
  openLoginGateway,
  signIn,
  signInRequest,
  type LoginControlPlane,
} from "../../tests/support/login-client.js";
import { requireProgram } from "../../tests/support/require-program.js";
import { temporaryFolder } from "../../tests/support/temporary-folder.js";
import { ControlPlaneClient, type CallFacts } from "../control-plane-client.js";
import { accessRuleOf } from "../access-rules.js";
import { FleetServiceService } from "../../fill-protocol/generated/millrace/fleet/v1/fleet.js";
import { FillServiceService } from "../../fill-protocol/generated/millrace/fill/v1/fill.js";
import { CatalogServiceService } from "../protocol/generated/millrace/catalog/v1/catalog.js";
import { FillPlanServiceService } from "../protocol/generated/millrace/fillplan/v1/fill_plan.js";
import { LoginServiceService } from "../protocol/generated/millrace/login/v1/login.js";
import { PlaybackServiceService } from "../protocol/generated/millrace/playback/v1/playback.js";
import { SteeringServiceService } from "../protocol/generated/millrace/steering/v1/steering.js";
import { openStore } from "../store/database.js";

type Method = keyof typeof LoginServiceService;
type Body = Record<string, unknown>;

interface World {
  controlPlane: LoginControlPlane;
  /** Makes a fresh account, signs it in, and gives what a call needs. */
  account(
    role?: "admin",
  ): Promise<{ email: string; accountId: string; profileId: string; refreshToken: string; deviceId: string; facts: CallFacts }>;
  token(email: string, subject: RegExp): Promise<string>;
}

interface Contract {
  /** "POST /api/login/sign-up": what the gateway calls it. */
  route: string;
  /** A request that is answered, and who may send it. */
  right(world: World): Promise<{ body: Body; facts?: CallFacts }>;
  /** What a second, equal request comes to: the code of a refusal, or "same" when it is simply answered again. */
  twice: string;
  /** Requests that are refused, with the code. JSON's own checks may come first: those codes stand behind a slash. */
  wrong(right: Body): [body: Body, code: string][];
  /** Takes no account: anyone may call. */
  open?: true;
  /** Answers from memory: does not need the database. */
  fromMemory?: true;
}

const newPassword = "quite another password";
const nowhere = "00000000-0000-4000-8000-000000000000";
const longText = "x".repeat(3000);
let emails = 0;
const newEmail = () => `player-${emails++}@example.org`;

const asAccount = async (world: World, body: (account: Awaited<ReturnType<World["account"]>>) => Body = () => ({}), role?: "admin") => {
  const account = await world.account(role);
  return { body: body(account), facts: account.facts };
};

const contracts: Record<Method, Contract> = {
  signUp: {
    route: "POST /api/login/sign-up",
    right: () => Promise.resolve({ body: { email: newEmail(), password: goodPassword } }),
    twice: "same",
    wrong: (right) => [
      [{ ...right, email: "nobody" }, "invalid-argument"],
      [{ ...right, email: "a@b, c@d" }, "invalid-argument"],
      [{ ...right, password: "short" }, "invalid-argument"],
      [{ ...right, password: longText }, "invalid-argument"],
    ],
    open: true,
  },
  verifyEmail: {
    route: "POST /api/login/verify-email",
    right: async ({ controlPlane, token }) => {
      const email = newEmail();
      await controlPlane.client.signUp({ email, password: goodPassword });
      return { body: { token: await token(email, /Confirm/) } };
    },
    twice: "email-token-invalid",
    wrong: () => [
      [{ token: "x" }, "email-token-invalid"],
      [{ token: "A".repeat(43) }, "email-token-invalid"],
    ],
    open: true,
  },
  signIn: {
    route: "POST /api/login/sign-in",
    right: async (world) => ({ body: signInRequest((await world.account()).email) }),
    twice: "same",
    wrong: (right) => [
      [{ ...right, password: "a wrong password" }, "credentials-wrong"],
      [{ ...right, email: newEmail() }, "credentials-wrong"],
      [{ ...right, email: "x" }, "invalid-argument"],
      [{ ...right, password: longText }, "invalid-argument"],
      [{ ...right, deviceName: longText }, "invalid-argument"],
    ],
    open: true,
  },
  refresh: {
    route: "POST /api/login/refresh",
    right: async (world) => ({ body: { refreshToken: (await world.account()).refreshToken } }),
    twice: "same",
    wrong: () => [[{ refreshToken: "x" }, "refresh-token-invalid"]],
    open: true,
  },
  signOut: {
    route: "POST /api/login/sign-out",
    right: (world) => asAccount(world, () => ({ everywhere: false })),
    twice: "session-ended",
    wrong: () => [],
  },
  requestPasswordReset: {
    route: "POST /api/login/request-password-reset",
    right: async (world) => ({ body: { email: (await world.account()).email } }),
    twice: "same",
    wrong: () => [[{ email: "x@" }, "invalid-argument"]],
    open: true,
  },
  resetPassword: {
    route: "POST /api/login/reset-password",
    right: async (world) => {
      const { email } = await world.account();
      await world.controlPlane.client.requestPasswordReset({ email });
      return { body: { token: await world.token(email, /Set a new/), newPassword } };
    },
    twice: "email-token-invalid",
    wrong: (right) => [
      [{ ...right, token: "A".repeat(43) }, "email-token-invalid"],
      [{ ...right, newPassword: "aaaaaaaaaaaa" }, "invalid-argument"],
    ],
    open: true,
  },
  changePassword: {
    route: "POST /api/login/change-password",
    right: (world) => asAccount(world, () => ({ password: goodPassword, newPassword })),
    twice: "credentials-wrong",
    wrong: (right) => [
      [{ ...right, password: "a wrong password" }, "credentials-wrong"],
      [{ ...right, newPassword: "short" }, "invalid-argument"],
    ],
  },
  getAccount: { route: "GET /api/login/account", right: (world) => asAccount(world), twice: "same", wrong: () => [] },
  removeDevice: {
    route: "POST /api/login/remove-device",
    right: async (world) => {
      const { email, facts } = await world.account();
      const other = await signIn(world.controlPlane, email);
      return { body: { deviceId: other.deviceId }, facts };
    },
    twice: "device-unknown",
    wrong: () => [[{ deviceId: nowhere }, "device-unknown"]],
  },
  createProfile: {
    route: "POST /api/login/create-profile",
    right: (world) => asAccount(world, () => ({ name: "Kid", isKids: true, maturityMaxAge: 7 })),
    twice: "same",
    wrong: (right) => [
      [{ ...right, name: " " }, "invalid-argument"],
      [{ ...right, name: longText }, "invalid-argument"],
      [{ ...right, maturityMaxAge: 99 }, "invalid-argument/body-malformed"],
      [{ ...right, maturityMaxAge: 13 }, "invalid-argument"],
    ],
  },
  updateProfile: {
    route: "POST /api/login/update-profile",
    right: (world) => asAccount(world, ({ profileId }) => ({ profileId, name: "Ann", isKids: false, maturityMaxAge: 16 })),
    twice: "same",
    wrong: (right) => [
      [{ ...right, profileId: nowhere }, "profile-unknown"],
      [{ ...right, name: "a\u0000b" }, "invalid-argument"],
    ],
  },
  deleteProfile: {
    route: "POST /api/login/delete-profile",
    right: async (world) => {
      const { facts } = await world.account();
      const { profile } = await world.controlPlane.client.createProfile({ name: "Kid", isKids: true, maturityMaxAge: 7 }, facts);
      return { body: { profileId: profile!.profileId }, facts };
    },
    twice: "profile-unknown",
    wrong: () => [[{ profileId: nowhere }, "profile-unknown"]],
  },
  chooseProfile: {
    route: "POST /api/login/choose-profile",
    right: (world) => asAccount(world, ({ profileId }) => ({ profileId })),
    twice: "same",
    wrong: () => [[{ profileId: nowhere }, "profile-unknown"]],
  },
  listAuditEvents: {
    route: "POST /api/login/audit-events",
    right: (world) => asAccount(world, () => ({ accountId: "", pageSize: 10, pageToken: "" })),
    twice: "same",
    wrong: (right) => [
      [{ ...right, pageToken: "x" }, "page-token-invalid"],
      [{ ...right, pageSize: 501 }, "invalid-argument/body-malformed"],
      [{ ...right, accountId: nowhere }, "forbidden"],
    ],
  },
  listKeys: {
    route: "GET /.well-known/jwks.json",
    right: () => Promise.resolve({ body: {} }),
    twice: "same",
    wrong: () => [],
    open: true,
    fromMemory: true,
  },
  findAccount: {
    route: "POST /api/login/find-account",
    right: (world) => asAccount(world, ({ email }) => ({ email }), "admin"),
    twice: "same",
    wrong: () => [
      [{ email: newEmail() }, "account-unknown"],
      [{ email: "x" }, "invalid-argument"],
    ],
  },
  setAccount: {
    route: "POST /api/login/set-account",
    right: async (world) => {
      const { accountId } = await world.account();
      return await asAccount(world, () => ({ accountId, roles: ["operator"], disabled: false }), "admin");
    },
    twice: "same",
    wrong: (right) => [
      [{ ...right, accountId: nowhere }, "account-unknown"],
      [{ ...right, roles: ["king"] }, "invalid-argument"],
    ],
  },
  rotateKeys: {
    route: "POST /api/login/rotate-keys",
    right: (world) => asAccount(world, () => ({}), "admin"),
    twice: "same",
    wrong: () => [],
  },
};

/** The message as gRPC has it: the flat body of the one route that wraps it goes back into its field. */
const callGrpc = (client: ControlPlaneClient, method: Method, body: Body, facts: CallFacts = {}): Promise<unknown> =>
  (client[method] as unknown as (request: Body, facts: CallFacts) => Promise<unknown>)(
    method === "updateProfile" ? { profile: body } : body,
    facts,
  );

async function callJson(url: string, method: Method, { body, facts = {} }: { body: Body | string; facts?: CallFacts }) {
  const [verb = "", path = ""] = contracts[method].route.split(" ");
  const response = await fetch(url + path, {
    method: verb,
    headers: {
      ...(facts.authorization && { Authorization: facts.authorization }),
      ...(facts.idempotencyKey && { "Idempotency-Key": facts.idempotencyKey }),
    },
    ...(verb === "POST" && { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  const answer = (await response.json()) as { error?: { code: string } };
  return { status: response.status, code: answer.error?.code, answer, headers: response.headers };
}

let controlPlane: LoginControlPlane;
let gateway: { url: string; close(): Promise<void> };
let world: World;

before(async () => {
  const database = `sqlite:${temporaryFolder()}/control-plane.db`;
  controlPlane = await openLoginControlPlane({ database });
  gateway = await openLoginGateway(controlPlane.url);
  world = worldOf(controlPlane, database);
});
after(async () => {
  await gateway.close();
  await controlPlane.close();
});

function worldOf(controlPlane: LoginControlPlane, database: string): World {
  return {
    controlPlane,
    token: (email, subject) => mailedToken(controlPlane.mailFolder, email, subject),
    account: async (role) => {
      const email = newEmail();
      const { accountId } = await makeAccount(controlPlane, email);
      if (role) {
        const store = await openStore(database);
        await store
          .updateTable("account")
          .set({ roles: JSON.stringify([role]) })
          .where("account_id", "=", accountId)
          .execute();
        await store.destroy();
      }
      const { profiles, tokens, deviceId, facts } = await signIn(controlPlane, email);
      return { email, accountId, profileId: profiles[0]!.profileId, refreshToken: tokens.refreshToken, deviceId, facts };
    },
  };
}

for (const method of Object.keys(contracts) as Method[]) {
  const contract = contracts[method];

  test(`${method}: the right request is answered, and what a second one comes to`, async () => {
    for (const way of ["gRPC", "JSON"]) {
      const { body, facts } = await contract.right(world);
      // A retried write says its key.
      const keyed = { ...facts, idempotencyKey: `key-${method}-${way}` };
      const call = async () => {
        if (way === "gRPC") return await callGrpc(controlPlane.client, method, body, keyed);
        const { status, code, answer } = await callJson(gateway.url, method, { body, facts: keyed });
        if (code !== undefined) throw Object.assign(new Error(), { code });
        assert.equal(status, 200);
        return answer;
      };
      await call();
      if (contract.twice === "same") await call();
      else assert.equal(await codeOf(call()), contract.twice, way);
    }
  });

  test(`${method}: wrong requests are refused with the reason`, async () => {
    const { body, facts } = await contract.right(world);
    for (const [wrong, codes] of contract.wrong(body)) {
      const [grpcCode, jsonCode = grpcCode] = codes.split("/");
      const what = JSON.stringify(wrong).slice(0, 200);
      assert.equal(await codeOf(callGrpc(controlPlane.client, method, wrong, facts)), grpcCode, `gRPC ${what}`);
      const { code, status } = await callJson(gateway.url, method, { body: wrong, ...(facts && { facts }) });
      assert.equal(code, jsonCode, `JSON ${what}`);
      assert.ok(status >= 400 && status < 500, `${status}`);
    }
    if (contract.route.startsWith("GET")) return;
    const facted = facts ? { facts } : {};
    assert.equal((await callJson(gateway.url, method, { body: "{", ...facted })).code, "json-malformed");
    assert.equal((await callJson(gateway.url, method, { body: { ...body, surplus: 1 }, ...facted })).code, "body-malformed");
    assert.equal((await callJson(gateway.url, method, { body: "[]", ...facted })).code, "body-malformed");
  });

  test(`${method}: who may not call is told so`, async () => {
    const { body } = await contract.right(world);
    if (contract.open) {
      // A token that is no good is not in the way where none is needed.
      if (method !== "listKeys") await callGrpc(controlPlane.client, method, body, { authorization: "Bearer x.y.z" });
      return;
    }
    assert.equal(await codeOf(callGrpc(controlPlane.client, method, body)), "unauthenticated");
    assert.equal(await codeOf(callGrpc(controlPlane.client, method, body, { authorization: "Bearer x.y.z" })), "access-token-invalid");
    const json = await callJson(gateway.url, method, { body });
    assert.deepEqual([json.status, json.code, json.headers.get("www-authenticate")], [401, "unauthenticated", 'Bearer realm="millrace"']);
    const rule = accessRuleOf(LoginServiceService[method].path);
    if (rule?.allow.includes("account")) return;
    const { facts } = await world.account();
    assert.equal(await codeOf(callGrpc(controlPlane.client, method, body, facts)), "forbidden");
    assert.equal((await callJson(gateway.url, method, { body, facts })).status, 403);
  });

  test(`${method}: a request that is too large is refused, and the next one answered`, async () => {
    const { body, facts } = await contract.right(world);
    const field = Object.keys(body).find((key) => typeof body[key] === "string");
    if (field !== undefined) {
      const huge = { ...body, [field]: "x".repeat(5 * 2 ** 20) };
      assert.equal(await codeOf(callGrpc(controlPlane.client, method, huge, facts)), "control-plane-failed", "RESOURCE_EXHAUSTED");
    }
    if (contract.route.startsWith("POST")) {
      const { status, code } = await callJson(gateway.url, method, { body: "x".repeat(20_000), ...(facts && { facts }) });
      assert.deepEqual([status, code], [413, "body-too-large"]);
    }
    const longHeader = await fetch(gateway.url + contract.route.split(" ")[1]!, {
      headers: { Authorization: `Bearer ${"x".repeat(3000)}` },
    });
    assert.ok(longHeader.status < 500, String(longHeader.status));
    await callGrpc(controlPlane.client, method, body, facts);
  });
}

test("every method is given up at its deadline while the database hangs, and works when it is back", { timeout: 120_000 }, async (t) => {
  if (!requireProgram(t, "mariadbd") || !requireProgram(t, "mariadb-install-db")) return;
  const server = await theMariadb();
  const database = await server.makeDatabase();
  const controlPlane = await openLoginControlPlane({ database });
  const gateway = await openLoginGateway(controlPlane.url);
  const hasty = new ControlPlaneClient(controlPlane.url, { deadlineMs: 500 });
  try {
    const world = worldOf(controlPlane, database);
    const requests = [];
    for (const method of Object.keys(contracts) as Method[]) requests.push({ method, ...(await contracts[method].right(world)) });
    process.kill(server.pid, "SIGSTOP");
    try {
      await Promise.all(
        requests.map(async ({ method, body, facts }) => {
          const started = performance.now();
          if (contracts[method].fromMemory) {
            await callGrpc(hasty, method, body, facts);
            return;
          }
          assert.equal(await codeOf(callGrpc(hasty, method, body, facts)), "control-plane-away", method);
          assert.ok(performance.now() - started < 5000, `${method} took ${performance.now() - started} ms`);
          const { status, code } = await callJson(gateway.url, method, { body, ...(facts && { facts }) });
          assert.ok(status === 503 || status === 504, `${method}: ${status} ${code}`);
        }),
      );
    } finally {
      process.kill(server.pid, "SIGCONT");
    }
    await makeAccount(controlPlane, newEmail());
  } finally {
    hasty.close();
    await gateway.close();
    await controlPlane.close();
  }
});

test("a header that gRPC can't carry is the client's mistake", async () => {
  const response = await fetch(`${gateway.url}/api/login/account`, { headers: { Authorization: "Bearer b\u00e4r" } });
  assert.equal(response.status, 400);
  assert.equal(((await response.json()) as { error: { code: string } }).error.code, "invalid-argument");
});

test("every method of every service has a row in the access rules", () => {
  for (const service of [
    FleetServiceService,
    FillServiceService,
    FillPlanServiceService,
    CatalogServiceService,
    SteeringServiceService,
    PlaybackServiceService,
    LoginServiceService,
  ]) {
    for (const { path } of Object.values(service)) assert.ok(accessRuleOf(path), path);
  }
  assert.equal(accessRuleOf("/millrace.fleet.v1.FleetService/Nothing"), undefined);
});
