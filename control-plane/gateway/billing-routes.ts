// Billing for browsers and players: each route is one method of BillingService, with its messages as JSON. Amounts are text of whole minor units.
import { z } from "zod";
import type { Invoice, Plan, Subscription } from "../protocol/generated/millrace/billing/v1/billing.js";
import { jsonNumber } from "./api-answers.js";
import type { Route } from "./http-app.js";
import { callFactsOf, getRoute, nothing, postRoute, type PostRoute } from "./json-route.js";
import type { ControlPlaneCalls } from "./services/call-table.js";

const text = z.string().max(300);
const minor = z
  .string()
  .regex(/^\d{1,15}$/, "Expected whole minor units as text")
  .transform(BigInt);
const count = (max: number) => z.number().int().min(0).max(max);
const price = z.strictObject({ country: text, currency: text, amountMinor: minor });
const planBody = z.strictObject({
  planId: text,
  name: text,
  interval: text,
  trialDays: count(10_000).default(0),
  streamsMax: count(10_000),
  heightMax: count(100_000),
  prices: z.array(price).max(1000),
});

/** Whole minor units; negative where money goes back. */
const amount = z.string().regex(/^-?\d+$/);
const plan = z.object({
  planId: z.string(),
  name: z.string(),
  interval: z.string(),
  trialDays: z.int(),
  streamsMax: z.int(),
  heightMax: z.int(),
  prices: z.array(z.object({ country: z.string(), currency: z.string(), amountMinor: amount })),
});
const subscription = z.object({
  subscriptionId: z.string(),
  planId: z.string(),
  status: z.string(),
  priceMinor: amount,
  currency: z.string(),
  periodFromUnixMs: z.int(),
  periodToUnixMs: z.int(),
  cancelAtPeriodEnd: z.boolean(),
  couponId: z.string(),
});
const invoice = z.object({
  invoiceId: z.string(),
  status: z.string(),
  currency: z.string(),
  lines: z.array(z.object({ kind: z.string(), description: z.string(), amountMinor: amount, fromUnixMs: z.int(), toUnixMs: z.int() })),
  netMinor: amount,
  taxName: z.string(),
  taxMinor: amount,
  totalMinor: amount,
  creditUsedMinor: amount,
  dueMinor: amount,
  createdAtUnixMs: z.int(),
});
const billingAccount = z.object({
  country: z.string(),
  currency: z.string(),
  hasPaymentMethod: z.boolean(),
  creditMinor: amount,
  subscription: subscription.nullable(),
});
const finding = z.object({ kind: z.string(), subject: z.string(), expectedMinor: amount, foundMinor: amount });
const books = z.object({ transactions: z.int(), invoices: z.int(), payments: z.int(), asked: z.int(), findings: z.array(finding) });
/** For operators: whose; else the caller's own. */
const whose = z.object({ accountId: text.default("") });

