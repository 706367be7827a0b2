import assert from "node:assert/strict";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { openLog } from "../../runtime/log.js";
import { ManualClock } from "../../runtime/manual-clock.js";
import { eachStore } from "../../tests/support/each-store.js";
import { transact } from "../store/transact.js";
import { MailOutbox } from "./mail-outbox.js";
import { openMailSender } from "./mail-sender.js";

/** A mail server that takes everything, or answers 451 while `refusing`. */
async function startSmtpSink() {
  const sink = { messages: [] as string[], recipients: [] as string[], refusing: false, port: 0, close: () => {} };
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    let message: string | undefined;
    let rest = "";
    socket.write("220 sink\r\n");
    socket.on("error", () => {});
    socket.on("data", (chunk: Buffer) => {
      rest += chunk.toString("utf8");
      for (let end = rest.indexOf("\r\n"); end >= 0; end = rest.indexOf("\r\n")) {
        const line = rest.slice(0, end);
        rest = rest.slice(end + 2);
        if (message !== undefined) {
          if (line !== ".") {
            message += `${line}\n`;
            continue;
          }
          sink.messages.push(message.replaceAll("=\n", ""));
          message = undefined;
          socket.write("250 taken\r\n");
        } else if (/^RCPT TO:/i.test(line)) {
          if (!sink.refusing) sink.recipients.push(line.slice(8));
          socket.write(sink.refusing ? "451 later\r\n" : "250 ok\r\n");
        } else if (line === "DATA") {
          message = "";
          socket.write("354 go on\r\n");
        } else if (line === "QUIT") socket.end("221 bye\r\n");
        else socket.write("250 ok\r\n");
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  sink.port = (server.address() as AddressInfo).port;
  sink.close = () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return sink;
}

eachStore(
  "mail goes out by SMTP once, after the commit, from whichever copy; a server that is away delays it",
  async ({ store, openCopy }) => {
    const sink = await startSmtpSink();
    const clock = new ManualClock();
    const log = openLog("control-plane", "silent");
    const senders = [1, 2].map(() => openMailSender(`smtp://127.0.0.1:${sink.port}`, "Millrace <millrace@example.org>"));
    const outboxes = [store, await openCopy()].map((store, number) => new MailOutbox({ store, sender: senders[number]!, clock, log }));
    const sendAll = () => Promise.all(outboxes.map((outbox) => outbox.sendWaiting()));
    const add = (recipient: string) =>
      transact(store, (transaction) => outboxes[0]!.add(transaction, { recipient, subject: "Hello", body: "The token is abc.\n" }));
    try {
      await assert.rejects(
        transact(store, async (transaction) => {
          await outboxes[0]!.add(transaction, { recipient: "nobody@example.org", subject: "Hello", body: "" });
          throw new Error("rolled back");
        }),
      );
      for (let number = 0; number < 45; number++) await add(`player-${number}@example.org`);
      await sendAll();
      assert.equal(sink.messages.length, 45);
      assert.equal(new Set(sink.recipients).size, 45);
      assert.match(sink.messages[0]!, /^From: Millrace <millrace@example.org>$[\s\S]*^Subject: Hello$[\s\S]*The token is abc\./m);
      sink.refusing = true;
      await add("late@example.org");
      await sendAll();
      sink.refusing = false;
      await sendAll();
      assert.equal(sink.messages.length, 45, "not before its time");
      clock.turn(20_001);
      await sendAll();
      assert.equal(sink.messages.length, 46);
      assert.deepEqual(await store.selectFrom("mail_outbox").selectAll().execute(), []);
    } finally {
      for (const sender of senders) sender.close();
      sink.close();
    }
  },
);
