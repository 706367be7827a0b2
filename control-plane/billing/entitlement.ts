// What an account may watch: the answer that playback asks for.
import type { Store } from "../store/database.js";
import { decodeAmounts } from "./amounts-json.js";
import type { Subscription } from "./billing-types.js";
import { planOf } from "./books.js";
import { mayPlay } from "./subscription-rules.js";

export type Entitlement =
  | { mayPlay: true; planId: string; streamsMax: number; heightMax: number }
  | { mayPlay: false; reason: "no-subscription" | "paused" | "unpaid" };

export async function entitlementOf(store: Store, accountId: string): Promise<Entitlement> {
  const row = await store
    .selectFrom("subscription")
    .innerJoin("plan", "plan.plan_id", "subscription.plan_id")
    .selectAll("plan")
    .select("subscription.state")
    .where("subscription.open_account_id", "=", accountId)
    .executeTakeFirst();
  if (!row) return { mayPlay: false, reason: "no-subscription" };
  const subscription = decodeAmounts<Subscription>(row.state);
  if (!mayPlay(subscription)) return { mayPlay: false, reason: subscription.status === "paused" ? "paused" : "unpaid" };
  const { planId, streamsMax, heightMax } = planOf(row);
  return { mayPlay: true, planId, streamsMax, heightMax };
}
