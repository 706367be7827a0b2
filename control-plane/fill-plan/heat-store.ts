// Heat, days and misses in the database: every report of an appliance is applied once, in one transaction.
import type { Transaction } from "kysely";
import type { Clock } from "../../runtime/clock.js";
import type { Store } from "../store/database.js";
import { transact } from "../store/transact.js";
import type { Schema } from "../store/schema.js";
import { addPlays, advanceHeatClock, dayMs, type HeatClock, type HeatLevel } from "./heat-level.js";
import { weekdayFactors, weekdayOf, weekdayWeeksMax, type DayBytes } from "./weekday-factors.js";

const hourMs = 3_600_000;
/** Reports wait at an appliance for 7 days at most; one that says to be older has a wrong clock. */
const reportAgeMaxMs = 7 * dayMs;
/** Misses are asked about for a month's report. */
export const missesKeptMs = 35 * dayMs;
/** Values in one statement: SQLite takes 32,766. */
const rowsPerStatementMax = 1000;

export interface HeatReport {
  applianceId: string;
  regionId: string;
  /** Storage appliances serve appliances: what they send says nothing new of players. */
  countsForHeat: boolean;
  journalId: string;
  sequence: number;
  toUnixMs: number;
  /** By title; "" for what is in none. */
  titles: ReadonlyMap<string, ServedBytes>;
}

export interface ServedBytes {
  bytesServed: number;
  contentBytes: number;
  healthBytes: number;
}

export interface RegionHeat {
  clock: HeatClock | undefined;
  /** In bytes, by title. */
  titles: Map<string, HeatLevel>;
  days: DayBytes[];
}

export class HeatStore {
  readonly #store: Store;
  readonly #clock: Clock;

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** Whether the report was new. */
  async apply(report: HeatReport): Promise<boolean> {
    const nowUnixMs = this.#clock.unixMs();
    return await transact(this.#store, async (transaction) => {
      // First a write: it makes other copies of the control plane wait that change the same region's heat.
      const region = await takeRegion(transaction, report.regionId, nowUnixMs);
      const cursor = await transaction
        .selectFrom("heat_cursor")
        .selectAll()
        .where("appliance_id", "=", report.applianceId)
        .executeTakeFirst();
      if (cursor?.journal_id === report.journalId && report.sequence <= cursor.sequence) return false;
      await transaction
        .replaceInto("heat_cursor")
        .values({
          appliance_id: report.applianceId,
          journal_id: report.journalId,
          sequence: report.sequence,
          applied_at_unix_ms: nowUnixMs,
        })
        .execute();
      const ageMs = Math.min(reportAgeMaxMs, Math.max(0, nowUnixMs - report.toUnixMs));
      await addMisses(transaction, report, Math.floor((nowUnixMs - ageMs - 1) / hourMs) * hourMs);
      if (report.countsForHeat) await addHeat(transaction, report, { region, ageMs, unixMs: nowUnixMs - ageMs });
      return true;
    });
  }

  async readRegion(regionId: string): Promise<RegionHeat> {
    const region = await this.#store.selectFrom("heat_region").selectAll().where("region_id", "=", regionId).executeTakeFirst();
    const rows = await this.#store.selectFrom("heat_title").selectAll().where("region_id", "=", regionId).execute();
    return {
      clock: region && { heatMs: region.heat_ms, wallMs: region.wall_ms },
      titles: new Map(rows.map((row) => [row.title_id, levelOf(row)])),
      days: await readDays(this.#store, regionId),
    };
  }

  async listRegions(): Promise<string[]> {
    return (await this.#store.selectFrom("heat_region").select("region_id").orderBy("region_id").execute()).map(
      ({ region_id }) => region_id,
    );
  }

  /** Bytes that were not served as they should, the largest first. */
  async listMisses({ fromUnixMs, toUnixMs, applianceId, titleId, limit }: MissesQuery) {
    let query = this.#store
      .selectFrom("miss_hour")
      .selectAll()
      .where("hour_unix_ms", ">=", fromUnixMs)
      .where("hour_unix_ms", "<", toUnixMs)
      .where((where) => where.or([where("content_bytes", ">", 0), where("health_bytes", ">", 0)]));
    if (applianceId !== "") query = query.where("appliance_id", "=", applianceId);
    if (titleId !== "") query = query.where("title_id", "=", titleId);
    return await query
      .orderBy((order) => order("content_bytes", "+", order.ref("health_bytes")), "desc")
      .orderBy("hour_unix_ms")
      .limit(limit)
      .execute();
  }

  /** Deletes what is too old to be asked for. */
  async forgetOld(): Promise<void> {
    const nowUnixMs = this.#clock.unixMs();
    await this.#store
      .deleteFrom("miss_hour")
      .where("hour_unix_ms", "<", nowUnixMs - missesKeptMs)
      .execute();
    await this.#store
      .deleteFrom("heat_day")
      .where("unix_day", "<", Math.floor(nowUnixMs / dayMs) - 7 * (weekdayWeeksMax + 1))
      .execute();
  }
}

