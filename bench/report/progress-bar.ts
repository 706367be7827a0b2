// The progress bar of a run, on a terminal's standard error; elsewhere there is none.
import { SingleBar } from "cli-progress";
import type { Progress } from "../load/run-load.js";

export interface ProgressBar {
  /** `step` of `steps` (from 0) begins. */
  begin(step: number, label: string): void;
  update(progress: Progress): void;
  stop(): void;
}

export function openProgressBar(steps: number): ProgressBar {
  if (!process.stderr.isTTY || steps === 0) return { begin: () => {}, update: () => {}, stop: () => {} };
  const bar = new SingleBar({
    format: "{bar} {percentage}% | {label} | {rate}",
    hideCursor: true,
    clearOnComplete: true,
    stream: process.stderr,
  });
  const scale = 1000;
  let current = 0;
  bar.start(steps * scale, 0, { label: "", rate: "" });
  return {
    begin: (step, label) => {
      current = step;
      bar.update(step * scale, { label, rate: "" });
    },
    update: ({ fraction, bytesPerSecond, requestsPerSecond, errors }) => {
      const failed = errors > 0 ? `, ${errors} failed` : "";
      bar.update(Math.round((current + fraction) * scale), {
        rate: `${(bytesPerSecond / 1e9).toFixed(2)} GB/s, ${requestsPerSecond.toFixed(0)} req/s${failed}`,
      });
    },
    stop: () => bar.stop(),
  };
}
