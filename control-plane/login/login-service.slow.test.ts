// What login promises, over gRPC, on both databases.
import assert from "node:assert/strict";
import { createLocalJWKSet, jwtVerify, type JSONWebKeySet } from "jose";
import { eachLogin } from "../../tests/support/each-login.js";
import {
  codeOf,
  goodPassword,
  mailedToken,
  mailsTo,
  makeAccount,
  signIn,
  signInRequest,
  type LoginControlPlane,
} from "../../tests/support/login-client.js";
import { waitUntil } from "../../tests/support/wait-until.js";
import { openStore } from "../store/database.js";

eachLogin("an account is made by the mail's token, once, and only then", async (first, second) => {
  const email = "ann@example.org";
  await first.client.signUp({ email: " Ann@Example.ORG ", password: goodPassword });
  assert.equal(await codeOf(signIn(first, email)), "credentials-wrong");
  const token = await mailedToken(first.mailFolder, email, /Confirm/);
  const { account } = await second.client.verifyEmail({ token });
  assert.equal(account?.email, email);
  assert.equal(await codeOf(first.client.verifyEmail({ token })), "email-token-invalid");
  const { profiles, account: same } = await signIn(first, "ANN@example.org");
  assert.equal(same?.accountId, account.accountId);
  assert.deepEqual(
    profiles.map(({ name }) => name),
    ["Main"],
  );
});

eachLogin("signing up or resetting tells nobody whether there is an account; its owner is told by mail", async (first) => {
  await makeAccount(first, "ann@example.org");
  const answers = [
    await first.client.signUp({ email: "ann@example.org", password: "another password" }),
    await first.client.signUp({ email: "ben@example.org", password: "another password" }),
    await first.client.requestPasswordReset({ email: "ann@example.org" }),
    await first.client.requestPasswordReset({ email: "nobody@example.org" }),
  ];
  for (const answer of answers) assert.deepEqual(answer, {});
  await waitUntil(
    "the mails",
    () => mailsTo(first.mailFolder, "ann@example.org").length === 3 && mailsTo(first.mailFolder, "nobody@example.org").length === 1,
  );
  assert.ok(mailsTo(first.mailFolder, "ann@example.org").some((mail) => mail.includes("Subject: You have an account already")));
  assert.ok(mailsTo(first.mailFolder, "nobody@example.org")[0]?.includes("Subject: There is no account"));
  assert.equal(await codeOf(signIn(first, "ann@example.org", "another password")), "credentials-wrong");
});

eachLogin("an unknown address and a wrong password are the same work and the same answer", async (first, _, url) => {
  await makeAccount(first, "ann@example.org");
  const store = await openStore(url);
  const failures = async (email: string) => {
    const before = await first.passwordsWorked();
    const code = await codeOf(signIn(first, email, "a wrong password"));
    return { code, worked: (await first.passwordsWorked()) - before };
  };
  assert.deepEqual(await failures("ann@example.org"), { code: "credentials-wrong", worked: 1 });
  assert.deepEqual(await failures("nobody@example.org"), { code: "credentials-wrong", worked: 1 });
  // The same rows written too, and the same lockout.
  const events = await store.selectFrom("audit_event").select("kind").where("kind", "=", "sign-in-failed").execute();
  assert.equal(events.length, 2);
  for (let guess = 2; guess <= 10; guess++) {
    for (const email of ["ann@example.org", "nobody@example.org"])
      assert.deepEqual(await failures(email), { code: "credentials-wrong", worked: 1 });
  }
  for (const email of ["ann@example.org", "nobody@example.org"])
    assert.deepEqual(await failures(email), { code: "account-locked", worked: 0 });
  const guards = await store.selectFrom("sign_in_guard").select(["failures", "locks"]).execute();
  assert.deepEqual(guards, [
    { failures: 0, locks: 1 },
    { failures: 0, locks: 1 },
  ]);
  await store.destroy();
});

