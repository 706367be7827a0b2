// Billing as simply as it can be said, for one account, to compare the real one with: plain fields, no database, no provider.
import { addMonths } from "./billing-period.js";

export interface ModelPlan {
  priceMinor: bigint;
  months: number;
  trialDays: number;
}

interface ModelInvoice {
  dueMinor: bigint;
  status: "open" | "paid" | "void" | "uncollectible";
  first: boolean;
  fails: number;
  nextMs: number | undefined;
}

const day = 86_400_000;
const part = (amount: bigint, numerator: bigint, denominator: bigint): bigint =>
  amount < 0n ? -part(-amount, numerator, denominator) : (2n * amount * numerator + denominator) / (2n * denominator);

export class BillingModel {
  status: "none" | "trialing" | "active" | "past_due" | "paused" | "canceled" = "none";
  plan = "";
  fromMs = 0;
  toMs = 0;
  creditMinor = 0n;
  cashMinor = 0n;
  invoices: ModelInvoice[] = [];
  method = "pm_ok";
  #anchor = 1;
  #price = 0n;
  #paidOnce = false;
  #ending = false;
  #pausedMs = 0;
  #percentOff = 0n;
  #couponLeft = 0;
  #charged = { amount: 0n, from: 0, to: 0, coupon: false, any: false };
  #trialUsed = false;
  #flaky = 0;
  readonly #credits = new Map<ModelInvoice, bigint>();

  constructor(
    readonly plans: Readonly<Record<string, ModelPlan>>,
    readonly tax: { basisPoints: bigint; included: boolean },
    readonly retryDays: readonly number[],
  ) {}

