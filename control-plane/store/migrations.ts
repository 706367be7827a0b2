// Every migration, in the order in which they run on a new database.
import type { Migration } from "kysely";
import { billingTables } from "./billing-tables.js";
import { catalogTables } from "./catalog-tables.js";
import { fillPlanTables } from "./fill-plan-tables.js";
import { firstTables } from "./first-tables.js";
import { idempotencyTables } from "./idempotency-tables.js";
import { operationTables } from "./operation-tables.js";
import { loginTables } from "./login-tables.js";
import { tokenKeyTables } from "./token-key-tables.js";

/**
 * A migration that has been released never changes. The name's number is the service's range: 00 first tables and the
 * store's own, 10 login, 20 billing, 30 catalog, 40 fleet and steering, 50 fill plan. MySQL commits each statement of a
 * migration by itself, so a migration must get through when it was killed half way: `ifNotExists()` on tables, `createIndex` of
 * create-index.ts for indexes.
 */
export const migrations: Readonly<Record<string, Migration>> = {
  "0001-first-tables": firstTables,
  "0002-idempotency": idempotencyTables,
  "0020-billing": billingTables,
  "0010-login": loginTables,
  "0030-catalog": catalogTables,
  "0040-token-keys": tokenKeyTables,
  "0041-operations": operationTables,
  "0050-fill-plan": fillPlanTables,
};
