// Keeps servers and the generator on processor cores of their own.
import { execFileSync } from "node:child_process";
import { availableParallelism } from "node:os";
import { messageOf, OperatingError } from "../../runtime/operating-error.js";

export interface Cores {
  /** Processor lists as taskset takes them ("0", "2-5"); null is unpinned. */
  server: string | null;
  generator: string | null;
}

/** One core for the server under test and another for the generator; nothing is pinned on a machine with one core or without taskset. */
export function defaultCores(): Cores {
  if (process.platform !== "linux" || availableParallelism() < 2) return { server: null, generator: null };
  return { server: "0", generator: "1" };
}

/** Pins this process, with the threads it has and will have. @throws OperatingError "cannot-pin". */
export function pinThisProcess(cores: string): void {
  try {
    execFileSync("taskset", ["-a", "-c", "-p", cores, String(process.pid)], { stdio: "ignore" });
  } catch (error) {
    throw new OperatingError("cannot-pin", `Cannot pin the generator to processor ${cores}: ${messageOf(error)}`, { cause: error });
  }
}
