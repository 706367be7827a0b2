// Runs one round of load: starts the workers, reads their boards each second, and turns the readings into figures.
import { Worker } from "node:worker_threads";
import { otherCpuShare, readBusyCpuSeconds } from "../observe/machine-load.js";
import { serverFiguresBetween, type ServerObserver, type ServerReading } from "../observe/server-observer.js";
import { sumOfErrors, type Figures, type Round, type TimelinePoint } from "../report/bench-result.js";
import { counter, errorsBetween, openLoadBoard, readBoards, type BoardsReading, type LoadBoard } from "./load-board.js";
import { histogramOf, latencyOf } from "./latency-counts.js";
import type { LoadPlan } from "./load-plan.js";
import type { LoadWorkerData, LoadWorkerMessage } from "./load-worker.js";

/** The measured part begins when all connections are up, or after this time with those that are. */
const connectGraceMs = 1000;
/** How often the state of the workers is looked at. */
const pollMs = 10;
const tickMs = 1000;

/** Something that happens in mid-run and divides the round into phases. */
export interface RoundEvent {
  /** When, as a fraction of the measured part. */
  atFraction: number;
  /** The names of the phases before and after it. */
  phaseNames: readonly [string, string];
  run: () => Promise<void>;
}

export interface Progress {
  /** 0 to 1, warm-up included. */
  fraction: number;
  bytesPerSecond: number;
  requestsPerSecond: number;
  errors: number;
}

export interface RunLoadOptions {
  observer: ServerObserver;
  event?: RoundEvent;
  /** Called once a second. */
  onProgress?: (progress: Progress) => void;
  /** Aborting ends the round early: what was measured until then is the answer. */
  signal?: AbortSignal;
}

interface Reading {
  boards: BoardsReading;
  server: ServerReading;
  atMs: number;
  generatorCpuSeconds: number;
  machineCpuSeconds: number | null;
}

/** One round. `whole` is false when it was aborted; the figures are null when that happened in the warm-up. */
export async function runLoad(plan: LoadPlan, options: RunLoadOptions): Promise<{ round: Round | null; whole: boolean }> {
  const pool = openPool(plan);
  const aborted = () => options.signal?.aborted === true || pool.failure !== null;
  const read = async (): Promise<Reading> => {
    const server = await options.observer.read();
    const { user, system } = process.cpuUsage();
    return {
      boards: readBoards(pool.boards),
      server,
      atMs: performance.now(),
      generatorCpuSeconds: (user + system) / 1e6,
      machineCpuSeconds: readBusyCpuSeconds(),
    };
  };
  try {
    const openedMs = performance.now();
    await waitUntil(() => aborted() || pool.connected() >= plan.connections || performance.now() - openedMs >= connectGraceMs);
    // Without a warm-up everything counts, from the first request on.
    const fromStart = plan.warmupSeconds === 0 ? await read() : null;
    pool.tell("start");
    const startMs = performance.now() + plan.warmupSeconds * 1000;
    await waitUntil(() => aborted() || performance.now() >= startMs);
    if (pool.failure !== null) throw pool.failure;
    if (aborted()) return { round: null, whole: false };

    const startedAt = new Date().toISOString();
    const first = fromStart ?? (await read());
    const endMs = first.atMs + plan.seconds * 1000;
    const eventMs = options.event === undefined ? Number.POSITIVE_INFINITY : first.atMs + options.event.atFraction * plan.seconds * 1000;
    const timeline: TimelinePoint[] = [];
    let last = first;
    let atEvent: Reading | null = null;
    let eventEnded: Promise<void> = Promise.resolve();
    const tick = (now: Reading) => {
      const point = timelinePoint(first, last, now);
      last = now;
      timeline.push(point.point);
      options.onProgress?.({
        fraction: Math.min(1, (now.atMs - openedMs) / (endMs - openedMs)),
        bytesPerSecond: point.point.bodyBytes / point.seconds,
        requestsPerSecond: point.point.requests / point.seconds,
        errors: countErrors(first, now),
      });
    };
    // A load that asks for each object once may be finished before its time.
    while (!aborted() && !pool.finished() && performance.now() < endMs) {
      const nextMs = Math.min(endMs, first.atMs + (timeline.length + 1) * tickMs, atEvent === null ? eventMs : endMs);
      await waitUntil(() => aborted() || pool.finished() || performance.now() >= nextMs);
      const now = await read();
      if (atEvent === null && now.atMs >= eventMs && options.event !== undefined) {
        atEvent = now;
        eventEnded = options.event.run();
        eventEnded.catch(() => {});
      }
      if (now.atMs - first.atMs >= (timeline.length + 1) * tickMs || now.atMs >= endMs) tick(now);
    }
    const end = await read();
    if (end.atMs - last.atMs >= tickMs / 4) tick(end);
    const whole = !aborted();
    if (whole) {
      // Requests under way are waited for, so that the slowest are not left out; their bytes don't count, the clock has stopped.
      pool.tell("finish");
      const deadlineMs = performance.now() + plan.requestTimeoutMs + 500;
      await waitUntil(() => aborted() || pool.finished() || performance.now() >= deadlineMs);
    }
    if (pool.failure !== null) throw pool.failure;
    await eventEnded;
    const drained = readBoards(pool.boards);
    const total = figuresBetween(options.observer, { from: first, to: end, drained });
    const phases: Round["phases"] = [];
    if (options.event !== undefined && atEvent !== null) {
      const [before, after] = options.event.phaseNames;
      phases.push({ name: before, ...figuresBetween(options.observer, { from: first, to: atEvent, drained: atEvent.boards }) });
      phases.push({ name: after, ...figuresBetween(options.observer, { from: atEvent, to: end, drained }) });
    }
    return { round: { startedAt, total, phases, timeline, background: null }, whole };
  } finally {
    await pool.close();
  }
}

