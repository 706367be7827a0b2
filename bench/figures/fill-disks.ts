// Brings objects onto the appliance's disks before something is measured there.
import { OperatingError } from "../../runtime/operating-error.js";
import type { CatalogObject } from "../load/load-plan.js";
import type { ApplianceUnderTest } from "./appliance-under-test.js";
import type { FigureBuilder } from "./figure-builder.js";
import type { FigureRun } from "./figure-maker.js";
import { loadPlan, measureLoad } from "./measure-load.js";

/** What comes while all frames wait for a disk is served and not stored, so one reading need not bring everything. */
const passesMax = 20;

/** Reads every object, each byte checked, until the disks hold `slots` slots. @throws OperatingError "not-filled". */
export async function fillDisks(
  objects: readonly CatalogObject[],
  slots: number,
  context: { appliance: ApplianceUnderTest; figure: FigureBuilder; run: FigureRun; connections?: number; caPem?: string },
): Promise<void> {
  const { appliance } = context;
  const stored = async () => {
    const metrics = await appliance.metrics();
    return metrics.sum("millrace_fill_stored_chunks_total") - metrics.sum("millrace_evicted_chunks_total");
  };
  const flags = { pick: "once", walk: "sequential", range: "whole", warmup: "0s", duration: "280s", verify: "all" };
  const plan = loadPlan(
    { ...flags, connections: context.connections ?? 4 },
    { baseUrl: appliance.baseUrl, objects, ...(context.caPem !== undefined && { caPem: context.caPem }) },
  );
  for (let pass = 0; pass < passesMax; pass++) {
    await measureLoad(plan, context);
    // What waits for its batch is on the disk within a moment, if at all.
    for (let look = 0; look < 10; look++) {
      if ((await stored()) >= slots) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  throw new OperatingError("not-filled", `Cannot measure: after ${passesMax} readings ${await stored()} of ${slots} chunks are on disk`);
}
