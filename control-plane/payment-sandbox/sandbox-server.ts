// The sandbox over HTTP: a process of its own, as a payment provider is.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { z } from "zod";
import { listen } from "../../runtime/admin-server.js";
import type { Log } from "../../runtime/log.js";
import { messageOf, OperatingError } from "../../runtime/operating-error.js";
import { SandboxBank, type SandboxEntry } from "./sandbox-bank.js";
import { WebhookSender } from "./webhook-sender.js";

const bodyBytesMax = 16 * 1024;
const workEveryMs = 100;

const minor = z
  .string()
  .regex(/^\d{1,18}$/)
  .transform(BigInt);
const id = z.string().min(1).max(200);
const chargeBody = z.strictObject({ reference: id, amountMinor: minor, currency: z.string().length(3), paymentMethod: id });
const refundBody = z.strictObject({ reference: id, paymentId: id, amountMinor: minor });

export interface SandboxSettings {
  host: string;
  /** 0 picks a free port. */
  port: number;
  /** Its books. */
  file: string;
  /** How long "later" is. */
  laterMs: number;
  /** Undefined: events are kept, and sent to nobody. */
  webhook: { url: string; secret: string; twiceShare: number } | undefined;
  log: Log;
}

export interface SandboxServer {
  port: number;
  bank: SandboxBank;
  close(): Promise<void>;
}

/** @throws OperatingError when the port is taken. */
export async function openSandboxServer({ host, port, file, laterMs, webhook, log }: SandboxSettings): Promise<SandboxServer> {
  const bank = new SandboxBank(file, laterMs);
  const sender = webhook && new WebhookSender({ bank, ...webhook, random: Math.random, log });
  const server = createServer((request, response) => {
    answer(request, response, bank).catch((error: unknown) => {
      if (error instanceof OperatingError) return send(response, 400, { error: error.code, message: error.message });
      if (error instanceof z.ZodError) return send(response, 400, { error: "body-malformed", message: z.prettifyError(error) });
      log.error({ error: messageOf(error) }, "the sandbox could not answer");
      send(response, 500, { error: "internal", message: messageOf(error) });
    });
  });
  await listen(server, host, port);
  let working = Promise.resolve();
  let busy = false;
  const timer = setInterval(() => {
    bank.decidePending(Date.now());
    if (busy || !sender) return;
    busy = true;
    working = sender.sendAll().finally(() => (busy = false));
  }, workEveryMs);
  return {
    port: (server.address() as AddressInfo).port,
    bank,
    close: async () => {
      clearInterval(timer);
      await working;
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
      bank.close();
    },
  };
}

async function answer(request: IncomingMessage, response: ServerResponse, bank: SandboxBank): Promise<void> {
  const path = (request.url ?? "").split("?", 1)[0]!;
  if (request.method === "POST" && path === "/v1/payments") {
    const { entry, answerIsLost } = bank.charge(chargeBody.parse(await readJson(request)), Date.now());
    if (answerIsLost) response.destroy();
    else send(response, 200, entryJson(entry));
    return;
  }
  if (request.method === "POST" && path === "/v1/refunds") {
    return send(response, 200, entryJson(bank.refund(refundBody.parse(await readJson(request)), Date.now())));
  }
  const match = /^\/v1\/(payment|refund)s\/by-reference\/([\w.:-]{1,200})$/.exec(path);
  if (request.method === "GET" && match) {
    const entry = bank.find(match[1] as "payment" | "refund", match[2]!);
    return entry
      ? send(response, 200, entryJson(entry))
      : send(response, 404, { error: "reference-unknown", message: "Never heard of it" });
  }
  send(response, 404, { error: "path-unknown", message: "Here are /v1/payments and /v1/refunds" });
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > bodyBytesMax) throw new OperatingError("body-too-large", `Cannot read the body: more than ${bodyBytesMax} bytes`);
    parts.push(part);
  }
  try {
    return JSON.parse(Buffer.concat(parts).toString("utf8"));
  } catch (error) {
    throw new OperatingError("json-malformed", "Cannot read the body: it is not JSON", { cause: error });
  }
}

function entryJson({ amountMinor, ...rest }: SandboxEntry) {
  return { ...rest, amountMinor: String(amountMinor) };
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "Content-Type": "application/json" });
  response.end(JSON.stringify(body));
}
