// Looks at one disk past its queues: is it there, does it take a write, does it give a page?
import { randomBytes } from "node:crypto";
import { open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { errnoOf } from "../../runtime/operating-error.js";
import type { ProbeVerdict } from "./decide-disk-state.js";
import type { DiskDescription } from "./disk-set.js";
import { extentOffsetOf, slabOfExtent, slabPathOf, type SlabGeometry } from "./slab-geometry.js";

const probeBytes = 4096;

export interface Probe {
  verdict: ProbeVerdict;
  ms: number;
}

/** Reads the disk's identity, writes and syncs a page, and reads one of a slab. Never rejects; "late" leaves the probe running. */
export async function probeDisk(
  disk: DiskDescription,
  geometry: SlabGeometry,
  deadlineMs: number,
): Promise<Probe & { ended: Promise<unknown> }> {
  const startedAtMs = performance.now();
  const ended = look(disk, geometry);
  const late = new AbortController();
  const verdict = await Promise.race([ended, wait(deadlineMs, "late" as const, { signal: late.signal, ref: false })]);
  late.abort();
  return { verdict, ms: performance.now() - startedAtMs, ended };
}

async function look(disk: DiskDescription, geometry: SlabGeometry): Promise<ProbeVerdict> {
  try {
    const identity = JSON.parse(await readFile(join(disk.path, "disk.json"), "utf8")) as { uuid?: unknown };
    if (identity.uuid !== disk.uuid) return "other-disk";
    const full = await writePage(join(disk.path, "probe"));
    await readPage(disk, geometry);
    return full ? "full" : "good";
  } catch (error) {
    const code = errnoOf(error);
    if (code === "ENOENT" || code === "ENOTDIR" || error instanceof SyntaxError) return "missing";
    return code === "EROFS" ? "read-only" : "failing";
  }
}

/** Resolves to whether there was no room. */
async function writePage(path: string): Promise<boolean> {
  try {
    const file = await open(path, "w", 0o644);
    try {
      await file.write(randomBytes(probeBytes), 0, probeBytes, 0);
      await file.datasync();
    } finally {
      await file.close();
    }
    return false;
  } catch (error) {
    const code = errnoOf(error);
    if (code === "ENOSPC" || code === "EDQUOT") return true;
    throw error;
  }
}

async function readPage(disk: DiskDescription, geometry: SlabGeometry): Promise<void> {
  const extent = Math.floor(Math.random() * disk.extentCount);
  try {
    const file = await open(slabPathOf(disk.path, slabOfExtent(geometry, extent)), "r");
    try {
      await file.read(Buffer.alloc(probeBytes), 0, probeBytes, extentOffsetOf(geometry, extent));
    } finally {
      await file.close();
    }
  } catch (error) {
    // A slab is made when something is first written to it.
    if (errnoOf(error) !== "ENOENT") throw error;
  }
}
