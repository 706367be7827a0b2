// What measures one figure, and what it is given.
import type { Cores } from "../peers/processor-cores.js";
import type { FigureBuilder } from "./figure-builder.js";

export interface FigureMaker {
  name: string;
  title: string;
  /** Throws OperatingError when it cannot be measured here. What was added until then stays. */
  measure(run: FigureRun, figure: FigureBuilder): Promise<void>;
}

/** What needs the appliance's own code, which the bench does not import: the command line puts it in. */
export interface ApplianceInside {
  /** Publishes the digests of generated objects in the folder of their files, so that a fill is checked against them. */
  writeDigests(folder: string, names: readonly string[]): Promise<void>;
  /** Which disk each chunk lies on, by object key and chunk number. The appliance must not run. */
  readPlaces(indexFolder: string, chunkBytes: number): Promise<Map<string, number>>;
  /** Adds `chunks` chunks that nobody has, to disks of these numbers, to an index. */
  growIndex(
    indexFolder: string,
    options: { chunkBytes: number; chunks: number; disks: number /** False: stop here. */; onProgress: (chunks: number) => boolean },
  ): Promise<void>;
  /** Microseconds that single lookups in an index take, sorted. */
  timeLookups(indexFolder: string, options: { chunkBytes: number; lookups: number }): Promise<Float64Array>;
  /** Makes an index from `slots` slots of small chunks in `folder`. Slots a second. */
  timeRebuild(folder: string, slots: number): Promise<number>;
}

export interface FigureRun {
  inside: ApplianceInside;
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
