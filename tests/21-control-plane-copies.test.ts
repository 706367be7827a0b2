// Two copies of the control plane as processes, on one MariaDB and one Redis: they behave as one, and nothing acknowledged is lost.
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { ControlPlaneClient } from "../control-plane/control-plane-client.js";
import { startMariadb, startRedis } from "./support/database-servers.js";
import { codeOf, goodPassword, mailedToken, signIn, signInRequest } from "./support/login-client.js";
import { requireProgram } from "./support/require-program.js";
import { runMillrace, startMillrace, type RunningMillrace } from "./support/run-millrace.js";
import { temporaryFolder } from "./support/temporary-folder.js";
import { waitUntil } from "./support/wait-until.js";

/** The calls that a client may simply make again. */
const retryable = new Set(["control-plane-away", "store-unavailable", "shared-state-unavailable", "call-too-long", "login-busy"]);

async function start(t: TestContext, args: readonly string[]): Promise<RunningMillrace> {
  const running = await startMillrace(args);
  t.after(() => running.kill());
  return running;
}

async function openCopies(t: TestContext) {
  const folder = temporaryFolder();
  const [mariadb, redis] = [await startMariadb(folder), await startRedis(folder)];
  t.after(async () => {
    await mariadb.kill();
    await redis.kill();
  });
  const mailFolder = join(folder, "mail");
  mkdirSync(mailFolder);
  const config = (port: number) => {
    const file = join(folder, `control-plane-${port}.yaml`);
    writeFileSync(
      file,
      `listen: { port: ${port} }
admin: { port: 0 }
database: ${JSON.stringify(databaseUrl)}
shared: ${redis.url}
login:
  passwords: { memory: 64KiB, iterations: 1 }
  rates: { mailsPerAddress: 100000, signInsPerAddress: 100000, tokensPerAddress: 100000 }
  mail: { url: ${JSON.stringify(`files:${mailFolder}`)} }
`,
    );
    return file;
  };
  const databaseUrl = await mariadb.makeDatabase();
  const startCopy = async (port = 0) => {
    const running = await start(t, ["control-plane", "--config", config(port)]);
    const grpcPort = Number(running.ready["grpcPort"]);
    const url = `grpc://127.0.0.1:${grpcPort}`;
    const client = new ControlPlaneClient(url, { deadlineMs: 5000 });
    t.after(() => client.close());
    return { running, grpcPort, client, url };
  };
  return { mariadb, redis, mailFolder, folder, config, startCopy };
}

