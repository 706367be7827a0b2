// Billing for browsers and players: each route is one method of BillingService, with its messages as JSON. Amounts are text of whole minor units.
import { z } from "zod";
import type { CallFacts, ControlPlaneClient } from "../control-plane-client.js";
import type { Invoice, Plan, Subscription } from "../protocol/generated/millrace/billing/v1/billing.js";
import { jsonNumber } from "./api-answers.js";
import type { Route, RouteAnswer, RouteRequest } from "./http-app.js";
import { jsonAnswer, parseJsonBody } from "./json-body.js";

const text = z.string().max(300);
const minor = z
  .string()
  .regex(/^\d{1,15}$/, "Expected whole minor units as text")
  .transform(BigInt);
const price = z.strictObject({ country: text, currency: text, amountMinor: minor });
const plan = z.strictObject({
  planId: text,
  name: text,
  interval: text,
  trialDays: z.number().int().min(0).max(10_000).default(0),
  streamsMax: z.number().int().min(0).max(10_000),
  heightMax: z.number().int().min(0).max(100_000),
  prices: z.array(price).max(1000),
});

/** Path → route. Errors are those of BillingService; see http-failure.ts for their statuses. */
export function makeBillingRoutes(client: ControlPlaneClient): Map<string, Route> {
  const routes = new Map<string, Route>();
  const add = (
    name: string,
    method: "GET" | "POST",
    answer: (request: RouteRequest, facts: CallFacts) => Promise<RouteAnswer>,
    crossOrigin = true,
  ) =>
    routes.set(`/api/billing/${name}`, {
      name: "billing",
      methods: [method],
      crossOrigin,
      answer: (request) => {
        const { requestId, authorization, clientAddress, idempotencyKey } = request;
        return answer(request, { requestId, authorization, clientAddress, idempotencyKey });
      },
    });
  const post = <Shape extends z.ZodRawShape>(
    name: string,
    shape: Shape,
    work: (body: z.output<z.ZodObject<Shape, z.core.$strict>>, facts: CallFacts) => Promise<unknown>,
  ) => {
    const schema = z.strictObject(shape);
    add(name, "POST", async ({ body }, facts) => jsonAnswer(await work(parseJsonBody(body, schema), facts)));
  };
  const changed = async (answer: Promise<{ subscription: Subscription | undefined }>) => {
    const { subscription } = await answer;
    return { subscription: subscriptionJson(subscription!) };
  };

  add("plans", "GET", async ({ query }, facts) => {
    const { plans } = await client.listPlans({ country: query.get("country") ?? "" }, facts);
    return jsonAnswer({ plans: plans.map(planJson) });
  });
  post("set-account", { country: text, currency: text, paymentMethod: text.default("") }, (body, facts) =>
    client.setBillingAccount(body, facts),
  );
  post("subscribe", { planId: text, couponId: text.default("") }, (body, facts) => changed(client.subscribe(body, facts)));
  post("change-plan", { planId: text }, (body, facts) => changed(client.changePlan(body, facts)));
  post("pause", {}, (body, facts) => changed(client.pause(body, facts)));
  post("resume", {}, (body, facts) => changed(client.resume(body, facts)));
  post("cancel", { atOnce: z.boolean().default(false), keep: z.boolean().default(false) }, (body, facts) =>
    changed(client.cancel(body, facts)),
  );
  add("account", "GET", async ({ query }, facts) => {
    const answer = await client.getBilling({ accountId: query.get("accountId") ?? "" }, facts);
    const { country, currency, hasPaymentMethod, creditMinor, subscription } = answer;
    const shown = subscription && subscriptionJson(subscription);
    return jsonAnswer({ country, currency, hasPaymentMethod, creditMinor: String(creditMinor), subscription: shown ?? null });
  });
  add("invoices", "GET", async ({ query }, facts) => {
    const { invoices } = await client.listInvoices({ accountId: query.get("accountId") ?? "" }, facts);
    return jsonAnswer({ invoices: invoices.map(invoiceJson) });
  });
  post("keep-stream", { streamId: text, ended: z.boolean().default(false) }, async (body, facts) => {
    const { kept, expiresAtUnixMs } = await client.keepStream(body, facts);
    return { kept, expiresAtUnixMs: jsonNumber(expiresAtUnixMs) };
  });
  // From the payment provider; its signature says so.
  add(
    "provider-event",
    "POST",
    async ({ body, webhookSignature }, facts) => jsonAnswer(await client.takeProviderEvent({ signature: webhookSignature, body }, facts)),
    false,
  );
  post("put-plan", { plan, withdrawn: z.boolean().default(false) }, (body, facts) => client.putPlan(body, facts));
  post(
    "put-tax-rate",
    { country: text, name: text, basisPoints: z.number().int().min(0).max(100_000), included: z.boolean() },
    (body, facts) => client.putTaxRate(body, facts),
  );
  post(
    "put-coupon",
    {
      couponId: text,
      basisPointsOff: z.number().int().min(0).max(100_000).default(0),
      amountOffMinor: minor.default(0n),
      currency: text.default(""),
      periods: z.number().int().min(0).max(1000).default(0),
      redeemUntilUnixMs: z.number().int().min(0).default(0).transform(BigInt),
      redemptionsMax: z
        .number()
        .int()
        .min(0)
        .max(2 ** 31)
        .default(0),
    },
    (body, facts) => client.putCoupon(body, facts),
  );
  post("refund", { accountId: text, invoiceId: text, amountMinor: minor.default(0n), reason: text.default("") }, async (body, facts) => {
    const { refundId, amountMinor, status } = await client.refund(body, facts);
    return { refundId, amountMinor: String(amountMinor), status };
  });
  post("reconcile", { askProvider: z.boolean().default(false) }, async (body, facts) => {
    const { transactions, invoices, payments, asked, findings } = await client.reconcileBilling(body, facts);
    return {
      transactions: jsonNumber(transactions),
      invoices: jsonNumber(invoices),
      payments: jsonNumber(payments),
      asked: jsonNumber(asked),
      findings: findings.map(({ kind, subject, expectedMinor, foundMinor }) => ({
        kind,
        subject,
        expectedMinor: String(expectedMinor),
        foundMinor: String(foundMinor),
      })),
    };
  });
  return routes;
}

function planJson({ prices, ...plan }: Plan) {
  return { ...plan, prices: prices.map(({ amountMinor, ...price }) => ({ ...price, amountMinor: String(amountMinor) })) };
}

function subscriptionJson({ priceMinor, periodFromUnixMs, periodToUnixMs, ...rest }: Subscription) {
  return {
    ...rest,
    priceMinor: String(priceMinor),
    periodFromUnixMs: jsonNumber(periodFromUnixMs),
    periodToUnixMs: jsonNumber(periodToUnixMs),
  };
}

function invoiceJson({ lines, createdAtUnixMs, netMinor, taxMinor, totalMinor, creditUsedMinor, dueMinor, ...rest }: Invoice) {
  return {
    ...rest,
    netMinor: String(netMinor),
    taxMinor: String(taxMinor),
    totalMinor: String(totalMinor),
    creditUsedMinor: String(creditUsedMinor),
    dueMinor: String(dueMinor),
    createdAtUnixMs: jsonNumber(createdAtUnixMs),
    lines: lines.map(({ amountMinor, fromUnixMs, toUnixMs, ...line }) => ({
      ...line,
      amountMinor: String(amountMinor),
      fromUnixMs: jsonNumber(fromUnixMs),
      toUnixMs: jsonNumber(toUnixMs),
    })),
  };
}