interface Pool {
  boards: LoadBoard[];
  failure: Error | null;
  tell(message: LoadWorkerMessage): void;
  connected(): number;
  finished(): boolean;
  close(): Promise<void>;
}

function openPool(plan: LoadPlan): Pool {
  const boards = Array.from({ length: plan.workers }, () => openLoadBoard());
  const workers = boards.map(
    (board, worker) =>
      new Worker(new URL("load-worker.js", import.meta.url), {
        workerData: { plan, worker, memory: board.memory } satisfies LoadWorkerData,
      }),
  );
  const pool: Pool = {
    boards,
    failure: null,
    tell: (message) => {
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- worker threads have no origin
      for (const worker of workers) worker.postMessage(message);
    },
    connected: () => boards.reduce((sum, board) => sum + board.counters[counter.connected]!, 0),
    finished: () => boards.every((board) => board.counters[counter.finished] === 1),
    close: async () => {
      await Promise.all(workers.map((worker) => worker.terminate()));
    },
  };
  for (const worker of workers) worker.on("error", (error) => (pool.failure ??= error));
  return pool;
}

async function waitUntil(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, pollMs));
}

function countErrors(from: Reading, to: Reading): number {
  return sumOfErrors(errorsBetween(to.boards, from.boards));
}

function countOf(name: keyof typeof counter, from: BoardsReading, to: BoardsReading): number {
  return to.counters[counter[name]]! - from.counters[counter[name]]!;
}

function timelinePoint(first: Reading, from: Reading, to: Reading): { point: TimelinePoint; seconds: number } {
  return {
    seconds: (to.atMs - from.atMs) / 1000,
    point: {
      second: Math.round(to.atMs - first.atMs) / 1000,
      requests: countOf("requests", from.boards, to.boards),
      bodyBytes: countOf("bodyBytes", from.boards, to.boards),
      errors: countErrors(from, to),
      ttfbP99: latencyOf(histogramOf(to.boards.ttfb, from.boards.ttfb), { withHistogram: false })?.p99 ?? null,
      responseP99: latencyOf(histogramOf(to.boards.response, from.boards.response), { withHistogram: false })?.p99 ?? null,
    },
  };
}

/** `drained` has also what came in after the clock stopped at `to`: it counts for latencies and errors, not for rates. */
function figuresBetween(observer: ServerObserver, readings: { from: Reading; to: Reading; drained: BoardsReading }): Figures {
  const { from, to, drained } = readings;
  const seconds = (to.atMs - from.atMs) / 1000;
  const requests = countOf("requests", from.boards, to.boards);
  const bodyBytes = countOf("bodyBytes", from.boards, to.boards);
  const verifiedBytes = countOf("verifiedBytes", from.boards, drained);
  const server = serverFiguresBetween(observer.source, { before: from.server, after: to.server }, { requests, bodyBytes });
  const generatorCpuSeconds = to.generatorCpuSeconds - from.generatorCpuSeconds;
  const busySeconds =
    from.machineCpuSeconds === null || to.machineCpuSeconds === null ? null : to.machineCpuSeconds - from.machineCpuSeconds;
  const latency = (name: "ttfb" | "response" | "sendLag", withHistogram: boolean) =>
    latencyOf(histogramOf(drained[name], from.boards[name]), { withHistogram });
  return {
    seconds,
    requests,
    bodyBytes,
    requestsPerSecond: requests / seconds,
    bytesPerSecond: bodyBytes / seconds,
    ttfb: latency("ttfb", true),
    response: latency("response", true),
    errors: errorsBetween(drained, from.boards),
    verified: verifiedBytes === 0 ? null : { bytes: verifiedBytes, wrongBytes: countOf("wrongBytes", from.boards, drained) },
    server,
    otherCpuShare:
      busySeconds === null || observer.source !== "proc" || server.cpuSeconds === null
        ? null
        : otherCpuShare(busySeconds, generatorCpuSeconds + server.cpuSeconds, seconds),
    generator: { cpuSeconds: generatorCpuSeconds, sendLag: latency("sendLag", false) },
  };
}
