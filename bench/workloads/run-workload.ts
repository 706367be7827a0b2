// Runs one round of a workload on one server: the load, and beside it what the workload adds (objects to fill, a command in mid-run).
import { spawn } from "node:child_process";
import { OperatingError } from "../../runtime/operating-error.js";
import type { CatalogObject } from "../load/load-plan.js";
import { runLoad, type Progress, type RoundEvent } from "../load/run-load.js";
import { runWrk } from "../load/wrk-load.js";
import { blindObserver, type ServerObserver } from "../observe/server-observer.js";
import type { Round } from "../report/bench-result.js";
import { keepOutOfPageCache } from "./page-cache.js";
import type { WorkloadFlags } from "./workload-flags.js";
import { dropsPageCache, planOf, type LoadTarget } from "./workload-plan.js";

export interface RoundOptions {
  round: number;
  observer: ServerObserver;
  generator: "millrace" | "wrk";
  /** Objects that the workload's fill connections read, each once in all rounds together. */
  fillObjects: readonly CatalogObject[];
  /** Folders of the files that the server reads while it serves, where they are on this machine and known: for a cold workload. */
  serverFolders: readonly string[];
  midRun: MidRunCommand | null;
  signal: AbortSignal;
  onProgress: (progress: Progress) => void;
}

export interface MidRunCommand {
  atFraction: number;
  command: string;
}

/** @throws OperatingError for what the flags ask for and can't be done. */
export async function runWorkloadRound(
  flags: Readonly<WorkloadFlags>,
  target: LoadTarget,
  options: RoundOptions,
): Promise<{ round: Round | null; whole: boolean }> {
  const cold = dropsPageCache(flags) && options.serverFolders.length > 0 ? await keepOutOfPageCache(options.serverFolders) : null;
  try {
    return await runLoads(flags, target, options);
  } finally {
    await cold?.stop();
  }
}

async function runLoads(
  flags: Readonly<WorkloadFlags>,
  target: LoadTarget,
  options: RoundOptions,
): Promise<{ round: Round | null; whole: boolean }> {
  const plan = planOf({ ...flags, seed: flags.seed + options.round }, target);
  const { observer, signal, onProgress, midRun } = options;
  const event = midRun === null ? {} : { event: commandEvent(midRun) };
  if (options.generator === "wrk") return runWrk(plan, { observer, signal, onProgress, ...event });
  if (flags.fillConnections === 0) return runLoad(plan, { observer, signal, onProgress, ...event });

  const share = Math.max(1, Math.floor(options.fillObjects.length / flags.rounds));
  const cold = options.fillObjects.slice(options.round * share, (options.round + 1) * share);
  if (cold.length === 0)
    throw new OperatingError("no-fill-objects", "Cannot run a fill beside the load: there are no objects left to fill");
  const fillPlan = planOf(
    {
      ...flags,
      pick: "once",
      walk: "sequential",
      rate: flags.fillRate,
      curve: "flat",
      crowdAt: 1,
      connections: flags.fillConnections,
      warmup: "0s",
    },
    { ...target, objects: cold, replay: null, workers: 1 },
  );
  const fillLoad = async () => {
    // What is filled in the warm-up could not be filled again in the measured part.
    await new Promise((resolve) => setTimeout(resolve, plan.warmupSeconds * 1000));
    return runLoad(fillPlan, { observer: blindObserver("its figures are those of the load in front"), signal });
  };
  const [front, back] = await Promise.all([runLoad(plan, { observer, signal, onProgress, ...event }), fillLoad()]);
  if (front.round !== null) front.round.background = back.round?.total ?? null;
  return front;
}

function commandEvent({ atFraction, command }: MidRunCommand): RoundEvent {
  return {
    atFraction,
    phaseNames: ["before", "after"],
    run: () =>
      new Promise((resolve, reject) => {
        // What it prints goes to standard error: standard output may be the JSON.
        const child = spawn("sh", ["-c", command], { stdio: ["ignore", 2, 2] });
        child.once("error", reject);
        child.once("close", (code, signal) => {
          if (code === 0) resolve();
          else
            reject(new OperatingError("mid-run-failed", `Cannot trust this run: --run ended with ${signal ?? `code ${code}`}: ${command}`));
        });
      }),
  };
}
