// Copies of the control plane that are killed under a load of subscriptions, changes, refunds and webhooks: the books agree, nobody is charged twice.
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import Database from "libsql";
import { ControlPlaneClient, type CallFacts } from "../control-plane/control-plane-client.js";
import { startMariadb } from "./support/database-servers.js";
import { goodPassword, mailedToken, signIn } from "./support/login-client.js";
import { requireProgram } from "./support/require-program.js";
import { runMillrace, startMillrace, type RunningMillrace } from "./support/run-millrace.js";
import { temporaryFolder } from "./support/temporary-folder.js";
import { waitUntil } from "./support/wait-until.js";

/** What a client may simply say again, with the same idempotency key. */
const retryable = new Set(["control-plane-away", "store-unavailable", "call-too-long", "login-busy"]);
/** Refusals that a customer may get in any order of things. */
const lawful = new Set([
  "payment-declined",
  "subscription-state",
  "subscription-exists",
  "subscription-unknown",
  "invoice-open",
  "plan-same",
  "refund-refused",
]);
const webhookSecret = "a secret of the webhooks";
const kills = 4;

async function start(t: TestContext, args: readonly string[]): Promise<RunningMillrace> {
  const running = await startMillrace(args);
  t.after(() => running.kill());
  return running;
}

async function openBooks(t: TestContext, database: string, copies: number) {
  const folder = temporaryFolder();
  const mailFolder = join(folder, "mail");
  mkdirSync(mailFolder);
  const bankFile = join(folder, "bank.db");
  // The gateway's port must be known to the bank, and the bank's to the control plane: the gateway comes first, and waits.
  const gatewayConfig = join(folder, "gateway.yaml");
  const settingsOf = (port: number, bankUrl: string) => {
    const file = join(folder, `control-plane-${port}.yaml`);
    writeFileSync(
      file,
      `listen: { port: ${port} }
admin: { port: 0 }
database: ${JSON.stringify(database)}
login:
  passwords: { memory: 64KiB, iterations: 1 }
  rates: { mailsPerAddress: 100000, signInsPerAddress: 100000, tokensPerAddress: 100000 }
  mail: { url: ${JSON.stringify(`files:${mailFolder}`)} }
billing: { every: 200ms, provider: { kind: sandbox, url: "${bankUrl}", webhookSecret: "${webhookSecret}" } }
`,
    );
    return file;
  };
  const startCopy = async (port: number, bankUrl: string) => {
    const config = settingsOf(port, bankUrl);
    const running = await start(t, ["control-plane", "--config", config]);
    const grpcPort = Number(running.ready["grpcPort"]);
    return { running, grpcPort, config };
  };
  // A first copy only to learn a free port; it is started again with the bank's address.
  const first = await startCopy(0, "http://127.0.0.1:1/");
  writeFileSync(gatewayConfig, `listen: { port: 0 }\ncontrolPlane: { url: "grpc://127.0.0.1:${first.grpcPort}" }\n`);
  const gateway = await start(t, ["gateway", "--config", gatewayConfig]);
  const webhook = `http://127.0.0.1:${gateway.ready["port"]}/api/billing/provider-event`;
  const bank = await start(t, [
    "payment-sandbox",
    "--port=0",
    `--file=${bankFile}`,
    "--later=300ms",
    `--webhook=${webhook}`,
    `--secret=${webhookSecret}`,
    "--twice=0.5",
  ]);
  const bankUrl = `http://127.0.0.1:${bank.ready["port"]}/`;
  await first.running.kill();
  const running = [await startCopy(first.grpcPort, bankUrl)];
  for (let copy = 1; copy < copies; copy++) running.push(await startCopy(0, bankUrl));
  const clients = running.map(({ grpcPort }) => new ControlPlaneClient(`grpc://127.0.0.1:${grpcPort}`, { deadlineMs: 5000 }));
  t.after(() => clients.forEach((client) => client.close()));
  const killAndStart = async (copy: number) => {
    await running[copy]!.running.kill();
    running[copy] = await startCopy(running[copy]!.grpcPort, bankUrl);
  };
  return { running, clients, mailFolder, bankFile, killAndStart };
}

