// The contract of every method of billing, over gRPC and over JSON: right, wrong, unauthorised, too large, too late, twice.
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { openLog } from "../../runtime/log.js";
import { openDelayingProxy } from "../../tests/support/delaying-proxy.js";
import {
  codeOf,
  makeAccount,
  openLoginControlPlane,
  openLoginGateway,
  signIn,
  type LoginControlPlane,
} from "../../tests/support/login-client.js";
import { readOpenApi, type OpenApiCheck } from "../../tests/support/open-api-check.js";
import { temporaryFolder } from "../../tests/support/temporary-folder.js";
import { accessRuleOf } from "../access-rules.js";
import { ControlPlaneClient, type CallFacts } from "../control-plane-client.js";
import { openSandboxServer, type SandboxServer } from "../payment-sandbox/sandbox-server.js";
import { BillingServiceService } from "../protocol/generated/millrace/billing/v1/billing.js";
import { openStore } from "../store/database.js";
import { signWebhook } from "../webhook-signature.js";

/** GetEntitlement is for services, by gRPC only. */
type Method = Exclude<keyof typeof BillingServiceService, "getEntitlement">;
type Body = Record<string, unknown>;

interface Request {
  /** As JSON. */
  body: Body;
  facts?: CallFacts;
}

interface Contract {
  /** "POST /api/billing/subscribe": what the gateway calls it. */
  route: string;
  right(): Promise<Request> | Request;
  /** Requests that are refused, with the code; JSON's own checks may come first: those codes stand behind a slash. */
  wrong(right: Body): [body: Body, code: string][];
  /** What a second, equal request without an idempotency key comes to: a refusal's code, or "same" when it is simply answered again. */
  twice: string;
  /** Writes that may be said again with a key. */
  keyed?: true;
}

const webhookSecret = "a secret of sixteen";
const folder = temporaryFolder();
const database = `sqlite:${folder}/control-plane.db`;
let sandbox: SandboxServer;
let controlPlane: LoginControlPlane;
let gateway: Awaited<ReturnType<typeof openLoginGateway>>;
let openApi: OpenApiCheck;
let operator: CallFacts;
let count = 0;

async function openAccount(role?: "operator"): Promise<{ accountId: string; facts: CallFacts }> {
  const email = `payer-${count++}@example.org`;
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
  return { accountId, facts: (await signIn(controlPlane, email)).facts };
}

async function openPayer(paymentMethod = "pm_ok") {
  const account = await openAccount();
  await controlPlane.client.setBillingAccount(
    { country: "DE", currency: "EUR", paymentMethod: `${paymentMethod}.${count++}` },
    account.facts,
  );
  return account;
}

async function openSubscriber() {
  const account = await openPayer();
  await controlPlane.client.subscribe({ planId: "basic", couponId: "" }, account.facts);
  return account;
}

const asSubscriber = async (body: Body): Promise<Request> => ({ body, facts: (await openSubscriber()).facts });
const asOperator = (body: Body): Request => ({ body, facts: operator });
const long = "x".repeat(280);

const planBody = (planId: string, amountMinor: string): Body => ({
  plan: {
    planId,
    name: "A plan",
    interval: "month",
    trialDays: 0,
    streamsMax: 2,
    heightMax: 1080,
    prices: [{ country: "DE", currency: "EUR", amountMinor }],
  },
  withdrawn: false,
});

