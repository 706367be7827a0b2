// The first admin, and any other, made by whoever may read the settings: there is nobody yet to ask.
import { randomUUID } from "node:crypto";
import { OperatingError } from "../../runtime/operating-error.js";
import { accountRoles, type AccountRole } from "../caller.js";
import { openStore } from "../store/database.js";
import { transact } from "../store/transact.js";
import { findAccountByEmail, insertProfile } from "./account-store.js";
import { writeAudit } from "./audit-log.js";
import type { LoginSettings } from "./login-settings.js";
import { checkNewPassword, normalEmail } from "./login-rules.js";
import { PasswordHasher } from "./password-hasher.js";

export interface AddOperatorOptions {
  email: string;
  role: AccountRole;
  /** Asked for when there is no account with this address. */
  readPassword: () => Promise<string>;
  nowUnixMs: number;
}

/** Gives the role to the account with this address, or makes one. @throws OperatingError as the store, "invalid-argument". */
export async function addOperator(
  { database, login }: { database: string; login: LoginSettings },
  { email: given, role, readPassword, nowUnixMs }: AddOperatorOptions,
): Promise<{ accountId: string; email: string; roles: AccountRole[]; made: boolean }> {
  const email = normalEmail(given);
  const store = await openStore(database);
  try {
    let passwordHash: string | undefined;
    if (!(await findAccountByEmail(store, email))) {
      const password = await readPassword();
      checkNewPassword(password, email);
      const { memory, iterations, atOnceMax, waitingMax } = login.passwords;
      passwordHash = await (
        await PasswordHasher.open({ memoryKiB: Math.ceil(memory / 1024), iterations, atOnceMax, waitingMax })
      ).hash(password);
    }
    return await transact(store, async (transaction) => {
      const known = await findAccountByEmail(transaction, email);
      const event = { atUnixMs: nowUnixMs, address: "", kind: "account-set" as const };
      if (known) {
        const { accountId } = known;
        const roles = accountRoles.filter((each) => each === role || known.roles.includes(each));
        await transaction
          .updateTable("account")
          .set({ roles: JSON.stringify(roles) })
          .where("account_id", "=", accountId)
          .execute();
        await writeAudit(transaction, { ...event, accountId, detail: { by: "add-operator", roles } });
        return { accountId, email, roles, made: false };
      }
      if (passwordHash === undefined)
        throw new OperatingError("account-unknown", "Cannot add the operator: the account has just vanished; try again");
      const accountId = randomUUID();
      const roles: AccountRole[] = [role];
      await transaction
        .insertInto("account")
        .values({
          account_id: accountId,
          email,
          password_hash: passwordHash,
          roles: JSON.stringify(roles),
          disabled: 0,
          created_at_unix_ms: nowUnixMs,
        })
        .execute();
      const profile = { profileId: randomUUID(), name: "Main", isKids: false, maturityMaxAge: 18 };
      await insertProfile(transaction, accountId, { profile, nowUnixMs });
      await writeAudit(transaction, { ...event, accountId, detail: { by: "add-operator", roles } });
      return { accountId, email, roles, made: true };
    });
  } finally {
    await store.destroy();
  }
}
