// A payment provider to develop and test with: it keeps its books in a file of its own, and its cards behave as their names say.
import { randomUUID } from "node:crypto";
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import Database from "libsql";
import { OperatingError } from "../../runtime/operating-error.js";

/** What a payment method does, by the first part of its name; what follows a dot tells one from another: "pm_ok.alice". */
export const sandboxMethods = {
  pm_ok: "is charged at once",
  pm_declined: "is declined: insufficient_funds",
  pm_expired: "is declined: expired_card",
  pm_later: "is pending, then charged",
  pm_later_declined: "is pending, then declined",
  pm_flaky: "is declined, charged, declined, charged, and so on",
  pm_lost: "is charged, and the answer is lost",
} as const;
export type SandboxBehaviour = keyof typeof sandboxMethods;

export type SandboxStatus = "pending" | "succeeded" | "failed";

export interface SandboxEntry {
  kind: "payment" | "refund";
  id: string;
  reference: string;
  amountMinor: bigint;
  currency: string;
  paymentMethod: string;
  status: SandboxStatus;
  declineCode: string;
}

interface EntryRow {
  kind: "payment" | "refund";
  id: string;
  reference: string;
  amount_minor: bigint;
  currency: string;
  payment_method: string;
  status: SandboxStatus;
  decline_code: string;
  decide_at_unix_ms: bigint;
}

export interface SandboxEvent {
  eventId: string;
  kind: "payment" | "refund";
  reference: string;
  status: SandboxStatus;
}

export class SandboxBank {
  readonly #database: Database.Database;
  readonly #laterMs: number;