const contracts: Record<Method, Contract> = {
  listPlans: {
    route: "GET /api/billing/plans",
    right: () => ({ body: { country: "DE" } }),
    wrong: () => [
      [{ country: "de" }, "invalid-argument"],
      [{ country: long }, "invalid-argument"],
    ],
    twice: "same",
  },
  setBillingAccount: {
    route: "POST /api/billing/set-account",
    right: async () => ({
      body: { country: "DE", currency: "EUR", paymentMethod: `pm_ok.${count++}` },
      facts: (await openAccount()).facts,
    }),
    wrong: (right) => [
      [{ ...right, country: "Germany" }, "invalid-argument"],
      [{ ...right, currency: "euro" }, "invalid-argument"],
      [{ ...right, paymentMethod: "a b" }, "invalid-argument"],
    ],
    twice: "same",
    keyed: true,
  },
  subscribe: {
    route: "POST /api/billing/subscribe",
    right: async () => ({ body: { planId: "basic", couponId: "" }, facts: (await openPayer()).facts }),
    wrong: (right) => [
      [{ ...right, planId: "" }, "invalid-argument"],
      [{ ...right, planId: "none" }, "plan-unknown"],
      [{ ...right, couponId: "none" }, "coupon-refused"],
    ],
    twice: "subscription-exists",
    keyed: true,
  },
  changePlan: {
    route: "POST /api/billing/change-plan",
    right: () => asSubscriber({ planId: "better" }),
    wrong: () => [
      [{ planId: "none" }, "plan-unknown"],
      [{ planId: "basic" }, "plan-same"],
      [{ planId: long }, "invalid-argument"],
    ],
    twice: "plan-same",
    keyed: true,
  },
  pause: { route: "POST /api/billing/pause", right: () => asSubscriber({}), wrong: () => [], twice: "subscription-state", keyed: true },
  resume: {
    route: "POST /api/billing/resume",
    right: async () => {
      const { facts } = await openSubscriber();
      await controlPlane.client.pause({}, facts);
      return { body: {}, facts };
    },
    wrong: () => [],
    twice: "subscription-state",
    keyed: true,
  },
  cancel: {
    route: "POST /api/billing/cancel",
    right: () => asSubscriber({ atOnce: true, keep: false }),
    wrong: () => [[{ atOnce: true, keep: true }, "invalid-argument"]],
    twice: "subscription-unknown",
    keyed: true,
  },
  getBilling: {
    route: "GET /api/billing/account",
    right: () => asSubscriber({ accountId: "" }),
    wrong: () => [[{ accountId: "another" }, "forbidden"]],
    twice: "same",
  },
  listInvoices: {
    route: "GET /api/billing/invoices",
    right: () => asSubscriber({ accountId: "" }),
    wrong: () => [[{ accountId: "another" }, "forbidden"]],
    twice: "same",
  },
  keepStream: {
    route: "POST /api/billing/keep-stream",
    right: () => asSubscriber({ streamId: "none", ended: false }),
    wrong: () => [[{ streamId: "", ended: false }, "invalid-argument"]],
    twice: "same",
  },
  takeProviderEvent: {
    route: "POST /api/billing/provider-event",
    right: () => ({ body: { eventId: `event-${count++}`, kind: "payment", reference: "of nobody" } }),
    wrong: () => [[{ hello: "world" }, "webhook-refused"]],
    twice: "same",
  },
  putPlan: {
    route: "POST /api/billing/put-plan",
    right: () => asOperator(planBody(`plan-${count++}`, "1000")),
    wrong: () => [
      [planBody("", "1000"), "invalid-argument"],
      [planBody("dear", "999999999999"), "invalid-argument"],
    ],
    twice: "same",
  },
  putTaxRate: {
    route: "POST /api/billing/put-tax-rate",
    right: () => asOperator({ country: "FR", name: "TVA", basisPoints: 2000, included: true }),
    wrong: (right) => [[{ ...right, country: "france" }, "invalid-argument"]],
    twice: "same",
  },
  putCoupon: {
    route: "POST /api/billing/put-coupon",
    right: () =>
      asOperator({
        couponId: `coupon-${count++}`,
        basisPointsOff: 5000,
        amountOffMinor: "0",
        currency: "",
        periods: 1,
        redeemUntilUnixMs: 0,
        redemptionsMax: 0,
      }),
    wrong: (right) => [[{ ...right, couponId: "a b" }, "invalid-argument"]],
    twice: "same",
  },
  refund: {
    route: "POST /api/billing/refund",
    right: async () => {
      const { accountId, facts } = await openSubscriber();
      const { invoices } = await controlPlane.client.listInvoices({ accountId: "" }, facts);
      return asOperator({ accountId, invoiceId: invoices[0]!.invoiceId, amountMinor: "0", reason: "a contract" });
    },
    wrong: (right) => [
      [{ ...right, invoiceId: "none" }, "invoice-unknown"],
      [{ ...right, amountMinor: "99999999" }, "refund-refused"],
    ],
    twice: "refund-refused",
    keyed: true,
  },
  reconcile: { route: "POST /api/billing/reconcile", right: () => asOperator({ askProvider: true }), wrong: () => [], twice: "same" },
};
const methods = Object.keys(contracts) as Method[];

