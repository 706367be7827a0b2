// What idle connections cost in memory, and how evenly connections are spread over the serving workers.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { OperatingError } from "../../runtime/operating-error.js";
import { makeCertificate } from "../peers/certificate.js";
import type { ApplianceUnderTest } from "./appliance-under-test.js";
import { countSockets } from "./count-sockets.js";
import type { FigureMaker } from "./figure-maker.js";
import { startWarm, warmObjects } from "./warm-appliance.js";

const program = fileURLToPath(new URL("idle-program.js", import.meta.url));
const openTimeoutMs = 90_000;
/** Descriptors that a process needs beside its connections. */
const descriptorsBeside = 500;

export const connections: FigureMaker = {
  name: "connections",
  title: "memory of idle connections, and their spread over the workers",
  measure: async (run, figure) => {
    const limit = openFilesMax();
    const idle = run.quick ? 200 : Math.min(10_000, limit - descriptorsBeside);
    figure.method(
      `${idle.toLocaleString("en")} connections that ask for one HEAD every four seconds (the engine closes those that ask for nothing for ten), one worker. Memory: anonymous memory of the process with them, less that before.`,
    );
    figure.method(
      "Spread: each of 200 and 2000 connections asks once; the largest share of a worker ÷ the share that each should have. The kernel chooses by a hash of addresses and ports (SO_REUSEPORT).",
    );
    if (idle < 10_000 && !run.quick) figure.note(`only ${idle} connections: the limit of open files is ${limit} (ulimit -n)`);
    const certificate = await makeCertificate(run.scratch);
    for (const scheme of ["http", "https"] as const) {
      const name = scheme.toUpperCase();
      run.say(`${name}: opening ${idle} connections`);
      const appliance = await startWarm(
        { run, figure },
        { workers: 1, tls: scheme === "https" ? certificate : undefined, folder: scheme, cores: run.cores.server },
      );
      try {
        const before = await appliance.memory();
        const clients = await openClients(appliance, { scheme, count: idle });
        try {
          const after = await appliance.memory();
          const bytes = after.anonymousBytes - before.anonymousBytes;
          const open = countSockets(appliance.port);
          if (open < idle) figure.fault(`${name}: only ${open} of ${idle} connections are open`);
          figure.add(`${name}: memory of ${idle} connections`, "bytes", bytes, { atMost: (200 * 2 ** 20 * idle) / 10_000 });
          figure.add(`${name}: memory per connection`, "bytes", bytes / open);
        } finally {
          await clients.close();
        }
      } finally {
        await appliance.stop();
      }
    }
    for (const workers of run.quick ? [2] : [2, 4]) {
      const appliance = await startWarm({ run, figure }, { workers, folder: `spread-${workers}` });
      try {
        for (const count of run.quick ? [200] : [200, 2000]) {
          for (let round = 0; round < run.rounds; round++) {
            run.say(`spread of ${count} over ${workers}, round ${round + 1} of ${run.rounds}`);
            const before = (await appliance.metrics()).by("millrace_worker_requests", "worker");
            const clients = await openClients(appliance, { scheme: "http", count });
            await clients.close();
            const after = (await appliance.metrics()).by("millrace_worker_requests", "worker");
            const requests = [...after].map(([worker, value]) => value - (before.get(worker) ?? 0));
            const sum = requests.reduce((total, value) => total + value, 0);
            figure.add(
              `${count} connections over ${workers} workers: largest share ÷ even share`,
              "times",
              (Math.max(...requests) / sum) * workers,
            );
          }
        }
      } finally {
        await appliance.stop();
      }
    }
  },
};

/** Resolves when all are open and have been answered once. @throws OperatingError "no-connections". */
async function openClients(appliance: ApplianceUnderTest, options: { scheme: string; count: number }): Promise<{ close(): Promise<void> }> {
  const { scheme, count } = options;
  const child = spawn(process.execPath, [program, String(appliance.port), scheme, `/${warmObjects[0]!.name}`, String(count)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const close = async () => {
    child.kill("SIGTERM");
    await ended;
  };
  const deadlineMs = performance.now() + openTimeoutMs;
  for await (const line of createInterface(child.stdout)) {
    const { open, failed } = JSON.parse(line) as { open: number; failed: number };
    if (open + failed >= count) break;
    if (performance.now() < deadlineMs) continue;
    await close();
    throw new OperatingError("no-connections", `Cannot measure: ${open} of ${count} connections are open after ${openTimeoutMs / 1000} s`);
  }
  return { close };
}

/** Soft limit of open files; servers and clients that are started here have the same. */
function openFilesMax(): number {
  return Number(/^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1] ?? 1024);
}
