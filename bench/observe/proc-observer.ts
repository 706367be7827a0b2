// Reads what the processes of a local server spent, from Linux's /proc.
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { messageOf } from "../../runtime/operating-error.js";
import type { ServerObserver, ServerReading } from "./server-observer.js";

/** Linux's USER_HZ: fixed at 100 in the kernel's interface to user space on every architecture that Node runs on. */
const ticksPerSecond = 100;

/** Observes the processes in `pids()` and all their descendants. */
export function procObserver(pids: () => readonly number[]): ServerObserver {
  return { source: "proc", read: async () => readProcesses(pids()) };
}

function readProcesses(roots: readonly number[]): ServerReading {
  const reading: ServerReading = { cpuSeconds: null, rssBytes: null, diskReadBytes: null, missing: {} };
  const tree = processTree(roots);
  if (tree.length === 0) {
    const reason = `no process ${roots.join(", ")} runs any more`;
    reading.missing = { cpuSeconds: reason, rssBytes: reason, diskReadBytes: reason };
    return reading;
  }
  for (const name of ["cpuSeconds", "rssBytes", "diskReadBytes"] as const) {
    try {
      reading[name] = tree.reduce((sum, pid) => sum + readers[name](pid), 0);
    } catch (error) {
      reading.missing[name] = messageOf(error);
    }
  }
  return reading;
}

const readers = {
  cpuSeconds: (pid: number) => {
    const fields = statFields(pid);
    // proc(5): 14 utime, 15 stime, 16 cutime, 17 cstime (children that have ended and were waited for).
    return (Number(fields[11]) + Number(fields[12]) + Number(fields[13]) + Number(fields[14])) / ticksPerSecond;
  },
  rssBytes: (pid: number) => numberIn(readFileSync(`/proc/${pid}/status`, "utf8"), /^VmRSS:\s+(\d+) kB/m) * 1024,
  diskReadBytes: (pid: number) => numberIn(readFileSync(`/proc/${pid}/io`, "utf8"), /^read_bytes: (\d+)/m),
};

function numberIn(text: string, pattern: RegExp): number {
  return Number(pattern.exec(text)?.[1] ?? 0);
}

/** Fields of /proc/PID/stat from the third (state) on: the second, the program's name, may hold spaces and parentheses. */
function statFields(pid: number): string[] {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  return text.slice(text.lastIndexOf(")") + 2).split(" ");
}

function processTree(roots: readonly number[]): number[] {
  const children = new Map<number, number[]>();
  const alive = new Set<number>();
  for (const pid of allPids()) {
    try {
      const fields = statFields(pid);
      if (fields[0] === "Z") continue;
      alive.add(pid);
      const parent = Number(fields[1]);
      children.set(parent, [...(children.get(parent) ?? []), pid]);
    } catch {
      // It ended between the listing and the look.
    }
  }
  const tree = new Set<number>();
  const waiting = roots.filter((pid) => alive.has(pid));
  for (let pid = waiting.pop(); pid !== undefined; pid = waiting.pop()) {
    if (tree.has(pid)) continue;
    tree.add(pid);
    waiting.push(...(children.get(pid) ?? []));
  }
  return [...tree];
}

function allPids(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** The processes that listen on TCP `port` of this machine; empty when there is none or they belong to someone else. */
export function findListeners(port: number): number[] {
  const inodes = new Set<string>();
  for (const table of ["/proc/net/tcp", "/proc/net/tcp6"]) {
    let lines: string[];
    try {
      lines = readFileSync(table, "utf8").split("\n").slice(1);
    } catch {
      continue;
    }
    for (const line of lines) {
      // sl local_address rem_address st … inode; state 0A is LISTEN, addresses are hexadecimal "ADDRESS:PORT".
      const fields = line.trim().split(/\s+/);
      if (fields[3] === "0A" && Number.parseInt(fields[1]!.split(":")[1]!, 16) === port) inodes.add(`socket:[${fields[9]}]`);
    }
  }
  return inodes.size === 0 ? [] : allPids().filter((pid) => holdsSocket(pid, inodes));
}

function holdsSocket(pid: number, inodes: ReadonlySet<string>): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => {
      try {
        return inodes.has(readlinkSync(`/proc/${pid}/fd/${fd}`));
      } catch {
        return false;
      }
    });
  } catch {
    return false;
  }
}
