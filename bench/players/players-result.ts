// What `millrace bench players` leaves behind as JSON.
import type { BenchResult, ErrorCounts } from "../report/bench-result.js";
import type { RuleName } from "./rule-names.js";

/** The head is that of every result of the bench. */
export interface PlayersResult extends Pick<
  BenchResult,
  "schema" | "tool" | "startedAt" | "finishedAt" | "complete" | "machine" | "commit" | "arguments" | "notes" | "verdict"
> {
  kind: "players";
  /** In the order in which players turn to them. */
  urls: string[];
  rule: RuleName;
  speed: number;
  /** Of the video, rising; empty where no player came so far. */
  bitsPerSecond: number[];
  aggregate: PlayersAggregate;
  players: PlayerOutcome[];
}

/** How one viewer's evening went. */
export interface PlayerOutcome {
  player: number;
  /** Name of its bandwidth trace. */
  trace: string;
  /** "gave-up": nothing could be had from any URL, several times in a row. */
  end: "finished" | "gave-up" | "interrupted";
  /** From opening to the first picture; null where there was none. */
  startupSeconds: number | null;
  playedSeconds: number;
  /** Between the first picture and the end. */
  stallSeconds: number;
  stalls: number;
  /** Stalled ÷ (played + stalled); null where nothing was played. */
  rebufferRatio: number | null;
  /** Mean over the fetched video, weighted by its length; null where none was. */
  averageBitsPerSecond: number | null;
  /** Segments of another bitrate than the one before. */
  switches: number;
  segments: number;
  receivedBytes: number;
  /** Times that it turned to another URL. */
  failovers: number;
  /** Failed requests, by kind. They need not have been seen by the viewer. */
  errors: ErrorCounts;
  /** Why it gave up. */
  reason: string | null;
}

export interface Quantiles {
  mean: number;
  p5: number;
  p25: number;
  p50: number;
  p75: number;
  p95: number;
  max: number;
}

export interface PlayersAggregate {
  players: number;
  finished: number;
  gaveUp: number;
  /** Players that stalled at least once. */
  stalled: number;
  startupSeconds: Quantiles | null;
  rebufferRatio: Quantiles | null;
  averageBitsPerSecond: Quantiles | null;
  switches: Quantiles | null;
  failovers: number;
  segments: number;
  receivedBytes: number;
  errors: ErrorCounts;
  /** Of the wall clock. */
  seconds: number;
  /** What all players read together, of the wall clock. */
  bytesPerSecond: number;
}
