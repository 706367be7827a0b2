import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import fc from "fast-check";
import { sql } from "kysely";
import { ManualClock } from "../../runtime/manual-clock.js";
import { openLog } from "../../runtime/log.js";
import { OperatingError } from "../../runtime/operating-error.js";
import { eachStore } from "../../tests/support/each-store.js";
import { temporaryFolder } from "../../tests/support/temporary-folder.js";
import { SandboxBank, type SandboxEntry } from "../payment-sandbox/sandbox-bank.js";
import type { Store } from "../store/database.js";
import { transact } from "../store/transact.js";
import { BillingModel, type ModelPlan } from "./billing-model.js";
import { Billing, type Outstanding } from "./billing.js";
import { doDueWork } from "./due-work.js";
import { PaymentCollector } from "./payment-collector.js";
import type { PaymentProvider, ProviderAnswer } from "./payments/payment-provider.js";
import { reconcile } from "./reconcile.js";

const dayMs = 86_400_000;
const retryDays = [1, 3, 5];
const plans: Record<string, ModelPlan> = {
  basic: { priceMinor: 799n, months: 1, trialDays: 0 },
  best: { priceMinor: 1999n, months: 1, trialDays: 7 },
  yearly: { priceMinor: 14_999n, months: 12, trialDays: 0 },
};
const coupons: Record<string, { percentOff: bigint; periods: number }> = {
  third: { percentOff: 33n, periods: 2 },
  free: { percentOff: 100n, periods: 1 },
  forever: { percentOff: 10n, periods: -1 },
};
const methods = ["pm_ok", "pm_declined", "pm_flaky", "pm_later", "pm_later_declined"];

type Step =
  | { act: "subscribe"; plan: string; coupon: string | undefined }
  | { act: "change"; plan: string }
  | { act: "pause" | "resume" }
  | { act: "cancel"; atOnce: boolean }
  | { act: "method"; method: string }
  | { act: "refund"; which: number; percent: number }
  | { act: "turn"; days: number };
/** Where the process dies: after the commit and before the provider is asked, or when it was asked and its answer is lost. */
type Crash = "never" | "before-asking" | "answer-lost";

const plan = fc.constantFrom(...Object.keys(plans));
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      act: fc.constant("subscribe" as const),
      plan,
      coupon: fc.option(fc.constantFrom(...Object.keys(coupons)), { nil: undefined }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ act: fc.constant("change" as const), plan }) },
  { weight: 1, arbitrary: fc.record({ act: fc.constantFrom("pause" as const, "resume" as const) }) },
  { weight: 1, arbitrary: fc.record({ act: fc.constant("cancel" as const), atOnce: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ act: fc.constant("method" as const), method: fc.constantFrom(...methods) }) },
  { weight: 1, arbitrary: fc.record({ act: fc.constant("refund" as const), which: fc.nat(), percent: fc.integer({ min: 1, max: 100 }) }) },
  // Mostly days, now and then a clock that jumps by a year, or back.
  {
    weight: 5,
    arbitrary: fc.record({
      act: fc.constant("turn" as const),
      days: fc.oneof(
        { weight: 6, arbitrary: fc.integer({ min: 0, max: 40 }) },
        { weight: 1, arbitrary: fc.integer({ min: -20, max: 800 }) },
      ),
    }),
  },
);
const history = fc.array(
  fc.record({
    step,
    crash: fc.oneof(
      { weight: 3, arbitrary: fc.constant<Crash>("never") },
      { weight: 1, arbitrary: fc.constantFrom<Crash>("before-asking", "answer-lost") },
    ),
  }),
  { minLength: 1, maxLength: 40, size: "max" },
);

/** The sandbox without its HTTP; the next answer can be lost. */
class BankAtHand implements PaymentProvider {
  readonly name = "sandbox";
  loseNextAnswer = false;

  constructor(
    readonly bank: SandboxBank,
    readonly clock: ManualClock,
  ) {}

