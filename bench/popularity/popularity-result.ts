// What `millrace bench popularity` leaves behind as JSON.
import type { TraceFacts } from "../policies/policies-result.js";
import type { BenchResult } from "../report/bench-result.js";

export interface PopularityResult extends Pick<
  BenchResult,
  "schema" | "tool" | "startedAt" | "finishedAt" | "complete" | "machine" | "commit" | "arguments" | "notes"
> {
  kind: "popularity";
  trace: TraceFacts;
  capacityBytes: number;
  footprintShare: number;
  /** Share of the capacity that the manifest leaves to demand. */
  demandShare: number;
  /** Days at the start that are simulated and not counted. */
  warmUpDays: number;
  ways: FilledWay[];
}

/** One way to fill the same disk. */
export interface FilledWay {
  title: string;
  /** Over the days that count. */
  byteHitRatio: number;
  /** Bytes that were written to the disk, by byte that was asked for. */
  fillBytesPerServedByte: number;
  /** Of these: bytes that manifests brought in, as a share of the disk, on the worst day and on the mean one; 0 without a manifest. */
  churnWorstDay: number;
  churnMeanDay: number;
  days: { byteHitRatio: number; fillBytes: number; churn: number }[];
}
