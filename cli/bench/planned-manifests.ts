// Makes the manifests of the bench's popularity experiment with the control plane's own forecast and placement.
import type { ManifestMaker } from "../../bench/popularity/simulate-popularity.js";
import { forecastPlays } from "../../control-plane/fill-plan/forecast-plays.js";
import { addPlays, dayMs, type HeatLevel } from "../../control-plane/fill-plan/heat-level.js";
import { placeTitles, type PlacedTitle } from "../../control-plane/fill-plan/place-titles.js";

/** The objects of the trace have been there for ever: there are no premieres in it. */
const ageDays = 365;
const memberId = "box";

export interface PlannedManifestsOptions {
  objectBytes: Float64Array;
  budgetBytes: number;
  /** Share of the budget that may be replaced in a day. */
  churnPerDay: number;
}

/** One object is one title here; one appliance is the cluster. */
export function plannedManifests({ objectBytes, budgetBytes, churnPerDay }: PlannedManifestsOptions): ManifestMaker {
  const levels: (HeatLevel | undefined)[] = Array.from({ length: objectBytes.length });
  const member = { id: memberId, budgetBytes, chunkBytes: 1, throughputWeight: 1 };
  let previous: ReadonlyMap<string, PlacedTitle> = new Map();
  let allowanceBytes = budgetBytes * churnPerDay;
  return {
    noteDay(day, requestedBytes) {
      for (const [object, bytes] of requestedBytes.entries()) {
        if (bytes > 0) levels[object] = addPlays(levels[object], bytes / objectBytes[object]!, (day + 0.5) * dayMs);
      }
    },
    plan(day) {
      const histories = levels.map((own, object) => ({
        titleId: String(object),
        ageDays,
        own,
        network: undefined,
        editorialPlaysPerDay: 0,
      }));
      const demands = forecastPlays(histories, { nowMs: day * dayMs, weekdayFactor: 1 }).map(({ titleId, playsPerDay }) => ({
        titleId,
        playsPerDay,
        objectBytes: [objectBytes[Number(titleId)]!],
        pinnedCopies: 0,
      }));
      allowanceBytes = Math.min(budgetBytes * churnPerDay, allowanceBytes + budgetBytes * churnPerDay);
      const { titles, replacedBytes } = placeTitles(demands, [member], { previous, replaceBytes: () => allowanceBytes });
      allowanceBytes -= replacedBytes.get(memberId) ?? 0;
      previous = new Map(titles.map((placed) => [placed.titleId, placed]));
      return titles.map(({ titleId }) => Number(titleId));
    },
  };
}
