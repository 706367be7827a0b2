// What `millrace bench figures` leaves behind as JSON: figures of the appliance that one load on one server does not give.
import type { BenchResult, Spread } from "./bench-result.js";

/** The head is that of every result of the bench. */
export interface FiguresResult extends Pick<
  BenchResult,
  "schema" | "tool" | "startedAt" | "finishedAt" | "complete" | "machine" | "commit" | "arguments" | "notes" | "verdict"
> {
  kind: "figures";
  /** Small sets and short runs, which show that a figure can be had, not what it is. */
  quick: boolean;
  figures: Figure[];
}

/** All that one measurement found. */
export interface Figure {
  name: string;
  title: string;
  /** How it was measured, in sentences. */
  method: string[];
  values: FigureValue[];
  /** What must not happen and did: failed requests, wrong bytes, something that leaked. */
  faults: string[];
  notes: string[];
}

export const figureUnits = ["bytes/s", "bytes", "ms", "µs", "s", "share", "times", "per second", "count"] as const;
export type FigureUnit = (typeof figureUnits)[number];

export interface FigureValue {
  name: string;
  unit: FigureUnit;
  /** In the order in which they were measured. */
  rounds: number[];
  /** Of the rounds. */
  spread: Spread;
  /** What is aimed at; null where there is no aim. */
  target: { atLeast: number } | { atMost: number } | null;
  /** Whether the median is within the target; null without one. */
  reached: boolean | null;
}
