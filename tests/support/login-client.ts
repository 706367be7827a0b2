// A control plane and a gateway in this process, and a player who uses their login by gRPC or JSON.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { openGateway } from "../../control-plane/gateway/main.js";
import { gatewaySettings } from "../../control-plane/gateway/settings.js";
import { ControlPlaneClient } from "../../control-plane/control-plane-client.js";
import { openControlPlane } from "../../control-plane/main.js";
import { controlPlaneSettings } from "../../control-plane/settings.js";
import { openLog } from "../../runtime/log.js";
import { ManualClock } from "../../runtime/manual-clock.js";
import { parseSettings } from "../../runtime/settings-file.js";
import { temporaryFolder } from "./temporary-folder.js";
import { waitUntil } from "./wait-until.js";

export const goodPassword = "correct horse battery";

export interface OpenOptions {
  database: string;
  shared?: string;
  clock?: ManualClock;
  mailFolder?: string;
  /** More lines of the settings. */
  settings?: string;
  login?: string;
}

/** Passwords cost next to nothing here, and one address may do a lot. */
export async function openLoginControlPlane({ database, shared = "memory:", clock, mailFolder, settings = "", login = "" }: OpenOptions) {
  const theClock = clock ?? new ManualClock(Date.now());
  const mails = mailFolder ?? join(temporaryFolder(), "mail");
  const text = `
listen: { port: 0 }
admin: { port: 0 }
database: ${JSON.stringify(database)}
shared: ${JSON.stringify(shared)}
${settings}
login:
  passwords: { memory: 64KiB, iterations: 1 }
  rates: { window: 1h, signInsPerAddress: 1000000, mailsPerAddress: 1000000, tokensPerAddress: 1000000, mailsPerRecipient: 1000000 }
  mail: { url: ${JSON.stringify(`files:${mails}`)} }
${login}
`;
  const controlPlane = await openControlPlane(parseSettings(text, "test.yaml", controlPlaneSettings), {
    log: openLog("control-plane", "silent"),
    clock: theClock,
  });
  const url = `grpc://127.0.0.1:${controlPlane.grpcPort}`;
  const client = new ControlPlaneClient(url, { deadlineMs: 10_000 });
  return {
    url,
    client,
    clock: theClock,
    mailFolder: mails,
    adminUrl: `http://127.0.0.1:${controlPlane.adminPort}`,
    /** How many passwords argon2 has worked on. */
    passwordsWorked: async () => {
      const text = await (await fetch(`http://127.0.0.1:${controlPlane.adminPort}/metrics`)).text();
      return Number(/^millrace_control_plane_passwords_total (\d+)$/m.exec(text)?.[1]);
    },
    close: async () => {
      client.close();
      await controlPlane.close();
    },
  };
}

export type LoginControlPlane = Awaited<ReturnType<typeof openLoginControlPlane>>;

/** A gateway before a control plane. */
export async function openLoginGateway(controlPlaneUrl: string) {
  const settings = parseSettings(`{ listen: { port: 0 }, controlPlane: { url: "${controlPlaneUrl}" } }`, "test.yaml", gatewaySettings);
  const gateway = await openGateway(settings, openLog("gateway", "silent"));
  return { url: `http://127.0.0.1:${gateway.port}`, close: () => gateway.close() };
}

/** The token in the newest mail to `recipient` whose subject matches. */
export function mailedToken(mailFolder: string, recipient: string, subject: RegExp): Promise<string> {
  const look = () => {
    const found = mailsTo(mailFolder, recipient).filter((mail) => subject.test(mail));
    return /token\s+([\w-]{43})/.exec(found.at(-1) ?? "")?.[1];
  };
  // A copy that dies with a mail in its hands keeps it for 20 s.
  return waitUntil(`a mail to ${recipient} about ${subject.source}`, look, 60_000);
}

/** The texts of all mails to `recipient`, in no order. */
export function mailsTo(mailFolder: string, recipient: string): string[] {
  return readdirSync(mailFolder)
    .filter((name) => name.endsWith(".eml"))
    .map((name) => readFileSync(join(mailFolder, name), "utf8").replaceAll("=\r\n", ""))
    .filter((mail) => mail.includes(`To: ${recipient}`));
}

/** Signs up and answers the mail. */
export async function makeAccount({ client, mailFolder }: LoginControlPlane, email: string, password = goodPassword) {
  await client.signUp({ email, password });
  const { account } = await client.verifyEmail({ token: await mailedToken(mailFolder, email, /Confirm/) });
  assert.equal(account?.email, email);
  return account;
}

export const signInRequest = (email: string, password = goodPassword) => ({
  email,
  password,
  deviceId: "",
  deviceName: "",
  replaceOldestDevice: false,
});

/** Signs in; the tokens, and the facts that make a call the account's. */
export async function signIn({ client }: Pick<LoginControlPlane, "client">, email: string, password = goodPassword) {
  const answer = await client.signIn(signInRequest(email, password));
  return { ...answer, tokens: answer.tokens!, facts: { authorization: `Bearer ${answer.tokens!.accessToken}` } };
}

/** The code of the operating error that `call` is refused with. */
export async function codeOf(call: Promise<unknown>): Promise<string> {
  const error: unknown = await call.then(
    (answer) =>
      assert.fail(`answered: ${JSON.stringify(answer, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value))}`),
    (error: unknown) => error,
  );
  return (error as { code?: string }).code ?? String(error);
}
