// What measures one figure, and what it is given.
import type { Cores } from "../peers/processor-cores.js";
import type { FigureBuilder } from "./figure-builder.js";

export interface FigureMaker {
  name: string;
  title: string;
  /** Throws OperatingError when it cannot be measured here. What was added until then stays. */
  measure(run: FigureRun, figure: FigureBuilder): Promise<void>;
}

export interface FigureRun {
  /** Small sets and short runs: a few seconds in all. */
  quick: boolean;
  rounds: number;
  /** An empty folder on the disk that is measured. */
  scratch: string;
  cores: Cores;
  signal: AbortSignal;
  /** What is being done now, for people who wait. */
  say: (text: string) => void;
}