  async charge({ reference, amountMinor, currency, paymentMethod }: Parameters<PaymentProvider["charge"]>[0]): Promise<ProviderAnswer> {
    const { entry } = this.bank.charge({ reference, amountMinor, currency, paymentMethod }, this.clock.unixMs());
    return await this.#answer(entry);
  }

  async findPayment(reference: string): Promise<ProviderAnswer | undefined> {
    const entry = this.bank.find("payment", reference);
    return await Promise.resolve(entry && answerOf(entry));
  }

  async refund({ reference, providerPaymentId, amountMinor }: Parameters<PaymentProvider["refund"]>[0]): Promise<ProviderAnswer> {
    return await this.#answer(this.bank.refund({ reference, paymentId: providerPaymentId, amountMinor }, this.clock.unixMs()));
  }

  async findRefund(reference: string): Promise<ProviderAnswer | undefined> {
    const entry = this.bank.find("refund", reference);
    return await Promise.resolve(entry && answerOf(entry));
  }

  readWebhook(): never {
    throw new Error("events are handed over directly");
  }

  #answer(entry: SandboxEntry): Promise<ProviderAnswer> {
    if (!this.loseNextAnswer) return Promise.resolve(answerOf(entry));
    this.loseNextAnswer = false;
    return Promise.reject(new OperatingError("payment-provider-away", "the answer was lost", { retryable: true }));
  }
}

function answerOf({ reference, id, status, amountMinor, currency, declineCode }: SandboxEntry): ProviderAnswer {
  return { reference, providerId: id, status, amountMinor, currency, ...(declineCode !== "" && { declineCode }) };
}

async function offer(store: Store, tax: { basisPoints: bigint; included: boolean }): Promise<void> {
  for (const [id, { priceMinor, months, trialDays }] of Object.entries(plans)) {
    const period = months === 12 ? "year" : "month";
    const row = { plan_id: id, name: id, period, trial_days: trialDays, streams_max: 2, height_max: 1080, offered: 1 };
    await store.insertInto("plan").values(row).execute();
    await store.insertInto("plan_price").values({ plan_id: id, country: "DE", currency: "EUR", amount_minor: priceMinor }).execute();
  }
  const rate = { country: "DE", name: "VAT", basis_points: Number(tax.basisPoints), included: tax.included ? 1 : 0 };
  await store.insertInto("tax_rate").values(rate).execute();
  for (const [id, { percentOff, periods }] of Object.entries(coupons)) {
    const row = {
      coupon_id: id,
      basis_points_off: Number(percentOff) * 100,
      amount_off_minor: 0n,
      currency: "",
      periods: Math.max(0, periods),
    };
    await store
      .insertInto("coupon")
      .values({ ...row, redeem_until_unix_ms: null, redemptions_max: null, redemptions: 0 })
      .execute();
  }
}

for (const tax of [
  { basisPoints: 1900n, included: true },
  { basisPoints: 725n, included: false },
]) {
  eachStore(
    `random histories end as the model says, with a ledger that sums to zero and nobody charged twice, tax ${tax.included ? "in" : "on top of"} prices`,
    async ({ store, kind }) => {
      await offer(store, tax);
      const bank = new SandboxBank(join(temporaryFolder(), "bank.db"), 1000);
      let account = 0;
      await fc.assert(
        fc.asyncProperty(history, fc.infiniteStream(fc.nat()), async (steps, order) => {
          await runHistory({ store, bank, accountId: `account-${account++}`, tax, steps, order });
        }),
        // MariaDB syncs every commit; its queries are the same.
        { numRuns: kind === "sqlite" ? 60 : 15 },
      );
      const { findings, transactions } = await reconcile(store, { nowUnixMs: 0 });
      assert.deepEqual(findings, []);
      assert.ok(transactions > (kind === "sqlite" ? 100 : 20), "histories in which money moves");
      bank.close();
    },
  );
}

interface HistoryRun {
  store: Store;
  bank: SandboxBank;
  accountId: string;
  tax: { basisPoints: bigint; included: boolean };
  steps: readonly { step: Step; crash: Crash }[];
  order: fc.Stream<number>;
}

