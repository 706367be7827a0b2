// Says why an object is, or is not, on each appliance, in words.
import type { Holds } from "../fleet/holdings-register.js";
import type { ClusterForecasts } from "./forecast-cluster.js";
import type { PlacedTitle } from "./place-titles.js";

export interface TitleInCluster {
  titleId: string;
  placed: PlacedTitle | undefined;
  /** Of all titles by plays per day, from 1; undefined when nothing is expected of it. */
  rank: number | undefined;
  titles: number;
  pinnedCopies: number;
  /** Plays per day of the least wanted title that has a place; 0 when all have. */
  lastPlacedPlaysPerDay: number;
  playsPerDay: number;
}

/** Why the cluster has so many copies of a title. */
export function explainCluster({ placed, rank, titles, pinnedCopies, lastPlacedPlaysPerDay, playsPerDay }: TitleInCluster): string {
  const wanted = `rank ${rank ?? "-"} of ${titles}, ${round(playsPerDay)} plays a day expected`;
  if (!placed) {
    if (rank === undefined) return `${wanted}: nobody is expected to play it`;
    return `${wanted}: the manifests are full of titles with ${round(lastPlacedPlaysPerDay)} plays a day or more, or a day's replacements are used up`;
  }
  const copies = `${placed.memberIds.length} of ${placed.copies} ${placed.copies === 1 ? "copy" : "copies"} placed`;
  return pinnedCopies > 0 ? `pinned by editors in ${pinnedCopies} copies; ${copies}; ${wanted}` : `${wanted}; ${copies}`;
}

/** Why one appliance should, or should not, hold the object. */
export function explainPlace(
  { placed }: TitleInCluster,
  applianceId: string,
  { holds, isNewestVersion }: { holds: Holds; isNewestVersion: boolean },
): string {
  const place = placed?.memberIds.indexOf(applianceId) ?? -1;
  const held = { all: "holds it", some: "holds a part of it", none: "does not hold it yet" }[holds];
  if (place >= 0) {
    return `planned, as copy ${place + 1} of ${placed!.memberIds.length}, in stratum ${placed!.stratum}; ${isNewestVersion ? held : "another title has a newer version of this path"}`;
  }
  if (holds !== "none") return "not planned; came by request or from a former plan, and may go";
  return placed ? "not planned: other appliances of the cluster won it" : "not planned: the title has no place in the cluster";
}

/** Titles of a cluster by plays per day, from the most. */
export function rankTitles({ titles }: ClusterForecasts): Map<string, number> {
  const expected = [...titles.values()].filter(({ playsPerDay }) => playsPerDay > 0).sort((a, b) => b.playsPerDay - a.playsPerDay);
  return new Map(expected.map(({ titleId }, at) => [titleId, at + 1]));
}

function round(value: number): string {
  return value >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(3)));
}
