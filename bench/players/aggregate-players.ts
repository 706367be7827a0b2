// Quantiles and sums over players.
import type { ErrorCounts, ErrorKind } from "../report/bench-result.js";
import type { PlayerOutcome, PlayersAggregate, Quantiles } from "./players-result.js";

/** `seconds` is how long the run took on the wall clock. */
export function aggregatePlayers(players: readonly PlayerOutcome[], seconds: number): PlayersAggregate {
  const of = (figure: (player: PlayerOutcome) => number | null) =>
    quantilesOf(players.map(figure).filter((value): value is number => value !== null));
  const sum = (figure: (player: PlayerOutcome) => number) => players.reduce((total, player) => total + figure(player), 0);
  const receivedBytes = sum((player) => player.receivedBytes);
  return {
    players: players.length,
    finished: players.filter(({ end }) => end === "finished").length,
    gaveUp: players.filter(({ end }) => end === "gave-up").length,
    stalled: players.filter(({ stalls }) => stalls > 0).length,
    startupSeconds: of((player) => player.startupSeconds),
    rebufferRatio: of((player) => player.rebufferRatio),
    averageBitsPerSecond: of((player) => player.averageBitsPerSecond),
    switches: of((player) => player.switches),
    failovers: sum((player) => player.failovers),
    segments: sum((player) => player.segments),
    receivedBytes,
    errors: players.reduce((all, { errors }) => addErrors(all, errors), {} as ErrorCounts),
    seconds,
    bytesPerSecond: seconds > 0 ? receivedBytes / seconds : 0,
  };
}

/** Nearest-rank quantiles: each is a value that was seen. Null for no value. */
export function quantilesOf(values: readonly number[]): Quantiles | null {
  if (values.length === 0) return null;
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!;
  return {
    mean: values.reduce((sum, value) => sum + value, 0) / values.length,
    p5: at(0.05),
    p25: at(0.25),
    p50: at(0.5),
    p75: at(0.75),
    p95: at(0.95),
    max: sorted.at(-1)!,
  };
}

function addErrors(to: ErrorCounts, from: ErrorCounts): ErrorCounts {
  for (const [kind, count] of Object.entries(from) as [ErrorKind, number][]) to[kind] = (to[kind] ?? 0) + count;
  return to;
}