eachLogin("a lockout doubles, and a password reset by mail lifts it and ends all sessions", async (first, second) => {
  const email = "ann@example.org";
  await makeAccount(first, email);
  const session = await signIn(first, email);
  const guess = async () => {
    for (let number = 0; number < 10; number++) assert.equal(await codeOf(signIn(second, email, "a wrong password")), "credentials-wrong");
    const error: unknown = await signIn(first, email).catch((error: unknown) => error);
    return Math.round((error as { retryAfterMs: number }).retryAfterMs / 60_000);
  };
  assert.equal(await guess(), 15);
  first.clock.turn(15 * 60_000 + 1);
  assert.equal(await guess(), 30);
  // Whoever is signed in already is not touched by it.
  const { tokens } = await second.client.refresh({ refreshToken: session.tokens.refreshToken });
  await first.client.requestPasswordReset({ email });
  const token = await mailedToken(first.mailFolder, email, /Set a new password/);
  const newPassword = "quite another password";
  assert.equal(await codeOf(second.client.resetPassword({ token, newPassword: "short" })), "invalid-argument");
  await second.client.resetPassword({ token, newPassword });
  assert.equal(await codeOf(first.client.resetPassword({ token, newPassword })), "email-token-invalid");
  assert.equal(await codeOf(first.client.getAccount({}, { authorization: `Bearer ${tokens!.accessToken}` })), "session-ended");
  assert.equal(await codeOf(second.client.refresh({ refreshToken: tokens!.refreshToken })), "refresh-token-invalid");
  await signIn(first, email, newPassword);
});

eachLogin("a refresh token works once; used again by a thief or its owner it ends the family, at every copy", async (first, second) => {
  const email = "ann@example.org";
  await makeAccount(first, email);
  const session = await signIn(first, email);
  const other = await signIn(second, email);
  const one = session.tokens.refreshToken;
  const { tokens } = await first.client.refresh({ refreshToken: one });
  const two = tokens!.refreshToken;
  assert.notEqual(two, one);
  // The answer was lost, so the client asks again within seconds: the same answer, and no family ends.
  const again = await second.client.refresh({ refreshToken: one });
  assert.equal(again.tokens!.refreshToken, two);
  const three = (await second.client.refresh({ refreshToken: two })).tokens!;
  const facts = { authorization: `Bearer ${three.accessToken}` };
  await first.client.getAccount({}, facts);
  // The thief's copy.
  assert.equal(await codeOf(first.client.refresh({ refreshToken: one })), "refresh-token-reused");
  assert.equal(await codeOf(second.client.refresh({ refreshToken: three.refreshToken })), "refresh-token-invalid");
  for (const copy of [first, second]) assert.equal(await codeOf(copy.client.getAccount({}, facts)), "session-ended");
  // The account's other session goes on, and shows what has happened.
  const { events } = await second.client.listAuditEvents({ accountId: "", pageSize: 0, pageToken: "" }, other.facts);
  assert.ok(events.some(({ kind }) => kind === "refresh-token-reused"));
});

eachLogin("the token before the present one is theft too when its time is over", async (first) => {
  await makeAccount(first, "ann@example.org");
  const { tokens } = await signIn(first, "ann@example.org");
  const next = await first.client.refresh({ refreshToken: tokens.refreshToken });
  first.clock.turn(10_001);
  assert.equal(await codeOf(first.client.refresh({ refreshToken: tokens.refreshToken })), "refresh-token-reused");
  assert.equal(await codeOf(first.client.refresh({ refreshToken: next.tokens!.refreshToken })), "refresh-token-invalid");
});

eachLogin("of many that refresh with one token at once, all get the same next one", async (first, second) => {
  await makeAccount(first, "ann@example.org");
  const { tokens } = await signIn(first, "ann@example.org");
  const answers = await Promise.all(
    Array.from({ length: 10 }, (_, number) => (number % 2 ? first : second).client.refresh({ refreshToken: tokens.refreshToken })),
  );
  assert.equal(new Set(answers.map(({ tokens }) => tokens!.refreshToken)).size, 1);
  await first.client.refresh({ refreshToken: answers[0]!.tokens!.refreshToken });
});

