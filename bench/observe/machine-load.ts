// How much processor time this whole machine has spent, to tell how much of it was other programs'.
import { readFileSync } from "node:fs";
import { cpus } from "node:os";

/** Linux's USER_HZ (see proc-observer.ts). */
const ticksPerSecond = 100;

/** Busy processor seconds of all cores since the machine started; null where /proc/stat can't be read. */
export function readBusyCpuSeconds(): number | null {
  try {
    // proc(5): cpu user nice system idle iowait irq softirq steal …; guest times are part of user and nice.
    const fields = readFileSync("/proc/stat", "utf8").split("\n", 1)[0]!.trim().split(/\s+/).slice(1).map(Number);
    const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = fields;
    return (user + nice + system + irq + softirq + steal) / ticksPerSecond;
  } catch {
    return null;
  }
}

/** The share of the machine's processor time in `seconds` that is in `busySeconds` and not in `ownSeconds`, 0 to 1. */
export function otherCpuShare(busySeconds: number, ownSeconds: number, seconds: number): number {
  return Math.min(1, Math.max(0, (busySeconds - ownSeconds) / (seconds * cpus().length)));
}
