// Mail that waits in the database, written with whatever it tells of: a process that dies loses none, a mail server that is away delays it.
import { randomUUID } from "node:crypto";
import type { Transaction } from "kysely";
import type { Clock } from "../../runtime/clock.js";
import type { Log } from "../../runtime/log.js";
import type { Store } from "../store/database.js";
import type { Schema } from "../store/schema.js";
import type { Mail, MailSender } from "./mail-sender.js";

const mailsAtOnceMax = 20;
/** Whoever takes a mail has so long (a mail server that hangs is given up after 10 s); then another copy may send it: again, if the first died after it was sent. */
const claimMs = 20_000;
const retryFirstMs = 5000;
const retryMaxMs = 600_000;
/** About a day of tries. The links in it have expired by then. */
const triesMax = 150;

export class MailOutbox {
  readonly #store: Store;
  readonly #sender: MailSender;
  readonly #clock: Clock;
  readonly #log: Log;
  #sending: Promise<void> | undefined;
  #again = false;

  constructor({ store, sender, clock, log }: { store: Store; sender: MailSender; clock: Clock; log: Log }) {
    this.#store = store;
    this.#sender = sender;
    this.#clock = clock;
    this.#log = log;
  }

  /** Puts a mail into the outbox as part of `transaction`. Call `sendWaiting` after the commit. */
  async add(transaction: Transaction<Schema>, mail: Omit<Mail, "mailId">): Promise<void> {
    const nowUnixMs = this.#clock.unixMs();
    const times = { tries: 0, next_try_at_unix_ms: nowUnixMs, created_at_unix_ms: nowUnixMs };
    await transaction
      .insertInto("mail_outbox")
      .values({ mail_id: randomUUID(), ...mail, ...times })
      .execute();
  }

  /** Sends what is due; one round at a time. Never rejects: what fails is logged and tried again. */
  sendWaiting(): Promise<void> {
    this.#again = true;
    this.#sending ??= this.#sendRounds().finally(() => {
      this.#sending = undefined;
    });
    return this.#sending;
  }

  async #sendRounds(): Promise<void> {
    while (this.#again) {
      this.#again = false;
      try {
        await this.#sendRound();
      } catch (error) {
        this.#log.warn({ err: error }, "mail waits: the database is away");
      }
    }
  }

  async #sendRound(): Promise<void> {
    const nowUnixMs = this.#clock.unixMs();
    const due = await this.#store
      .selectFrom("mail_outbox")
      .selectAll()
      .where("next_try_at_unix_ms", "<=", nowUnixMs)
      .orderBy("next_try_at_unix_ms")
      .limit(mailsAtOnceMax)
      .execute();
    for (const row of due) {
      const retryMs = Math.max(claimMs, Math.min(retryMaxMs, retryFirstMs * 2 ** Math.min(row.tries, 20)));
      // Of several copies that saw the row, one changes it.
      const { numUpdatedRows } = await this.#store
        .updateTable("mail_outbox")
        .set({ tries: row.tries + 1, next_try_at_unix_ms: nowUnixMs + retryMs })
        .where("mail_id", "=", row.mail_id)
        .where("tries", "=", row.tries)
        .executeTakeFirst();
      if (numUpdatedRows === 0n) continue;
      const { mail_id: mailId, recipient, subject, body } = row;
      try {
        await this.#sender.send({ mailId, recipient, subject, body });
      } catch (error) {
        const isLast = row.tries + 1 >= triesMax;
        this.#log.warn({ err: error, mailId, tries: row.tries + 1 }, isLast ? "mail given up" : "mail waits");
        if (!isLast) continue;
      }
      await this.#store.deleteFrom("mail_outbox").where("mail_id", "=", mailId).execute();
    }
    if (due.length === mailsAtOnceMax) this.#again = true;
  }
}