before(async () => {
  const log = openLog("payment-sandbox", "silent");
  sandbox = await openSandboxServer({ host: "127.0.0.1", port: 0, file: join(folder, "bank.db"), laterMs: 100, webhook: undefined, log });
  const provider = `{ kind: sandbox, url: "http://127.0.0.1:${sandbox.port}", webhookSecret: "${webhookSecret}" }`;
  controlPlane = await openLoginControlPlane({ database, settings: `billing: { provider: ${provider} }` });
  gateway = await openLoginGateway(controlPlane.url);
  openApi = await readOpenApi(gateway.url);
  operator = (await openAccount("operator")).facts;
  for (const [planId, amount] of [
    ["basic", "900"],
    ["better", "1500"],
  ] as const) {
    await callGrpc(controlPlane.client, "putPlan", asOperator(planBody(planId, amount)));
  }
});
after(async () => {
  await gateway.close();
  await controlPlane.close();
  await sandbox.close();
});

/** The message as gRPC has it: amounts are numbers of 64 bits. */
function callGrpc(client: ControlPlaneClient, method: Method, { body, facts = {} }: Request): Promise<unknown> {
  const text = JSON.stringify(body);
  const message: unknown =
    method === "takeProviderEvent"
      ? { signature: signWebhook(text, { secret: webhookSecret, nowUnixMs: controlPlane.clock.unixMs() }), body: Buffer.from(text) }
      : JSON.parse(text, (key, value: unknown) => (/Minor$|UnixMs$/.test(key) ? BigInt(value as string) : value));
  const name = method === "reconcile" ? "reconcileBilling" : method;
  return (client[name] as unknown as (request: unknown, facts: CallFacts) => Promise<unknown>)(message, facts);
}

async function callJson(url: string, method: Method, { body, facts = {} }: { body: Body | string; facts?: CallFacts }) {
  const [verb = "", path = ""] = contracts[method].route.split(" ");
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const query = verb === "GET" && typeof body === "object" ? `?${new URLSearchParams(body as Record<string, string>)}` : "";
  const response = await fetch(url + path + query, {
    method: verb,
    headers: {
      ...(facts.authorization && { Authorization: facts.authorization }),
      ...(facts.idempotencyKey && { "Idempotency-Key": facts.idempotencyKey }),
      ...(method === "takeProviderEvent" && {
        "Millrace-Signature": signWebhook(text, { secret: webhookSecret, nowUnixMs: controlPlane.clock.unixMs() }),
      }),
    },
    ...(verb === "POST" && { body: text }),
  });
  const answer = (await response.json()) as { error?: { code: string } };
  openApi.check(verb, path, { status: response.status, contentType: response.headers.get("content-type"), body: answer });
  return { status: response.status, code: answer.error?.code, answer };
}

