// Runs all players, spread over worker threads.
import { Worker } from "node:worker_threads";
import type { FleetProgress, PlayerFleetOptions } from "./player-fleet.js";
import { stopMessage, type WorkerMessage } from "./player-worker.js";
import type { PlayerOutcome } from "./players-result.js";

export interface RunPlayersOptions extends Omit<PlayerFleetOptions, "players"> {
  workers: number;
}

export interface PlayersRun {
  /** By number; those that had not come yet when the run was stopped are missing. */
  players: PlayerOutcome[];
  bitsPerSecond: number[];
  seconds: number;
  /** Of the worst worker. */
  latenessMs: number;
}

/** The signal stops all players; what they saw until then is in the result. */
export async function runPlayers(
  options: RunPlayersOptions,
  signal: AbortSignal,
  onProgress: (progress: FleetProgress) => void,
): Promise<PlayersRun> {
  const { workers, ...fleet } = options;
  const count = Math.min(workers, options.playerCount);
  const progress = Array.from({ length: count }, (): FleetProgress => ({ started: 0, ended: 0 }));
  const started = performance.now();
  const done = await Promise.all(
    progress.map((_, index) => {
      // Every count-th player, so that each worker has players from the beginning on.
      const players = Array.from({ length: Math.ceil((options.playerCount - index) / count) }, (_, turn) => index + turn * count);
      const workerData: PlayerFleetOptions = { ...fleet, players };
      return runWorker(workerData, signal, (own) => {
        progress[index] = own;
        onProgress({ started: sumOf(progress, "started"), ended: sumOf(progress, "ended") });
      });
    }),
  );
  return {
    players: done.flatMap(({ outcome }) => outcome.players).sort((a, b) => a.player - b.player),
    bitsPerSecond: done.find(({ outcome }) => outcome.bitsPerSecond.length > 0)?.outcome.bitsPerSecond ?? [],
    seconds: (performance.now() - started) / 1000,
    latenessMs: Math.max(...done.map(({ latenessMs }) => latenessMs)),
  };
}

function runWorker(
  workerData: PlayerFleetOptions,
  signal: AbortSignal,
  onProgress: (progress: FleetProgress) => void,
): Promise<Extract<WorkerMessage, { type: "done" }>> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL("./player-worker.js", import.meta.url), { workerData });
    const stop = () => worker.postMessage(stopMessage);
    signal.addEventListener("abort", stop);
    if (signal.aborted) stop();
    worker.on("message", (message: WorkerMessage) => {
      if (message.type === "progress") return onProgress(message);
      signal.removeEventListener("abort", stop);
      resolve(message);
    });
    worker.on("error", reject);
    worker.on("exit", (code) => reject(new Error(`A worker of the players ended early with ${code}`)));
  });
}

function sumOf(progress: readonly FleetProgress[], key: keyof FleetProgress): number {
  return progress.reduce((sum, each) => sum + each[key], 0);
}