eachLogin("a session that is not used ends, and an access token lives for minutes", async (first) => {
  await makeAccount(first, "ann@example.org");
  const { tokens, facts } = await signIn(first, "ann@example.org");
  first.clock.turn(10 * 60_000 + 6000);
  assert.equal(await codeOf(first.client.getAccount({}, facts)), "access-token-expired");
  first.clock.turn(29 * 86_400_000);
  const next = await first.client.refresh({ refreshToken: tokens.refreshToken }, facts);
  first.clock.turn(30 * 86_400_000 + 1);
  assert.equal(await codeOf(first.client.refresh({ refreshToken: next.tokens!.refreshToken })), "refresh-token-invalid");
});

eachLogin("keys rotate without logging anyone out, and anyone can verify with the published ones", async (first, second, url) => {
  const email = "root@example.org";
  await makeAccount(first, email);
  const store = await openStore(url);
  await store.updateTable("account").set({ roles: '["admin"]' }).execute();
  await store.destroy();
  const { tokens, facts } = await signIn(first, email);
  const keysOf = async (copy: LoginControlPlane) => JSON.parse((await copy.client.listKeys({})).jwksJson) as JSONWebKeySet;
  const kidOf = (token: string) => (JSON.parse(Buffer.from(token.split(".")[0]!, "base64url").toString()) as { kid: string }).kid;
  first.clock.turn(1000);
  const { keyId } = await first.client.rotateKeys({}, facts);
  const keys = await keysOf(first);
  assert.deepEqual(
    keys.keys.map(({ kid, d }) => [kid, d]),
    [
      [kidOf(tokens.accessToken), undefined],
      [keyId, undefined],
    ],
  );
  // The old token is good everywhere; the new key does not sign before others know it.
  await second.client.getAccount({}, facts);
  assert.equal(kidOf((await signIn(first, email)).tokens.accessToken), kidOf(tokens.accessToken));
  first.clock.turn(125_000);
  const next = (await first.client.refresh({ refreshToken: tokens.refreshToken })).tokens!;
  assert.equal(kidOf(next.accessToken), keyId);
  // A copy that has never seen the key looks for it.
  await second.client.getAccount({}, { authorization: `Bearer ${next.accessToken}` });
  await second.client.refresh({ refreshToken: next.refreshToken });
  const { payload } = await jwtVerify(next.accessToken, createLocalJWKSet(await keysOf(second)), {
    issuer: "millrace",
    currentDate: new Date(first.clock.unixMs()),
  });
  assert.deepEqual(payload["roles"], ["admin"]);
});

eachLogin("tokens that were not made here are refused, whatever they look like", async (first) => {
  await makeAccount(first, "ann@example.org");
  const { tokens } = await signIn(first, "ann@example.org");
  const [head, body, signature] = tokens.accessToken.split(".") as [string, string, string];
  const unsigned = Buffer.from('{"alg":"none","typ":"at+jwt"}').toString("base64url");
  const claims = JSON.parse(Buffer.from(body, "base64url").toString()) as Record<string, unknown>;
  const asAdmin = Buffer.from(JSON.stringify({ ...claims, roles: ["admin"] })).toString("base64url");
  for (const token of [
    `${head}.${asAdmin}.${signature}`,
    `${unsigned}.${body}.`,
    `${head}.${body}.`,
    "x",
    `${head}.${body}`,
    tokens.refreshToken,
  ]) {
    assert.equal(await codeOf(first.client.getAccount({}, { authorization: `Bearer ${token}` })), "access-token-invalid", token);
  }
  assert.equal(await codeOf(first.client.getAccount({}, { authorization: "Basic YTpi" })), "unauthenticated");
  assert.equal(await codeOf(first.client.getAccount({})), "unauthenticated");
  const { refreshToken } = tokens;
  for (const token of [
    "",
    refreshToken.slice(0, -1),
    refreshToken.replace(/\.1\./, ".2."),
    `${refreshToken}A`,
    tokens.accessToken,
    "\0",
    "x".repeat(5000),
  ]) {
    assert.equal(await codeOf(first.client.refresh({ refreshToken: token })), "refresh-token-invalid", token);
  }
});

