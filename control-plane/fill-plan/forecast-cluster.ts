// Puts heat, catalog and editors together: what each title is expected to do in a cluster tomorrow.
import { advanceHeatClock, dayMs, decayedTo, type HeatLevel } from "./heat-level.js";
import { forecastPlays, type TitleForecast } from "./forecast-plays.js";
import type { HeatStore, RegionHeat } from "./heat-store.js";
import type { Editorial } from "./plan-store.js";
import type { PlannedTitle } from "./planned-catalog.js";
import { weekdayFactors, weekdayOf } from "./weekday-factors.js";

/** Heat of all regions, in bytes. */
export interface NetworkHeat {
  regions: ReadonlyMap<string, RegionHeat>;
}

export interface ClusterForecasts {
  titles: ReadonlyMap<string, TitleForecast>;
  /** Of tomorrow. */
  weekdayFactor: number;
}

export async function readNetworkHeat(heat: Pick<HeatStore, "readRegion" | "listRegions">): Promise<NetworkHeat> {
  const regions = new Map<string, RegionHeat>();
  for (const regionId of await heat.listRegions()) regions.set(regionId, await heat.readRegion(regionId));
  return { regions };
}

/** @param regionIds whose players the cluster serves; undefined for all. */
export function forecastCluster(
  titles: Iterable<PlannedTitle>,
  network: NetworkHeat,
  options: { regionIds: readonly string[] | undefined; editorial: ReadonlyMap<string, Editorial>; nowUnixMs: number },
): ClusterForecasts {
  const { editorial, nowUnixMs } = options;
  const regionIds = options.regionIds ?? [...network.regions.keys()];
  const own = new HeatSum();
  const all = new HeatSum();
  const bytesOfDay = new Map<number, number>();
  for (const [regionId, region] of network.regions) {
    all.add(region, nowUnixMs);
    if (!regionIds.includes(regionId)) continue;
    own.add(region, nowUnixMs);
    for (const { unixDay, bytes } of region.days) bytesOfDay.set(unixDay, (bytesOfDay.get(unixDay) ?? 0) + bytes);
  }
  const today = Math.floor(nowUnixMs / dayMs);
  const days = [...bytesOfDay].map(([unixDay, bytes]) => ({ unixDay, bytes }));
  const weekdayFactor = weekdayFactors(days, today)[weekdayOf(today + 1)]!;
  const histories = [...titles].map(({ titleId, publishedAtUnixMs, sizeBytes }) => ({
    titleId,
    ageDays: (nowUnixMs - publishedAtUnixMs) / dayMs,
    own: own.playsOf(titleId, sizeBytes),
    network: all.playsOf(titleId, sizeBytes),
    editorialPlaysPerDay: editorial.get(titleId)?.expectedPlaysPerDay ?? 0,
  }));
  const forecasts = forecastPlays(histories, { nowMs: 0, weekdayFactor });
  return { titles: new Map(forecasts.map((forecast) => [forecast.titleId, forecast])), weekdayFactor };
}

/** Levels of several regions, each with a clock of its own, brought to one moment that is called 0. */
class HeatSum {
  readonly #levels = new Map<string, HeatLevel>();

  add({ clock, titles }: RegionHeat, nowUnixMs: number): void {
    if (!clock) return;
    const { heatMs } = advanceHeatClock(clock, nowUnixMs);
    for (const [titleId, level] of titles) {
      const { fast, slow } = decayedTo(level, heatMs);
      const sum = this.#levels.get(titleId);
      this.#levels.set(titleId, {
        fast: fast + (sum?.fast ?? 0),
        slow: slow + (sum?.slow ?? 0),
        atMs: 0,
        firstMs: Math.min(level.firstMs - heatMs, sum?.firstMs ?? 0),
      });
    }
  }

  /** Bytes become full plays of the title. */
  playsOf(titleId: string, sizeBytes: number): HeatLevel | undefined {
    const level = this.#levels.get(titleId);
    return level && sizeBytes > 0 ? { ...level, fast: level.fast / sizeBytes, slow: level.slow / sizeBytes } : undefined;
  }
}