  /** @param laterMs how long "later" is. */
  constructor(path: string, laterMs: number) {
    mkdirSync(dirname(path), { recursive: true });
    this.#database = new Database(path);
    this.#laterMs = laterMs;
    this.#database.pragma("journal_mode = WAL");
    this.#database.pragma("synchronous = FULL");
    this.#database.exec(`
      create table if not exists entry (
        reference text primary key, kind text not null, id text not null, amount_minor integer not null, currency text not null,
        payment_method text not null, status text not null, decline_code text not null, decide_at_unix_ms integer not null, payment_id text not null);
      create table if not exists event (
        event_id text primary key, kind text not null, reference text not null, status text not null, delivered integer not null);
    `);
  }

  /** The same reference once more is the same payment. @throws OperatingError "reference-reused", "payment-method-unknown". */
  charge(
    request: { reference: string; amountMinor: bigint; currency: string; paymentMethod: string },
    nowUnixMs: number,
  ): { entry: SandboxEntry; answerIsLost: boolean } {
    const { reference, amountMinor, currency, paymentMethod } = request;
    const known = this.find("payment", reference);
    if (known) {
      if (known.amountMinor !== amountMinor || known.currency !== currency || known.paymentMethod !== paymentMethod)
        throw reused(reference);
      return { entry: known, answerIsLost: false };
    }
    const behaviour = paymentMethod.split(".", 1)[0] as SandboxBehaviour;
    if (!(behaviour in sandboxMethods)) {
      throw new OperatingError(
        "payment-method-unknown",
        `Cannot charge: there is no payment method ${JSON.stringify(paymentMethod.slice(0, 60))}`,
      );
    }
    const [status, declineCode] = this.#decide(behaviour, paymentMethod);
    const entry: SandboxEntry = {
      kind: "payment",
      id: `pay_${randomUUID()}`,
      reference,
      amountMinor,
      currency,
      paymentMethod,
      status,
      declineCode,
    };
    this.#insert(entry, { decideAtUnixMs: nowUnixMs + this.#laterMs, paymentId: "" });
    return { entry, answerIsLost: behaviour === "pm_lost" };
  }

  /** @throws OperatingError "reference-reused", "payment-unknown", "refund-too-large". */
  refund(request: { reference: string; paymentId: string; amountMinor: bigint }, nowUnixMs: number): SandboxEntry {
    const { reference, paymentId, amountMinor } = request;
    const known = this.find("refund", reference);
    if (known) {
      if (known.amountMinor !== amountMinor) throw reused(reference);
      return known;
    }
    const payment = this.#database.prepare("select * from entry where id = ? and kind = 'payment'").safeIntegers().get(paymentId) as
      | EntryRow
      | undefined;
    if (payment?.status !== "succeeded") throw new OperatingError("payment-unknown", `Cannot refund: ${paymentId} was not charged`);
    const { given } = this.#database
      .prepare("select coalesce(sum(amount_minor), 0) as given from entry where payment_id = ? and kind = 'refund' and status <> 'failed'")
      .safeIntegers()
      .get(paymentId) as { given: bigint };
    if (given + amountMinor > payment.amount_minor) throw new OperatingError("refund-too-large", `Cannot refund: more than was charged`);
    const isLater = payment.payment_method.startsWith("pm_later");
    const entry: SandboxEntry = {
      kind: "refund",
      id: `ref_${randomUUID()}`,
      reference,
      amountMinor,
      currency: payment.currency,
      paymentMethod: payment.payment_method,
      status: isLater ? "pending" : "succeeded",
      declineCode: "",
    };
    this.#insert(entry, { decideAtUnixMs: nowUnixMs + this.#laterMs, paymentId });
    return entry;
  }

  find(kind: "payment" | "refund", reference: string): SandboxEntry | undefined {
    const row = this.#database.prepare("select * from entry where reference = ? and kind = ?").safeIntegers().get(reference, kind) as
      | EntryRow
      | undefined;
    return row && entryOf(row);
  }

  /** Everything, in the order it came. */
  entries(): SandboxEntry[] {
    return (this.#database.prepare("select * from entry order by rowid").safeIntegers().all() as EntryRow[]).map(entryOf);
  }

  /** Decides what has been pending for long enough. */
  decidePending(nowUnixMs: number): void {
    const rows = this.#database
      .prepare("select * from entry where status = 'pending' and decide_at_unix_ms <= ?")
      .safeIntegers()
      .all(nowUnixMs) as EntryRow[];
    for (const row of rows) {
      const isDeclined = row.kind === "payment" && row.payment_method.startsWith("pm_later_declined");
      const status = isDeclined ? "failed" : "succeeded";
      this.#database.transaction(() => {
        this.#database
          .prepare("update entry set status = ?, decline_code = ? where reference = ?")
          .run(status, isDeclined ? "insufficient_funds" : "", row.reference);
        this.#noteEvent({ ...entryOf(row), status });
      })();
    }
  }

  /** Events that no receiver has taken yet, the oldest first. */
  undelivered(max: number): SandboxEvent[] {
    const rows = this.#database.prepare("select * from event where delivered = 0 order by rowid limit ?").all(max) as (Omit<
      SandboxEvent,
      "eventId"
    > & { event_id: string })[];
    return rows.map(({ event_id: eventId, kind, reference, status }) => ({ eventId, kind, reference, status }));
  }

  markDelivered(eventId: string): void {
    this.#database.prepare("update event set delivered = 1 where event_id = ?").run(eventId);
  }

  close(): void {
    this.#database.close();
  }

  #decide(behaviour: SandboxBehaviour, paymentMethod: string): [SandboxStatus, string] {
    switch (behaviour) {
      case "pm_ok":
      case "pm_lost":
        return ["succeeded", ""];
      case "pm_declined":
        return ["failed", "insufficient_funds"];
      case "pm_expired":
        return ["failed", "expired_card"];
      case "pm_later":
      case "pm_later_declined":
        return ["pending", ""];
      case "pm_flaky": {
        const { times } = this.#database
          .prepare("select count(*) as times from entry where kind = 'payment' and payment_method = ?")
          .get(paymentMethod) as { times: number };
        return times % 2 === 0 ? ["failed", "try_again"] : ["succeeded", ""];
      }
    }
  }

  #insert(entry: SandboxEntry, { decideAtUnixMs, paymentId }: { decideAtUnixMs: number; paymentId: string }): void {
    this.#database.transaction(() => {
      this.#database
        .prepare("insert into entry values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
        .run(
          entry.reference,
          entry.kind,
          entry.id,
          entry.amountMinor,
          entry.currency,
          entry.paymentMethod,
          entry.status,
          entry.declineCode,
          decideAtUnixMs,
          paymentId,
        );
      this.#noteEvent(entry);
    })();
  }

  #noteEvent({ kind, reference, status }: SandboxEntry): void {
    this.#database.prepare("insert into event values (?, ?, ?, ?, 0)").run(`evt_${randomUUID()}`, kind, reference, status);
  }
}

function entryOf(row: EntryRow): SandboxEntry {
  return {
    kind: row.kind,
    id: row.id,
    reference: row.reference,
    amountMinor: row.amount_minor,
    currency: row.currency,
    paymentMethod: row.payment_method,
    status: row.status,
    declineCode: row.decline_code,
  };
}

function reused(reference: string): OperatingError {
  return new OperatingError("reference-reused", `Cannot take reference ${reference}: it was used for something else`);
}