test("copies that are killed by turns lose no sign-up, profile or session that they have acknowledged", { timeout: 100_000 }, async (t) => {
  if (!requireProgram(t, "mariadbd") || !requireProgram(t, "mariadb-install-db") || !requireProgram(t, "redis-server")) return;
  const { startCopy, mailFolder } = await openCopies(t);
  const copies = [await startCopy(), await startCopy()];
  let stop = false;
  let failures = 0;
  /** As a client behind a load balancer: makes the call again, elsewhere, when it may. */
  const call = async <Answer>(work: (client: ControlPlaneClient) => Promise<Answer>): Promise<Answer> => {
    for (let tryNumber = 0; ; tryNumber++) {
      try {
        return await work(copies[tryNumber % copies.length]!.client);
      } catch (error) {
        const code = (error as { code?: string }).code ?? "";
        if (!retryable.has(code) || tryNumber > 200) throw error;
        failures++;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  };
  const players: { email: string; refreshToken: string; profileId: string }[] = [];
  const play = async (worker: number) => {
    for (let number = 0; !stop; number++) {
      const email = `player-${worker}-${number}@example.org`;
      await call((client) => client.signUp({ email, password: goodPassword }));
      const token = await mailedToken(mailFolder, email, /Confirm/);
      // A token that was taken, its answer lost, is refused when it comes again; then the account is there.
      await call((client) => client.verifyEmail({ token })).catch((error: unknown) => {
        if ((error as { code?: string }).code !== "email-token-invalid" || failures === 0) throw error;
      });
      const { tokens } = await call((client) => client.signIn(signInRequest(email)));
      const facts = { authorization: `Bearer ${tokens!.accessToken}`, idempotencyKey: `kid-${email.replace("@", "-")}` };
      const { profile } = await call((client) => client.createProfile({ name: "Kid", isKids: true, maturityMaxAge: 7 }, facts));
      const next = await call((client) => client.refresh({ refreshToken: tokens!.refreshToken }));
      players.push({ email, refreshToken: next.tokens!.refreshToken, profileId: profile!.profileId });
    }
  };
  const workers = [0, 1, 2].map(play);
  const working = Promise.all(workers);
  for (let round = 0; round < 3; round++) {
    const before = players.length;
    await Promise.race([waitUntil("some players more", () => players.length >= before + 5, 60_000), working]);
    const victim = copies[round % 2]!;
    await victim.running.kill();
    // On the same port, so that clients find it again by themselves.
    copies[round % 2] = { ...(await startCopy(victim.grpcPort)), client: victim.client };
  }
  stop = true;
  await working;
  assert.ok(failures > 0, "the kills were felt");
  for (const { email, refreshToken, profileId } of players) {
    const { tokens } = await call((client) => client.refresh({ refreshToken }));
    const facts = { authorization: `Bearer ${tokens!.accessToken}` };
    const { account, profiles } = await call((client) => client.getAccount({}, facts));
    assert.equal(account?.email, email);
    assert.deepEqual(
      profiles.map(({ profileId }) => profileId).filter((id) => id === profileId),
      [profileId],
    );
    assert.equal(profiles.length, 2, "one made at sign-up, one made once however often it was asked for");
  }
});

test("the database away: writes say 503, tokens go on being believed, and all is well when it is back", { timeout: 100_000 }, async (t) => {
  if (!requireProgram(t, "mariadbd") || !requireProgram(t, "mariadb-install-db") || !requireProgram(t, "redis-server")) return;
  const { startCopy, mariadb, redis, folder, config } = await openCopies(t);
  const copy = await startCopy();
  const gatewayConfig = join(folder, "gateway.yaml");
  writeFileSync(gatewayConfig, `listen: { port: 0 }\ncontrolPlane: { url: "${copy.url}" }\n`);
  const gateway = await start(t, ["gateway", "--config", gatewayConfig]);
  const gatewayUrl = `http://127.0.0.1:${gateway.ready["port"]}`;
  const email = "ann@example.org";
  const addOperator = ["control-plane", "add-operator", "--config", config(0), "--email", email, "--role", "admin"];
  const added = await runMillrace(addOperator, { input: `${goodPassword}\n` });
  assert.match(added.stdout, /^made ann@example.org: admin/);
  const { facts, tokens } = await signIn(copy, email);
  const post = async (route: string, body: unknown) => {
    const response = await fetch(`${gatewayUrl}/api/login/${route}`, {
      method: "POST",
      body: JSON.stringify(body),
      headers: { Authorization: facts.authorization },
    });
    return `${response.status} ${((await response.json()) as { error?: { code: string } }).error?.code}`;
  };

  await mariadb.kill();
  assert.equal(await post("sign-in", signInRequest(email)), "503 store-unavailable");
  assert.equal(await post("create-profile", { name: "Kid", isKids: true, maturityMaxAge: 7 }), "503 store-unavailable");
  // Who is signed in stays so: the call is let in, and comes as far as the catalog, which needs the database.
  assert.equal((await fetch(`${gatewayUrl}/.well-known/jwks.json`)).status, 200);
  assert.equal(await codeOf(copy.client.setAccount({ accountId: "x", roles: [], disabled: false }, facts)), "store-unavailable");
  // With Redis away too, tokens are believed for the minutes that they live.
  await redis.kill();
  await waitUntil("the control plane sees it", async () => (await post("sign-in", signInRequest(email))) === "503 store-unavailable");
  assert.equal(await codeOf(copy.client.setAccount({ accountId: "x", roles: [], disabled: false }, facts)), "store-unavailable");
  await redis.startAgain();
  await mariadb.startAgain();
  await waitUntil(
    "the database is used again",
    async () => (await post("create-profile", { name: "Kid", isKids: true, maturityMaxAge: 7 })) === "200 undefined",
  );
  await copy.client.refresh({ refreshToken: tokens.refreshToken });

  // A lockout that one copy made holds at another, which starts later.
  for (let guess = 0; guess < 10; guess++) assert.equal(await codeOf(signIn(copy, email, "a wrong password")), "credentials-wrong");
  const second = await startCopy();
  assert.equal(await codeOf(signIn(second, email)), "account-locked");
  // A session that one copy ended is over at the other.
  await copy.client.signOut({ everywhere: true }, facts);
  assert.equal(await codeOf(second.client.getAccount({}, facts)), "session-ended");
  const log = copy.running.log();
  assert.doesNotMatch(log, /p@ss|p%40ss/, "no password in the log");
});