async function runHistory({ store, bank, accountId, tax, steps, order }: HistoryRun): Promise<void> {
  const clock = new ManualClock(Date.UTC(2026, 0, 31, 12));
  const provider = new BankAtHand(bank, clock);
  const billing = new Billing({ retryDays, providerName: provider.name, newId: randomUUID });
  const log = openLog("test", "silent");
  const collector = new PaymentCollector({ store, billing, provider, clock, log });
  const model = new BillingModel(plans, tax, retryDays);
  const refunds = { askedMinor: 0n };
  // Flaky cards take turns by name: one per account.
  const cardOf = (method: string) => `${method}.${accountId}`;
  await transact(store, (transaction) =>
    billing.putAccount(transaction, { accountId, country: "DE", currency: "EUR", paymentMethod: cardOf("pm_ok") }, clock.unixMs()),
  );
  for (const { step, crash } of steps) {
    const isDone = stepModel(model, step, clock);
    let outstanding: Outstanding = { payments: [], refunds: [] };
    try {
      outstanding = await stepBilling({ store, billing, accountId, cardOf, refunds, step, clock });
      assert.equal(isDone, true, `${step.act} was allowed, and the model refuses it`);
    } catch (error) {
      if (!(error instanceof OperatingError)) throw error;
      assert.equal(isDone, false, `${step.act} was refused, and the model allows it: ${error.message}`);
    }
    provider.loseNextAnswer = crash === "answer-lost";
    if (crash !== "before-asking") await collector.ask(outstanding);
    const isKnown = crash === "never" && !model.method.startsWith("pm_later");
    if (isKnown && isDone) model.decide(clock.unixMs());
    provider.loseNextAnswer = false;
    clock.turn(61_000);
    await doDueWork({ store, billing, collector, clock, log });
    clock.turn(2000);
    await deliverEvents({ bank, collector, clock, order });
    clock.turn(-2000);
    model.tick(clock.unixMs());
    await compare({ store, bank, accountId, model, refunds });
  }
}

function stepModel(model: BillingModel, step: Step, clock: ManualClock): boolean {
  const now = clock.unixMs();
  switch (step.act) {
    case "subscribe":
      return model.subscribe(step.plan, step.coupon === undefined ? undefined : coupons[step.coupon], now);
    case "change":
      return model.change(step.plan, now);
    case "pause":
      return model.pause(now);
    case "resume":
      return model.resume(now);
    case "cancel":
      return model.cancel(step.atOnce);
    case "method":
      model.useMethod(step.method);
      return true;
    case "refund":
    case "turn":
      return true;
  }
}

interface BillingStep {
  store: Store;
  billing: Billing;
  accountId: string;
  cardOf: (method: string) => string;
  refunds: { askedMinor: bigint };
  step: Step;
  clock: ManualClock;
}

async function stepBilling({ store, billing, accountId, cardOf, refunds, step, clock }: BillingStep): Promise<Outstanding> {
  const nowUnixMs = clock.unixMs();
  return await transact<Outstanding>(store, async (transaction) => {
    switch (step.act) {
      case "subscribe":
        return await billing.subscribe(transaction, { accountId, planId: step.plan, couponId: step.coupon, nowUnixMs });
      case "change":
        return await billing.changePlan(transaction, { accountId, planId: step.plan, nowUnixMs });
      case "pause":
        return await billing.pause(transaction, accountId, nowUnixMs);
      case "resume":
        return await billing.resume(transaction, accountId, nowUnixMs);
      case "cancel":
        return await billing.cancel(transaction, { accountId, atOnce: step.atOnce, nowUnixMs });
      case "method": {
        const paymentMethod = cardOf(step.method);
        return await billing.putAccount(transaction, { accountId, country: "DE", currency: "EUR", paymentMethod }, nowUnixMs);
      }
      case "refund": {
        const paid = await transaction
          .selectFrom("payment")
          .select(["invoice_id", "amount_minor"])
          .where("account_id", "=", accountId)
          .where("status", "=", "succeeded")
          .orderBy("payment_id")
          .execute();
        const chosen = paid[step.which % Math.max(1, paid.length)];
        if (!chosen) return { payments: [], refunds: [] };
        const amountMinor = (chosen.amount_minor * BigInt(step.percent)) / 100n;
        try {
          const refund = { accountId, invoiceId: chosen.invoice_id, amountMinor, reason: "asked for", nowUnixMs };
          const given = await billing.refund(transaction, refund);
          refunds.askedMinor += given.value.amountMinor;
          return given;
        } catch (error) {
          // More than is left of it: rightly refused.
          if (error instanceof OperatingError && error.code === "refund-refused") return { payments: [], refunds: [] };
          throw error;
        }
      }
      case "turn":
        clock.turn(step.days * dayMs);
        return { payments: [], refunds: [] };
    }
  });
}