export interface MissesQuery {
  fromUnixMs: number;
  toUnixMs: number;
  applianceId: string;
  titleId: string;
  limit: number;
}

/** Locks the region's row and moves its clock. */
async function takeRegion(transaction: Transaction<Schema>, regionId: string, nowUnixMs: number): Promise<HeatClock> {
  await transaction
    .updateTable("heat_region")
    .set((set) => ({ heat_ms: set("heat_ms", "+", 0) }))
    .where("region_id", "=", regionId)
    .execute();
  const row = await transaction.selectFrom("heat_region").selectAll().where("region_id", "=", regionId).executeTakeFirst();
  const clock = advanceHeatClock(row && { heatMs: row.heat_ms, wallMs: row.wall_ms }, nowUnixMs);
  await transaction.replaceInto("heat_region").values({ region_id: regionId, heat_ms: clock.heatMs, wall_ms: clock.wallMs }).execute();
  return clock;
}

async function addHeat(
  transaction: Transaction<Schema>,
  { regionId, titles }: HeatReport,
  { region, ageMs, unixMs }: { region: HeatClock; ageMs: number; unixMs: number },
): Promise<void> {
  const unixDay = Math.floor(unixMs / dayMs);
  const days = await readDays(transaction, regionId);
  // A Sunday's bytes are not a trend: they count as an average day's.
  const factor = weekdayFactors(days, unixDay)[weekdayOf(unixDay)]!;
  const known = [...titles].filter(([titleId, { bytesServed }]) => titleId !== "" && bytesServed > 0);
  for (let at = 0; at < known.length; at += rowsPerStatementMax) {
    const some = known.slice(at, at + rowsPerStatementMax);
    const rows = await transaction
      .selectFrom("heat_title")
      .selectAll()
      .where("region_id", "=", regionId)
      .where(
        "title_id",
        "in",
        some.map(([titleId]) => titleId),
      )
      .execute();
    const levels = new Map(rows.map((row) => [row.title_id, levelOf(row)]));
    const changed = some.map(([titleId, { bytesServed }]) => {
      const level = addPlays(levels.get(titleId), bytesServed / factor, region.heatMs - ageMs);
      return {
        region_id: regionId,
        title_id: titleId,
        fast_bytes: level.fast,
        slow_bytes: level.slow,
        at_ms: level.atMs,
        first_ms: level.firstMs,
      };
    });
    await transaction.replaceInto("heat_title").values(changed).execute();
  }
  const bytes = known.reduce((sum, [, { bytesServed }]) => sum + bytesServed, 0);
  const before = days.find((day) => day.unixDay === unixDay)?.bytes ?? 0;
  await transaction
    .replaceInto("heat_day")
    .values({ region_id: regionId, unix_day: unixDay, bytes: before + bytes })
    .execute();
}

async function addMisses(transaction: Transaction<Schema>, { applianceId, titles }: HeatReport, hourUnixMs: number): Promise<void> {
  const all = [...titles];
  for (let at = 0; at < all.length; at += rowsPerStatementMax) {
    const some = all.slice(at, at + rowsPerStatementMax);
    const rows = await transaction
      .selectFrom("miss_hour")
      .selectAll()
      .where("hour_unix_ms", "=", hourUnixMs)
      .where("appliance_id", "=", applianceId)
      .where(
        "title_id",
        "in",
        some.map(([titleId]) => titleId),
      )
      .execute();
    const before = new Map(rows.map((row) => [row.title_id, row]));
    const changed = some.map(([titleId, served]) => {
      const row = before.get(titleId);
      return {
        hour_unix_ms: hourUnixMs,
        appliance_id: applianceId,
        title_id: titleId,
        bytes_served: (row?.bytes_served ?? 0) + served.bytesServed,
        content_bytes: (row?.content_bytes ?? 0) + served.contentBytes,
        health_bytes: (row?.health_bytes ?? 0) + served.healthBytes,
      };
    });
    await transaction.replaceInto("miss_hour").values(changed).execute();
  }
}

async function readDays(store: Pick<Store, "selectFrom">, regionId: string): Promise<DayBytes[]> {
  return await store.selectFrom("heat_day").select(["unix_day as unixDay", "bytes"]).where("region_id", "=", regionId).execute();
}

function levelOf(row: { fast_bytes: number; slow_bytes: number; at_ms: number; first_ms: number }): HeatLevel {
  return { fast: row.fast_bytes, slow: row.slow_bytes, atMs: row.at_ms, firstMs: row.first_ms };
}
