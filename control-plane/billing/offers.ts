// Plans, prices, tax rates and coupons: what operators put and customers are offered.
import { OperatingError } from "../../runtime/operating-error.js";
import type { Plan as PlanMessage, PutCouponRequest, PutTaxRateRequest } from "../protocol/generated/millrace/billing/v1/billing.js";
import type { Store } from "../store/database.js";
import { transact } from "../store/transact.js";
import { upsert } from "../store/upsert.js";
import { planIntervals } from "./billing-types.js";
import { planOf } from "./books.js";

/** A price beyond it is a slip of the finger: a million in most currencies. */
const amountMaxMinor = 100_000_000n;
const trialDaysMax = 366;
const pricesMax = 500;

/** An id as others give it: up to 64 letters, digits and . _ : - */
export function checkId(what: string, id: string, lengthMax = 64): string {
  if (id.length <= lengthMax && /^[\w.:-]+$/.test(id)) return id;
  throw invalid(`${what} must be 1 to ${lengthMax} letters, digits and . _ : -`);
}

/** "DE", "EUR". */
export function checkCode(what: string, code: string, length: number): string {
  if (new RegExp(`^[A-Z]{${length}}$`).test(code)) return code;
  throw invalid(`${what} must be ${length} capital letters`);
}

/** Offered plans that have a price in the country. */
export async function listPlans(store: Store, country: string): Promise<PlanMessage[]> {
  const rows = await store
    .selectFrom("plan")
    .innerJoin("plan_price", "plan_price.plan_id", "plan.plan_id")
    .selectAll("plan")
    .select(["plan_price.currency", "plan_price.amount_minor"])
    .where("plan.offered", "=", 1)
    .where("plan_price.country", "=", country)
    .orderBy("plan_price.amount_minor")
    .orderBy("plan.plan_id")
    .execute();
  const plans = new Map<string, PlanMessage>();
  for (const row of rows) {
    const { planId, name, interval, trialDays, streamsMax, heightMax } = planOf(row);
    const plan = plans.get(planId) ?? { planId, name, interval, trialDays, streamsMax, heightMax, prices: [] };
    plan.prices.push({ country, currency: row.currency, amountMinor: row.amount_minor });
    plans.set(planId, plan);
  }
  return [...plans.values()];
}

/** Makes or changes a plan. Who has it already keeps its price. */
export async function putPlan(store: Store, plan: PlanMessage, { withdrawn }: { withdrawn: boolean }): Promise<void> {
  const { planId, name, interval, trialDays, streamsMax, heightMax, prices } = plan;
  checkId("plan", planId);
  if (name === "" || name.length > 200) throw invalid("name must be 1 to 200 characters");
  if (!(interval in planIntervals)) throw invalid(`interval must be ${Object.keys(planIntervals).join(" or ")}`);
  if (trialDays > trialDaysMax) throw invalid(`trial days must be 0 to ${trialDaysMax}`);
  if (streamsMax < 1 || streamsMax > 100) throw invalid("streams must be 1 to 100");
  if (heightMax < 1 || heightMax > 10_000) throw invalid("height must be 1 to 10000");
  if (prices.length > pricesMax) throw invalid(`a plan has at most ${pricesMax} prices`);
  for (const { country, currency, amountMinor } of prices) {
    checkCode("country", country, 2);
    checkCode("currency", currency, 3);
    if (amountMinor > amountMaxMinor) throw invalid(`a price is at most ${amountMaxMinor}`);
  }
  await transact(store, async (transaction) => {
    const row = { plan_id: planId, name, period: interval, trial_days: trialDays, streams_max: streamsMax, height_max: heightMax };
    await upsert(transaction, "plan", { row: { ...row, offered: withdrawn ? 0 : 1 }, key: ["plan_id"] });
    await transaction.deleteFrom("plan_price").where("plan_id", "=", planId).execute();
    for (const { country, currency, amountMinor } of prices) {
      await transaction.insertInto("plan_price").values({ plan_id: planId, country, currency, amount_minor: amountMinor }).execute();
    }
  });
}

export async function putTaxRate(store: Store, { country, name, basisPoints, included }: PutTaxRateRequest): Promise<void> {
  checkCode("country", country, 2);
  if (name === "" || name.length > 40) throw invalid("name must be 1 to 40 characters");
  if (basisPoints > 10_000) throw invalid("basis points must be 0 to 10000");
  const row = { country, name, basis_points: basisPoints, included: included ? 1 : 0 };
  await upsert(store, "tax_rate", { row, key: ["country"] });
}

/** Makes or changes a coupon; how often it was redeemed stays. */
export async function putCoupon(store: Store, coupon: PutCouponRequest): Promise<void> {
  const { couponId, basisPointsOff, amountOffMinor, currency, periods, redeemUntilUnixMs, redemptionsMax } = coupon;
  checkId("coupon", couponId);
  if (basisPointsOff > 10_000) throw invalid("basis points off must be 0 to 10000");
  if (basisPointsOff > 0 === amountOffMinor > 0n) throw invalid("a coupon takes either a part or an amount off");
  if (amountOffMinor > amountMaxMinor) throw invalid(`an amount is at most ${amountMaxMinor}`);
  if (amountOffMinor > 0n) checkCode("currency", currency, 3);
  const row = {
    coupon_id: couponId,
    basis_points_off: basisPointsOff,
    amount_off_minor: amountOffMinor,
    currency: amountOffMinor > 0n ? currency : "",
    periods,
    redeem_until_unix_ms: redeemUntilUnixMs === 0n ? null : Number(redeemUntilUnixMs),
    redemptions_max: redemptionsMax === 0 ? null : redemptionsMax,
    redemptions: 0,
  };
  const set = ["basis_points_off", "amount_off_minor", "currency", "periods", "redeem_until_unix_ms", "redemptions_max"] as const;
  await upsert(store, "coupon", { row, key: ["coupon_id"], set });
}

function invalid(why: string): OperatingError {
  return new OperatingError("invalid-argument", `Cannot take it: ${why}`);
}
