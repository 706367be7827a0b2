// Two serving workers against one, on a machine that has no third processor for the load.
import { procObserver } from "../observe/proc-observer.js";
import { makeCertificate } from "../peers/certificate.js";
import type { ApplianceUnderTest } from "./appliance-under-test.js";
import type { FigureMaker } from "./figure-maker.js";
import { loadPlan, measureLoad } from "./measure-load.js";
import { runPipelined } from "./pipelined-load.js";
import { startWarm, warmObjects as objects } from "./warm-appliance.js";

export const workers: FigureMaker = {
  name: "workers",
  title: "two serving workers against one",
  measure: async (run, figure) => {
    figure.method(
      "Everything in memory; nothing is pinned. Small: ranges of 1 KiB over HTTP, 32 requests in each write of wrk, so that the generator's part of the processor time is small; its " +
        "part is told. With two workers it still takes that part from them, so the throughput is a lower bound.",
    );
    figure.method(
      "By cost: 2 × the processor time of a request with one worker ÷ with two. That is what two workers do on processors of their own, as far as locks and caches that they share make a request dearer; " +
        "both run at the same time here. 512 KiB over HTTPS is given by cost alone: its client decrypts what the server encrypts, which costs as much.",
    );
    const certificate = await makeCertificate(run.scratch);
    const servers: { workers: number; http: ApplianceUnderTest; https: ApplianceUnderTest }[] = [];
    try {
      for (const workers of [1, 2]) {
        const http = await startWarm({ run, figure }, { workers, folder: `http-${workers}` });
        servers.push({ workers, http, https: await startWarm({ run, figure }, { workers, tls: certificate, folder: `https-${workers}` }) });
      }
      for (let round = 0; round < run.rounds; round++) {
        const small: { rate: number; cost: number }[] = [];
        for (const { workers, http } of servers) {
          run.say(`round ${round + 1} of ${run.rounds}, ${workers} workers, small`);
          const observer = procObserver(() => [http.pid]);
          const before = await observer.read();
          const { requests, seconds, failed, generatorCpuSeconds } = await runPipelined({
            baseUrl: http.baseUrl,
            objects,
            rangeBytes: 1024,
            depth: 32,
            connections: 64,
            seconds: run.quick ? 1 : 5,
            folder: run.scratch,
            signal: run.signal,
          });
          const after = await observer.read();
          if (failed > 0) figure.fault(`${failed} requests failed`);
          const cpuSeconds = (after.cpuSeconds ?? 0) - (before.cpuSeconds ?? 0);
          figure.add(`small, ${workers} ${workers === 1 ? "worker" : "workers"}`, "per second", requests / seconds);
          figure.add(`small, ${workers}: processor of the appliance per request`, "µs", (cpuSeconds * 1e6) / requests);
          figure.add(`small, ${workers}: processor of the generator per request`, "µs", (generatorCpuSeconds * 1e6) / requests);
          small.push({ rate: requests / seconds, cost: cpuSeconds / requests });
        }
        figure.add("small: throughput of two ÷ one, the generator beside them", "times", small[1]!.rate / small[0]!.rate, { atLeast: 1.7 });
        figure.add("small: two ÷ one by cost", "times", (2 * small[0]!.cost) / small[1]!.cost, { atLeast: 1.7 });
        const costs: number[] = [];
        for (const { workers, https } of servers) {
          run.say(`round ${round + 1} of ${run.rounds}, ${workers} workers, 512 KiB`);
          const plan = loadPlan(
            { range: "512KiB", connections: 32, warmup: "300ms", duration: run.quick ? "1s" : "4s" },
            { baseUrl: https.baseUrl, objects, caPem: certificate.pem },
          );
          const { figures } = await measureLoad(plan, { appliance: https, figure, run });
          const cost = figures.server.cpuSecondsPerGigabyte ?? 0;
          figure.add(`HTTPS 512 KiB, ${workers}: processor seconds per GB`, "s", cost);
          costs.push(cost);
        }
        figure.add("HTTPS 512 KiB: two ÷ one by cost", "times", (2 * costs[0]!) / costs[1]!, { atLeast: 1.7 });
      }
    } finally {
      await Promise.all(servers.flatMap(({ http, https }) => [http.stop(), https.stop()]));
    }
  },
};
