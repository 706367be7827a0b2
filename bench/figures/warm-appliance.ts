// An appliance with a small set in its memory, for figures of serving.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { CatalogObject } from "../load/load-plan.js";
import { generatedObjects, writeObjectFiles } from "../workloads/object-files.js";
import { ApplianceUnderTest } from "./appliance-under-test.js";
import type { FigureBuilder } from "./figure-builder.js";
import type { FigureRun } from "./figure-maker.js";
import { fillDisks } from "./fill-disks.js";

const objectBytes = 4 * 2 ** 20;

export const warmObjects = generatedObjects(16, objectBytes);

/** An appliance that has the objects in memory. */
export async function startWarm(
  { run, figure }: { run: FigureRun; figure: FigureBuilder },
  options: {
    workers: number;
    /** Default: `warmObjects`. */
    objects?: readonly CatalogObject[];
    tls?: { cert: string; key: string; pem: string } | undefined;
    folder: string;
    cores?: string | null;
    more?: readonly string[];
    nodeOptions?: readonly string[];
    onOutput?: (text: string) => void;
  },
): Promise<ApplianceUnderTest> {
  const { workers, objects = warmObjects, tls, cores = null, nodeOptions = [], more = [], onOutput } = options;
  const folder = join(run.scratch, options.folder);
  const files = join(run.scratch, "files");
  await mkdir(folder, { recursive: true });
  await writeObjectFiles(files, objects);
  const appliance = await ApplianceUnderTest.start({
    folder,
    ramBytes: 256 * 2 ** 20,
    workers,
    disks: [{ path: join(folder, "disk"), bytes: 192 * 2 ** 20 }],
    upstreamUrl: `file://${files}/`,
    tls,
    cores,
    nodeOptions,
    more,
    ...(onOutput && { onOutput }),
  });
  const chunks = objects.reduce((sum, { bytes }) => sum + bytes / 2 ** 20, 0);
  await fillDisks(objects, chunks, { appliance, figure, run, ...(tls && { caPem: tls.pem }) });
  return appliance;
}