/** Every event twice, in a random order. */
async function deliverEvents({
  bank,
  collector,
  clock,
  order,
}: {
  bank: SandboxBank;
  collector: PaymentCollector;
  clock: ManualClock;
  order: fc.Stream<number>;
}): Promise<void> {
  for (;;) {
    bank.decidePending(clock.unixMs());
    const events = bank.undelivered(100);
    if (events.length === 0) return;
    const places = [...order.take(events.length * 2)];
    const shuffled = [...events, ...events].map((event, at) => ({ event, place: places[at] ?? 0 })).sort((a, b) => a.place - b.place);
    // The books' time must not go on while events come: what is retried tomorrow would differ by it.
    clock.turn(-2000);
    for (const { event } of shuffled) {
      await collector.takeEvent({ eventId: event.eventId, about: event.kind, reference: event.reference });
      bank.markDelivered(event.eventId);
    }
    clock.turn(2000);
  }
}

async function compare({
  store,
  bank,
  accountId,
  model,
  refunds,
}: Pick<HistoryRun, "store" | "bank" | "accountId"> & { model: BillingModel; refunds: { askedMinor: bigint } }): Promise<void> {
  const last = await store
    .selectFrom("subscription")
    .select(["state", "status"])
    .where("account_id", "=", accountId)
    .orderBy(sql`case when open_account_id is null then 1 else 0 end`)
    .orderBy("created_at_unix_ms", "desc")
    .executeTakeFirst();
  const isLastCanceled = last === undefined || last.status === "canceled";
  assert.equal(isLastCanceled ? "over" : last.status, model.status === "none" || model.status === "canceled" ? "over" : model.status);
  if (!isLastCanceled) {
    const state = JSON.parse(last.state) as { planId: string; periodFromUnixMs: number; periodToUnixMs: number };
    assert.deepEqual([state.planId, state.periodFromUnixMs, state.periodToUnixMs], [model.plan, model.fromMs, model.toMs]);
  }
  const invoices = await store.selectFrom("invoice").select(["status", "due_minor"]).where("account_id", "=", accountId).execute();
  const told = (list: readonly { status: string; dueMinor: bigint }[]) =>
    list.map(({ status, dueMinor }) => `${status} ${dueMinor}`).sort();
  assert.deepEqual(told(invoices.map((row) => ({ status: row.status, dueMinor: row.due_minor }))), told(model.invoices));
  const { credit_minor: credit } = await store
    .selectFrom("billing_account")
    .select("credit_minor")
    .where("account_id", "=", accountId)
    .executeTakeFirstOrThrow();
  assert.equal(credit, model.creditMinor);
  // What the bank has taken and given, by its own books.
  const ours = bank.entries().filter(({ paymentMethod, status }) => paymentMethod.endsWith(`.${accountId}`) && status === "succeeded");
  const sum = (of: "payment" | "refund") => ours.filter(({ kind }) => kind === of).reduce((total, entry) => total + entry.amountMinor, 0n);
  assert.equal(sum("payment"), model.cashMinor, "what the card was charged");
  assert.equal(sum("refund"), refunds.askedMinor, "what the card got back");
}
