// Ten million requests: whether the heap or the process grows, and what a request allocates.
import { OperatingError } from "../../runtime/operating-error.js";
import type { FigureMaker } from "./figure-maker.js";
import { countAllocatedBytes } from "./count-allocated.js";
import { spreadOf } from "../report/medians.js";
import { runPipelined } from "./pipelined-load.js";
import { startWarm, warmObjects } from "./warm-appliance.js";

const lookEveryMs = 500;
/** Seconds of load after which is looked how many requests there were. */
const secondsAtOnce = 5;

export const steadyState: FigureMaker = {
  name: "steady-state",
  title: "ten million requests: heap, resident memory, allocation per request",
  measure: async (run, figure) => {
    const requestsWanted = run.quick ? 20_000 : 10_000_000;
    const step = requestsWanted / 10;
    figure.method(
      `${requestsWanted.toLocaleString("en")} requests for random ranges of 1 KiB in memory, HTTP, one worker, wrk with 8 requests in each write. A round is a tenth of them. Heap: the least that the ` +
        "worker's heap was seen to hold in a round, since what is between two collections is garbage. Resident: anonymous memory of the process at the end of the round.",
    );
    figure.method(
      "Allocation: a second appliance with --trace-gc; what the serving worker's collections found allocated since the one before, over the requests meanwhile.",
    );
    const appliance = await startWarm({ run, figure }, { workers: 1, folder: "soak", cores: run.cores.server });
    const load = {
      baseUrl: appliance.baseUrl,
      objects: warmObjects,
      rangeBytes: 1024,
      depth: 8,
      connections: 64,
      folder: run.scratch,
      signal: run.signal,
    };
    const heaps: number[] = [];
    const resident: number[] = [];
    try {
      let least = Infinity;
      let done = 0;
      let finished = false;
      const watch = (async () => {
        while (!finished) {
          const metrics = await appliance.metrics();
          const heap = metrics.sum("millrace_worker_heap_used_bytes");
          if (heap > 0) least = Math.min(least, heap);
          const requests = metrics.sum("millrace_requests_total");
          while (requests >= (heaps.length + 1) * step && heaps.length < 10) {
            heaps.push(least);
            resident.push((await appliance.memory()).anonymousBytes);
            figure.add("heap of the worker after each tenth", "bytes", least);
            figure.add("anonymous memory of the process after each tenth", "bytes", resident.at(-1)!);
            // More tenths may have passed since the last look: then this one stands for them all.
            least = heap;
            run.say(`${heaps.length} tenths`);
          }
          await new Promise((resolve) => setTimeout(resolve, run.quick ? 50 : lookEveryMs));
        }
      })();
      try {
        while (done < requestsWanted && !run.signal.aborted) {
          const { requests, seconds, failed } = await runPipelined({ ...load, seconds: run.quick ? 1 : secondsAtOnce });
          if (failed > 0) figure.fault(`${failed} requests failed`);
          figure.add("requests", "per second", requests / seconds);
          if (requests === 0) throw new OperatingError("no-requests", "Cannot measure: no request was answered");
          done += requests;
        }
      } finally {
        finished = true;
        await watch;
      }
    } finally {
      await appliance.stop();
    }
    if (heaps.length === 10) {
      figure.add("heap: last three tenths less the second to fourth", "bytes", growthOf(heaps), { atMost: 2 ** 20 });
      figure.add("anonymous memory: last three tenths less the second to fourth", "bytes", growthOf(resident), { atMost: 8 * 2 ** 20 });
    }
    for (const { name, rangeBytes, depth } of [
      { name: "1 KiB, 8 in a write", rangeBytes: 1024, depth: 8 },
      { name: "1 KiB, one in a write", rangeBytes: 1024, depth: 1 },
      { name: "512 KiB, one in a write", rangeBytes: 512 * 1024, depth: 1 },
    ].slice(0, run.quick ? 1 : undefined)) {
      run.say(`allocation: ${name}`);
      let output = "";
      const traced = await startWarm(
        { run, figure },
        {
          workers: 1,
          folder: `traced-${rangeBytes}-${depth}`,
          cores: run.cores.server,
          nodeOptions: ["--trace-gc"],
          onOutput: (text) => (output += text),
        },
      );
      try {
        // What the first requests need once is not what each needs.
        await runPipelined({ ...load, baseUrl: traced.baseUrl, rangeBytes, depth, seconds: 1 });
        const from = output.length;
        const { requests } = await runPipelined({ ...load, baseUrl: traced.baseUrl, rangeBytes, depth, seconds: run.quick ? 1 : 6 });
        const bytes = countAllocatedBytes(output.slice(from));
        if (bytes === undefined) figure.note(`${name}: too few collections to tell what was allocated`);
        else figure.add(`allocated per request: ${name}`, "bytes", bytes / requests);
      } finally {
        await traced.stop();
      }
    }
  },
};

function growthOf(tenths: readonly number[]): number {
  return spreadOf(tenths.slice(7))!.median - spreadOf(tenths.slice(1, 4))!.median;
}
