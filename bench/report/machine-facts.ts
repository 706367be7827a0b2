// Where figures were measured: machine, kernel, Node, and the commit of this tree.
import { execFileSync } from "node:child_process";
import { cpus, loadavg, release, totalmem, type as systemType } from "node:os";
import { packageRoot } from "../../runtime/package-root.js";
import type { BenchResult, MachineFacts } from "./bench-result.js";

export function readMachineFacts(): MachineFacts {
  const processors = cpus();
  return {
    cpuModel: processors[0]?.model.trim() ?? "unknown",
    cores: processors.length,
    memoryBytes: totalmem(),
    kernel: `${systemType()} ${release()}`,
    node: process.version,
    loadAverageAtStart: Math.round(loadavg()[0]! * 100) / 100,
  };
}

/** Null when the tree is no git work tree or git is not installed. */
export function readCommit(): BenchResult["commit"] {
  const git = (...args: string[]) =>
    execFileSync("git", args, { cwd: packageRoot, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  try {
    return { hash: git("rev-parse", "HEAD"), dirty: git("status", "--porcelain") !== "" };
  } catch {
    return null;
  }
}