for (const method of methods) {
  const contract = contracts[method];

  test(`${method}: the right request is answered as documented, and what a second one comes to`, async () => {
    for (const way of ["gRPC", "JSON"]) {
      const call = async (request: Request) => {
        if (way === "gRPC") return await callGrpc(controlPlane.client, method, request);
        const { status, code, answer } = await callJson(gateway.url, method, request);
        if (code !== undefined) throw Object.assign(new Error(code), { code });
        assert.equal(status, 200);
        return answer;
      };
      const right = await contract.right();
      const first = await call(right);
      if (contract.twice === "same") assert.deepEqual(await call(right), first);
      else assert.equal(await codeOf(call(right)), contract.twice, way);
      if (!contract.keyed) continue;
      // A retried write says its key: it happens once, and is answered the same.
      const { body, facts } = await contract.right();
      const keyed = { body, facts: { ...facts, idempotencyKey: `key-${method}-${way}` } };
      const answer = await call(keyed);
      assert.deepEqual(await call(keyed), answer, way);
    }
  });

  test(`${method}: wrong requests are refused with the reason`, async () => {
    const { body, facts } = await contract.right();
    for (const [wrong, codes] of contract.wrong(body)) {
      const [grpcCode, jsonCode = grpcCode] = codes.split("/");
      const request = { body: wrong, ...(facts && { facts }) };
      assert.equal(await codeOf(callGrpc(controlPlane.client, method, request)), grpcCode, `gRPC ${JSON.stringify(wrong)}`);
      const { code, status } = await callJson(gateway.url, method, request);
      assert.equal(code, jsonCode, `JSON ${JSON.stringify(wrong)}`);
      assert.ok(status >= 400 && status < 500, `${status}`);
    }
    if (contract.route.startsWith("POST") && method !== "takeProviderEvent") {
      const request = facts ? { facts } : {};
      assert.equal((await callJson(gateway.url, method, { body: "{", ...request })).code, "json-malformed");
      assert.equal((await callJson(gateway.url, method, { body: { ...body, surprise: 1 }, ...request })).code, "body-malformed");
    }
  });

  test(`${method}: who has no account, or not the role, is refused`, async () => {
    const { allow } = accessRuleOf(BillingServiceService[method].path)!;
    if (allow.includes("anyone")) return;
    const { body } = await contract.right();
    for (const [facts, code] of [
      [{}, "unauthenticated"],
      [{ authorization: "Bearer x.y.z" }, "access-token-invalid"],
      ...(allow.includes("account") ? [] : [[(await openAccount()).facts, "forbidden"] as const]),
    ] as const) {
      assert.equal(await codeOf(callGrpc(controlPlane.client, method, { body, facts })), code);
      const json = await callJson(gateway.url, method, { body, facts });
      assert.deepEqual([json.status, json.code], [code === "forbidden" ? 403 : 401, code]);
    }
  });

  test(`${method}: a request that is too large is refused, and the next one answered`, async () => {
    const { body, facts } = await contract.right();
    const huge = hugeField(body);
    if (Object.keys(huge).length > 0) {
      const request = { body: { ...body, ...huge }, ...(facts && { facts }) };
      assert.equal(await codeOf(callGrpc(controlPlane.client, method, request)), "control-plane-failed", "RESOURCE_EXHAUSTED");
    }
    if (contract.route.startsWith("POST")) {
      const { status, code } = await callJson(gateway.url, method, { body: "x".repeat(20_000), ...(facts && { facts }) });
      assert.deepEqual([status, code], [413, "body-too-large"]);
    }
    await callGrpc(controlPlane.client, method, { body, ...(facts && { facts }) });
  });
}

/** The first text of the body, or of the message in it, made five megabytes long; nothing where there is no text. */
function hugeField(body: Body): Body {
  for (const [key, value] of Object.entries(body)) {
    if (typeof value === "string" && !key.endsWith("Minor")) return { [key]: "x".repeat(5 * 2 ** 20) };
    if (typeof value === "object" && value !== null) return { [key]: { ...value, ...hugeField(value as Body) } };
  }
  return {};
}

test("every method is given up in time while billing hangs, is told from wrong ones, and works when it is back", async () => {
  const proxy = await openDelayingProxy(Number(new URL(controlPlane.url.replace("grpc:", "http:")).port));
  const slowGateway = await openLoginGateway(proxy.url, "services: { billing: { timeout: 300ms, breaker: { openFor: 100ms } } }");
  const hasty = new ControlPlaneClient(proxy.url, { deadlineMs: 300 });
  try {
    const requests = new Map<Method, Request>();
    for (const method of methods) requests.set(method, await contracts[method].right());
    await hasty.listTitles({ pageSize: 1, pageToken: "" });
    proxy.delay("/millrace.billing.", 30_000);
    await Promise.all(
      methods.map(async (method) => {
        const request = requests.get(method)!;
        assert.equal(await codeOf(callGrpc(hasty, method, request)), "control-plane-away", method);
        const { status, code } = await callJson(slowGateway.url, method, request);
        assert.deepEqual([status, code], [503, "control-plane-away"], method);
      }),
    );
    proxy.delay("", 0);
    // Nothing that was given up has happened.
    for (const method of methods) await callGrpc(controlPlane.client, method, requests.get(method)!);
  } finally {
    hasty.close();
    await slowGateway.close();
    await proxy.close();
  }
});