eachLogin("an account has so many devices; the oldest makes way when it is told to, and is signed out", async (first, second) => {
  const email = "ann@example.org";
  await makeAccount(first, email);
  const sessions = [];
  for (let number = 0; number < 10; number++) {
    sessions.push(await signIn(number % 2 ? first : second, email));
    first.clock.turn(1000);
  }
  assert.equal(await codeOf(signIn(first, email)), "device-limit-reached");
  // Those at once do not get past the limit either.
  const known = { ...signInRequest(email), deviceId: sessions[3]!.deviceId };
  await first.client.signIn(known);
  const eleventh = await second.client.signIn({ ...signInRequest(email), deviceName: "Kitchen", replaceOldestDevice: true });
  assert.equal(await codeOf(first.client.getAccount({}, sessions[0]!.facts)), "session-ended");
  const facts = { authorization: `Bearer ${eleventh.tokens!.accessToken}` };
  const { devices } = await first.client.getAccount({}, facts);
  assert.equal(devices.length, 10);
  assert.ok(devices.some(({ name }) => name === "Kitchen"));
  await first.client.removeDevice({ deviceId: sessions[5]!.deviceId }, facts);
  assert.equal(await codeOf(second.client.getAccount({}, sessions[5]!.facts)), "session-ended");
  assert.equal(await codeOf(second.client.removeDevice({ deviceId: sessions[5]!.deviceId }, facts)), "device-unknown");
});

eachLogin(
  "profiles: kids see less, a chosen one is in the tokens, and the limit holds when many are made at once",
  async (first, second) => {
    const email = "ann@example.org";
    await makeAccount(first, email);
    const { facts, tokens, profiles } = await signIn(first, email);
    assert.equal(await codeOf(first.client.createProfile({ name: "Kid", isKids: true, maturityMaxAge: 16 }, facts)), "invalid-argument");
    const create = (name: string) =>
      first.client.createProfile({ name, isKids: true, maturityMaxAge: 7 }, { ...facts, idempotencyKey: `key-${name}` });
    const { profile: kid } = await create("Kid");
    assert.equal((await create("Kid")).profile?.profileId, kid?.profileId, "the same key is the same profile");
    assert.equal(
      await codeOf(first.client.createProfile({ name: "Else", isKids: true, maturityMaxAge: 7 }, { ...facts, idempotencyKey: "key-Kid" })),
      "idempotency-key-reused",
    );
    const made = await Promise.allSettled(
      Array.from({ length: 8 }, (_, number) =>
        (number % 2 ? first : second).client.createProfile({ name: `P${number}`, isKids: false, maturityMaxAge: 18 }, facts),
      ),
    );
    assert.equal(made.filter(({ status }) => status === "fulfilled").length, 3);
    const chosen = await second.client.chooseProfile({ profileId: kid!.profileId }, facts);
    const claimsOf = (token: string) => JSON.parse(Buffer.from(token.split(".")[1]!, "base64url").toString()) as Record<string, unknown>;
    const refreshed = await first.client.refresh({ refreshToken: tokens.refreshToken });
    for (const token of [chosen.accessToken, refreshed.tokens!.accessToken]) {
      const { pid, kids, age } = claimsOf(token);
      assert.deepEqual({ pid, kids, age }, { pid: kid!.profileId, kids: true, age: 7 });
    }
    await first.client.updateProfile({ profile: { ...kid!, name: "Teen", isKids: false, maturityMaxAge: 16 } }, facts);
    await first.client.deleteProfile({ profileId: kid!.profileId }, facts);
    assert.equal(await codeOf(first.client.deleteProfile({ profileId: kid!.profileId }, facts)), "profile-unknown");
    assert.equal(await codeOf(first.client.chooseProfile({ profileId: kid!.profileId }, facts)), "profile-unknown");
    const other = await (async () => {
      await makeAccount(first, "ben@example.org");
      return await signIn(first, "ben@example.org");
    })();
    const foreign = { ...profiles[0]!, name: "Mine now" };
    assert.equal(await codeOf(first.client.updateProfile({ profile: foreign }, other.facts)), "profile-unknown");
    assert.equal(await codeOf(first.client.chooseProfile({ profileId: foreign.profileId }, other.facts)), "profile-unknown");
    assert.equal(await codeOf(first.client.deleteProfile({ profileId: other.profiles[0]!.profileId }, other.facts)), "profile-last");
  },
);

