// What hostile clients cost the others, and whether the appliance has everything back when they are gone.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { makeCertificate } from "../peers/certificate.js";
import { objectName } from "../workloads/object-files.js";
import type { ApplianceUnderTest } from "./appliance-under-test.js";
import { churnConnections } from "./churn-connections.js";
import { countSockets } from "./count-sockets.js";
import type { FigureMaker } from "./figure-maker.js";
import { loadPlan, measureLoad } from "./measure-load.js";
import { startWarm, warmObjects } from "./warm-appliance.js";

const program = fileURLToPath(new URL("hostile-program.js", import.meta.url));
/** Larger than what the kernel holds for a client that does not read. */
const largeObject = { name: objectName(warmObjects.length), bytes: 64 * 2 ** 20, contentNumber: warmObjects.length };
/** The engine closes a connection without a request after ten seconds. */
const settleTimeoutMs = 40_000;

export const hostileClients: FigureMaker = {
  name: "hostile-clients",
  title: "hostile clients: what they cost the others, and whether anything stays behind",
  measure: async (run, figure) => {
    const each = run.quick ? 5 : 100;
    const churned = run.quick ? 500 : 100_000;
    const rate = run.quick ? 200 : 400;
    figure.method(
      `Polite clients ask for random 64 KiB ranges at ${rate} a second (open loop, Poisson), alone and, in turns with that, beside ${each} of each: slow headers, readers of nothing, ` +
        "clients that leave at a random moment, readers of one byte at a time; all for an object of 64 MiB, more than the kernel takes off the server's hands. One worker; the hostile clients are on the generator's processor.",
    );
    figure.method(
      `Then ${churned.toLocaleString("en")} connections, 256 at a time, with and without a request, closed and reset. At the end frames pinned, responses and sockets are counted.`,
    );
    const certificate = await makeCertificate(run.scratch);
    for (const scheme of run.quick ? (["http"] as const) : (["http", "https"] as const)) {
      const name = scheme.toUpperCase();
      const tls = scheme === "https" ? certificate : undefined;
      const appliance = await startWarm(
        { run, figure },
        { workers: 1, objects: [...warmObjects, largeObject], tls, folder: scheme, cores: run.cores.server },
      );
      try {
        for (let round = 0; round < run.rounds; round++) {
          const p99: number[] = [];
          for (const beside of [false, true]) {
            run.say(`${name}, round ${round + 1} of ${run.rounds}, ${beside ? "beside hostile clients" : "alone"}`);
            const stop = beside ? await startHostile(appliance, { scheme, each }) : () => true;
            try {
              const plan = loadPlan(
                { range: "64KiB", rate, connections: 32, warmup: "1s", duration: run.quick ? "1s" : "6s", seed: round + 1 },
                { baseUrl: appliance.baseUrl, objects: warmObjects, caPem: certificate.pem },
              );
              const { figures } = await measureLoad(plan, { appliance, figure, run });
              p99.push(figures.response!.p99);
              figure.add(`${name}: response p99, ${beside ? "beside hostile clients" : "alone"}`, "ms", figures.response!.p99);
              if (beside) figure.add(`${name}: frames pinned meanwhile`, "count", (await appliance.status()).memory.pinned);
            } finally {
              if (!stop()) figure.fault(`${name}: the program of the hostile clients did not last`);
            }
          }
          figure.add(`${name}: p99 beside ÷ alone`, "times", p99[1]! / p99[0]!, { atMost: 2 });
        }
        if (scheme === "http") {
          const failed = await churnConnections(appliance.port, {
            count: churned,
            atOnce: 256,
            path: `/${warmObjects[0]!.name}`,
            signal: run.signal,
            onProgress: (done) => run.say(`${done.toLocaleString("en")} connections churned`),
          });
          figure.add("connections churned that failed", "count", failed, { atMost: 0 });
        }
        run.say(`${name}: waiting for everything to come back`);
        await addLeftovers(appliance, figure, name);
      } finally {
        await appliance.stop();
      }
    }
  },
};

async function startHostile(appliance: ApplianceUnderTest, { scheme, each }: { scheme: string; each: number }): Promise<() => boolean> {
  const child = spawn(process.execPath, [program, "127.0.0.1", String(appliance.port), scheme, `/${largeObject.name}`, String(each)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await new Promise((resolve) => child.stdout.once("data", resolve));
  // False when it is gone already.
  return () => child.kill("SIGTERM");
}

/** What is still held when nobody is there any more; it may take as long as the engine's timeouts. */
async function addLeftovers(appliance: ApplianceUnderTest, figure: Parameters<FigureMaker["measure"]>[1], name: string): Promise<void> {
  const deadlineMs = performance.now() + settleTimeoutMs;
  let left: Record<string, number>;
  do {
    await new Promise((resolve) => setTimeout(resolve, 200));
    const { memory, requests } = await appliance.status();
    left = { "frames pinned": memory.pinned, "responses under way": requests.underWay, sockets: countSockets(appliance.port) };
  } while (Object.values(left).some((count) => count > 0) && performance.now() < deadlineMs);
  for (const [what, count] of Object.entries(left)) {
    figure.add(`${name}: ${what} at the end`, "count", count, { atMost: 0 });
    if (count > 0) figure.fault(`${name}: ${count} ${what} stayed behind`);
  }
}
