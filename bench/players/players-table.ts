// Prints what simulated players saw, for people.
import Table from "cli-table3";
import { formatByteSize } from "../../runtime/byte-size.js";
import type { PlayersResult, Quantiles } from "./players-result.js";

/** A row per figure, quantiles over the players. */
export function formatPlayers(result: PlayersResult): string {
  const { aggregate } = result;
  const table = new Table({
    head: ["over the players", "mean", "p5", "p25", "p50", "p75", "p95", "max"],
    colAligns: ["left", "right", "right", "right", "right", "right", "right", "right"],
    style: { head: [], border: [] },
  });
  const row = (title: string, quantiles: Quantiles | null, format: (value: number) => string) => {
    const keys = ["mean", "p5", "p25", "p50", "p75", "p95", "max"] as const;
    table.push([title, ...keys.map((key) => (quantiles === null ? "–" : format(quantiles[key])))]);
  };
  row("start-up, s", aggregate.startupSeconds, (value) => value.toFixed(2));
  row("rebuffer ratio, %", aggregate.rebufferRatio, (value) => (value * 100).toFixed(2));
  row("average bitrate, Mb/s", aggregate.averageBitsPerSecond, (value) => (value / 1e6).toFixed(2));
  row("switches", aggregate.switches, (value) => String(Number(value.toFixed(1))));
  const lines = [
    table.toString(),
    `${aggregate.players} players (${result.rule}), ${aggregate.finished} to the end, ${aggregate.stalled} stalled, ${aggregate.gaveUp} gave up`,
    `${aggregate.segments} segments, ${formatByteSize(aggregate.receivedBytes)} in ${aggregate.seconds.toFixed(1)} s ` +
      `(${(aggregate.bytesPerSecond / 1e6).toFixed(0)} MB/s) at ${result.speed} × real time, ${aggregate.failovers} turns to another URL`,
  ];
  const errors = Object.entries(aggregate.errors).map(([kind, count]) => `${kind} ${count}`);
  if (errors.length > 0) lines.push(`failed requests: ${errors.join(", ")}`);
  for (const note of result.notes) lines.push(`note: ${note}`);
  lines.push(result.verdict.text);
  return `${lines.join("\n")}\n`;
}