eachLogin("a changed password ends the other sessions; guessing the present one locks the account", async (first, second) => {
  const email = "ann@example.org";
  await makeAccount(first, email);
  const [one, two] = [await signIn(first, email), await signIn(second, email)];
  const newPassword = "quite another password";
  await first.client.changePassword({ password: goodPassword, newPassword }, one.facts);
  await second.client.getAccount({}, one.facts);
  assert.equal(await codeOf(second.client.getAccount({}, two.facts)), "session-ended");
  assert.equal(await codeOf(signIn(first, email)), "credentials-wrong");
  for (let number = 0; number < 9; number++) {
    assert.equal(await codeOf(second.client.changePassword({ password: "a wrong one", newPassword }, one.facts)), "credentials-wrong");
  }
  assert.equal(
    await codeOf(second.client.changePassword({ password: newPassword, newPassword: goodPassword }, one.facts)),
    "account-locked",
  );
});

eachLogin("signing out ends this session, or all of them; the other copy knows at once", async (first, second) => {
  await makeAccount(first, "ann@example.org");
  const [one, two, three] = [
    await signIn(first, "ann@example.org"),
    await signIn(first, "ann@example.org"),
    await signIn(second, "ann@example.org"),
  ];
  await first.client.signOut({ everywhere: false }, one.facts);
  assert.equal(await codeOf(second.client.getAccount({}, one.facts)), "session-ended");
  await second.client.signOut({ everywhere: true }, two.facts);
  assert.equal(await codeOf(first.client.getAccount({}, three.facts)), "session-ended");
});

eachLogin("operators look, admins change, nobody else does either; every change is in the audit log", async (first, second, url) => {
  const ann = await makeAccount(first, "ann@example.org");
  await makeAccount(first, "root@example.org");
  const store = await openStore(url);
  await store.updateTable("account").set({ roles: '["admin"]' }).where("email", "=", "root@example.org").execute();
  await store.destroy();
  const [user, root] = [await signIn(first, "ann@example.org"), await signIn(second, "root@example.org")];
  const { accountId } = ann;
  assert.equal(await codeOf(first.client.findAccount({ email: "ann@example.org" }, user.facts)), "forbidden");
  assert.equal(await codeOf(first.client.setAccount({ accountId, roles: ["admin"], disabled: false }, user.facts)), "forbidden");
  assert.equal(await codeOf(first.client.rotateKeys({}, user.facts)), "forbidden");
  const rootId = root.account!.accountId;
  assert.equal(await codeOf(first.client.listAuditEvents({ accountId: rootId, pageSize: 0, pageToken: "" }, user.facts)), "forbidden");
  assert.equal(await codeOf(first.client.setAccount({ accountId: rootId, roles: [], disabled: false }, root.facts)), "invalid-argument");
  assert.equal(await codeOf(first.client.setAccount({ accountId, roles: ["king"], disabled: false }, root.facts)), "invalid-argument");
  await second.client.setAccount({ accountId, roles: ["operator"], disabled: false }, root.facts);
  assert.equal(await codeOf(first.client.getAccount({}, user.facts)), "session-ended", "the new role needs new tokens");
  const operator = await signIn(first, "ann@example.org");
  assert.equal((await second.client.findAccount({ email: "root@example.org" }, operator.facts)).account?.accountId, rootId);
  assert.equal(await codeOf(first.client.setAccount({ accountId, roles: ["admin"], disabled: false }, operator.facts)), "forbidden");
  await first.client.setAccount({ accountId, roles: [], disabled: true }, root.facts);
  assert.equal(await codeOf(signIn(second, "ann@example.org")), "account-disabled");
  assert.equal(await codeOf(signIn(second, "ann@example.org", "a wrong password")), "credentials-wrong");
  assert.equal(await codeOf(first.client.refresh({ refreshToken: operator.tokens.refreshToken })), "refresh-token-invalid");
  const kinds: string[] = [];
  let pageToken = "";
  do {
    const page = await second.client.listAuditEvents({ accountId, pageSize: 2, pageToken }, root.facts);
    kinds.push(...page.events.map(({ kind }) => kind));
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  assert.deepEqual(kinds.toSorted(), ["account-made", "account-set", "account-set", "sign-in-failed", "signed-in", "signed-in"]);
});
