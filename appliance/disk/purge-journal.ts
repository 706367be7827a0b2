// The purges as they stand on each disk, one line of JSON each: an index that is made anew from slots must not bring purged bytes back.
import { open, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf } from "../../runtime/operating-error.js";

/** Has the shape of the index's purges; what is read is checked. */
export interface JournalledPurge {
  number: number;
  kind: "all" | "object" | "prefix";
  value: string;
}

function pathOf(diskPath: string): string {
  return join(diskPath, "purges.jsonl");
}

/** Resolves when the purge is on the disk. A purge of everything takes the place of all before it. Rejects with the system's error. */
export async function writePurge(diskPath: string, purge: JournalledPurge): Promise<void> {
  const replaces = purge.kind === "all";
  const path = replaces ? `${pathOf(diskPath)}.new` : pathOf(diskPath);
  const file = await open(path, replaces ? "w" : "a", 0o644);
  try {
    // The first newline ends what a kill may have left half written.
    await file.write(`\n${JSON.stringify(purge)}\n`);
    await file.datasync();
  } finally {
    await file.close();
  }
  if (replaces) await rename(path, pathOf(diskPath));
}

/** The purges that stand on a disk; none when it has no journal. */
export async function readPurges(diskPath: string): Promise<JournalledPurge[]> {
  let text: string;
  try {
    text = await readFile(pathOf(diskPath), "utf8");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
  return text.split("\n").flatMap((line) => {
    try {
      const { number, kind, value } = JSON.parse(line) as JournalledPurge;
      const whole = Number.isSafeInteger(number) && ["all", "object", "prefix"].includes(kind) && typeof value === "string";
      return whole ? [{ number, kind, value }] : [];
    } catch {
      return [];
    }
  });
}
