// The worker thread that runs a share of the players.
import { monitorEventLoopDelay } from "node:perf_hooks";
import { parentPort, workerData } from "node:worker_threads";
import { type FleetOutcome, type FleetProgress, type PlayerFleetOptions, runPlayerFleet } from "./player-fleet.js";

/** From the worker. */
export type WorkerMessage =
  | ({ type: "progress" } & FleetProgress)
  /** `latenessMs`: how late this thread was for its work, 99th percentile. */
  | { type: "done"; outcome: FleetOutcome; latenessMs: number };

/** To the worker: leave off and send what there is. */
export const stopMessage = "stop";

if (parentPort) {
  const port = parentPort;
  const send = (message: WorkerMessage) => port.postMessage(message);
  const abort = new AbortController();
  port.on("message", (message) => {
    if (message === stopMessage) abort.abort();
  });
  const resolutionMs = 4;
  const delay = monitorEventLoopDelay({ resolution: resolutionMs });
  delay.enable();
  const outcome = await runPlayerFleet(workerData as PlayerFleetOptions, abort.signal, (progress) =>
    send({ type: "progress", ...progress }),
  );
  delay.disable();
  send({ type: "done", outcome, latenessMs: Math.max(0, delay.percentile(99) / 1e6 - resolutionMs) });
  port.close();
}
