// One load on an appliance, and what changed in it meanwhile.
import { OperatingError } from "../../runtime/operating-error.js";
import type { LoadPlan } from "../load/load-plan.js";
import { runLoad } from "../load/run-load.js";
import { procObserver } from "../observe/proc-observer.js";
import { sumOfErrors, type Figures } from "../report/bench-result.js";
import { defaultFlags, type WorkloadFlags } from "../workloads/workload-flags.js";
import { planOf, type LoadTarget } from "../workloads/workload-plan.js";
import type { ApplianceUnderTest } from "./appliance-under-test.js";
import type { FigureBuilder } from "./figure-builder.js";
import type { FigureRun } from "./figure-maker.js";
import type { Samples } from "./metric-samples.js";

export interface MeasuredLoad {
  figures: Figures;
  /** The appliance's metrics before and after the measured part, with the warm-up. */
  from: Samples;
  to: Samples;
}

/** A plan of the flags, with defaults for what is not said. */
export function loadPlan(
  flags: Partial<WorkloadFlags>,
  target: Pick<LoadTarget, "baseUrl" | "objects"> & { caPem?: string; workers?: number },
): LoadPlan {
  return planOf(
    { ...defaultFlags, ...flags },
    { insecure: false, headers: {}, replay: null, workers: 1, ...target, caPem: target.caPem ?? null },
  );
}

/** Failed requests and wrong bytes become faults of the figure. @throws OperatingError "interrupted". */
export async function measureLoad(
  plan: LoadPlan,
  { appliance, figure, run }: { appliance: ApplianceUnderTest; figure: FigureBuilder; run: FigureRun },
): Promise<MeasuredLoad> {
  const from = await appliance.metrics();
  const { round } = await runLoad(plan, { observer: procObserver(() => [appliance.pid]), signal: run.signal });
  const to = await appliance.metrics();
  if (round === null || run.signal.aborted) throw new OperatingError("interrupted", "Cannot measure: it was interrupted");
  const failed = sumOfErrors(round.total.errors);
  if (failed > 0) figure.fault(`${failed} requests failed: ${Object.keys(round.total.errors).join(", ")}`);
  const wrong = round.total.verified?.wrongBytes ?? 0;
  if (wrong > 0) figure.fault(`${wrong} wrong bytes`);
  return { figures: round.total, from, to };
}