  subscribe(plan: string, coupon: { percentOff: bigint; periods: number } | undefined, now: number): boolean {
    if (this.status !== "none" && this.status !== "canceled") return false;
    const { priceMinor, trialDays } = this.plans[plan]!;
    const trial = trialDays > 0 && !this.#trialUsed;
    [this.plan, this.#price, this.#paidOnce, this.#ending, this.#anchor] = [plan, priceMinor, false, false, new Date(now).getUTCDate()];
    [this.#percentOff, this.#couponLeft] = [coupon?.percentOff ?? 0n, coupon?.periods ?? 0];
    this.#charged = { amount: 0n, from: 0, to: 0, coupon: false, any: false };
    if (!trial) return (this.#period(now, [], true), true);
    this.#trialUsed = true;
    [this.status, this.fromMs, this.toMs] = ["trialing", now, now + trialDays * day];
    return true;
  }

  change(plan: string, now: number): boolean {
    if ((this.status !== "trialing" && this.status !== "active") || plan === this.plan) return false;
    const months = this.plans[this.plan]!.months;
    const before = [this.plan, this.#price] as const;
    [this.plan, this.#price] = [plan, this.plans[plan]!.priceMinor];
    if (this.status === "trialing" || !this.#charged.any) return true;
    const left = (amount: bigint, from: number, to: number) =>
      part(amount, BigInt(Math.min(to - from, Math.max(0, to - now))), BigInt(to - from));
    const back = -left(this.#charged.amount, this.#charged.from, this.#charged.to);
    const isOpen = this.invoices.some(({ status }) => status === "open");
    // What was not paid gives no credit.
    const refuse = () => {
      [this.plan, this.#price] = before;
      return false;
    };
    if (this.plans[plan]!.months !== months) {
      if (isOpen && back + this.#priceNow() < 0n) return refuse();
      this.#anchor = new Date(now).getUTCDate();
      this.#period(now, [back], false);
      return true;
    }
    const price = this.#price - (this.#charged.coupon ? part(this.#price, this.#percentOff, 100n) : 0n);
    const rest = left(price, this.fromMs, this.toMs);
    if (isOpen && back + rest < 0n) return refuse();
    this.#charged = { ...this.#charged, amount: rest, from: now };
    this.#bill(back + rest, false);
    return true;
  }

  pause(now: number): boolean {
    if (this.status !== "active") return false;
    [this.status, this.#pausedMs] = ["paused", now];
    return true;
  }

  resume(now: number): boolean {
    if (this.status !== "paused") return false;
    const shift = Math.max(0, now - this.#pausedMs);
    this.fromMs += shift;
    this.toMs += shift;
    this.#charged = { ...this.#charged, from: this.#charged.from + shift, to: this.#charged.to + shift };
    this.#anchor = new Date(this.toMs).getUTCDate();
    this.status = "active";
    return true;
  }

  cancel(atOnce: boolean): boolean {
    if (this.status === "none" || this.status === "canceled") return false;
    if (atOnce || this.status === "past_due") this.#end();
    else this.#ending = true;
    return true;
  }

  /** Time has come to `now`: renewals, then attempts that are due, at last what was begun before. */
  tick(now: number): void {
    const begun = new Set(this.invoices.filter(({ status, nextMs }) => status === "open" && nextMs === undefined));
    if ((this.status === "trialing" || this.status === "active") && this.toMs <= now) this.#renew(now);
    this.decide(now, begun);
    for (const invoice of this.invoices) if (invoice.status === "open" && (invoice.nextMs ?? Infinity) <= now) invoice.nextMs = undefined;
    this.decide(now, begun);
    this.decide(now);
  }

  /** What is under way is decided by the card, but for what is not known yet. */
  decide(now: number, unknown: ReadonlySet<ModelInvoice> = new Set()): void {
    for (const invoice of this.invoices) {
      if (invoice.status !== "open" || invoice.nextMs !== undefined || unknown.has(invoice)) continue;
      if (this.#charge()) {
        [invoice.status, this.cashMinor] = ["paid", this.cashMinor + invoice.dueMinor];
        if (this.status === "past_due" && !this.invoices.some(({ status, fails }) => status === "open" && fails > 0))
          this.status = "active";
        this.#paidOnce = true;
        continue;
      }
      invoice.fails++;
      if (invoice.first || invoice.fails > this.retryDays.length) this.#end();
      else {
        invoice.nextMs = now + this.retryDays[invoice.fails - 1]! * day;
        if (this.status !== "paused") this.status = "past_due";
      }
    }
  }

  /** A new card is tried at once. */
  useMethod(method: string): void {
    this.method = method;
    for (const invoice of this.invoices) if (invoice.status === "open") invoice.nextMs = undefined;
  }

  get openMinor(): bigint {
    return this.invoices.reduce((sum, { status, dueMinor }) => sum + (status === "open" ? dueMinor : 0n), 0n);
  }

  #renew(now: number): void {
    if (this.#ending) return this.#end();
    const months = this.plans[this.plan]!.months;
    if (this.status === "trialing") this.#anchor = new Date(this.toMs).getUTCDate();
    const missed = addMonths(this.toMs, months, this.#anchor) <= now;
    if (missed) this.#anchor = new Date(now).getUTCDate();
    this.#period(missed ? now : this.toMs, [], false);
  }

  #couponHolds(): boolean {
    return this.#percentOff > 0n && (this.#couponLeft > 0 || this.#couponLeft === -1);
  }

  #priceNow(): bigint {
    return this.#price - (this.#couponHolds() ? part(this.#price, this.#percentOff, 100n) : 0n);
  }

  #period(from: number, before: bigint[], first: boolean): void {
    const couponHolds = this.#couponHolds();
    const price = this.#priceNow();
    if (this.#couponLeft > 0) this.#couponLeft--;
    [this.fromMs, this.toMs] = [from, addMonths(from, this.plans[this.plan]!.months, this.#anchor)];
    this.#charged = { amount: price, from, to: this.toMs, coupon: couponHolds, any: true };
    const paid = this.#bill(price + before.reduce((sum, amount) => sum + amount, 0n), first);
    this.status = first && !paid ? "past_due" : "active";
    this.#paidOnce ||= paid;
  }

  /** Whether nothing is due. */
  #bill(lines: bigint, first: boolean): boolean {
    const total = this.tax.included ? lines : lines + part(lines, this.tax.basisPoints, 10_000n);
    const credit = total <= 0n ? total : this.creditMinor < total ? this.creditMinor : total;
    this.creditMinor -= credit;
    const due = total <= 0n ? 0n : total - credit;
    this.invoices.push({ dueMinor: due, status: due === 0n ? "paid" : "open", first, fails: 0, nextMs: undefined });
    this.#credits.set(this.invoices.at(-1)!, credit);
    return due === 0n;
  }

  #end(): void {
    this.status = "canceled";
    for (const invoice of this.invoices) {
      if (invoice.status !== "open") continue;
      invoice.status = this.#paidOnce ? "uncollectible" : "void";
      if (!this.#paidOnce) this.creditMinor += this.#credits.get(invoice)!;
    }
  }

  #charge(): boolean {
    if (this.method.startsWith("pm_flaky")) return this.#flaky++ % 2 === 1;
    return !this.method.startsWith("pm_declined") && !this.method.startsWith("pm_later_declined");
  }
}