/** Path → route. Errors are those of BillingService; see http-failure.ts for their statuses. */
export function makeBillingRoutes(calls: ControlPlaneCalls): Map<string, Route> {
  const routes = new Map<string, Route>();
  const add = (path: string, route: Route) => routes.set(`/api/billing/${path}`, route);
  const post = <Shape extends z.ZodRawShape, Answer extends z.ZodType>(
    path: string,
    shape: Shape,
    options: Omit<PostRoute<z.ZodObject<Shape, z.core.$strict>, Answer>, "name" | "body">,
  ) => add(path, postRoute({ name: "billing", body: z.strictObject(shape), ...options }));
  const changed = async (answer: Promise<{ subscription: Subscription | undefined }>) => {
    const { subscription } = await answer;
    return { subscription: subscriptionJson(subscription!) };
  };
  const change = { answer: z.object({ subscription }) };

  add(
    "plans",
    getRoute({
      name: "billing",
      summary: "What is offered in a country",
      call: "listPlans",
      query: z.object({ country: text.default("") }),
      answer: z.object({ plans: z.array(plan) }),
      work: async (query, facts) => ({ plans: (await calls.listPlans(query, facts)).plans.map(planJson) }),
    }),
  );
  post(
    "set-account",
    { country: text, currency: text, paymentMethod: text.default("") },
    {
      summary: "Sets where the account is billed, and its means of payment",
      call: "setBillingAccount",
      answer: nothing,
      work: (body, facts) => calls.setBillingAccount(body, facts),
    },
  );
  post(
    "subscribe",
    { planId: text, couponId: text.default("") },
    { ...change, summary: "Subscribes to a plan", call: "subscribe", work: (body, facts) => changed(calls.subscribe(body, facts)) },
  );
  post(
    "change-plan",
    { planId: text },
    {
      ...change,
      summary: "Changes to another plan at once",
      call: "changePlan",
      work: (body, facts) => changed(calls.changePlan(body, facts)),
    },
  );
  post(
    "pause",
    {},
    { ...change, summary: "Pauses the subscription", call: "pause", work: (body, facts) => changed(calls.pause(body, facts)) },
  );
  post(
    "resume",
    {},
    { ...change, summary: "Goes on after a pause", call: "resume", work: (body, facts) => changed(calls.resume(body, facts)) },
  );
  post(
    "cancel",
    { atOnce: z.boolean().default(false), keep: z.boolean().default(false) },
    {
      ...change,
      summary: "Cancels at the period's end or at once, or takes a cancellation back",
      call: "cancel",
      work: (body, facts) => changed(calls.cancel(body, facts)),
    },
  );
  add(
    "account",
    getRoute({
      name: "billing",
      summary: "The billing account with its subscription",
      call: "getBilling",
      query: whose,
      answer: billingAccount,
      work: async (query, facts) => {
        const { country, currency, hasPaymentMethod, creditMinor, subscription } = await calls.getBilling(query, facts);
        const shown = subscription ? subscriptionJson(subscription) : null;
        return { country, currency, hasPaymentMethod, creditMinor: String(creditMinor), subscription: shown };
      },
    }),
  );
  add(
    "invoices",
    getRoute({
      name: "billing",
      summary: "Invoices, newest first",
      call: "listInvoices",
      query: whose,
      answer: z.object({ invoices: z.array(invoice) }),
      work: async (query, facts) => ({ invoices: (await calls.listInvoices(query, facts)).invoices.map(invoiceJson) }),
    }),
  );
  post(
    "keep-stream",
    { streamId: text, ended: z.boolean().default(false) },
    {
      summary: "Keeps the slot of a stream that plays, or frees it",
      call: "keepStream",
      answer: z.object({ kept: z.boolean(), expiresAtUnixMs: z.int() }),
      work: async (body, facts) => {
        const { kept, expiresAtUnixMs } = await calls.keepStream(body, facts);
        return { kept, expiresAtUnixMs: jsonNumber(expiresAtUnixMs) };
      },
    },
  );
  // From the payment provider; its signature, over the very bytes, says so.
  add("provider-event", {
    name: "billing",
    methods: ["POST"],
    crossOrigin: false,
    description: {
      summary: "An event of the payment provider, signed by it",
      call: "takeProviderEvent",
      body: z.looseObject({}),
      answer: nothing,
    },
    answer: async (request) => {
      const { body, webhookSignature: signature } = request;
      const answer = await calls.takeProviderEvent({ signature, body }, callFactsOf(request));
      return { status: 200, headers: { "Content-Type": "application/json", "Cache-Control": "no-store" }, body: JSON.stringify(answer) };
    },
  });
  post(
    "put-plan",
    { plan: planBody, withdrawn: z.boolean().default(false) },
    { summary: "Adds or changes a plan", call: "putPlan", answer: nothing, work: (body, facts) => calls.putPlan(body, facts) },
  );
  post(
    "put-tax-rate",
    { country: text, name: text, basisPoints: count(100_000), included: z.boolean() },
    { summary: "Sets a country's tax", call: "putTaxRate", answer: nothing, work: (body, facts) => calls.putTaxRate(body, facts) },
  );
  post(
    "put-coupon",
    {
      couponId: text,
      basisPointsOff: count(100_000).default(0),
      amountOffMinor: minor.prefault("0"),
      currency: text.default(""),
      periods: count(1000).default(0),
      redeemUntilUnixMs: count(Number.MAX_SAFE_INTEGER).default(0).transform(BigInt),
      redemptionsMax: count(2 ** 31).default(0),
    },
    { summary: "Adds or changes a coupon", call: "putCoupon", answer: nothing, work: (body, facts) => calls.putCoupon(body, facts) },
  );
  post(
    "refund",
    { accountId: text, invoiceId: text, amountMinor: minor.prefault("0"), reason: text.default("") },
    {
      summary: "Gives money of an invoice back; 0 for all that is left",
      call: "refund",
      answer: z.object({ refundId: z.string(), amountMinor: amount, status: z.string() }),
      work: async (body, facts) => {
        const { refundId, amountMinor, status } = await calls.refund(body, facts);
        return { refundId, amountMinor: String(amountMinor), status };
      },
    },
  );
  post(
    "reconcile",
    { askProvider: z.boolean().default(false) },
    {
      summary: "Compares the books with themselves and with the provider",
      call: "reconcileBilling",
      answer: books,
      work: async (body, facts) => {
        const { transactions, invoices, payments, asked, findings } = await calls.reconcileBilling(body, facts);
        return {
          transactions: jsonNumber(transactions),
          invoices: jsonNumber(invoices),
          payments: jsonNumber(payments),
          asked: jsonNumber(asked),
          findings: findings.map(({ expectedMinor, foundMinor, ...finding }) => ({
            ...finding,
            expectedMinor: String(expectedMinor),
            foundMinor: String(foundMinor),
          })),
        };
      },
    },
  );
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
