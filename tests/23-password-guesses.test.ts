// An attack on one account from many addresses, over gRPC, through every copy.
import assert from "node:assert/strict";
import { eachLogin } from "./support/each-login.js";
import { codeOf, makeAccount, signIn, signInRequest } from "./support/login-client.js";

eachLogin("ten thousand guesses from as many addresses, through every copy, stay locked out", async (first, second) => {
  await makeAccount(first, "ann@example.org");
  const copies = [first, second];
  const before = await Promise.all(copies.map((copy) => copy.passwordsWorked()));
  const guesses = 10_000;
  const codes = new Map<string, number>();
  const atOnce = 100;
  for (let at = 0; at < guesses; at += atOnce) {
    await Promise.all(
      Array.from({ length: atOnce }, async (_, number) => {
        const guess = at + number;
        const clientAddress = `10.${guess >> 16}.${(guess >> 8) & 255}.${guess & 255}`;
        const code = await codeOf(
          copies[guess % 2]!.client.signIn(signInRequest("ann@example.org", `guess number ${guess}`), { clientAddress }),
        );
        codes.set(code, (codes.get(code) ?? 0) + 1);
      }),
    );
  }
  const after = await Promise.all(copies.map((copy) => copy.passwordsWorked()));
  const worked = first === second ? after[0]! - before[0]! : after.reduce((a, b) => a + b) - before.reduce((a, b) => a + b);
  assert.equal(worked, 10, "passwords that were looked at");
  assert.deepEqual(Object.fromEntries(codes), { "credentials-wrong": 10, "account-locked": guesses - 10 });
  // The owner too, with the right password, from an address of its own; until the time is over.
  assert.equal(await codeOf(signIn(second, "ann@example.org")), "account-locked");
  first.clock.turn(15 * 60_000 + 1000);
  await signIn(second, "ann@example.org");
});