async function surviveKills(t: TestContext, database: string, copies: number): Promise<void> {
  const { running, clients, mailFolder, bankFile, killAndStart } = await openBooks(t, database, copies);
  const { config } = running[0]!;
  const addOperator = ["control-plane", "add-operator", "--config", config, "--email", "ann@example.org", "--role", "admin"];
  assert.equal((await runMillrace(addOperator, { input: `${goodPassword}\n` })).code, 0);
  let failures = 0;
  const call = async <Answer>(work: (client: ControlPlaneClient) => Promise<Answer>): Promise<Answer> => {
    for (let tryNumber = 0; ; tryNumber++) {
      try {
        return await work(clients[tryNumber % clients.length]!);
      } catch (error) {
        const code = (error as { code?: string }).code ?? "";
        if (!retryable.has(code) || tryNumber > 300) throw error;
        failures++;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  };
  const operator = (await call((client) => signIn({ client }, "ann@example.org"))).facts;
  const offer = { interval: "month", trialDays: 0, streamsMax: 2, heightMax: 1080 };
  const priced = (amountMinor: bigint) => [{ country: "DE", currency: "EUR", amountMinor }];
  await call((client) =>
    client.putPlan({ plan: { ...offer, planId: "basic", name: "Basic", prices: priced(799n) }, withdrawn: false }, operator),
  );
  await call((client) =>
    client.putPlan({ plan: { ...offer, planId: "best", name: "Best", prices: priced(1999n) }, withdrawn: false }, operator),
  );
  await call((client) => client.putTaxRate({ country: "DE", name: "VAT", basisPoints: 1900, included: true }, operator));

  let stop = false;
  let histories = 0;
  const acknowledged: { facts: CallFacts; planId: string }[] = [];
  const cards = ["pm_ok", "pm_lost", "pm_later", "pm_flaky", "pm_declined", "pm_later_declined"];
  const live = async (customer: number) => {
    for (let number = 0; !stop; number++) {
      const name = `customer-${customer}-${number}`;
      const email = `${name}@example.org`;
      await call((client) => client.signUp({ email, password: goodPassword }));
      const token = await mailedToken(mailFolder, email, /Confirm/);
      await call((client) => client.verifyEmail({ token })).catch((error: unknown) => {
        if ((error as { code?: string }).code !== "email-token-invalid" || failures === 0) throw error;
      });
      const { authorization } = (await call((client) => signIn({ client }, email))).facts;
      let step = 0;
      /** Said again until it is answered, always with the same key. Undefined: lawfully refused. */
      const say = async <Answer>(work: (client: ControlPlaneClient, facts: CallFacts) => Promise<Answer>): Promise<Answer | undefined> => {
        const facts = { authorization, idempotencyKey: `${name}-${step++}` };
        try {
          return await call((client) => work(client, facts));
        } catch (error) {
          if (lawful.has((error as { code?: string }).code ?? "")) return undefined;
          throw error;
        }
      };
      // Those that stay have cards that pay in the end; those that leave have any.
      const any = number % 2 === 0 ? cards : cards.slice(0, 3);
      const card = `${any[(customer + (number >> 1)) % any.length]}.${name}`;
      await say((client, facts) => client.setBillingAccount({ country: "DE", currency: "EUR", paymentMethod: card }, facts));
      await say((client, facts) => client.subscribe({ planId: "basic", couponId: "" }, facts));
      const upgraded = await say((client, facts) => client.changePlan({ planId: "best" }, facts));
      if (number % 2 === 0) {
        const { account } = await call((client) => client.getAccount({}, { authorization }));
        const { invoices } = await call((client) => client.listInvoices({ accountId: "" }, { authorization }));
        const paid = invoices.find(({ status }) => status === "paid");
        const facts = { ...operator, idempotencyKey: `refund-${name}` };
        const refund = { accountId: account!.accountId, invoiceId: paid?.invoiceId ?? "", amountMinor: 100n, reason: "sorry" };
        if (paid)
          await call((client) => client.refund(refund, facts)).catch((error: unknown) => {
            if (!lawful.has((error as { code?: string }).code ?? "")) throw error;
          });
        await say((client, facts) => client.cancel({ atOnce: true, keep: false }, facts));
      } else if (upgraded?.subscription) acknowledged.push({ facts: { authorization }, planId: upgraded.subscription.planId });
      histories++;
    }
  };
  const working = Promise.all([0, 1, 2].map(live));
  for (let kill = 0; kill < kills; kill++) {
    const before = histories;
    await Promise.race([waitUntil("some customers more", () => histories >= before + 3, 60_000), working]);
    await killAndStart(kill % copies);
  }
  stop = true;
  await working;
  assert.ok(failures > 0, "the kills were felt");
  assert.ok(acknowledged.length > 0, "subscriptions that went well");
  for (const { facts, planId } of acknowledged) {
    const { subscription } = await call((client) => client.getBilling({ accountId: "" }, facts));
    assert.equal(subscription?.planId, planId, "what was acknowledged is kept");
  }
  // What was asked for when a copy died is asked for again within half a minute.
  const report = await waitUntil(
    "books that agree with the bank",
    async () => {
      const answer = await runMillrace(["billing", "reconcile", "--config", config, "--json"]);
      const bank = new Database(bankFile, { readonly: true });
      const open = bank.prepare("select count(*) as open from event where delivered = 0").get() as { open: number };
      bank.close();
      return answer.code === 0 && open.open === 0 ? (JSON.parse(answer.stdout) as { transactions: number }) : undefined;
    },
    90_000,
  );
  assert.ok(report.transactions > 20, "money moved");
}

test(
  "one copy on SQLite, killed under load: the books agree with the bank, and nobody is charged twice",
  { timeout: 240_000 },
  async (t) => {
    await surviveKills(t, `sqlite:${join(temporaryFolder(), "control-plane.db")}`, 1);
  },
);

test("two copies on MariaDB, killed by turns under load: the same", { timeout: 240_000 }, async (t) => {
  if (!requireProgram(t, "mariadbd") || !requireProgram(t, "mariadb-install-db")) return;
  const mariadb = await startMariadb(temporaryFolder());
  t.after(() => mariadb.kill());
  await surviveKills(t, await mariadb.makeDatabase(), 2);
});
