// What `millrace index` runs: opens an index that no appliance is using, and checks it or makes it anew.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { openLog } from "../runtime/log.js";
import { OperatingError } from "../runtime/operating-error.js";
import { readSettingsFile } from "../runtime/settings-file.js";
import { openDisks } from "./disk/open-disks.js";
import { slabGeometryOf } from "./disk/slab-geometry.js";
import { checkIndex, type CheckOptions, type CheckReport } from "./index/check-index.js";
import { ChunkIndex } from "./index/chunk-index.js";
import { rebuildIndex, type RebuildOptions, type RebuildReport } from "./index/rebuild-index.js";
import { applianceSettings, type ApplianceSettings } from "./settings.js";
import { lockIndex } from "./single-instance.js";

export { findingKinds } from "./index/check-index.js";

/** @throws OperatingError "index-in-use" while an appliance runs on it, and whatever stops an appliance from starting. */
export async function runIndexCheck(
  settingsFile: string,
  options: Pick<CheckOptions, "fix" | "wholeChunks" | "onProgress">,
): Promise<CheckReport> {
  return withSettings(settingsFile, async (settings) => {
    if (!existsSync(join(settings.index, "index.mdb"))) {
      throw new OperatingError(
        "index-missing",
        `Cannot check the index in ${settings.index}: there is none. \`millrace index rebuild\` makes it from the disks`,
        { source: settings.index },
      );
    }
    const index = new ChunkIndex(settings.index, settings.chunk);
    try {
      const geometry = slabGeometryOf(settings.chunk);
      const disks = await openDisks({
        wanted: settings.disks,
        geometry,
        register: index,
        log: openLog("index-check", "warn"),
        looksOnly: true,
      });
      return await checkIndex({ index, disks, geometry, ...options });
    } finally {
      await index.close();
    }
  });
}

/** @throws OperatingError as `runIndexCheck`. */
export async function runIndexRebuild(
  settingsFile: string,
  options: Pick<RebuildOptions, "wholeChunks" | "onProgress">,
): Promise<RebuildReport> {
  return withSettings(settingsFile, (settings) =>
    rebuildIndex({
      path: settings.index,
      wanted: settings.disks,
      geometry: slabGeometryOf(settings.chunk),
      log: openLog("index-rebuild", "warn"),
      ...options,
    }),
  );
}

/** Makes an index that is damaged, or of another format, anew from the disks, and leaves a good one alone. @throws OperatingError as `runIndexCheck`. */
export async function rebuildUnusableIndex(settingsFile: string): Promise<void> {
  const log = openLog("index-rebuild", "info");
  const reason = await withSettings(settingsFile, async (settings) => {
    try {
      await new ChunkIndex(settings.index, settings.chunk).close();
      return undefined;
    } catch (error) {
      if (error instanceof OperatingError && error.code === "index-unusable") return error.message;
      throw error;
    }
  });
  if (reason === undefined) return;
  log.warn({ reason }, "the index is made anew from the disks before the start");
  const { chunks, objects, unusable, seconds } = await runIndexRebuild(settingsFile, { wholeChunks: false });
  log.info({ chunks, objects, unusable, seconds }, "the index was made anew");
}

async function withSettings<Report>(settingsFile: string, work: (settings: ApplianceSettings) => Promise<Report>): Promise<Report> {
  const settings = readSettingsFile(settingsFile, applianceSettings);
  const lock = await lockIndex(settings.index);
  try {
    return await work(settings);
  } finally {
    lock.close();
  }
}
