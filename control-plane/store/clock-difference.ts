// How far this machine's clock is from the database's: copies stamp rows with their own, so they should agree.
import { sql } from "kysely";
import type { Clock } from "../../runtime/clock.js";
import type { Store } from "./database.js";
import { isMysql } from "./upsert.js";

/** More than this is told to the operator: a lockout or a token lasts that much longer or shorter at this copy than at others. */
export const clockDifferenceMaxMs = 1000;

/** Our clock minus the database server's, to within the time of one round trip; 0 for a file, which has no clock of its own. */
export async function readClockDifferenceMs(store: Store, clock: Clock): Promise<number> {
  if (!isMysql(store)) return 0;
  const askedAtUnixMs = clock.unixMs();
  const { rows } = await sql<{
    nowUnixMs: number;
  }>`select cast(unix_timestamp(now(3)) * 1000 as signed) as ${sql.ref("nowUnixMs")}`.execute(store);
  const answeredAtUnixMs = clock.unixMs();
  return Math.round((askedAtUnixMs + answeredAtUnixMs) / 2 - rows[0]!.nowUnixMs);
}
