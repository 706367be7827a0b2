// The part of the report page on simulated players: how start-up time, stalls, bitrate and switches are spread over the viewers.
import { formatByteSize } from "../../runtime/byte-size.js";
import type { PlayerOutcome, PlayersResult, Quantiles } from "../players/players-result.js";
import { type Chart, type ChartAxis, cumulativePoints, renderCharts, renderList, renderTable, renderVerdict } from "./html-fragments.js";

/** All results together, so that their curves lie in the same charts. */
export function renderPlayers(results: readonly PlayersResult[]): string {
  const names = namesOf(results);
  return [
    ...results.map(({ verdict: { ok, text } }, index) => renderVerdict({ ok, text: `${names[index]}: ${text}` })),
    renderList([...new Set(results.flatMap(({ notes }) => notes))]),
    renderTable({
      head: [
        "run",
        "players",
        "stalled",
        "gave up",
        "start-up p50 / p95, s",
        "rebuffer mean / p95",
        "bitrate p5 / p50, Mb/s",
        "switches p50 / p95",
        "to another URL",
        "received",
      ],
      rows: results.map(({ aggregate }, index) => [
        { text: names[index]!, title: results[index]!.arguments.join(" ") },
        String(aggregate.players),
        { text: String(aggregate.stalled), share: aggregate.stalled / Math.max(1, aggregate.players) },
        { text: String(aggregate.gaveUp), share: aggregate.gaveUp / Math.max(1, aggregate.players) },
        pair(aggregate.startupSeconds, "p50", "p95", (value) => value.toFixed(2)),
        pair(aggregate.rebufferRatio, "mean", "p95", (value) => `${(value * 100).toFixed(2)} %`),
        pair(aggregate.averageBitsPerSecond, "p5", "p50", (value) => (value / 1e6).toFixed(2)),
        pair(aggregate.switches, "p50", "p95", (value) => String(value)),
        String(aggregate.failovers),
        `${formatByteSize(aggregate.receivedBytes)} at ${(aggregate.bytesPerSecond / 1e6).toFixed(0)} MB/s`,
      ]),
    }),
    renderCharts([
      distribution("Start-up time", { label: "seconds to the first picture", kind: "linear" }, (player) => player.startupSeconds),
      distribution(
        "Rebuffer ratio",
        { label: "share of the watching that was waiting", kind: "percent" },
        (player) => player.rebufferRatio,
      ),
      distribution("Average bitrate", { label: "Mb/s", kind: "linear" }, ({ averageBitsPerSecond }) =>
        averageBitsPerSecond === null ? null : averageBitsPerSecond / 1e6,
      ),
      distribution("Switches of bitrate", { label: "per player", kind: "linear" }, (player) => player.switches),
    ]),
  ].join("\n");

  function distribution(title: string, x: ChartAxis, figure: (player: PlayerOutcome) => number | null): Chart {
    return {
      title,
      hint: "For each value, the share of the players who had no more.",
      x,
      y: { label: "players", kind: "percent" },
      stepped: true,
      series: results.map(({ players }, index) => ({
        label: names[index]!,
        points: cumulativePoints(players.map(figure).filter((value) => value !== null)),
      })),
    };
  }
}

/** The rule where that tells the runs apart, else the rule and when it was. */
function namesOf(results: readonly PlayersResult[]): string[] {
  const rules = results.map(({ rule }) => rule);
  const unique = new Set(rules).size === rules.length;
  return results.map(({ rule, startedAt }) => (unique ? rule : `${rule}, ${startedAt.slice(0, 19).replace("T", " ")}`));
}

function pair(quantiles: Quantiles | null, one: keyof Quantiles, other: keyof Quantiles, format: (value: number) => string): string {
  return quantiles === null ? "–" : `${format(quantiles[one])} / ${format(quantiles[other])}`;
}
